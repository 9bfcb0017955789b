//! The topics below `$SYS/broker`, with the names that Mosquitto gave them and tools know.
//!
//! In:    figures of the shards and the process.
//! Out:   a retained message for each topic whose value has changed.
//! Never: a topic whose value nobody knows.

use std::collections::BTreeMap;
use std::time::Instant;

use dunlin_engine::Counters;
use dunlin_observe::Load;
use dunlin_runtime::{Observer, Traffic};

use super::process::{self, Memory};

/// What happens so and so often a minute, as `load` names it.
const LOADS: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/received",
    "publish/sent",
    "publish/dropped",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
];

/// What was published last.
#[derive(Debug, Default)]
pub(super) struct Topics {
    values: BTreeMap<String, String>,
    loads: [Load; LOADS.len()],
    counted: [u64; LOADS.len()],
    looked: Option<Instant>,
    clients_maximum: u64,
}

impl Topics {
    /// Publishes what has changed. False when the server has ended.
    pub(super) fn publish(&mut self, observer: &Observer) -> bool {
        let Some((counters, traffic)) = observer.sums() else { return false };
        let changed = self.changed(&counters, &traffic, Instant::now());
        changed.into_iter().all(|(topic, value)| observer.publish(topic, value.into_bytes()))
    }

    fn changed(&mut self, counters: &Counters, traffic: &Traffic, now: Instant) -> Vec<(String, String)> {
        let mut found = self.figures(counters, traffic);
        self.add_loads(counters, traffic, now, &mut found);
        let values = &mut self.values;
        found
            .into_iter()
            .map(|(name, value)| (format!("$SYS/broker/{name}"), value))
            .filter(|(topic, value)| {
                let is_new = values.get(topic) != Some(value);
                if is_new {
                    values.insert(topic.clone(), value.clone());
                }
                is_new
            })
            .collect()
    }

    fn figures(&mut self, counters: &Counters, traffic: &Traffic) -> Vec<(String, String)> {
        let connected = counters.sessions.saturating_sub(counters.sessions_disconnected);
        self.clients_maximum = self.clients_maximum.max(connected);
        let dropped: u64 = counters.dropped.iter().sum();
        let stored = counters.retained_messages + counters.queued_messages;
        let uptime = process::began().elapsed().unwrap_or_default().as_secs();
        let memory = Memory::read().unwrap_or_default();
        let mut found = vec![
            ("version".to_owned(), concat!("dunlin version ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("uptime".to_owned(), format!("{uptime} seconds")),
        ];
        let numbers = [
            ("clients/total", counters.sessions),
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/disconnected", counters.sessions_disconnected),
            ("clients/inactive", counters.sessions_disconnected),
            ("clients/maximum", self.clients_maximum),
            ("connections/socket/count", traffic.open),
            ("messages/received", counters.packets_received),
            ("messages/sent", counters.packets_sent),
            ("messages/stored", stored),
            ("store/messages/count", stored),
            ("store/messages/bytes", counters.retained_bytes + counters.queued_bytes),
            ("publish/messages/received", counters.publish_received),
            ("publish/messages/sent", counters.publish_sent),
            ("publish/messages/dropped", dropped),
            ("publish/bytes/received", counters.payload_bytes_received),
            ("publish/bytes/sent", counters.payload_bytes_sent),
            ("bytes/received", traffic.bytes_received),
            ("bytes/sent", traffic.bytes_sent),
            ("retained messages/count", counters.retained_messages),
            ("subscriptions/count", counters.subscriptions),
            ("heap/current", memory.resident),
            ("heap/maximum", memory.most),
        ];
        found.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
        found
    }

    fn add_loads(
        &mut self,
        counters: &Counters,
        traffic: &Traffic,
        now: Instant,
        found: &mut Vec<(String, String)>,
    ) {
        let counted = [
            counters.packets_received,
            counters.packets_sent,
            counters.publish_received,
            counters.publish_sent,
            counters.dropped.iter().sum(),
            traffic.bytes_received,
            traffic.bytes_sent,
            traffic.accepted,
            counters.connects,
        ];
        let passed = self.looked.replace(now).map(|looked| now.saturating_duration_since(looked));
        for (index, name) in LOADS.iter().enumerate() {
            let count = counted[index].saturating_sub(self.counted[index]);
            self.loads[index].update(count, passed.unwrap_or_default());
            for (minutes, mean) in Load::MINUTES.iter().zip(self.loads[index].means()) {
                found.push((format!("load/{name}/{minutes}min"), format!("{mean:.2}")));
            }
        }
        self.counted = counted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_has_changed_is_published() {
        let (mut topics, now) = (Topics::default(), Instant::now());
        let (mut counters, traffic) = (Counters::default(), Traffic::default());
        let first = topics.changed(&counters, &traffic, now);
        assert!(first.iter().any(|(topic, value)| topic == "$SYS/broker/clients/total" && value == "0"));

        counters.sessions = 7;
        let second = topics.changed(&counters, &traffic, now + Duration::from_secs(10));
        let of = |name: &str| {
            second.iter().find(|(topic, _)| topic.ends_with(name)).map(|(_, value)| value.as_str())
        };
        assert_eq!(of("/clients/total"), Some("7"));
        assert_eq!(of("/clients/maximum"), Some("7"));
        assert_eq!(of("/version"), None);
        assert_eq!(of("/messages/received"), None);
    }

    #[test]
    fn what_explorers_and_exporters_read_is_there() {
        let found = Topics::default().changed(&Counters::default(), &Traffic::default(), Instant::now());
        for name in [
            "version",
            "clients/total",
            "subscriptions/count",
            "messages/received",
            "messages/sent",
            "load/messages/received/5min",
            "load/messages/sent/5min",
            "heap/current",
            "heap/maximum",
            "uptime",
            "retained messages/count",
        ] {
            assert!(found.iter().any(|(topic, _)| *topic == format!("$SYS/broker/{name}")), "{name}");
        }
    }
}
