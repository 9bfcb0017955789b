//! The page of metrics: every source, each figure under its name.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use dunlin_codec::Rule;
use dunlin_engine::{Counters, Drop, Histogram};
use dunlin_observe::{Exposition, Format, Metric, Samples};
use dunlin_runtime::{Observer, Refusal, Timing, Traffic};
use dunlin_store::{DirDisk, Stat, Store};

use super::process::{self, Memory};
use crate::certificates::Certificates;
use crate::telemetry::Tally;

/// Whom to ask.
#[derive(Clone)]
pub(crate) struct Sources {
    observer: Observer,
    store: Option<Weak<Store<DirDisk>>>,
    certificates: Certificates,
    pub(crate) telemetry: Arc<Tally>,
}

impl Sources {
    pub(crate) fn new(
        observer: &Observer,
        store: Option<&Arc<Store<DirDisk>>>,
        certificates: &Certificates,
    ) -> Self {
        Self {
            observer: observer.clone(),
            // Weak: the log is closed when the server has ended, not when the process has.
            store: store.map(Arc::downgrade),
            certificates: certificates.clone(),
            telemetry: Arc::default(),
        }
    }

    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }
}

/// Asks everybody.
pub(super) fn page(sources: &Sources, format: Format) -> String {
    let mut out = Exposition::new(format);
    fill(sources, &mut out);
    out.finish()
}

/// The same for whoever takes samples.
pub(crate) fn fill(sources: &Sources, out: &mut impl Samples) {
    if let Some((counters, traffic)) = sources.observer.sums() {
        clients(out, &counters, &traffic);
        packets(out, &counters, &traffic);
        messages(out, &counters);
        memory(out, &counters, &traffic);
        timings(out, &counters, &sources.observer.timings());
    }
    if let Some(store) = sources.store.as_ref().and_then(Weak::upgrade) {
        log(out, &store.stat());
    }
    for (listener, expiry) in sources.certificates.expiries().enumerate() {
        if let Some(expiry) = expiry {
            out.labelled(Metric::CertificateExpiry, listener, expiry);
        }
    }
    let Tally { sent, dropped, failures } = &*sources.telemetry;
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    out.sample(Metric::SpansSent, load(sent));
    out.sample(Metric::SpansDropped, load(dropped));
    out.sample(Metric::CollectorFailures, load(failures));
    if let Some(memory) = Memory::read() {
        out.sample(Metric::ResidentBytes, memory.resident);
    }
    out.sample(Metric::StartTime, process::began_seconds());
    out.labelled(Metric::BuildInfo, env!("CARGO_PKG_VERSION"), 1);
}

fn clients(out: &mut impl Samples, counters: &Counters, traffic: &Traffic) {
    for (metric, value) in [
        (Metric::Connections, traffic.open),
        (Metric::ConnectionsAccepted, traffic.accepted),
        (Metric::Connects, counters.connects),
        (Metric::ConnectsRefused, counters.connects_refused),
        (Metric::Sessions, counters.sessions),
        (Metric::SessionsDisconnected, counters.sessions_disconnected),
        (Metric::Subscriptions, counters.subscriptions),
        (Metric::InterestFilters, counters.filters),
    ] {
        out.sample(metric, value);
    }
    for (outcome, times) in ["admitted", "refused", "continued"].into_iter().zip(counters.authentications) {
        out.labelled(Metric::Authentications, outcome, times);
    }
    for (reason, times) in Refusal::ALL.iter().zip(traffic.refused) {
        out.labelled(Metric::ConnectionsTurnedAway, label(reason), times);
    }
}

fn packets(out: &mut impl Samples, counters: &Counters, traffic: &Traffic) {
    out.sample(Metric::ReceivedBytes, traffic.bytes_received);
    out.sample(Metric::SentBytes, traffic.bytes_sent);
    out.sample(Metric::PacketsReceived, counters.packets_received);
    out.sample(Metric::PacketsSent, counters.packets_sent);
    for (metric, counts) in [
        (Metric::PublishReceived, counters.publish_received_by_qos),
        (Metric::PublishSent, counters.publish_sent_by_qos),
    ] {
        for (qos, count) in counts.into_iter().enumerate() {
            out.labelled(metric, qos, count);
        }
    }
    out.sample(Metric::PayloadReceivedBytes, counters.payload_bytes_received);
    out.sample(Metric::PayloadSentBytes, counters.payload_bytes_sent);
    for (rule, times) in Rule::ALL.iter().zip(counters.rules_broken) {
        out.labelled(Metric::RulesBroken, label(rule), times);
    }
}

