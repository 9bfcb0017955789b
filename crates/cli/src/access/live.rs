//! `dunlin acl dry-run` of what clients do now: the broker is asked, again and again for a while.
//!
//! In:    requests of the command, through the control socket; what the engines of the broker know.
//! Out:   to the command: who is connected or away, what they subscribed to, what they published last, as [`super::seen`]
//!        has it.
//! Never: a shard kept busy: some hundred sessions at a time; the same said twice to who looks.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::QoS;
use dunlin_engine::{Identity, Surveyed};
use dunlin_runtime::Observer;
use serde_json::{Value, json};

use super::AccessError;
use crate::control::{self, Ask};

/// Its name.
pub(crate) const REQUEST: &str = "access-survey";
/// Sessions that are looked at in one request.
const PAGE: u32 = 256;
/// Between two looks at all of them.
const EVERY: Duration = Duration::from_millis(500);
/// Attributes that begin with it are the broker's notes about a log-in.
const NOTES: &str = "login.";

/// Answers the command, in the broker.
pub(crate) fn answer(observer: &Observer, arguments: &Value) -> Result<Value, String> {
    let number = |name: &str| arguments[name].as_u64().ok_or_else(|| format!("{name}: a number is needed"));
    let (shard, from) = (number("shard")?, number("from")?);
    let shard = usize::try_from(shard).map_err(|error| error.to_string())?;
    let from = u32::try_from(from).map_err(|error| error.to_string())?;
    if shard >= observer.shards() {
        return Ok(json!({ "seen": [], "shard": Value::Null }));
    }
    let answer = observer.visit(shard, move |engine, _, _| engine.survey(from, PAGE));
    let (surveyed, next) = answer.recv().map_err(|_| "the broker is ending".to_owned())?;
    let seen: Vec<Value> = surveyed.iter().flat_map(lines).collect();
    let (shard, from) = next.map_or((shard + 1, 0), |next| (shard, next));
    Ok(json!({ "seen": seen, "shard": shard, "from": from }))
}

fn lines(surveyed: &Surveyed) -> Vec<Value> {
    let Identity { name, client_id, groups, attributes } = &*surveyed.identity;
    let attributes: serde_json::Map<String, Value> = attributes
        .iter()
        .filter(|(name, _)| !name.starts_with(NOTES))
        .map(|(name, value)| (name.to_string(), json!(value)))
        .collect();
    let line = |action: &str, topic: &str, qos: QoS, retain: bool| {
        let mut line = json!({ "client": client_id, "action": action, "topic": topic, "qos": qos as u8 });
        if !name.is_empty() {
            line["user"] = json!(name);
        }
        if !groups.is_empty() {
            line["groups"] = json!(groups);
        }
        if !attributes.is_empty() {
            line["attributes"] = json!(attributes);
        }
        if retain {
            line["retain"] = json!(true);
        }
        line
    };
    let subscribed =
        surveyed.subscriptions.iter().map(|(filter, qos)| line("subscribe", filter, *qos, false));
    let published = surveyed.published.iter().map(|one| line("publish", &one.topic, one.qos, one.retain));
    subscribed.chain(published).collect()
}

/// Looks for a while; gives each thing that was seen to `take`, once.
pub(super) fn look(data: &Path, window: Duration, mut take: impl FnMut(&str)) -> Result<(), AccessError> {
    let mut told = BTreeSet::new();
    let end = Instant::now() + window;
    loop {
        round(data, |line| {
            if told.insert(line.clone()) {
                take(&line);
            }
        })?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::park_timeout(left.min(EVERY));
    }
}

fn round(data: &Path, mut take: impl FnMut(String)) -> Result<(), AccessError> {
    let (mut shard, mut from) = (json!(0), json!(0));
    while !shard.is_null() {
        let answer =
            control::ask(data, REQUEST, &json!({ "shard": shard, "from": from })).map_err(|ask| {
                AccessError::Broker(match ask {
                    Ask::NotRunning => format!(
                        "no broker runs on {}; --seen takes what clients did from a file",
                        data.display()
                    ),
                    Ask::Refused(why) | Ask::Failed(why) => why,
                })
            })?;
        for line in answer["seen"].as_array().into_iter().flatten() {
            take(line.to_string());
        }
        (shard, from) = (answer["shard"].clone(), answer["from"].clone());
    }
    Ok(())
}
