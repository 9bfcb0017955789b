//! What a Client may do: asked by the engine, answered by whoever admitted the Client.
//!
//! In:    topics and filters as the Client sees them, on the path of every message.
//! Out:   yes or no; never an error, never a wait.
//! Never: I/O, locks that wait, allocation.

use std::fmt;

use dunlin_codec::QoS;

/// The rights of one Client. Answers for one topic never change: other rights are another policy.
pub trait Policy: fmt::Debug + Send + Sync {
    /// May it publish to this Topic Name? `false` is answered with 0x87 to 5.0 and as configured to 3.x
    /// [MQTT311-3.3.5-2].
    fn may_publish(&self, topic: &str, qos: QoS, retain: bool) -> bool;

    /// May it subscribe to this Topic Filter (without `$share/name/`)?
    fn may_subscribe(&self, filter: &str, qos: QoS) -> Subscribing;

    /// May a message of this Topic Name be delivered to it? Asked again for what waited in its queue.
    fn may_receive(&self, topic: &str) -> bool;
}

/// The answer to a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribing {
    /// Everything that matches is allowed.
    Granted,
    /// Some of what matches is not allowed: granted, and each message is asked about.
    Filtered,
    /// 0x87 Not authorized.
    Refused,
}