fn messages(out: &mut impl Samples, counters: &Counters) {
    for (reason, count) in Drop::ALL.iter().zip(counters.dropped) {
        out.labelled(Metric::MessagesDropped, label(reason), count);
    }
    for (metric, value) in [
        (Metric::PublishUnmatched, counters.unmatched),
        (Metric::QueuedMessages, counters.queued_messages),
        (Metric::QueuedBytes, counters.queued_bytes),
        (Metric::InFlight, counters.in_flight),
        (Metric::PublishersSlowed, counters.publishers_slowed),
        (Metric::RetainedMessages, counters.retained_messages),
        (Metric::RetainedBytes, counters.retained_bytes),
        (Metric::PublishesDenied, counters.publishes_denied),
        (Metric::SubscriptionsDenied, counters.subscriptions_denied),
        (Metric::MemoryRefusals, counters.memory_refusals),
        (Metric::Takeovers, counters.excess.takeovers),
        (Metric::TakeoversDelayed, counters.excess.takeovers_delayed),
    ] {
        out.sample(metric, value);
    }
    for (action, times) in ["slow", "refuse", "disconnect"].into_iter().zip(counters.excess.rates) {
        out.labelled(Metric::RatesExceeded, action, times);
    }
}

fn memory(out: &mut impl Samples, counters: &Counters, traffic: &Traffic) {
    for (owner, bytes) in [
        ("queues", counters.queued_bytes),
        ("retained", counters.retained_bytes),
        ("output", traffic.output_bytes),
        ("routes", counters.route_bytes),
    ] {
        out.labelled(Metric::MemoryBytes, owner, bytes);
    }
}

fn timings(out: &mut impl Samples, counters: &Counters, shards: &[Timing]) {
    let mut sum = Timing::default();
    for (shard, timing) in shards.iter().enumerate() {
        sum.add(timing);
        out.labelled(Metric::ShardBusySeconds, shard, timing.busy.as_secs_f64());
    }
    for (metric, histogram) in [
        (Metric::AcknowledgeSeconds, &counters.acknowledge),
        (Metric::DeliverSeconds, &sum.deliver),
        (Metric::TickSeconds, &sum.tick),
        (Metric::StoreAppendSeconds, &sum.append),
        (Metric::StoreCommitSeconds, &sum.commit),
    ] {
        let Histogram { counts, sum_micros } = histogram;
        let bounds = (0..Histogram::BOUNDS).map(Histogram::bound_micros);
        let buckets: Vec<(u64, u64)> = bounds.zip(counts.iter().copied()).collect();
        out.histogram(metric, &buckets, counts[Histogram::BOUNDS], *sum_micros);
    }
}

fn log(out: &mut impl Samples, stat: &Stat) {
    for (metric, value) in [
        (Metric::StoreBytes, stat.bytes),
        (Metric::StoreSegments, stat.segments),
        (Metric::StoreLiveBytes, stat.live_bytes),
        (Metric::StoreLiveRecords, stat.live_records),
        (Metric::StoreIndexBytes, stat.index_bytes),
        (Metric::StoreCopies, stat.copies),
    ] {
        out.sample(metric, value);
    }
}

/// `QueueFull` as `queue_full`.
fn label(variant: &impl Debug) -> String {
    let mut label = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !label.is_empty() && !label.ends_with("qo") {
            label.push('_');
        }
        label.push(letter.to_ascii_lowercase());
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_names_of_reasons_and_rules() {
        assert_eq!(label(&Drop::QueueFull), "queue_full");
        assert_eq!(label(&Drop::Offline), "offline");
        assert_eq!(label(&Rule::DupAtQoS0), "dup_at_qos0");
        assert_eq!(label(&Rule::Utf8Discouraged), "utf8_discouraged");
    }
}
