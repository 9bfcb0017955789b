//! Authenticators: from credentials to an identity.
//!
//! In:    an [`Attempt`]: what a Client offers as proof.
//! Out:   an [`Identity`], what the credentials say of its rights, or why it is refused.
//! Never: on a shard thread: hashing, the network and files take time.

mod anonymous;
mod attempt;
mod certificate;
mod chain;
mod crl;
mod device;
mod door;
mod guard;
pub mod http;
pub mod jwt;
#[cfg(feature = "ldap")]
pub mod ldap;
pub mod password;
mod recheck;
mod rule;
pub mod scram;
mod secret;
mod subject;
mod watch;
mod watched;

#[cfg(test)]
mod scratch;
#[cfg(test)]
mod testing;

pub use anonymous::{ANONYMOUS_GROUP, Anonymous};
pub use attempt::{
    Attempt, Authenticator, Challenge, Denial, Exchange, Grant, Known, Method, Outcome, Standing,
};
pub use certificate::{Certificates, ClientIdRule, Field};
pub use chain::{Chain, Pending, Verdict};
pub use crl::{RevocationLists, Unlisted};
pub use device::{Devices, Revoked};
pub use door::Door;
pub use guard::{Banned, Guard, GuardLimits};
pub use recheck::{Recheck, Rechecked};
pub use rule::{Action, GrantedRule, RULES_MAXIMUM, RuleError};
pub use secret::{NoRandomness, Secret};
pub use subject::Identity;
pub use watch::Watch;
pub use watched::{Contents, Watched, WatchedError};
