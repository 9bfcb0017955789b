//! JSON Web Tokens as passwords.
//!
//! In:    a token in the Password (or User Name) of CONNECT; keys.
//! Out:   an identity and rules from its claims, until it expires.
//! Never: an algorithm that the key is not made for: what a token says of itself only chooses among what its key allows.
//! Spec:  RFC 7515, 7517, 7518, 7519, 8037, 8725.

mod claims;
mod key;
mod login;
mod source;
mod token;

pub use claims::{ClaimRules, ClientIdClaim};
pub use key::{Algorithm, KeyError, KeySet};
pub use login::{TokenField, Tokens};
pub use source::{KeySource, KeySourceError};
pub use token::{Token, TokenError};
