//! The driver: gives a session its sockets, its clock, its disk, and the application its handles.
//!
//! In:    [`Options`].
//! Out:   [`Client`], [`Subscription`], [`Receipt`].
//! Never: a queue without a bound; a certificate that was not verified, unless told so by name.
#![allow(clippy::disallowed_types, reason = "this is where the session meets the world")]

mod address;
mod client;
mod clock;
mod identity;
mod options;
mod received;
mod request;
mod router;
mod status;
mod task;
mod tls;
mod transport;
mod websocket;

pub use address::{Address, AddressError, Host};
pub use client::{Client, Granted, Prepared, Receipt, StartError, Subscription};
pub use identity::{IdentityError, kept_client_id, local_client_id, random_seed};
pub use options::Options;
pub use received::Received;
pub use request::{RequestError, Requests};
pub use status::Connection;
pub use tls::{Tls, TlsError};
