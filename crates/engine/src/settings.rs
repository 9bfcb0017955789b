//! What the Server allows and bounds; every limit with the reason for its default.

use std::num::{NonZeroU16, NonZeroU32};

use dunlin_codec::{Rule, RuleSet, Tolerance};
use serde::{Deserialize, Serialize};

use crate::durability::DurabilityRules;
use crate::listener::ListenerRules;

/// Everything an engine is configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `[limits]`
    pub limits: Limits,
    /// `[strictness]`
    pub strictness: Strictness,
    /// `[protocol]`
    pub protocol: Protocol,
    /// `[access]`
    pub access: AccessRules,
    /// Of each listener, in their order; those without have the defaults.
    #[serde(skip)]
    pub listeners: Vec<ListenerRules>,
    /// Where there is a journal. It stays as it was at the start.
    #[serde(skip)]
    pub durability: DurabilityRules,
    /// Where there is a journal.
    #[serde(skip)]
    pub checkpoints: CheckpointRules,
}

/// When the state of a partition takes the place of the control records that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRules {
    /// At least so many of them. Default 1,024, which replay in a millisecond.
    pub controls_minimum: usize,
    /// And so many for each Session of the partition. Default 8: a checkpoint costs about one for each.
    pub controls_per_session: usize,
}

impl Default for CheckpointRules {
    fn default() -> Self {
        Self { controls_minimum: 1024, controls_per_session: 8 }
    }
}

/// What a Client is told that wants what it may not have. Each time is counted, and said in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessRules {
    /// For a PUBLISH of a 3.x Client, which has no code for it [MQTT311-3.3.5-2]. Default `acknowledge`: a Client that is
    /// disconnected comes back and sends the same again.
    pub denied_publish_v3: DeniedPublish,
    /// For a QoS 0 PUBLISH of a 5.0 Client, which has no answer; QoS 1 and 2 are answered 0x87. Default `acknowledge`, which is to
    /// say nothing.
    pub denied_publish_qos0: DeniedPublish,
    /// For a Subscription wider than what the Client may receive. Default `refuse`: a Client that hears less than it asked for
    /// should know.
    pub wide_subscriptions: WideSubscriptions,
}

/// What becomes of a PUBLISH that is not allowed and has no answer that says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeniedPublish {
    /// Acknowledged as if it were, and discarded.
    #[default]
    Acknowledge,
    /// The connection is closed.
    Disconnect,
}

/// What becomes of a Subscription some of whose messages the Client may not receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WideSubscriptions {
    /// Refused with 0x87.
    #[default]
    Refuse,
    /// Granted; what the Client may not receive is left out.
    Filter,
}

/// Choices that the specification leaves to a Server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocol {
    /// Answer a QoS 1 or 2 PUBLISH that nobody has a Subscription for with 0x10 No matching subscribers (5.0). Default true:
    /// it costs nothing and shows a misspelt topic at once.
    pub no_matching_subscribers: bool,
    /// Response Information for 5.0 Clients that ask for it; `%c` is replaced with the Client Identifier. Default empty: none.
    pub response_information: String,
    /// What a 3.1 Client gets for a Subscription that is refused; 3.1 has no code for it. Default `close`: a Client that
    /// believes in a Subscription it does not have waits for ever.
    pub refused_subscription_v31: RefusedV31,
}

/// How a refused Subscription is answered to 3.1 Clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedV31 {
    /// Close the connection.
    #[default]
    Close,
    /// SUBACK as if it were granted.
    Grant,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            no_matching_subscribers: true,
            response_information: String::new(),
            refused_subscription_v31: RefusedV31::Close,
        }
    }
}

