//! Commands that look at a running broker, and change what it has, by its API.
//!
//! In:    where the broker is: its data directory on this machine, or a URL and credentials.
//! Out:   tables for people, JSON for programs.
//! Never: a secret on the command line; control characters of a Client on the terminal.

mod clients;
mod page;
mod place;
mod retained;
mod sessions;
mod subscriptions;
mod table;
mod topics;

pub(crate) use clients::Clients;
pub(crate) use place::Where;
pub(crate) use retained::Retained;
pub(crate) use sessions::Sessions;
pub(crate) use subscriptions::Subscriptions;
pub(crate) use table::plain;
pub(crate) use topics::Topics;
