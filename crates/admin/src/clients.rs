//! Clients: a page of them, one, and the end of a connection.
//!
//! In:    filters and a place to go on from; Client Identifiers.
//! Out:   rows as JSON; connections closed.
//! Never: a look at more than a few thousand Sessions of a shard at once, or at more than [`VISITS`] times as many for one
//!        page: a page may be short, or empty, and still have a next one.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dunlin_codec::ProtocolVersion;
use dunlin_engine::{ClientFilter, ClientRow, ConnectionRow, ShardId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Operator, Viewer};
use crate::input::{Named, Parameters, rows};
use crate::page::Page;
use crate::problem::Problem;
use crate::router::{Api, Shared};

/// Visits to shards for one page.
const VISITS: usize = 32;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(disconnect))
}

/// Which Clients.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// What the client identifier begins with
    prefix: Option<String>,
    /// The address that the connection comes from
    #[param(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// The user name that it was let in by
    user: Option<String>,
    /// Only those with a connection, or only those without
    connected: Option<bool>,
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before
    #[param(max_length = 32)]
    after: Option<String>,
}

/// A Client with its Session.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// Client Identifier.
    pub client_id: String,
    /// The user name that it was let in by; missing where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Missing where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Seconds since its last connection ended; missing while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_seconds: Option<u64>,
    /// Seconds that the session outlives the connection; missing: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_expiry_seconds: Option<u64>,
    /// Does the session outlive the process?
    pub durable: bool,
    /// Is there a will to be published?
    pub will: bool,
    /// How many subscriptions it has.
    pub subscriptions: u64,
    /// Messages that wait for it.
    pub queued_messages: u64,
    /// Their bytes, with what keeping them takes.
    pub queued_bytes: u64,
    /// QoS 1 and 2 messages sent to it and not acknowledged.
    pub in_flight: u64,
    /// QoS 2 messages that came from it and are not released.
    pub receiving: u64,
    /// How often it broke rules of MQTT that were let pass.
    pub rules_broken: u64,
}

/// A connection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// The Client's end; missing for Unix sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("192.0.2.7:51234"))]
    pub address: Option<String>,
    /// The listener that it came through.
    #[schema(examples("tls://0.0.0.0:8883"))]
    pub listener: String,
    /// Of MQTT: `3.1`, `3.1.1` or `5.0`.
    #[schema(examples("5.0"))]
    pub version: String,
    /// Seconds since it was accepted.
    pub connected_seconds: u64,
    /// Seconds since the last packet of the Client.
    pub silent_seconds: u64,
    /// Keep Alive; 0: off.
    pub keep_alive_seconds: u64,
    /// Messages that it takes before it acknowledges.
    pub receive_maximum: u16,
    /// Largest packet that it takes, in bytes.
    pub maximum_packet_size: u32,
    /// It is not read at the moment: it is to slow down, or its answers wait.
    pub paused: bool,
}

impl Client {
    pub(crate) fn of(row: ClientRow, api: &Api) -> Self {
        Self {
            client_id: row.client_id.into(),
            user: row.user.map(Into::into),
            connection: row.connection.map(|connection| Connection::of(&connection, api)),
            disconnected_seconds: row.disconnected.map(|since| since.as_secs()),
            session_expiry_seconds: row.expiry.map(|expiry| expiry.as_secs()),
            durable: row.durable,
            will: row.will,
            subscriptions: row.subscriptions as u64,
            queued_messages: row.queued as u64,
            queued_bytes: row.queued_bytes,
            in_flight: row.in_flight as u64,
            receiving: row.receiving as u64,
            rules_broken: row.rules_broken,
        }
    }
}

impl Connection {
    fn of(row: &ConnectionRow, api: &Api) -> Self {
        let version = match row.version {
            ProtocolVersion::V31 => "3.1",
            ProtocolVersion::V311 => "3.1.1",
            ProtocolVersion::V5 => "5.0",
        };
        Self {
            address: row.address.map(|address| address.to_string()),
            listener: api.host.listener(row.listener).unwrap_or_else(|| row.listener.to_string()),
            version: version.to_owned(),
            connected_seconds: row.age.as_secs(),
            silent_seconds: row.silent.as_secs(),
            keep_alive_seconds: row.keep_alive.as_secs(),
            receive_maximum: row.receive_maximum,
            maximum_packet_size: row.maximum_packet_size,
            paused: row.paused,
        }
    }
}

