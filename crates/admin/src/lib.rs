//! The operator's API: HTTP over what is asked of the engines, between two of their events.
//!
//! In:    requests, with credentials; from the data directory's socket without.
//! Out:   JSON, metrics, streams of events; changes that an operator wants.
//! Never: a shard that waits, or looks at more than some thousand things for one question; a change that the audit log lacks.

#![allow(unused_qualifications, reason = "in what the macros of utoipa write")]

mod access;
mod ask;
mod audit;
mod broker;
mod clients;
pub mod doctor;
pub mod explain;
mod health;
mod input;
mod page;
mod problem;
mod publish;
mod retained;
mod rights;
mod router;
mod server;
mod sessions;
mod stream;
mod subscriptions;
mod topics;
mod trace;
mod whole;

pub use access::{Caller, Gate, Origin, Proof, Refused, Role};
pub use ask::{AskError, Asker, Place, quoted};
pub use audit::Audit;
pub use clients::{Client, Connection};
pub use health::Health;
pub use page::Page;
pub use problem::Problem;
pub use publish::{Message, Published};
pub use retained::Retained;
pub use rights::{RightsFiles, Seen};
pub use router::{Api, Host, document};
pub use server::{Ports, Server, Tls, socket};
pub use sessions::Session;
pub use subscriptions::{Group, Subscriber, Subscription, Waiting};
pub use topics::{PublishedTopic, Topic};
pub use whole::{BackUp, BackedUp};