/// What one Client, and all together, may hold of the Server's memory and time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest packet taken, in bytes, fixed header included. 2 MiB: firmware blocks and camera stills pass, and a
    /// thousand of them at once still fit a small machine.
    pub maximum_packet_size: NonZeroU32,
    /// Unacknowledged QoS 1 and 2 messages taken from a Client, announced to 5.0 Clients. 256 keep a 100 ms link busy
    /// at 2,500 messages a second.
    pub receive_maximum: NonZeroU16,
    /// Topic Aliases a Client may define on a connection. Ten topics cover a device; each costs at most
    /// `topic_length_maximum` bytes of every connection.
    pub topic_alias_maximum: u16,
    /// Longest Session Expiry Interval granted, in seconds; 4,294,967,295 is for ever. A week: longer than any outage that
    /// someone will wait out, short enough that forgotten clients do not fill the disk.
    pub session_expiry_interval_maximum: u32,
    /// How long a Session of a 3.x Client with Clean Session 0 lasts after its connection, in seconds; the protocol has no
    /// field for it. The same week.
    pub session_expiry_interval_v3: u32,
    /// Longest Keep Alive granted, in seconds; longer ones, and 0 (off), get this one by Server Keep Alive (5.0). 0 grants
    /// everything. Default 0: battery devices choose their own.
    pub keep_alive_maximum: u16,
    /// Time from the connection to a complete CONNECT, in milliseconds. A half-open connection must not hold a slot; ten seconds
    /// are a slow handshake over a satellite.
    pub connect_timeout_ms: u32,
    /// Levels of a Topic Name or Topic Filter. Deeper ones are attacks or mistakes.
    pub topic_levels_maximum: u16,
    /// Bytes of a Topic Name or Topic Filter. The protocol allows 65,535; matching costs grow with it.
    pub topic_length_maximum: u16,
    /// Bytes of a Client Identifier.
    pub client_id_length_maximum: u16,
    /// Subscriptions of one Session. A thousand are more than devices and most applications use; filters that overlap cost time
    /// with each message.
    pub subscriptions_per_client: u32,
    /// Those of them that have wildcards. Each may match every message, and cost time with it.
    pub wildcard_subscriptions_per_client: u32,
    /// Messages that wait in one Session's queue, beside those in flight.
    pub queue_messages_maximum: u32,
    /// Bytes (topic, properties, payload and 64 each) of those messages.
    pub queue_bytes_maximum: u64,
    /// What happens to a message for a full queue.
    pub queue_full: QueueFull,
    /// QoS 1 and 2 messages in flight to a Client that names no Receive Maximum (3.x), and the most for one that does.
    pub inflight_maximum: NonZeroU16,
    /// Bytes that wait in the output of one connection. QoS 0 messages beyond it are dropped; QoS 1 and 2 wait in the queue.
    pub output_bytes_maximum: u32,
    /// Longest time that acknowledgements are withheld from a publisher to slow it, in milliseconds.
    pub slow_publisher_maximum_ms: u32,
    /// Bytes that each shard keeps of what it decided, for whoever asks why a message did not arrive; 0 keeps nothing. 4 MiB
    /// are some 20,000 losses, and as many steps of messages that arrived. It stays as it was at the start.
    pub explain_bytes_maximum: u64,
    /// Connections in total; 0: as many as the process may open files. What comes beyond is closed at once and counted.
    pub connections_maximum: u32,
    /// Bytes that the process may hold in memory; 0 bounds nothing here, and is replaced with a share of the machine's memory by
    /// whoever runs the engines.
    pub memory_bytes_maximum: u64,
    /// Packets that one Client may send in a second in the long run, and as many at once; PUBACK, PUBREC, PUBREL and PUBCOMP are
    /// not counted. 0: any number, since what a fleet sends is for its owner to say.
    pub messages_per_second: u32,
    /// Bytes of its packets; the same.
    pub bytes_per_second: u32,
    /// What becomes of what comes faster. Default `slow`: nothing is lost, and the sender's own socket tells it.
    pub rate_exceeded: RateExceeded,
    /// Longest time that a Client waits whose Client Identifier another uses, where the two take it from each other again and
    /// again, in milliseconds; 0 lets nobody wait. 16 seconds: below the 30 after which client libraries give up.
    pub takeover_delay_maximum_ms: u32,
    /// Retained messages in total.
    pub retained_messages_maximum: u32,
    /// Bytes of all retained messages.
    pub retained_bytes_maximum: u64,
}

/// What happens to a message for a Session whose queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueFull {
    /// The oldest of the queue makes room: for telemetry the newest value counts.
    #[default]
    DropOldest,
    /// The new message is dropped: for commands the first counts.
    DropNewest,
    /// The Client is disconnected (0x97 Quota exceeded) where it is connected; the new message is dropped.
    Disconnect,
}

/// What happens to what a Client sends beyond its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateExceeded {
    /// It is not read until it may be.
    #[default]
    Slow,
    /// QoS 1 and 2 of 5.0 Clients are answered with 0x97 Quota exceeded; what has no such answer is slowed.
    Refuse,
    /// It is disconnected: 0x96 Message rate too high.
    Disconnect,
}

