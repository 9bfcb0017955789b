//! What the server counted, as lines of the log.
//!
//! In:    the sums of all shards.
//! Out:   one line with what is not zero, and one for each reason of a loss and each rule that was broken.
//! Never: a zero: most counters of a healthy server are.

use dunlin_codec::Rule;
use dunlin_engine::{Counters, Drop, Excess};
use dunlin_runtime::{Refusal, Traffic};
use tracing::info;

/// Logs what has been counted since the start, and what there is now.
pub(crate) fn report(counters: &Counters, traffic: &Traffic) {
    report_sums(counters, traffic);
    report_bounds(counters);
    for (reason, messages) in Drop::ALL.iter().zip(counters.dropped).filter(|(_, messages)| *messages > 0) {
        info!(target: "dunlin::process", ?reason, messages, "messages dropped");
    }
    for (reason, times) in Refusal::ALL.iter().zip(traffic.refused).filter(|(_, times)| *times > 0) {
        info!(target: "dunlin::process", limit = reason.limit(), times, "connections turned away");
    }
    for (rule, times) in Rule::ALL.iter().zip(counters.rules_broken).filter(|(_, times)| *times > 0) {
        info!(target: "dunlin::process", ?rule, times, "rule broken");
    }
}

/// Without `..`: a counter that is new must not be forgotten.
fn report_sums(counters: &Counters, traffic: &Traffic) {
    let Traffic { bytes_received, bytes_sent, accepted, turned_away, open, refused: _, output_bytes: _ } =
        *traffic;
    let Counters {
        packets_received,
        packets_sent,
        publish_received,
        publish_received_by_qos: _,
        payload_bytes_received,
        publish_sent,
        publish_sent_by_qos: _,
        payload_bytes_sent,
        dropped: _,
        rules_broken: _,
        unmatched,
        connects,
        connects_refused,
        connections,
        sessions,
        sessions_disconnected,
        subscriptions,
        queued_messages,
        queued_bytes,
        in_flight,
        filters: _,
        acknowledge: _,
        retained_messages,
        retained_bytes,
        publishers_slowed,
        publishes_denied,
        subscriptions_denied,
        memory_refusals: _,
        authentications: [admitted, refused, _],
        route_bytes: _,
        excess: _,
    } = counters;
    info!(
        target: "dunlin::process",
        accepted = counted(accepted),
        turned_away = counted(turned_away),
        open = counted(open),
        connects = counted(*connects),
        connects_refused = counted(*connects_refused),
        connections = counted(*connections),
        sessions = counted(*sessions),
        sessions_disconnected = counted(*sessions_disconnected),
        subscriptions = counted(*subscriptions),
        queued_messages = counted(*queued_messages),
        queued_bytes = counted(*queued_bytes),
        in_flight = counted(*in_flight),
        bytes_received = counted(bytes_received),
        bytes_sent = counted(bytes_sent),
        packets_received = counted(*packets_received),
        packets_sent = counted(*packets_sent),
        publish_received = counted(*publish_received),
        publish_sent = counted(*publish_sent),
        payload_bytes_received = counted(*payload_bytes_received),
        payload_bytes_sent = counted(*payload_bytes_sent),
        unmatched = counted(*unmatched),
        retained_messages = counted(*retained_messages),
        retained_bytes = counted(*retained_bytes),
        publishers_slowed = counted(*publishers_slowed),
        publishes_denied = counted(*publishes_denied),
        subscriptions_denied = counted(*subscriptions_denied),
        admitted = counted(*admitted),
        refused = counted(*refused),
        "counters"
    );
}

fn report_bounds(counters: &Counters) {
    let Counters { memory_refusals, excess: Excess { rates, takeovers, takeovers_delayed }, .. } = counters;
    let rates_exceeded = rates.iter().sum::<u64>();
    if [*memory_refusals, rates_exceeded, *takeovers].iter().any(|count| *count > 0) {
        info!(
            target: "dunlin::process",
            memory_refusals = counted(*memory_refusals),
            rates_exceeded = counted(rates_exceeded),
            takeovers = counted(*takeovers),
            takeovers_delayed = counted(*takeovers_delayed),
            "bounds that were met"
        );
    }
}

/// A field without a value is left out of the line.
fn counted(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}
