//! One decision of the ledger, as it is kept and as it is told.

use dunlin_codec::{QoS, RetainHandling, SubscriptionOptions};

use super::text::Text;
use crate::counters::Drop;
use crate::time::Time;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// CONNACK with success was sent; `resumed`: there was a Session.
    Connected {
        /// Session Present.
        resumed: bool,
    },
    /// CONNECT was refused with this Reason Code.
    Refused(u8),
    /// The connection ended by a DISCONNECT of the Client, with this Reason Code.
    Left(u8),
    /// The Server closed the connection, for this Reason Code.
    Closed(u8),
    /// The connection was lost.
    Lost,
    /// The Session ended, with so many messages waiting or unacknowledged.
    SessionEnded {
        /// Why.
        why: SessionEnd,
        /// Messages that went with it.
        lost: u32,
    },
    /// The text is a Topic Filter, subscribed to.
    Subscribed {
        /// Granted.
        qos: QoS,
        /// No Local.
        no_local: bool,
        /// Retain Handling.
        retain: RetainHandling,
        /// There was none with this filter before.
        is_new: bool,
    },
    /// The text is a Topic Filter, refused with this Reason Code.
    NotSubscribed(u8),
    /// The text is a Topic Filter, unsubscribed by the Client.
    Unsubscribed,
    /// The text is a Topic Filter, taken away because the rights changed.
    Withdrawn,
    /// A DISCONNECT took the Will with this topic back.
    WillTakenBack,
    /// The Client came back in time: its Will was not sent.
    WillForgone,
    /// The Will goes out after this many seconds, if the Client does not come back.
    WillDelayed(u32),
    /// A message of the topic was not delivered to the Client.
    Dropped(Drop),
    /// A message of the topic was not delivered to a shared group, whose filter stands in place of the Client.
    GroupDropped(Drop),
    /// The Client may not publish to the topic.
    PublishDenied {
        /// As it was published.
        qos: QoS,
        /// As it was published.
        retain: bool,
    },
    /// The Client may not publish its Will to the topic.
    WillDenied,
    /// A PUBLISH of the Client was refused with this Reason Code.
    PublishRefused(u8),
    /// There was no room for a PUBLISH of the Client.
    NoRoom(Drop),
    /// Acknowledgements of the Client are withheld, because it fills a queue.
    Slowed,
    /// The queue of the Client was half full: whoever publishes to it is slowed.
    Slows,
    /// An empty retained message removed the one that there was.
    RetainedCleared,
    /// The Client published to the topic.
    Published {
        /// As it was published.
        qos: QoS,
        /// As it was published.
        retain: bool,
        /// Sessions of the publisher's shard, groups, and other shards that it went to.
        receivers: u32,
    },
    /// Written to the connection of the Client. `delivery`: its number among those of the Session; `None` for QoS 0.
    Written {
        /// As it was sent.
        qos: QoS,
        /// As it was sent.
        retain: bool,
        /// For [`Self::Acknowledged`].
        delivery: Option<u32>,
    },
    /// Put into the queue of the Session.
    Queued {
        /// As it will be sent.
        qos: QoS,
        /// For [`Self::Written`] and [`Self::Acknowledged`].
        delivery: u32,
    },
    /// The exchange ended: by PUBACK, PUBCOMP, or a PUBREC that refuses.
    Acknowledged {
        /// As in [`Self::Written`].
        delivery: u32,
    },
    /// Dropped from the queue while its topic was not in memory.
    Discarded {
        /// As in [`Self::Queued`].
        delivery: u32,
        /// Why.
        bound: Drop,
    },
    /// Not delivered, as the Client published it itself and wants none of its own.
    NoLocal,
    /// A shared group dealt it to the Client.
    Dealt,
}

/// Why a Session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its Session Expiry Interval passed.
    Expired,
    /// It lasted as long as its connection.
    WithConnection,
    /// The Client asked for a clean start.
    CleanStart,
    /// Another user came with its Client Identifier.
    Another,
    /// The rights of its Client were revoked.
    Revoked,
    /// An operator ended it.
    Operator,
}

/// A decision as it is kept: 80 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) at: Time,
    /// Of the last one that it stands for.
    pub(super) until: Time,
    pub(super) count: u32,
    pub(super) message: u32,
    pub(super) client: Text,
    pub(super) topic: Text,
    pub(super) what: What,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The first, where it stands for several.
    pub at: Time,
    /// The last.
    pub until: Time,
    /// How many it stands for.
    pub count: u32,
    /// The number of the message in the whole Server; 0 where it was not followed.
    pub message: u32,
    /// Whom it concerns; empty where that is nobody.
    pub client: Box<str>,
    /// Topic Name, Topic Filter, or detail; empty where it is not known.
    pub topic: Box<str>,
    /// What.
    pub what: What,
}

impl What {
    pub(crate) const fn subscribed(options: SubscriptionOptions, is_new: bool) -> Self {
        let SubscriptionOptions { qos, no_local, retain_handling: retain, .. } = options;
        Self::Subscribed { qos, no_local, retain, is_new }
    }

    /// Is it about somebody who publishes?
    pub(super) const fn is_of_publisher(self) -> bool {
        matches!(
            self,
            Self::Published { .. }
                | Self::PublishDenied { .. }
                | Self::PublishRefused(_)
                | Self::NoRoom(_)
                | Self::WillDenied
                | Self::WillTakenBack
                | Self::WillForgone
                | Self::WillDelayed(_)
                | Self::RetainedCleared
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound of the ledger counts on it.
    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 80, "{}", size_of::<Entry>());
    }
}
