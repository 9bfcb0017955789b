//! A topic under watch: its steps as events, then the verdict.
//!
//! In:    the question; how long.
//! Out:   an event for each line of evidence, once.
//! Never: a watch in the shards that goes on when whoever asked for it has gone: each is a lease of some seconds.

use std::time::Duration;

use dunlin_engine::{Time, Watch};
use serde::Serialize;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep};

use super::{Asked, Evidence, explain};
use crate::broker::Broker;
use crate::problem::Problem;
use crate::router::Shared;
use crate::stream::{Event, Events};

/// How often the shards are asked.
const LOOK: Duration = Duration::from_millis(250);
/// For how long a shard keeps everything when it hears no more of the watch.
const LEASE: Duration = Duration::from_secs(5);
/// Between two times that it hears of it: a reader that is slow for a while loses nothing.
const RENEWAL: Duration = Duration::from_secs(1);
/// Events on their way to the reader.
const EVENTS: usize = 64;

/// It has begun.
#[derive(Debug, Serialize)]
struct Begun<'a> {
    topic: &'a str,
}

/// Why it ended.
#[derive(Debug, Serialize)]
struct Ended<'a> {
    detail: &'a str,
}

/// Begins a watch, which ends at `until`, or when nobody reads its events.
///
/// # Errors
/// When there are too many, or a shard does not answer.
pub(super) async fn begin(api: Shared, asked: Asked, until: Option<Instant>) -> Result<Events, Problem> {
    hold(&api.broker, &asked.topic).await?;
    let (sender, receiver) = mpsc::channel(EVENTS);
    // Whoever waits for it knows that what happens from now on is kept.
    let _ = sender.try_send(Event::new("begin", &Begun { topic: &asked.topic }));
    tokio::spawn(async move {
        let detail = match follow(&api, &asked, until, &sender).await {
            Ok(()) => "the time is over".to_owned(),
            Err(problem) => problem.detail,
        };
        // The reader may have gone.
        let _ = sender.send(Event::new("end", &Ended { detail: &detail })).await;
    });
    Ok(Events::new(receiver))
}

/// Has every shard keep everything about a topic from now on, for as long as a lease.
async fn hold(broker: &Broker, topic: &str) -> Result<(), Problem> {
    let filter = Box::<str>::from(topic);
    let held = broker.ask_all(move |engine, now: Time, _| {
        engine.watch(now, Watch { client: None, filter: Some(filter), until: now.after(LEASE) })
    });
    if held.await?.into_iter().all(|is_held| is_held) {
        return Ok(());
    }
    Err(Problem::too_often("too many watches are going on: wait until one ends", LEASE))
}

/// Sends what is new until the time is over, then the verdict.
async fn follow(
    api: &Shared,
    asked: &Asked,
    until: Option<Instant>,
    sender: &Sender<Event>,
) -> Result<(), Problem> {
    let mut shown: Vec<Evidence> = Vec::new();
    let mut held = Instant::now();
    loop {
        let is_over = until.is_some_and(|until| Instant::now() >= until);
        let answer = explain(api, asked).await?;
        for line in answer.evidence.iter().filter(|line| !shown.iter().any(|old| old.is_same(line))) {
            if sender.send(Event::new("step", line)).await.is_err() {
                return Ok(());
            }
        }
        if is_over {
            let _ = sender.send(Event::new("verdict", &answer)).await;
            return Ok(());
        }
        shown = answer.evidence;
        let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()).min(LOOK));
        tokio::select! {
            () = sender.closed() => return Ok(()),
            () = sleep(left) => {}
        }
        if held.elapsed() >= RENEWAL {
            held = Instant::now();
            hold(&api.broker, &asked.topic).await?;
        }
    }
}
