//! Packet conversations with the built broker: raw bytes in, raw bytes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod configured;
mod connect;
mod dollar_topics;
mod expiry;
mod flow_control;
mod keep_alive;
mod malformed;
mod mixed_versions;
mod packet_size;
mod process;
mod protocol_errors;
mod qos1;
mod qos2;
mod reason_codes;
mod redelivery;
mod request_response;
mod retained;
mod session;
mod shards;
mod shared;
mod subscription_id;
mod subscription_options;
mod takeover;
mod topic_alias;
mod utf8;
mod v31;
mod will;
