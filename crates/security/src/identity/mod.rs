//! Authenticators: from credentials to an identity.

mod subject;

pub use subject::Identity;
