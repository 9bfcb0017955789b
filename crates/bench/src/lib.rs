//! Load for a broker, and the truth about what became of it.
//!
//! In:    a [`Plan`]: which broker, which shape of traffic, how much, how long.
//! Out:   a [`Report`]: rates, latencies, and exactly which messages were lost, doubled, out of order.
//! Never: a latency that leaves out the wait before sending (open loop); a message that is not accounted for; a queue,
//!        window or number of sockets without a bound.

mod actors;
mod backlog;
mod broker;
mod check;
mod clock;
mod collate;
mod connection;
mod crew;
mod gate;
mod handle;
mod histogram;
mod idle;
mod measure;
mod packet_ids;
mod payload;
mod plan;
mod publisher;
mod report;
mod run;
mod shared;
mod spread;
mod storm;
mod subscriber;
mod topology;
mod traffic;
mod transport;
mod worker;

pub use check::Faults;
pub use histogram::Histogram;
pub use payload::STAMP_BYTES;
pub use plan::{
    Credentials, DURATION_MAXIMUM, Extent, Pace, Plan, PlanError, RATE_MAXIMUM, Scenario, Shape, Trust,
};
pub use report::{Better, Figure, Generator, Latency, Process, Report, Settings};
pub use run::{BenchError, Progress, run};
pub use spread::{Spread, short};
