//! Every metric: its name, kind, unit, label and meaning.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// A value of now.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

impl Kind {
    /// As the formats name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! catalogue {
    ($($metric:ident $kind:ident $name:literal $([$unit:literal])? $({$label:literal})? : $help:literal,)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        impl Metric {
            /// All of them, by area.
            pub const ALL: &[Self] = &[$(Self::$metric,)*];

            /// What it is.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$metric => Kind::$kind,)* }
            }

            /// With the unit, and without the `_total` of counters.
            #[must_use]
            pub const fn family(self) -> &'static str {
                match self { $(Self::$metric => $name,)* }
            }

            /// What its values are in; empty where they count.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$metric => concat!($($unit)?),)* }
            }

            /// The name of its label; empty where it has none.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$metric => concat!($($label)?),)* }
            }

            /// What it says.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$metric => $help,)* }
            }
        }
    };
}

catalogue! {
    Connections Gauge "mqtt_connections":
        "Network connections of now, those included that have not said CONNECT or are being closed.",
    ConnectionsAccepted Counter "mqtt_connections_accepted":
        "Network connections accepted.",
    ConnectionsTurnedAway Counter "mqtt_connections_turned_away" {"reason"}:
        "Newcomers closed before they could say a word of MQTT.",
    Connects Counter "mqtt_connects":
        "CONNECTs that were accepted.",
    ConnectsRefused Counter "mqtt_connects_refused":
        "CONNECTs that were refused, for whatever reason, and connections that ended before one.",
    Authentications Counter "mqtt_authentications" {"outcome"}:
        "Times that clients were asked who they are: admitted, refused, or to be asked more.",
    Sessions Gauge "mqtt_sessions":
        "Sessions of now, with a connection or without.",
    SessionsDisconnected Gauge "mqtt_sessions_disconnected":
        "Sessions of now whose clients are away.",
    Subscriptions Gauge "mqtt_subscriptions":
        "Subscriptions of now, shared ones included.",
    InterestFilters Gauge "mqtt_interest_filters":
        "Topic filters that messages are matched against; one counts once in each shard that knows of it.",
    ReceivedBytes Counter "mqtt_received_bytes" ["bytes"]:
        "Bytes read from connections.",
    SentBytes Counter "mqtt_sent_bytes" ["bytes"]:
        "Bytes written to connections.",
    PacketsReceived Counter "mqtt_packets_received":
        "Control packets received.",
    PacketsSent Counter "mqtt_packets_sent":
        "Control packets written to connections.",
    PublishReceived Counter "mqtt_publish_received" {"qos"}:
        "PUBLISH packets received.",
    PublishSent Counter "mqtt_publish_sent" {"qos"}:
        "PUBLISH packets written to connections.",
    PayloadReceivedBytes Counter "mqtt_payload_received_bytes" ["bytes"]:
        "Bytes of the payloads of PUBLISH packets received.",
    PayloadSentBytes Counter "mqtt_payload_sent_bytes" ["bytes"]:
        "Bytes of the payloads of PUBLISH packets written to connections.",
    PublishUnmatched Counter "mqtt_publish_unmatched":
        "Messages that nobody had a subscription for.",
    MessagesDropped Counter "mqtt_messages_dropped" {"reason"}:
        "Messages that somebody had a claim to and did not get.",
    QueuedMessages Gauge "mqtt_queued_messages":
        "Messages that wait in the queues of sessions.",
    QueuedBytes Gauge "mqtt_queued_bytes" ["bytes"]:
        "Bytes that the queues of sessions count against their bounds.",
    InFlight Gauge "mqtt_inflight_messages":
        "Messages that were sent and are not acknowledged yet, or wait for an earlier one to be.",
    PublishersSlowed Counter "mqtt_publishers_slowed":
        "Times that acknowledgements were withheld from a publisher because a queue was full.",
    RetainedMessages Gauge "mqtt_retained_messages":
        "Retained messages, those below $SYS left out.",
    RetainedBytes Gauge "mqtt_retained_bytes" ["bytes"]:
        "Bytes of retained messages: topics, properties and payloads.",
    PublishesDenied Counter "mqtt_publishes_denied":
        "Messages and wills that their clients may not publish.",
    SubscriptionsDenied Counter "mqtt_subscriptions_denied":
        "Subscriptions that were refused, or taken away, for want of a right.",
    MemoryBytes Gauge "mqtt_memory_bytes" ["bytes"] {"owner"}:
        "Bytes of memory by what they are for: queues of sessions, retained messages, output that waits, routes that are kept.",
    MemoryRefusals Counter "mqtt_memory_refusals":
        "Sessions and subscriptions refused, and clients disconnected, for want of memory.",
    RatesExceeded Counter "mqtt_rates_exceeded" {"action"}:
        "Times that a client sent faster than it may, by what was done: it was slowed, a message refused, it was disconnected.",
    Takeovers Counter "mqtt_takeovers":
        "Connections ended because another came with the same client identifier.",
    TakeoversDelayed Counter "mqtt_takeovers_delayed":
        "CONNECTs that had to wait because two clients fight over the client identifier.",
    RulesBroken Counter "mqtt_rules_broken" {"rule"}:
        "Rules of the protocol that clients broke and that were tolerated.",
    AcknowledgeSeconds Histogram "mqtt_publish_acknowledge_seconds" ["seconds"]:
        "From a QoS 1 message to its PUBACK, where that waited until the message was safe in the log.",
    DeliverSeconds Histogram "mqtt_publish_deliver_seconds" ["seconds"]:
        "From reading a message to having written it to a client; what waited in a queue counts from when it left it.",
    TickSeconds Histogram "runtime_tick_seconds" ["seconds"]:
        "How long shards were busy between two looks at their sockets.",
    ShardBusySeconds Counter "runtime_shard_busy_seconds" ["seconds"] {"shard"}:
        "Time that a shard was not asleep; its rate is the shard's load, from 0 to 1.",
    StoreAppendSeconds Histogram "store_append_seconds" ["seconds"]:
        "How long the log took to take a batch of records.",
    StoreCommitSeconds Histogram "store_commit_seconds" ["seconds"]:
        "From a batch of records being taken to its being safe on the disk.",
    StoreBytes Gauge "store_log_bytes" ["bytes"]:
        "Bytes of all files of the log.",
    StoreSegments Gauge "store_log_segments":
        "Files of the log.",
    StoreLiveBytes Gauge "store_live_bytes" ["bytes"]:
        "Bytes of the log that still count, about.",
    StoreLiveRecords Gauge "store_live_records":
        "Records of the log that still count.",
    StoreIndexBytes Gauge "store_index_bytes" ["bytes"]:
        "Bytes of memory that the index of the log takes.",
    StoreCopies Counter "store_segment_copies":
        "Files of the log that were replaced by a copy of what still counted in them.",
    CertificateExpiry Gauge "tls_certificate_expiry_timestamp_seconds" ["seconds"] {"listener"}:
        "When the certificate of a TLS listener ends, in seconds since 1970; listeners in the order of the configuration.",
    SpansSent Counter "otlp_spans_sent":
        "Spans of messages that the OpenTelemetry collector took.",
    SpansDropped Counter "otlp_spans_dropped":
        "Spans of messages that were dropped: more than there was room for, or refused by the collector.",
    CollectorFailures Counter "otlp_requests_failed":
        "Requests to the OpenTelemetry collector that it did not answer, or put off.",
    ResidentBytes Gauge "process_resident_memory_bytes" ["bytes"]:
        "Memory of the process that is in RAM.",
    StartTime Gauge "process_start_time_seconds" ["seconds"]:
        "When the process began, in seconds since 1970.",
    BuildInfo Gauge "dunlin_build_info" {"version"}:
        "1, for the version that runs.",
}

impl Metric {
    /// As queries name it; of a histogram, what its three series begin with.
    #[must_use]
    pub fn name(self) -> String {
        let total = if self.kind() == Kind::Counter { "_total" } else { "" };
        format!("{}{total}", self.family())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_end_in_their_units() {
        let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.family()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            let name = metric.family();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!name.ends_with("_total"), "{name}");
            assert!(name.ends_with(metric.unit()), "{name}");
            assert!(metric.kind() != Kind::Histogram || metric.label().is_empty(), "{name}");
            assert!(metric.help().ends_with('.'), "{name}");
        }
    }
}
