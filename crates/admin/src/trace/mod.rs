//! Packets while they pass: a stream of them, decoded.
//!
//! In:    which packets; taps of all shards.
//! Out:   an event for each packet, and one that says how many were lost.
//! Never: a shard that waits for whoever looks; a secret for anybody but an administrator who asked for it.

mod describe;
mod wanted;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_engine::{ShardId, TapBatch, TapId, TappedPacket};
use dunlin_observe::Wall;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Administrator, Operator};
use crate::broker::Broker;
use crate::input::Parameters;
use crate::problem::Problem;
use crate::router::Shared;
use crate::stream::{Event, Events};
use describe::Names;
use wanted::Wanted;

/// How often the shards are asked, while somebody looks.
const EVERY: Duration = Duration::from_millis(50);
/// Events on their way to the reader; behind them, packets wait in the taps.
const EVENTS: usize = 256;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(watch))
}

/// Which packets. Lists are parameters that come again; of each kind that is there, one has to match.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the description of what `Wanted` reads")]
struct Described {
    /// Client identifier; `*` stands for any characters
    client: Option<Vec<String>>,
    /// Topic filter: messages, their acknowledgements, wills, subscriptions that overlap it
    topic: Option<Vec<String>>,
    /// Address or network of clients, as 10.0.0.0/8
    address: Option<Vec<String>>,
    /// CONNECT, PUBLISH, ...
    packet_type: Option<Vec<String>>,
    /// Leave passwords, authentication data and tokens readable; administrators only
    secrets: Option<bool>,
    /// Add the packets themselves, in Base64
    packets: Option<bool>,
    /// Bytes of payloads that are shown; 256 where it is not said
    payload_bytes: Option<u32>,
    /// End after so many seconds
    #[param(maximum = 86400)]
    seconds: Option<u32>,
}

/// One packet.
#[derive(Debug, Serialize)]
struct Record<'a> {
    time: String,
    /// `received` or `sent`, by the broker.
    direction: &'static str,
    client: Option<&'a str>,
    address: Option<String>,
    listener: u16,
    /// Tells connections apart.
    connection: String,
    version: &'static str,
    #[serde(rename = "type")]
    packet_type: &'static str,
    /// Of the whole packet.
    bytes: usize,
    #[serde(flatten)]
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<String>,
}

/// Packets that were not shown because they came faster than they were read.
#[derive(Debug, Serialize)]
struct Lost {
    lost: u64,
}

/// It has begun.
#[derive(Debug, Serialize)]
struct Begun {
    shards: usize,
}

/// Why it ended.
#[derive(Debug, Serialize)]
struct Ended {
    detail: &'static str,
}

