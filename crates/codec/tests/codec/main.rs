//! The codec against the specification: each statement that a decoder can check, its refusal beside its acceptance.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod acks;
mod connect;
mod corpus;
mod encode;
mod frame;
mod hostile;
mod notation;
mod parts;
mod properties;
mod publish;
mod round_trip;
mod strings;
mod subscribe;
mod tolerance;
mod topics;
