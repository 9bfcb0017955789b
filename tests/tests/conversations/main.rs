//! Packet conversations with the built broker: raw bytes in, raw bytes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod connect;
mod expiry;
mod flow_control;
mod packet_size;
mod qos1;
mod qos2;
mod redelivery;
mod session;
mod subscription_id;
mod takeover;
mod topic_alias;
mod will;