/// Packets while they pass, decoded
///
/// Events of the kinds `begin`, `packet`, `lost` (how many came faster than they were read) and `end`.
#[utoipa::path(
    get,
    path = "/trace",
    tag = "trace",
    params(Described),
    responses(
        (status = 200, description = "Events until whoever listens goes", body = String, content_type = "text/event-stream"),
        Problem
    )
)]
async fn watch(
    _: Operator,
    administrator: Result<Administrator, Problem>,
    State(api): State<Shared>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Events, Problem> {
    let wanted = Wanted::parse(&parameters)?;
    if wanted.filter.secrets {
        administrator?;
    }
    let broker = api.broker.clone();
    let taps = tap(&broker, &wanted).await?;
    let (sender, receiver) = mpsc::channel(EVENTS);
    // Whoever waits for it knows that what happens from now on is seen.
    let _ = sender.try_send(Event::new("begin", &Begun { shards: taps.len() }));
    tokio::spawn(async move {
        let detail = follow(&broker, &taps, &wanted, &sender).await;
        // The reader may have gone.
        let _ = sender.send(Event::new("end", &Ended { detail })).await;
        untap(&broker, taps).await;
    });
    Ok(Events::new(receiver))
}

/// A tap of each shard.
type Taps = Vec<(ShardId, TapId)>;

async fn tap(broker: &Broker, wanted: &Wanted) -> Result<Taps, Problem> {
    let filter = Arc::new(wanted.filter.clone());
    let mut taps = Taps::new();
    for shard in broker.map()?.iter() {
        let filter = Arc::clone(&filter);
        match broker.ask(shard, move |engine, now, _| engine.tap(now, filter)).await? {
            Some(id) => taps.push((shard, id)),
            None => {
                untap(broker, taps).await;
                return Err(Problem::too_often("eight traces run already", Duration::from_secs(10)));
            }
        }
    }
    Ok(taps)
}

async fn untap(broker: &Broker, taps: Taps) {
    for (shard, id) in taps {
        // Where the shard does not answer, the tap ends by itself.
        let _ = broker.ask(shard, move |engine, _, _| engine.untap(id)).await;
    }
}

/// Sends until there is a reason to end, and says which.
async fn follow(broker: &Broker, taps: &Taps, wanted: &Wanted, sender: &Sender<Event>) -> &'static str {
    let until = wanted.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut clock = Wall::default();
    loop {
        let mut round = Vec::new();
        let mut lost = 0;
        for (shard, id) in taps {
            let id = *id;
            let answer =
                broker.ask(*shard, move |engine, now, _| (now, SystemTime::now(), engine.tapped(now, id)));
            match answer.await {
                Ok((now, wall, Some(batch))) => {
                    lost += batch.lost;
                    clock.look(now.as_micros(), wall);
                    round.push(Taken { shard: *shard, batch });
                }
                Ok((_, _, None)) => return "nobody read for ten seconds",
                Err(_) => return "the broker is ending",
            }
        }
        for event in events(&round, wanted, clock) {
            if sender.send(event).await.is_err() {
                return "";
            }
        }
        if lost > 0 && sender.send(Event::new("lost", &Lost { lost })).await.is_err() || sender.is_closed() {
            return "";
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return "the time is over";
        }
        sleep(EVERY).await;
    }
}

/// What a shard gave.
#[derive(Debug)]
struct Taken {
    shard: ShardId,
    batch: TapBatch,
}

/// By time; those of one shard stay in order.
fn events<'a>(round: &'a [Taken], wanted: &'a Wanted, clock: Wall) -> impl Iterator<Item = Event> + 'a {
    let mut packets: Vec<(&Taken, &TappedPacket)> = round
        .iter()
        .flat_map(|taken| taken.batch.packets.iter().map(move |packet| (taken, packet)))
        .collect();
    packets.sort_by_key(|(_, packet)| packet.at);
    packets
        .into_iter()
        .map(move |(taken, packet)| Event::new("packet", &record(taken, packet, wanted, clock)))
}

fn record<'a>(taken: &'a Taken, packet: &TappedPacket, wanted: &Wanted, clock: Wall) -> Record<'a> {
    let peer = &taken.batch.peers[packet.peer];
    let bytes = &taken.batch.bytes[packet.start..packet.end];
    let names = Names { topic: packet.topic.as_deref(), mount: peer.mount.as_ref() };
    let (packet_type, fields) = describe::describe(bytes, packet.version, wanted.payload_bytes, names);
    let (index, generation) = (peer.connection.index(), peer.connection.generation());
    Record {
        time: moment(UNIX_EPOCH + Duration::from_micros(clock.micros(packet.at.as_micros()))),
        direction: if packet.sent { "sent" } else { "received" },
        client: peer.client_id.as_deref(),
        address: peer.address.map(|address| address.to_string()),
        listener: peer.listener,
        connection: format!("{}-{index}-{generation}", taken.shard.index()),
        version: describe::version_name(packet.version),
        packet_type,
        bytes: packet.len,
        fields,
        packet: wanted.packets.then(|| STANDARD.encode(bytes)),
    }
}

/// In UTC, to the microsecond.
fn moment(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let ((hour, minute, second, micro), day) = (at.to_hms_micro(), at.date());
    let (year, month, day) = (day.year(), u8::from(day.month()), day.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}
