//! What authenticators ask of HTTP services: a call-out for each log-in, keys now and then.

mod breaker;
mod cache;
mod callout;
mod client;

#[cfg(feature = "ldap")]
pub(crate) use breaker::Breaker;
pub use breaker::BreakerLimits;
pub use callout::{CallOut, CallOutSettings};
#[cfg(feature = "ldap")]
pub(crate) use client::is_loopback;
pub use client::{Client, ClientError, ClientSettings, Roots, check_url};
