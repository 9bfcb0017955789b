//! What a Client offers as proof, and what an authenticator says to it.
//!
//! In:    the fields of CONNECT and AUTH that prove who a Client is; where it comes from; its certificate.
//! Out:   an [`Outcome`].
//! Never: a secret through `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use dunlin_codec::ReasonCode;

use super::rule::GrantedRule;
use super::secret::Secret;
use super::subject::Identity;

/// What a Client offers. Owned, because it travels to a worker.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The name of the listener that the Client came through.
    pub listener: Box<str>,
    /// From where; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// The Client Identifier of CONNECT, or the one that the Server assigned.
    pub client_id: Box<str>,
    /// The Client named none, and another may be chosen for it.
    pub is_assigned: bool,
    /// The User Name of CONNECT.
    pub username: Option<Box<str>>,
    /// The Password of CONNECT.
    pub password: Option<Secret>,
    /// The Client's own certificate (DER), whose chain TLS has verified.
    pub certificate: Option<Arc<[u8]>>,
    /// The Authentication Method of CONNECT and its Authentication Data: enhanced authentication.
    pub method: Option<Method>,
    /// When it was made: what credentials that expire are measured by.
    pub now: SystemTime,
}

impl Identity {
    /// It, as it is reviewed.
    #[must_use]
    pub fn known(&self) -> Known<'_> {
        let username = self.username.as_deref();
        Known { username, client_id: &self.client_id, groups: &self.groups, attributes: &self.attributes }
    }
}

impl Attempt {
    /// Whether it offers anything that could be judged.
    #[must_use]
    pub fn offers_proof(&self) -> bool {
        self.password.is_some() || self.method.is_some() || self.certificate.is_some()
    }
}

/// How a Client wants to authenticate, beyond a password.
#[derive(Clone, Debug)]
pub struct Method {
    /// The Authentication Method.
    pub name: Box<str>,
    /// The first Authentication Data; `None` where CONNECT has none.
    pub data: Option<Secret>,
}

/// What an authenticator says.
#[derive(Debug)]
pub enum Outcome {
    /// It vouches for the Client.
    Allow(Grant),
    /// The Client is refused, whatever others would say.
    Deny(Denial),
    /// It has nothing to say about this Client; the next one is asked.
    Pass,
    /// The Client is to answer first [MQTT-4.12.0-2].
    Continue(Challenge),
}

/// What an authenticator vouches for.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Who the Client is.
    pub identity: Identity,
    /// Rules that the credentials carry, for this Client alone.
    pub rules: Vec<GrantedRule>,
    /// When the credentials lapse: the connection ends then, unless the Client has re-authenticated.
    pub expires: Option<SystemTime>,
    /// Authentication Data of the CONNACK, or of the AUTH that ends a re-authentication.
    pub data: Option<Box<[u8]>>,
}

/// Somebody who was let in.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// See [`Identity::username`].
    pub username: Option<&'a str>,
    /// See [`Identity::client_id`].
    pub client_id: &'a str,
    /// See [`Identity::groups`]; in order.
    pub groups: &'a [Box<str>],
    /// See [`Identity::attributes`].
    pub attributes: &'a BTreeMap<Box<str>, Box<str>>,
}

/// What became of somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing, as far as is known.
    Same,
    /// These are the groups now.
    Groups(Vec<Box<str>>),
    /// The user is gone, or has other credentials.
    Gone,
}

/// A step of enhanced authentication: what to send, and who takes the answer.
pub struct Challenge {
    /// Authentication Data of the AUTH to send, with Reason Code 0x18.
    pub data: Box<[u8]>,
    /// Takes the Authentication Data of the Client's answer.
    pub exchange: Box<dyn Exchange>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge")
    }
}

/// An enhanced authentication under way.
pub trait Exchange: Send {
    /// Takes the Client's next Authentication Data. Never says [`Outcome::Pass`].
    fn answer(self: Box<Self>, data: &[u8], now: SystemTime) -> Outcome;

    /// Who the Client claims to be, once it has said so.
    fn username(&self) -> Option<&str>;
}

/// Something that can tell who a Client is.
///
/// It may take time and wait for the network, so it is called on a worker, never on a shard. It bounds the time it
/// waits.
pub trait Authenticator: Send + Sync {
    /// The Authentication Method it knows. It is asked about attempts with that method alone; `None`: about those
    /// without one.
    fn method(&self) -> Option<&'static str> {
        None
    }

    /// What became of somebody whom it let in. Neither waits nor looks at files or the network, nor allocates where nothing
    /// changed.
    fn review(&self, known: Known<'_>) -> Standing {
        let _ = known;
        Standing::Same
    }

    /// Judges an attempt.
    fn authenticate(&self, attempt: &Attempt) -> Outcome;
}

/// Why a Client is refused. For the log; the Client learns only the Reason Code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// Nobody in the chain vouched for it.
    #[error("no authenticator knows the client")]
    Unknown,
    /// The user's password, token or proof is wrong.
    #[error("credentials are wrong")]
    BadCredentials,
    /// The credentials were right once, or will be.
    #[error("credentials are expired or not valid yet")]
    Expired,
    /// The credentials are right, for another client identifier.
    #[error("credentials are for another client identifier")]
    WrongClientId,
    /// The authority took the certificate back.
    #[error("certificate is revoked")]
    Revoked,
    /// The certificate lacks the field that names the Client, or has it twice.
    #[error("certificate does not name the client")]
    UnfitCertificate,
    /// A message of an enhanced authentication is not what its method says.
    #[error("authentication data does not follow the method")]
    BadExchange,
    /// No authenticator knows the Authentication Method [MQTT-4.12.0-1].
    #[error("authentication method is not known")]
    UnknownMethod,
    /// A re-authentication proved to be somebody else.
    #[error("re-authentication is for another identity")]
    ChangedIdentity,
    /// Whoever would know does not answer.
    #[error("authentication service does not answer")]
    Unavailable,
    /// More attempts wait than the bound allows.
    #[error("too many attempts wait for authentication")]
    Busy,
    /// Too many failures came from this address or for this name.
    #[error("address or name is banned after failed attempts")]
    Banned,
}

impl Denial {
    /// What CONNACK or DISCONNECT says to 5.0. What tells a stranger which names exist is not told apart.
    #[must_use]
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Unknown | Self::BadCredentials | Self::Expired => ReasonCode::BadUserNameOrPassword,
            Self::WrongClientId => ReasonCode::ClientIdentifierNotValid,
            Self::Revoked | Self::UnfitCertificate | Self::ChangedIdentity | Self::BadExchange => {
                ReasonCode::NotAuthorized
            }
            Self::UnknownMethod => ReasonCode::BadAuthenticationMethod,
            Self::Unavailable => ReasonCode::ServerUnavailable,
            Self::Busy => ReasonCode::ServerBusy,
            Self::Banned => ReasonCode::Banned,
        }
    }

    /// Whether it may have been a guess, and counts towards a ban. Credentials that were right once are none, nor is the
    /// fault of a service.
    #[must_use]
    pub fn is_guess(self) -> bool {
        matches!(self, Self::Unknown | Self::BadCredentials | Self::BadExchange)
    }
}
