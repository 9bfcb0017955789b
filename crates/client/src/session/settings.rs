//! What a session is told before it begins.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::authentication::AuthenticationMethod;
use crate::Message;

/// Which MQTT to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1
    V311,
    /// 5.0
    #[default]
    V5,
}

/// What happens to the Session in the Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is resumed by every connection and kept that long after each. 3.1.1 cannot say how long: the Server decides.
    Resume {
        /// Session Expiry Interval, in whole seconds.
        expiry: Duration,
    },
    /// The first connection begins a new one. With 5.0 it survives lost connections for five minutes and ends with
    /// the shutdown; with 3.1.1 each connection begins a new one, and what was in flight is sent again.
    Fresh,
}

/// Session Expiry Interval of [`Keep::Fresh`], in seconds: a restarted router, not a night.
pub(crate) const FRESH_EXPIRY: u32 = 300;

/// How to come back after a lost connection: exponential backoff with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first wait is drawn between 0 and this; each failure doubles it.
    pub base: Duration,
    /// No wait is longer.
    pub cap: Duration,
    /// A connection that lasted that long forgets the failures before it. Shorter ones count as failures, so that a
    /// Server which accepts and then closes is not hammered.
    pub stable_after: Duration,
    /// Consecutive failures until the session gives up; `None` never does.
    pub failures_maximum: Option<u32>,
    /// Give up when the Server refuses for a reason that will be the same next time (credentials, identifier, version).
    pub stop_when_refused: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            // A fleet of 1,000 comes back at 16 a second.
            cap: Duration::from_secs(60),
            stable_after: Duration::from_secs(10),
            failures_maximum: None,
            stop_when_refused: false,
        }
    }
}

/// What to do with a message when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Whoever publishes waits.
    #[default]
    Wait,
    /// The new message is refused.
    Refuse,
    /// The oldest message that was not sent yet is dropped; its publisher is told.
    DropOldest,
}

/// Bounds of the queue of messages that are not acknowledged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes, counted with what each message costs in memory.
    pub bytes: usize,
    /// At the bound.
    pub when_full: WhenFull,
    /// Are messages of QoS 0 queued while there is no connection? Otherwise they are refused then.
    pub qos0_while_offline: bool,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { messages: 100_000, bytes: 64 << 20, when_full: WhenFull::default(), qos0_while_offline: true }
    }
}

/// The Will: what the Server publishes when this client is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// The message; at most 65,535 bytes of payload.
    pub message: Message,
    /// 5.0: how long the Server waits for the client to come back first, in whole seconds.
    pub delay: Duration,
}

/// A password, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Into<Vec<u8>>> From<T> for Password {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Everything a session is told before it begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which MQTT.
    pub version: Version,
    /// Client Identifier, at most 65,535 bytes. Empty lets the Server choose: then each process is a new client.
    pub client_id: String,
    /// User Name.
    pub user_name: Option<String>,
    /// Password; 3.1.1 has none without a User Name.
    pub password: Option<Password>,
    /// Whether the Server keeps the Session.
    pub keep: Keep,
    /// Longest silence in whole seconds, at most 65,535; 0 turns the mechanism off, and with it the only way to notice
    /// a Server that has gone without a word.
    pub keep_alive: Duration,
    /// How long the Server may take to answer: to accept a connection, to acknowledge CONNECT, to answer a ping.
    pub response_timeout: Duration,
    /// The Will.
    pub will: Option<Will>,
    /// How to come back.
    pub retry: Retry,
    /// Messages that wait to be acknowledged.
    pub queue: QueueLimits,
    /// Messages of QoS 1 and 2 in flight at once; the Server's Receive Maximum can lower it. `None`: 128 with 5.0; 20 with
    /// 3.1.1, whose Servers cannot say what they take (mosquitto acknowledges and forgets what is beyond its own 20).
    pub inflight_maximum: Option<NonZeroU16>,
    /// Messages of QoS 1 and 2 that the application has not acknowledged yet, announced as Receive Maximum.
    pub receive_maximum: NonZeroU16,
    /// Largest packet taken, in bytes; announced to a 5.0 Server.
    pub maximum_packet_size: u32,
    /// Topic Aliases that a 5.0 Server may use.
    pub topic_alias_maximum: u16,
    /// Topic Aliases that this client uses, as far as a 5.0 Server takes them; 0 uses none.
    pub topic_aliases: u16,
    /// Enhanced authentication (5.0).
    pub authentication: Option<Arc<dyn AuthenticationMethod>>,
    /// Go where the Server sends its clients (5.0, 0x9C and 0x9D). A Server that is not verified could send this one, with
    /// its password, anywhere.
    pub follow_redirections: bool,
    /// User Properties of the CONNECT.
    pub user_properties: Vec<(String, String)>,
    /// Makes the jitter and the first Packet Identifier; the same seed makes the same session.
    pub seed: u64,
}

/// Unacknowledged messages in either direction: enough for 10,000 a second at a round trip of 100 ms would be 1,000;
/// a tenth of it keeps what a lost connection repeats small.
const IN_FLIGHT: NonZeroU16 = match NonZeroU16::new(128) {
    Some(value) => value,
    None => NonZeroU16::MIN,
};

impl Settings {
    pub(crate) fn inflight(&self) -> u16 {
        let default = match self.version {
            Version::V5 => IN_FLIGHT.get(),
            Version::V311 => 20,
        };
        self.inflight_maximum.map_or(default, NonZeroU16::get)
    }

    /// The defaults for this identifier: 5.0, the Session kept for a day, a keep alive of 60 s.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            version: Version::default(),
            client_id: client_id.into(),
            user_name: None,
            password: None,
            keep: Keep::Resume { expiry: Duration::from_secs(86_400) },
            keep_alive: Duration::from_secs(60),
            response_timeout: Duration::from_secs(10),
            will: None,
            retry: Retry::default(),
            queue: QueueLimits::default(),
            inflight_maximum: None,
            receive_maximum: IN_FLIGHT,
            maximum_packet_size: 16 << 20,
            topic_alias_maximum: 32,
            topic_aliases: 16,
            authentication: None,
            follow_redirections: false,
            user_properties: Vec::new(),
            seed: 0,
        }
    }
}
