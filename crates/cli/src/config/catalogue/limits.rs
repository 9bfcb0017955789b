//! `[limits]`

use super::{Form, Key, Kind, Section};

pub(super) const RATE_EXCEEDED: [&str; 3] = ["slow", "refuse", "disconnect"];

const U32: u64 = u32::MAX as u64;
/// The largest integer of TOML.
const I64: u64 = i64::MAX as u64;

pub(super) const LIMITS: Section = Section {
    name: "limits",
    form: Form::Table,
    about: "What one client, and all together, may hold of the server's memory and time.",
    keys: &[
        limit(
            "maximum_packet_size",
            (1024, 268_435_460, "bytes"),
            "Largest packet taken, fixed header included; announced to 5.0 clients. 2 MiB: firmware blocks and \
             camera stills pass, and a thousand of them at once still fit a small machine.",
        ),
        limit(
            "receive_maximum",
            (1, 65_535, "messages"),
            "Unacknowledged QoS 1 and 2 messages taken from a client; announced to 5.0 clients. 256 keep a link of \
             100 ms busy at 2,500 messages a second.",
        ),
        limit(
            "topic_alias_maximum",
            (0, 65_535, "aliases"),
            "Topic Aliases that a client may define on a connection. 64 topics cover a device; each costs at most \
             topic_length_maximum bytes.",
        ),
        limit(
            "session_expiry_interval_maximum",
            (0, U32, "seconds"),
            "Longest Session Expiry Interval granted; 4294967295 is for ever. A week is longer than any outage that \
             someone will wait out, and short enough that forgotten clients do not fill the memory.",
        ),
        limit(
            "session_expiry_interval_v3",
            (0, U32, "seconds"),
            "How long the session of a 3.x client with Clean Session 0 lasts after its connection; these versions \
             have no field for it. The same week.",
        ),
        limit(
            "keep_alive_maximum",
            (0, 65_535, "seconds"),
            "Longest Keep Alive granted. Longer ones, and 0 (off), get this one as Server Keep Alive (5.0). 0 grants \
             everything, because battery devices know best how seldom they can wake.",
        ),
        limit(
            "connect_timeout_ms",
            (100, 600_000, "milliseconds"),
            "Time from the connection to a complete CONNECT. A half-open connection must not hold a slot; ten \
             seconds are a slow handshake over a satellite.",
        ),
        limit(
            "topic_levels_maximum",
            (1, 65_535, "levels"),
            "Levels of a Topic Name or Topic Filter. Names of people's making have fewer than 20; deeper ones than \
             128 are attacks or mistakes.",
        ),
        limit(
            "topic_length_maximum",
            (1, 65_535, "bytes"),
            "Length of a Topic Name or Topic Filter. The protocol allows 65,535; what matching costs grows with it, \
             and 4,096 hold any name that a person can read.",
        ),
        limit(
            "client_id_length_maximum",
            (23, 65_535, "bytes"),
            "Length of a Client Identifier. Every server must take 23; 1,024 hold any certificate's subject.",
        ),
        limit(
            "subscriptions_per_client",
            (1, U32, "subscriptions"),
            "Subscriptions of one session. 1,000 are more than devices and most applications use; filters that overlap \
             cost time with each message, so a gateway that needs more should be known by name.",
        ),
        limit(
            "wildcard_subscriptions_per_client",
            (0, U32, "subscriptions"),
            "Those of them that have + or #. Each may match every message, and with it costs time with each. \
             What goes beyond is answered with 0x97 Quota exceeded (3.x: 0x80).",
        ),
        limit(
            "queue_messages_maximum",
            (1, U32, "messages"),
            "Messages that wait in one session's queue, beside those in flight. 100,000 are a day of one message a \
             second.",
        ),
        limit(
            "queue_bytes_maximum",
            (1024, I64, "bytes"),
            "Size (topic, properties, payload and 64 bytes each) of the messages that wait in one session's queue. \
             64 MiB: 16 such clients to a GiB. At least maximum_packet_size, so that each message taken can be queued.",
        ),
        Key {
            name: "queue_full",
            kind: Kind::Choice(&["drop_oldest", "drop_newest", "disconnect"]),
            reloads: true,
            about: "What happens to a message for a full queue. drop_oldest: the oldest of the queue makes room; for \
                    telemetry the newest value counts. drop_newest: the new message is dropped; for commands the \
                    first counts. disconnect: the new message is dropped and the client, where it is connected, is \
                    disconnected (0x97 Quota exceeded). Telemetry is the common case.",
            example: None,
        },
        limit(
            "inflight_maximum",
            (1, 65_535, "messages"),
            "QoS 1 and 2 messages in flight to a client that names no Receive Maximum (3.x), and the most for one \
             that does. 1,024 keep a link of 100 ms busy at 10,000 messages a second.",
        ),
        limit(
            "output_bytes_maximum",
            (1024, U32, "bytes"),
            "Size of what waits in the output of one connection. QoS 0 messages beyond it are dropped and counted; \
             QoS 1 and 2 wait in the queue. 16 MiB are a second of a 100 Mbit/s link and some. At least \
             maximum_packet_size, so that each message taken can be sent.",
        ),
        limit(
            "slow_publisher_maximum_ms",
            (0, 60_000, "milliseconds"),
            "Longest time for which a publisher's acknowledgements are withheld to slow it; 0 never slows. Five \
             seconds stay below the 10 to 30 after which client libraries take an acknowledgement for lost.",
        ),
        Key {
            reloads: false,
            ..limit(
                "explain_bytes_maximum",
                (0, 1 << 30, "bytes"),
                "Memory in which each shard keeps what it decided about messages and sessions, for `dunlin explain`. 0 \
                 keeps nothing. 4 MiB are some 20,000 losses and as many steps of messages that arrived; it is taken \
                 as it is needed. docs/explain.md says more.",
            )
        },
        limit(
            "connections_maximum",
            (0, U32, "connections"),
            "Connections in total; what comes beyond is closed at once and counted. 0: as many as the process may \
             open files, because that limit is set once, by the service manager.",
        ),
        limit(
            "memory_bytes_maximum",
            (0, I64, "bytes"),
            "Memory that the whole process may hold (its resident set). 0: half of what the machine has or the control \
             group of the process allows. From 60% of it on buffers are kept small; from 75% on, what would be kept for \
             later is refused with 0x97 Quota exceeded; from 85% on the slowest clients are disconnected. Below 64 MiB \
             there is little left beside what an idle server needs. docs/limits.md says more.",
        ),
        limit(
            "messages_per_second",
            (0, U32, "packets a second"),
            "Packets that one client may send in a second in the long run, and as many at once; acknowledgements (PUBACK, \
             PUBREC, PUBREL, PUBCOMP) are not counted. 0: any number, because what a fleet sends is for its owner to \
             say. A change holds for those who are connected, too.",
        ),
        limit(
            "bytes_per_second",
            (0, U32, "bytes a second"),
            "The same for the bytes of all its packets. A packet that is larger is taken, and paid for with a pause.",
        ),
        Key {
            name: "rate_exceeded",
            kind: Kind::Choice(&RATE_EXCEEDED),
            reloads: true,
            about: "What happens to what comes faster. slow: the client is not read until it may send again; nothing is \
                    lost. refuse: messages of QoS 1 and 2 of 5.0 clients are answered with 0x97 Quota exceeded and \
                    discarded; what has no such answer is slowed. disconnect: 0x96 Message rate too high. slow, because \
                    whoever is disconnected comes back and sends the same again.",
            example: None,
        },
        limit(
            "takeover_delay_maximum_ms",
            (0, 30_000, "milliseconds"),
            "Where two clients use one client identifier and take the session from each other again and again: longest \
             time that the newcomer waits for its CONNACK while the other is connected; 1 s at first, then twice as long \
             each time. 0: none. 16 seconds stay below the 30 after which client libraries give up.",
        ),
        limit(
            "retained_messages_maximum",
            (0, U32, "messages"),
            "Retained messages in total; each shard keeps an equal share of the topics, up to its share of this. A \
             million: ten topics for each of 100,000 devices.",
        ),
        limit(
            "retained_bytes_maximum",
            (0, I64, "bytes"),
            "Size of all retained messages together. 256 MiB are 256 bytes for each of a million.",
        ),
    ],
};

const fn limit(
    name: &'static str,
    (least, most, unit): (u64, u64, &'static str),
    about: &'static str,
) -> Key {
    Key { name, kind: Kind::Integer { least, most, unit }, reloads: true, about, example: None }
}
