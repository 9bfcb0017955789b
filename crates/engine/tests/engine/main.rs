//! The engine against the specification, through its public events and effects alone.
//!
//! A [`world::World`] is one Server: its shards, their mail, simulated time, and the Clients at its connections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod got;
mod hello;
mod world;

mod access;
mod aliases;
mod authentication;
mod conduct;
mod connect;
mod disk;
mod durability;
mod durability_modes;
mod expiry;
mod explain;
mod flow_control;
mod hostile;
mod inspect;
mod keep_alive;
mod limits;
mod mounts;
mod own;
mod packet_size;
mod publish_qos;
mod rates;
mod recovery;
mod redelivery;
mod retained;
mod revocation;
mod rivals;
mod rules;
mod sessions;
mod shards;
mod shared;
mod shutdown;
mod slow_publishers;
mod spans;
mod strictness;
mod subscriptions;
mod tap;
mod topics;
mod unsubscribe;
mod wills;
