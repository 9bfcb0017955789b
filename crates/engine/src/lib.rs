//! The Server's behaviour as a pure state machine: one [`Engine`] a shard.
//!
//! In:    [`Event`]s with the time they happen at: bytes of connections, mail of other shards, timers.
//! Out:   [`Effects`]: bytes for connections, mail for other shards, connections to close or hand over.
//! Never: I/O, threads, clocks, randomness but from the seed. The same events give the same effects.
//! Spec:  MQTT 5.0 chapter 4; MQTT 3.1.1 and 3.1 where they differ.

mod access;
mod admission;
mod admit;
mod ceiling;
mod census;
mod conduct;
mod connect;
mod connection;
mod counters;
mod deliver;
mod durability;
mod effect;
mod ending;
mod engine;
mod event;
mod exchange;
mod explain;
#[cfg(test)]
mod footprint;
mod frame;
mod histogram;
mod hub;
mod inspect;
mod interest;
mod journal;
mod letters;
mod listener;
mod mail;
mod map;
mod message;
mod mount;
mod outbox;
mod pace;
mod partition;
mod peer;
mod policy;
mod publish;
mod rarely;
mod receive;
mod retained;
mod retained_value;
mod review;
mod rivals;
mod session;
mod settings;
mod shared;
mod slots;
mod span;
mod subscribe;
mod survey;
mod tap;
mod time;
mod timers;
mod topic;

pub use admission::{
    Admission, Authority, Credentials, Exchange, Identity, Outcome, Pledge, Review, SecretBytes, Step,
};
pub use ceiling::Memory;
pub use conduct::{
    Audience, ClientConduct, ConductPage, History, Losses, OriginConduct, OriginKey, Sample, Traffic,
};
pub use counters::{Counters, Drop, Excess};
pub use durability::{Durability, DurabilityRules};
pub use effect::{DisconnectCause, Effect, Effects, Notice, ReadToken, Wanted};
pub use engine::Engine;
pub use event::{CloseCause, ConnectionId, Event, Peer};
pub use explain::{
    Decision, Difference, Findings, Gap, GroupFound, Question, Reach, RetainedFound, SessionEnd,
    SessionFound, SubscriptionFound, TopicFound, Watch, What, WillFound, gap,
};
pub use histogram::Histogram;
pub use inspect::{
    ClientFilter, ClientPage, ClientRow, ConnectionRow, GroupRow, LevelRow, MessageRow, NotPublished,
    OperatorMessage, RetainedPage, RetainedRow, RouteRow, Standing, SubscriberPage, SubscriptionPage,
    SubscriptionRow,
};
pub use journal::{
    JOURNAL_PARTITIONS, JournalBatch, JournalCheckpoint, JournalRecord, JournalSource, describe_record,
};
pub use listener::{ListenerRules, Versions};
pub use mail::{Mail, MailBag};
pub use mount::Mount;
pub use outbox::Outbox;
pub use pace::RateKind;
pub use partition::{Partition, ShardId, ShardMap, ShardSet};
pub use peer::KeptPeer;
pub use policy::{Policy, Subscribing};
pub use settings::{
    AccessRules, CheckpointRules, DeniedPublish, Limits, Protocol, QueueFull, RateExceeded, RefusedV31,
    Settings, Strict, Strictness, WideSubscriptions,
};
pub use span::{Span, SpanKind, SpanRules};
pub use survey::{Published, Surveyed};
pub use tap::{TapBatch, TapFilter, TapId, TapNetwork, TappedPacket, TappedPeer};
pub use time::Time;
