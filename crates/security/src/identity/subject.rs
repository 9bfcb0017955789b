//! Who a Client turned out to be.

use std::collections::BTreeMap;

/// Whom an authenticator vouches for; what the access rules ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name that was proven; `None` for a Client without one.
    pub username: Option<Box<str>>,
    /// The Client Identifier that the Session is to have, which need not be the one that CONNECT asked for.
    pub client_id: Box<str>,
    /// What it belongs to, without duplicates.
    pub groups: Vec<Box<str>>,
    /// What else is known, such as `cert.cn`.
    pub attributes: BTreeMap<Box<str>, Box<str>>,
}
