//! Who a Client is, what it may do, and the certificates that both rest on.
//!
//! In:    credentials, certificates, the policy file.
//! Out:   identities, compiled [`dunlin_engine::Policy`]s, certificates.
//! Never: sockets of MQTT, the shard loop. What costs time says so.

pub mod authority;
pub mod identity;
pub mod policy;
pub mod source;
pub mod spelling;