/// A place among the Sessions of all shards: `SHARD.SLOT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    pub(crate) slot: u32,
}

impl Place {
    /// # Errors
    /// Where it is none.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self { shard: 0, slot: 0 }) };
        let parsed = text.split_once('.').and_then(|(shard, slot)| {
            Some(Self { shard: usize::from(shard.parse::<u8>().ok()?), slot: slot.parse().ok()? })
        });
        parsed.ok_or_else(|| Problem::value("after", text, "`next` of the page before"))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.shard, self.slot)
    }
}

/// Clients, with a connection or without, a page at a time.
#[utoipa::path(
    get, path = "/clients", operation_id = "list_clients", tag = "clients", params(Wanted), security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "Some of them, in no particular order; none twice, none left out that is there all the while", body = Page<Client>),
        Problem
    )
)]
async fn list(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Page<Client>>, Problem> {
    let limit = rows(wanted.limit)?;
    let place = Place::parse(wanted.after.as_deref())?;
    let filter = ClientFilter {
        prefix: wanted.prefix.unwrap_or_default(),
        address: wanted.address,
        user: wanted.user,
        connected: wanted.connected,
    };
    let (found, next) = page(&api, &filter, place, limit).await?;
    let items = found.into_iter().map(|row| Client::of(row, &api)).collect();
    Ok(Json(Page { items, next: next.map(|place| place.to_string()) }))
}

/// Some Clients from a place on, and where to go on.
pub(crate) async fn page(
    api: &Api,
    filter: &ClientFilter,
    mut place: Place,
    limit: usize,
) -> Result<(Vec<ClientRow>, Option<Place>), Problem> {
    let shards = api.broker.map()?.count();
    let mut found = Vec::new();
    for _ in 0..VISITS {
        if found.len() >= limit {
            break;
        }
        let Some(shard) = ShardId::new(place.shard).filter(|shard| shard.index() < shards) else {
            return Ok((found, None));
        };
        let (wanted, left) = (filter.clone(), limit - found.len());
        let page = api
            .broker
            .ask(shard, move |engine, now, _| engine.clients(now, &wanted, place.slot, left))
            .await?;
        found.extend(page.rows);
        place = match page.next {
            Some(slot) => Place { slot, ..place },
            None => Place { shard: place.shard + 1, slot: 0 },
        };
    }
    Ok((found, (place.shard < shards).then_some(place)))
}

/// One client.
#[utoipa::path(
    get, path = "/clients/{client_id}", operation_id = "show_client", tag = "clients", params(("client_id" = String, Path, description = "Client identifier")),
    security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "What is known of it", body = Client),
        Problem
    )
)]
async fn show(
    _: Viewer,
    State(api): State<Shared>,
    Named(client_id): Named<String>,
) -> Result<Json<Client>, Problem> {
    let home = api.broker.home_of_client(&client_id)?;
    let asked = client_id.clone();
    let found = api.broker.ask(home, move |engine, now, _| engine.client(now, &asked)).await?;
    found.map(|row| Json(Client::of(row, &api))).ok_or_else(|| no_client(&client_id))
}

/// Close the connection of a client. Its session goes on as it would after any loss; its will is published.
#[utoipa::path(
    delete, path = "/clients/{client_id}/connection", operation_id = "disconnect_client", tag = "clients",
    params(("client_id" = String, Path, description = "Client identifier")),
    security(("token" = []), ("password" = [])),
    responses(
        (status = 204, description = "It is closed"),
        Problem
    )
)]
async fn disconnect(
    _: Operator,
    State(api): State<Shared>,
    Named(client_id): Named<String>,
) -> Result<StatusCode, Problem> {
    let home = api.broker.home_of_client(&client_id)?;
    let asked = client_id.clone();
    let closed =
        api.broker.ask(home, move |engine, now, fx| engine.disconnect_client(now, fx, &asked)).await?;
    if closed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::missing(format!("no client {client_id:?} has a connection")))
    }
}

pub(crate) fn no_client(client_id: &str) -> Problem {
    Problem::missing(format!("no client {client_id:?} has a session"))
}