/// What happens where a Client breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strict {
    /// As the specification says.
    Reject,
    /// Let it pass, count it and say so in the log.
    Warn,
    /// Let it pass and count it.
    Allow,
}

/// For each rule that Clients in the field break: reject, warn or allow. The defaults are the specification, but for rules
/// whose breach harms nobody.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are the variants of `Rule`, which says what each is")]
pub struct Strictness {
    pub reserved_bits: Strict,
    pub utf8_discouraged: Strict,
    pub dup_at_qos0: Strict,
    pub client_id_length_v31: Strict,
    pub password_without_user_name: Strict,
    pub receive_maximum_exceeded: Strict,
    pub packet_too_large: Strict,
    pub topic_alias_invalid: Strict,
    pub topic_name_invalid: Strict,
    pub unknown_packet_id: Strict,
    pub packet_id_reused: Strict,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            maximum_packet_size: const { NonZeroU32::new(2 * 1024 * 1024).unwrap() },
            receive_maximum: const { NonZeroU16::new(256).unwrap() },
            topic_alias_maximum: 10,
            session_expiry_interval_maximum: 7 * 24 * 3600,
            session_expiry_interval_v3: 7 * 24 * 3600,
            keep_alive_maximum: 0,
            connect_timeout_ms: 10_000,
            topic_levels_maximum: 128,
            topic_length_maximum: 4096,
            client_id_length_maximum: 1024,
            subscriptions_per_client: 1_000,
            wildcard_subscriptions_per_client: 1_000,
            queue_messages_maximum: 100_000,
            queue_bytes_maximum: 64 * 1024 * 1024,
            queue_full: QueueFull::DropOldest,
            inflight_maximum: const { NonZeroU16::new(1024).unwrap() },
            output_bytes_maximum: 16 * 1024 * 1024,
            slow_publisher_maximum_ms: 5_000,
            explain_bytes_maximum: 4 * 1024 * 1024,
            connections_maximum: 0,
            memory_bytes_maximum: 0,
            messages_per_second: 0,
            bytes_per_second: 0,
            rate_exceeded: RateExceeded::Slow,
            takeover_delay_maximum_ms: 16_000,
            retained_messages_maximum: 1_000_000,
            retained_bytes_maximum: 256 * 1024 * 1024,
        }
    }
}

impl Default for Strictness {
    fn default() -> Self {
        Self {
            reserved_bits: Strict::Reject,
            utf8_discouraged: Strict::Reject,
            dup_at_qos0: Strict::Reject,
            client_id_length_v31: Strict::Allow,
            password_without_user_name: Strict::Reject,
            receive_maximum_exceeded: Strict::Reject,
            packet_too_large: Strict::Reject,
            topic_alias_invalid: Strict::Reject,
            topic_name_invalid: Strict::Reject,
            unknown_packet_id: Strict::Allow,
            packet_id_reused: Strict::Allow,
        }
    }
}

impl Strictness {
    /// The rules that packets may break.
    #[must_use]
    pub fn tolerance(&self) -> Tolerance {
        let mut tolerated = RuleSet::EMPTY;
        for rule in Rule::ALL {
            if self.of(rule) != Strict::Reject {
                tolerated.insert(rule);
            }
        }
        Tolerance(tolerated)
    }

    /// What to do about a rule.
    #[must_use]
    pub const fn of(&self, rule: Rule) -> Strict {
        match rule {
            Rule::ReservedBits => self.reserved_bits,
            Rule::Utf8Discouraged => self.utf8_discouraged,
            Rule::DupAtQoS0 => self.dup_at_qos0,
            Rule::ClientIdLength31 => self.client_id_length_v31,
            Rule::PasswordWithoutUserName => self.password_without_user_name,
            Rule::ReceiveMaximumExceeded => self.receive_maximum_exceeded,
            Rule::PacketTooLarge => self.packet_too_large,
            Rule::TopicAliasInvalid => self.topic_alias_invalid,
            Rule::TopicNameInvalid => self.topic_name_invalid,
            Rule::UnknownPacketId => self.unknown_packet_id,
            Rule::PacketIdReused => self.packet_id_reused,
        }
    }
}
