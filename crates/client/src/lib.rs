//! An MQTT client for networks that fail: 3.1.1 and 5.0.
//!
//! In:    what an application publishes and subscribes to.
//! Out:   messages, and what became of each that was published.
//! Never: a random Client Identifier, an unverified certificate, a queue without a bound, unless asked for it.
//!
//! [`Session`] is the whole behaviour as a state machine without I/O; the feature `tokio` (on by default) adds the
//! `Client` that drives it over sockets.

#[cfg(any(feature = "tokio", feature = "scram"))]
mod base64;
#[cfg(feature = "tokio")]
pub mod disk;
#[cfg(feature = "tokio")]
mod driver;
mod message;
mod payload;
#[cfg(feature = "scram")]
mod scram;
pub mod session;
mod time;

pub use bytes::Bytes;
#[cfg(feature = "tokio")]
pub use driver::{
    Address, AddressError, Client, Connection, Granted, Host, IdentityError, Options, Prepared, Receipt,
    Received, RequestError, Requests, StartError, Subscription, Tls, TlsError, kept_client_id,
    local_client_id, random_seed,
};
pub use dunlin_codec::{
    QoS, ReasonCode, RetainHandling, SubscriptionOptions, TopicFilterError, TopicNameError,
};
pub use message::{About, Message, MessageError};
pub use payload::{CONTENT_ENCODING, Compression, PayloadError};
#[cfg(feature = "scram")]
pub use scram::ScramSha256;
pub use session::{
    AuthenticationExchange, AuthenticationMethod, Disconnection, Keep, Password, PublishError, QueueLimits,
    ReauthenticateError, Retry, Session, Settings, SettingsError, Status, SubscribeError, Version, WhenFull,
    Will,
};
pub use time::Time;
