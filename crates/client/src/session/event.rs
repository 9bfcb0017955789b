//! What goes into a session and what comes out of it: plain data.

use dunlin_codec::{DecodeError, ReasonCode, SubscriptionOptions};

use super::record::Record;
use crate::{Message, MessageError, Time};

/// Names a request of the application; it chooses, the session repeats.
pub type Token = u64;

/// Names a message that was handed to the application, to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub(crate) u64);

/// A Topic Filter and its Subscription Options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Topic Filter.
    pub filter: String,
    /// 3.1.1 knows the QoS only.
    pub options: SubscriptionOptions,
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The application wants a connection from now on.
    Start,
    /// The application has a message to send.
    Publish {
        /// Comes back in [`Action::Published`].
        token: Token,
        /// What to send.
        message: Message,
    },
    /// The application wants messages.
    Subscribe {
        /// Comes back in [`Action::Subscribed`] and in [`Action::Deliver`].
        token: Token,
        /// At least one.
        filters: Vec<Filter>,
    },
    /// The application wants no more messages for that subscription.
    Unsubscribe {
        /// Of the subscription.
        token: Token,
    },
    /// The Server should forget these subscriptions, of a former process perhaps.
    Forget {
        /// Comes back in [`Action::Unsubscribed`].
        token: Token,
        /// At least one; those that are no filters are left out.
        filters: Vec<String>,
    },
    /// The application has taken that message.
    Acknowledge(DeliveryId),
    /// The application authenticates again, on the same connection (5.0); answered by [`Action::Reauthenticated`].
    Reauthenticate,
    /// The application ends the session.
    Stop {
        /// Wait that long for the queue to be acknowledged; then go.
        within: Time,
        /// What DISCONNECT says: [`ReasonCode::Success`], or `DisconnectWithWillMessage` (5.0).
        reason: ReasonCode,
    },
    /// The transport that [`Action::Dial`] asked for stands.
    Dialled,
    /// Bytes from the transport.
    Received(&'a [u8]),
    /// The transport is gone, or never was; why.
    Lost(String),
    /// What [`Action::Close`] asked for is done.
    Closed,
    /// The transport has taken a part of the output.
    Progress,
    /// All output has been given to the transport.
    Flushed,
    /// The driver reads the transport no more (`false`: again), because the application takes no messages. Answers that
    /// are not read are not missed.
    Paused(bool),
    /// [`super::Session::next_deadline`] has passed.
    Timer,
}

/// What to do, in order: records first, then the output, then the rest.
#[derive(Debug, Default)]
pub struct Effects {
    /// Bytes for the transport. The driver removes what it has written; the session appends, and empties it when the
    /// connection is lost.
    pub output: Vec<u8>,
    /// What must be durable before `output` leaves and before the application is told, if there is a queue on disk.
    pub records: Vec<Record>,
    /// The rest.
    pub actions: Vec<Action>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a transport; answered by [`Event::Dialled`] or [`Event::Lost`].
    Dial,
    /// From now on, dial there. It comes before the [`Action::Dial`] that it is for.
    Redirect(Redirection),
    /// Close the transport, or stop opening it, once `output` is written; answered by [`Event::Closed`].
    Close,
    /// Hand a message to the application.
    Deliver(Delivery),
    /// What became of a message.
    Published(Token, Result<ReasonCode, PublishError>),
    /// What became of a subscription: a Reason Code for each filter.
    Subscribed(Token, Result<Vec<ReasonCode>, SubscribeError>),
    /// A subscription has ended.
    Unsubscribed(Token),
    /// What became of [`Event::Reauthenticate`].
    Reauthenticated(Result<(), ReauthenticateError>),
    /// For whoever watches.
    Status(Status),
}

/// Where to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirection {
    /// A Server Reference (5.0, section 4.11): places with their ports, separated by spaces.
    To {
        /// The reference.
        reference: String,
        /// For good; otherwise until the next [`Redirection::Home`].
        lasting: bool,
    },
    /// The address of before.
    Home,
}

/// Why the application did not authenticate again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReauthenticateError {
    /// There is no connection, or it was lost meanwhile.
    #[error("there is no connection")]
    Offline,
    /// No method, or an exchange of it is under way.
    #[error("there is no authentication method, or it is already at it")]
    Impossible,
}

