//! Who is let in, as whom, and with which rights: what the engine asks, and what it is answered.
//!
//! In:    what a Client says of itself in CONNECT and AUTH.
//! Out:   an admission, a refusal, or a question back.
//! Never: decides anything itself. A password is shown to nobody and wiped when it is let go.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dunlin_codec::{ProtocolVersion, ReasonCode};

use crate::event::Peer;
use crate::policy::Policy;

/// Bytes that nobody else may see: a password, Authentication Data, a CONNECT that holds them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// A copy.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// What it is.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(secret)")
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.fill(0);
        // Without somebody who looks, the compiler leaves the writes out.
        std::hint::black_box(&self.0);
    }
}

/// What a Client says of itself, and what is known of its connection.
#[derive(Debug)]
pub struct Credentials {
    /// Client Identifier: the Client's, or the one that it will have unless the admission names another.
    pub client_id: Box<str>,
    /// The Server made `client_id` up: the Client named none.
    pub is_assigned: bool,
    /// User Name of CONNECT.
    pub user_name: Option<Box<str>>,
    /// Password of CONNECT.
    pub password: Option<SecretBytes>,
    /// Where it comes from.
    pub peer: Peer,
    /// Its certificates as its transport verified them, in DER, its own first; empty where it showed none. The engine, which
    /// knows no transport, leaves them empty for its caller to fill in.
    pub certificates: Vec<Vec<u8>>,
    /// Of CONNECT.
    pub version: ProtocolVersion,
    /// Authentication Method (5.0).
    pub method: Option<Box<str>>,
    /// Authentication Data of the packet that asks: CONNECT or AUTH.
    pub data: Option<SecretBytes>,
    /// How far it has come.
    pub step: Step,
}

/// Which packet asks.
#[derive(Debug)]
pub enum Step {
    /// CONNECT.
    Connect,
    /// AUTH with 0x18 Continue authentication, with what [`Outcome::Continue`] left behind.
    Continue(Exchange),
    /// AUTH with 0x19 Re-authenticate, from a Client that was let in as this. CONNECT's password is not there any more.
    Again(Arc<Identity>),
}

/// What an authenticator wants to know again at the next step of an exchange; kept with the connection, and gone with it.
pub struct Exchange(pub Box<dyn Any + Send>);

impl fmt::Debug for Exchange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Exchange")
    }
}

/// The answer to [`Credentials`].
#[derive(Debug)]
pub enum Outcome {
    /// Let in.
    Admitted(Admission),
    /// Not let in: CONNACK with this, or DISCONNECT where it was let in before.
    Refused {
        /// 0x80 or above; told to the Client.
        reason: ReasonCode,
        /// For the log alone: a stranger learns nothing of what was wrong.
        detail: Box<str>,
    },
    /// The Client has to say more, in AUTH [MQTT-4.12.0-2]. To a Client without an Authentication Method it is a refusal.
    Continue {
        /// Authentication Data for it.
        data: Box<[u8]>,
        /// To be had again with its answer.
        exchange: Exchange,
    },
}

impl Outcome {
    /// Where it is counted, in [`crate::Counters::authentications`].
    pub(crate) const fn ordinal(&self) -> usize {
        match self {
            Self::Admitted(_) => 0,
            Self::Refused { .. } => 1,
            Self::Continue { .. } => 2,
        }
    }

    /// There is no time to find out: 0x89 Server busy.
    #[must_use]
    pub fn busy(detail: &str) -> Self {
        Self::Refused { reason: ReasonCode::ServerBusy, detail: detail.into() }
    }

    /// There is no way to find out: 0x88 Server unavailable.
    #[must_use]
    pub fn unavailable(detail: &str) -> Self {
        Self::Refused { reason: ReasonCode::ServerUnavailable, detail: detail.into() }
    }
}

/// As what a Client is let in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The Client Identifier that it gets, whatever it asked for; `None` leaves its own. Without meaning at re-authentication.
    pub client_id: Option<Box<str>>,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What it may do; `None`: everything.
    pub policy: Option<Arc<dyn Policy>>,
    /// Authentication Data for CONNACK, or for the AUTH that ends a re-authentication.
    pub data: Option<Box<[u8]>>,
}

/// Whom a Client was recognised as: by this its rights are found again when they change. The engine reads the name alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Of the user or device. A Session is resumed only by the name that began it.
    pub name: Box<str>,
    /// Client Identifier that it was recognised with.
    pub client_id: Box<str>,
    /// That it belongs to, roles included.
    pub groups: Box<[Box<str>]>,
    /// What else was found out, as `cert.cn`.
    pub attributes: BTreeMap<Box<str>, Box<str>>,
}

/// What became of an identity.
#[derive(Clone, Debug)]
pub enum Review {
    /// Its rights are what they were.
    Unchanged,
    /// These are its rights; `None`: everything.
    Policy(Option<Arc<dyn Policy>>),
    /// It may not be here: its connection is closed with this reason, its Session ends.
    Revoked(ReasonCode),
}

/// Whoever knows the rights of everybody, as they are from now on.
pub trait Authority: fmt::Debug + Send + Sync {
    /// Asked for every Session with an identity, in the course of some ticks, and for every one that is admitted from then on, whose
    /// admission may be older. Neither waits nor allocates where nothing changed.
    fn review(&self, identity: &Identity) -> Review;
}

/// A CONNECT that was admitted, on its way to the shard where its Session lives.
#[derive(Debug)]
pub struct Pledge {
    pub(crate) admission: Admission,
    /// The packet, whole.
    pub(crate) connect: SecretBytes,
    /// The Client Identifier that takes the place of an empty one.
    pub(crate) assigned: Option<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_a_secret() {
        let secret = SecretBytes::of(b"hunter2");
        assert_eq!(secret.expose(), b"hunter2");
        assert_eq!(format!("{secret:?}"), "(secret)");
    }
}
