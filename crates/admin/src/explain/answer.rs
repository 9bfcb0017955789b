//! The answer, as people and programs read it.

use std::fmt::{self, Write as _};

use serde::Serialize;
use utoipa::ToSchema;

/// What became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was written to the Client's connection.
    Arrived,
    /// It is on its way: something has to happen first.
    Waiting,
    /// It did not arrive, and will not.
    Lost,
    /// It was not meant for the Client: nothing matched, or a rule kept it away.
    NotSent,
    /// No such message came to the broker.
    NotPublished,
}

macro_rules! causes {
    ($($(#[$about:meta])+ $name:ident),+ $(,)?) => {
        /// Why, as a word for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[$about])+ $name,)+
        }

        impl Cause {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

causes! {
    /// Written to the connection, and acknowledged.
    Acknowledged,
    /// Written to the connection with QoS 0, which has no acknowledgement.
    Written,
    /// Written to the connection, and not acknowledged yet.
    NotAcknowledged,
    /// It went to another connection with the same Client Identifier.
    TakenOver,
    /// In the queue, as the Client is not connected.
    WaitsForClient,
    /// In the queue, as the Client has not acknowledged what it was sent.
    WaitsForAcknowledgements,
    /// In the queue, as the connection does not take more at the moment.
    WaitsForConnection,
    /// It has to be written to disk first.
    WaitsForDisk,
    /// A shared group has no member with room.
    WaitsForGroup,
    /// A Will that is delayed.
    WillDelayed,
    /// No Client with this identifier is known.
    UnknownClient,
    /// The Client could not connect.
    ConnectRefused,
    /// The Client has no Subscription at all.
    NeverSubscribed,
    /// No Subscription matches: another level.
    OtherLevel,
    /// No Subscription matches: upper and lower case.
    CaseDiffers,
    /// No Subscription matches: a slash more or less at an end.
    SlashDiffers,
    /// No Subscription matches: spaces around a level.
    SpaceDiffers,
    /// No Subscription matches: the topic has more levels than the filter.
    TopicIsLonger,
    /// No Subscription matches: the topic has fewer levels than the filter.
    TopicIsShorter,
    /// Wildcards at the first level do not match `$` topics.
    DollarTopic,
    /// It was published before the Client subscribed.
    SubscribedLater,
    /// The Client unsubscribed before.
    Unsubscribed,
    /// The Subscription was taken away when the rights changed.
    SubscriptionWithdrawn,
    /// The Subscription was refused for want of a right.
    SubscribeDenied,
    /// The Subscription was refused at a limit, or as no filter.
    SubscribeRefused,
    /// The Session expired.
    SessionExpired,
    /// The Session ended with its connection.
    SessionEndedWithConnection,
    /// A clean start ended the Session.
    CleanStart,
    /// Another user came with the Client Identifier.
    OtherUser,
    /// The Client's rights were revoked.
    Revoked,
    /// An operator ended the Session.
    EndedByOperator,
    /// QoS 0 while the Client was not connected.
    OfflineQos0,
    /// Published with more, but the Subscription has QoS 0, and the Client was not connected.
    QosDowngraded,
    /// The queue was full of messages.
    QueueFullMessages,
    /// The queue was full of bytes.
    QueueFullBytes,
    /// The Message Expiry Interval passed.
    Expired,
    /// Larger than the Client's Maximum Packet Size.
    TooLargeForClient,
    /// QoS 0, and the connection's output was full.
    OutputFull,
    /// The Client may not receive the topic.
    ReceiveDenied,
    /// The Client published it itself, with No Local.
    NoLocal,
    /// A shared group dealt it to another member.
    SharedToAnother,
    /// No member of the shared group was connected.
    SharedOffline,
    /// The member of the shared group that had it went away.
    MemberLost,
    /// The retained message was not asked for: Retain Handling.
    RetainHandling,
    /// A Shared Subscription gets no retained messages.
    RetainedNotShared,
    /// The retained message was cleared.
    RetainedCleared,
    /// There was no room for the retained message.
    RetainedFull,
    /// The log could not read it back.
    Damaged,
    /// The log was full.
    LogFull,
    /// Memory was full.
    MemoryFull,
    /// The publisher may not publish to the topic.
    PublishDenied,
    /// The PUBLISH was refused.
    PublishRefused,
    /// The publisher was disconnected or refused before it could publish.
    PublisherInTrouble,
    /// The publisher is slowed.
    PublisherSlowed,
    /// The Will was taken back by a DISCONNECT.
    WillTakenBack,
    /// The Will was not sent, as its Client came back in time.
    WillForgone,
    /// The Will was denied.
    WillDenied,
    /// Nobody published to the topic.
    NeverPublished,
    /// Somebody published to a topic that looks like it.
    OtherSpelling,
}

/// One line of what was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Evidence {
    /// RFC 3339, UTC.
    pub at: String,
    /// The same in microseconds of the broker's own clock, which never jumps: tells lines apart.
    pub micros: u64,
    /// What happened.
    pub what: String,
}

impl Evidence {
    /// The wall clock may have been set between two looks.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.micros == other.micros && self.what == other.what
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Answer {
    /// What became of the message.
    pub outcome: Outcome,
    /// Why.
    pub cause: Cause,
    /// The same in a sentence, with the rule or setting and its value.
    pub summary: String,
    /// What to change.
    pub advice: Vec<String>,
    /// What else may matter.
    pub notes: Vec<String>,
    /// What was recorded, the oldest first.
    pub evidence: Vec<Evidence>,
}

impl Answer {
    pub(super) fn new(outcome: Outcome, cause: Cause, summary: impl Into<String>) -> Self {
        Self {
            outcome,
            cause,
            summary: summary.into(),
            advice: Vec::new(),
            notes: Vec::new(),
            evidence: Vec::new(),
        }
    }

    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}\n", self.summary);
        for advice in &self.advice {
            let _ = writeln!(text, "  -> {advice}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        for line in &self.evidence {
            let _ = writeln!(text, "  {}  {}", line.at, line.what);
        }
        out.write_str(&text)
    }
}