/// A message for the application.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// To be acknowledged with it; `None` for QoS 0.
    pub id: Option<DeliveryId>,
    /// Subscriptions that it matches. Empty: nobody asked for it yet.
    pub to: Vec<Token>,
    /// The Server says that it may have sent it before.
    pub dup: bool,
    /// The message.
    pub message: Message,
}

/// Why a message was not delivered to the Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It can never be sent.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The queue is full and its policy is to refuse, or to drop the oldest.
    #[error("the queue is full")]
    QueueFull,
    /// Nobody wants it any more.
    #[error("the message expired before it was sent")]
    Expired,
    /// QoS 0, and the queue takes none without a connection.
    #[error("there is no connection")]
    Offline,
    /// Larger than the Server takes.
    #[error("a packet of {size} bytes; the server takes {limit}")]
    TooLarge {
        /// Bytes of the packet.
        size: usize,
        /// Bytes that the Server takes.
        limit: u32,
    },
    /// A QoS or RETAIN that the Server does not support.
    #[error("the server does not support {0}")]
    Unsupported(&'static str),
    /// The Server refused it.
    #[error("the server refused it: {0:?} (0x{code:02x})", code = *.0 as u8)]
    Refused(ReasonCode),
    /// The session ended first.
    #[error("the session ended before the message was acknowledged")]
    Stopped,
}

/// Why there is no subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No filter, or one that is none.
    #[error("not a topic filter: {0}")]
    Filter(#[from] dunlin_codec::TopicFilterError),
    /// [MQTT-3.8.3-4]
    #[error("no local on a shared subscription")]
    NoLocalOnShared,
    /// Nothing to subscribe to [MQTT-3.8.3-2].
    #[error("no topic filter")]
    Empty,
    /// As many subscriptions as a client may have here.
    #[error("more than {0} subscriptions")]
    TooMany(usize),
    /// The Server granted none of the filters; the first reason.
    #[error("the server refused it: {0:?} (0x{code:02x})", code = *.0 as u8)]
    Refused(ReasonCode),
    /// The session ended first.
    #[error("the session ended before the subscription was acknowledged")]
    Stopped,
}

/// How the session is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The Server has accepted the connection.
    Connected {
        /// It knew the Session.
        session_present: bool,
        /// The identifier it assigned, where none was given.
        assigned_client_id: Option<String>,
    },
    /// There is no connection; the next attempt is at that time.
    Disconnected {
        /// Why.
        why: Disconnection,
        /// When the next attempt begins.
        retry_at: Time,
    },
    /// There will be no further attempt.
    Stopped(Disconnection),
    /// Something the application should know about how it uses the session.
    Dropped(Dropped),
}

/// A message that came and was given to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// No subscription of this process matches, and the bound of those that wait for one is reached.
    Unclaimed,
    /// It came after the application had ended its subscription.
    Unsubscribed,
}

/// Why a connection ended, or never was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnection {
    /// The application asked for it.
    #[error("disconnected as asked")]
    Asked,
    /// No transport.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The transport ended.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The Server did not answer in time.
    #[error("the server did not answer in time ({0})")]
    Timeout(&'static str),
    /// The Server refused the connection.
    #[error("the server refused the connection: {reason:?} (0x{code:02x}){}", said(.text), code = *reason as u8)]
    Refused {
        /// Its reason.
        reason: ReasonCode,
        /// Reason String.
        text: Option<String>,
    },
    /// The Server ended the connection with DISCONNECT.
    #[error("the server ended the connection: {reason:?} (0x{code:02x}){}", said(.text), code = *reason as u8)]
    Told {
        /// Its reason.
        reason: ReasonCode,
        /// Reason String.
        text: Option<String>,
    },
    /// The Server asked to be left for another one.
    #[error("the server sends its clients elsewhere: {0}")]
    Redirected(String),
    /// The authentication method did not accept the Server.
    #[error("the server has not authenticated itself: {0}")]
    Untrusted(String),
    /// The Server sent what is no packet.
    #[error("the server sent a malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    /// The Server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
}

fn said(text: &Option<String>) -> String {
    text.as_ref().map_or_else(String::new, |text| format!(", {text:?}"))
}
