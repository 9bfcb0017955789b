//! What a Client publishes: payloads, RETAIN, topics.

use std::collections::BTreeSet;
use std::time::Duration;

use dunlin_codec::QoS;

use super::super::finding::{Check, Finding, Saving, Severity, counted};
use super::super::shrink::Shrunk;
use super::super::topics::{flaw, is_command, is_time};
use super::Case;

/// Bytes that are worth a change.
const WORTH: u64 = 4 * 1024;
const PUBLISHED: u64 = 10;
/// Retained messages that are a stream and no state, if they have few topics and come so fast.
const STREAM: u64 = 500;
const STREAM_TOPICS: usize = 3;
const STREAM_A_SECOND: u64 = 2;

pub(super) fn payload_shrinks(case: &Case<'_>) -> Option<Finding> {
    let shrunk = Shrunk::of(&case.client.samples);
    let saved = shrunk.saved(case.client.traffic.bytes);
    if !shrunk.is_half() || saved < WORTH || case.published() < PUBLISHED {
        return None;
    }
    let what = format!(
        "payloads of {} on average become {} compressed, one by one",
        counted(shrunk.before / long_ones(case).max(1), "byte", "bytes"),
        shrunk.after / long_ones(case).max(1),
    );
    let mend = "compress them (gzip, or Zstandard) and say so in the user property `content-encoding`; or write less: CBOR \
                for JSON, shorter names"
        .to_owned();
    Some(case.found(Severity::Low, Check::PayloadShrinks, what, mend, Saving::traffic(0, saved)))
}

fn long_ones(case: &Case<'_>) -> u64 {
    case.client.samples.iter().filter(|sample| Shrunk::of(std::slice::from_ref(sample)).before > 0).count()
        as u64
}

pub(super) fn retained_misuse(case: &Case<'_>) -> Option<Finding> {
    let client = case.client;
    let topics: BTreeSet<&str> =
        client.samples.iter().filter(|sample| sample.retain).map(|sample| &*sample.topic).collect();
    let found = |severity, what, mend: &str, saves| {
        Some(case.found(severity, Check::RetainedMisuse, what, mend.to_owned(), saves))
    };
    if let Some(topic) = topics.iter().find(|topic| is_command(topic)) {
        let what = format!("retains {topic}: whoever subscribes later gets an old command");
        return found(Severity::Medium, what, "no RETAIN for commands", Saving::default());
    }
    if let Some(topic) = topics.iter().find(|topic| topic.split('/').any(is_time)) {
        let what = format!("retains {topic}: each message stays for ever under a topic of its own");
        let saves = Saving { messages: client.traffic.retained, ..Saving::default() };
        return found(Severity::Medium, what, "no RETAIN for events; or a topic without the time", saves);
    }
    let seconds = client.traffic.connected.max(Duration::from_secs(1)).as_secs();
    let retained = client.traffic.retained;
    if retained < STREAM
        || topics.len() > STREAM_TOPICS
        || topics.is_empty()
        || retained / seconds < STREAM_A_SECOND
    {
        return None;
    }
    let what = format!(
        "retains {} to {}, {} a second: each is stored only to be replaced by the next",
        counted(retained, "message", "messages"),
        topics.iter().copied().collect::<Vec<_>>().join(", "),
        retained / seconds
    );
    let saves = Saving { messages: retained - topics.len() as u64, ..Saving::default() };
    found(
        Severity::Low,
        what,
        "RETAIN now and then, and on what newcomers need: the state, not the stream",
        saves,
    )
}

pub(super) fn topic_shape(case: &Case<'_>) -> Option<Finding> {
    let published: Vec<&str> = case.client.samples.iter().map(|sample| &*sample.topic).collect();
    let filters: Vec<&str> = case.client.filters.iter().map(|(filter, _)| &**filter).collect();
    let count = case.published();
    let (flaw, count) = match flaw(&published) {
        Some(flaw) if count >= PUBLISHED => (flaw, count),
        _ => (flaw(&own(&filters))?, 0),
    };
    let saves = Saving::traffic(0, flaw.bytes * count);
    Some(case.found(Severity::Low, Check::TopicShape, flaw.what, flaw.mend.to_owned(), saves))
}

/// A shared filter without its share.
fn own<'a>(filters: &[&'a str]) -> Vec<&'a str> {
    let own = |filter: &&'a str| match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or(*filter, |(_, own)| own),
        None => *filter,
    };
    filters.iter().map(own).collect()
}

const _: () = assert!(QoS::ExactlyOnce as usize == 2, "the index of counts by QoS");
