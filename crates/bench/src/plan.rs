//! What is to be measured, and whether that can be done at all.
//!
//! In:    what somebody asked for.
//! Out:   the same, checked: [`Plan::check`] names the value and the limit it exceeds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{ProtocolVersion, QoS};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::payload::STAMP_BYTES;

/// Most messages a second of an open loop; no machine sends more through one broker.
pub const RATE_MAXIMUM: f64 = 100_000_000.0;
/// Longest measurement.
pub const DURATION_MAXIMUM: Duration = Duration::from_secs(24 * 3600);
/// Files that the process needs beside its connections.
const OTHER_FILES: u64 = 64;
/// Most connections, topics and threads: what fits into tokens and memory with room to spare.
const CONNECTIONS_MAXIMUM: u64 = 1_000_000;
const TOPICS_MAXIMUM: u64 = 10_000_000;
const THREADS_MAXIMUM: u64 = 256;
/// Longest payload; larger ones measure memory bandwidth, and every publisher holds one.
const PAYLOAD_MAXIMUM: u64 = 16 << 20;
/// Most copies on their way at once, and messages of a run.
const OUTSTANDING_MAXIMUM: u64 = 1 << 32;
const MESSAGES_MAXIMUM: u64 = 1 << 40;
/// Most streams that all subscribers together keep account of, at about 60 bytes each.
const ACCOUNTS_MAXIMUM: u64 = 20_000_000;

/// Which question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Many publishers, a topic each; few subscribers of all.
    FanIn,
    /// Few publishers; many subscribers of all.
    FanOut,
    /// As many publishers as subscribers, one topic a pair.
    Pairs,
    /// Many publishers; the subscribers are one shared group.
    Shared,
    /// Connections that do nothing.
    Idle,
    /// Connect, disconnect, again.
    Connect,
    /// Messages for sessions whose clients are away, then the clients come back.
    Backlog,
    /// Many topics, and a filter with a wildcard for each.
    Wildcards,
}

/// Who takes part.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Connections that publish.
    pub publishers: u32,
    /// Connections that subscribe.
    pub subscribers: u32,
    /// Topics ([`Scenario::Wildcards`] only; elsewhere each publisher has one).
    pub topics: u32,
    /// Connections ([`Scenario::Idle`] only).
    pub connections: u32,
}

/// What sets the pace.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as windows allow; a publisher writes up to `burst` messages in its turn.
    Closed {
        /// Messages of a turn.
        burst: u32,
    },
    /// A fixed rate of all publishers together. A latency counts from when a message was due, so that one stall counts
    /// for everything that it held up.
    Open {
        /// Messages (connections, with [`Scenario::Connect`]) a second.
        per_second: f64,
    },
}

/// When it is over.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// After a time.
    Time {
        /// Before anything is measured.
        warm_up: Duration,
        /// What is measured.
        duration: Duration,
    },
    /// After that many messages; all of them are measured, until the last has arrived.
    Messages(u64),
}

/// Who one is to the broker.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// User name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
}

/// How to trust the broker.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Authorities, own certificate.
    pub config: Arc<ClientConfig>,
    /// Whom the certificate must name.
    pub name: ServerName<'static>,
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Tells this run's topics, client identifiers and messages from those of others: random.
    pub run: u32,
    /// Which question.
    pub scenario: Scenario,
    /// Where the broker listens.
    pub address: SocketAddr,
    /// TLS, where it is asked for.
    pub trust: Option<Trust>,
    /// Of MQTT.
    pub version: ProtocolVersion,
    /// User name and password.
    pub credentials: Credentials,
    /// What client identifiers begin with.
    pub client_prefix: String,
    /// Of publications and subscriptions.
    pub qos: QoS,
    /// The subscribers' Sessions outlive their connections.
    pub persistent: bool,
    /// Bytes of a payload, [`STAMP_BYTES`] at least.
    pub payload: usize,
    /// Who takes part.
    pub shape: Shape,
    /// Unacknowledged messages of a publisher.
    pub window: u16,
    /// Copies on their way to subscribers at once (closed loop).
    pub outstanding: u64,
    /// What sets the pace.
    pub pace: Pace,
    /// When it is over.
    pub extent: Extent,
    /// How long without progress until what is missing counts as lost.
    pub grace: Duration,
    /// Threads that share the connections.
    pub threads: usize,
    /// Handshakes at once.
    pub connecting: usize,
    /// The broker's process, if it is known; otherwise it is looked for by its port, if it is on this machine.
    pub pid: Option<u32>,
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A number out of its bounds.
    #[error("{what} is {value}, allowed are {minimum} to {maximum}")]
    Range {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: u64,
        /// The least that is allowed.
        minimum: u64,
        /// The most that is allowed.
        maximum: u64,
    },
    /// A rate that is no rate.
    #[error("rate is {0} a second, allowed is more than 0 and up to {RATE_MAXIMUM}")]
    Rate(f64),
    /// Each connection is a file.
    #[error(
        "{connections} connections need {needed} files, and this process may open {limit} (RLIMIT_NOFILE; see `ulimit -n`)"
    )]
    Files {
        /// Connections asked for.
        connections: u64,
        /// Files needed for them.
        needed: u64,
        /// Files allowed.
        limit: u64,
    },
    /// Nothing is kept at QoS 0.
    #[error("backlog is about messages that the broker keeps: it needs QoS 1 or 2, not 0")]
    BacklogQoS,
    /// Three scenarios know no messages, or their number is the point.
    #[error("{0}")]
    Contradiction(&'static str),
}

fn within(what: &'static str, value: u64, minimum: u64, maximum: u64) -> Result<(), PlanError> {
    if (minimum..=maximum).contains(&value) {
        return Ok(());
    }
    Err(PlanError::Range { what, value, minimum, maximum })
}

impl Plan {
    /// Checks every bound, and lets the process open as many files as it may.
    ///
    /// # Errors
    /// The first bound that is exceeded.
    pub fn check(&self) -> Result<(), PlanError> {
        let Shape { publishers, subscribers, topics, connections } = self.shape;
        within("publishers", publishers.into(), 1, CONNECTIONS_MAXIMUM)?;
        within("subscribers", subscribers.into(), 1, CONNECTIONS_MAXIMUM)?;
        within("connections", connections.into(), 1, CONNECTIONS_MAXIMUM)?;
        within("topics", topics.into(), 1, TOPICS_MAXIMUM)?;
        within("size of the payload", self.payload as u64, STAMP_BYTES as u64, PAYLOAD_MAXIMUM)?;
        within("window", self.window.into(), 1, u16::MAX.into())?;
        within("outstanding copies", self.outstanding, 1, OUTSTANDING_MAXIMUM)?;
        within("threads", self.threads as u64, 1, THREADS_MAXIMUM)?;
        within("handshakes at once", self.connecting as u64, 1, CONNECTIONS_MAXIMUM)?;
        within("grace in seconds", self.grace.as_secs(), 0, 3600)?;
        self.check_pace()?;
        self.check_scenario()?;
        self.check_files()
    }

    fn check_pace(&self) -> Result<(), PlanError> {
        match self.pace {
            Pace::Closed { burst } => within("burst", burst.into(), 1, 65_536)?,
            Pace::Open { per_second } if per_second > 0.0 && per_second <= RATE_MAXIMUM => {}
            Pace::Open { per_second } => return Err(PlanError::Rate(per_second)),
        }
        match self.extent {
            Extent::Messages(messages) => within("messages", messages, 1, MESSAGES_MAXIMUM),
            Extent::Time { warm_up, duration } => {
                let longest = DURATION_MAXIMUM.as_secs();
                within("warm-up in seconds", warm_up.as_secs(), 0, longest)?;
                within("duration in milliseconds", millis(duration), 10, longest * 1000)
            }
        }
    }

    fn check_scenario(&self) -> Result<(), PlanError> {
        let each = if matches!(self.scenario, Scenario::Pairs | Scenario::Wildcards) {
            1
        } else {
            u64::from(self.shape.subscribers)
        };
        within("publishers times subscribers", u64::from(self.streams()) * each, 0, ACCOUNTS_MAXIMUM)?;
        let has_time = matches!(self.extent, Extent::Time { .. });
        match self.scenario {
            Scenario::Backlog if self.qos == QoS::AtMostOnce => Err(PlanError::BacklogQoS),
            Scenario::Backlog if has_time => {
                Err(PlanError::Contradiction("backlog ends after a number of messages, not after a time"))
            }
            Scenario::Backlog if matches!(self.pace, Pace::Open { .. }) => {
                Err(PlanError::Contradiction("backlog measures how fast it goes: it has no fixed rate"))
            }
            Scenario::Idle | Scenario::Connect if !has_time => {
                Err(PlanError::Contradiction("no messages are sent here: it ends after a time"))
            }
            Scenario::Pairs if self.shape.publishers != self.shape.subscribers => {
                Err(PlanError::Contradiction("pairs have as many publishers as subscribers"))
            }
            Scenario::Wildcards if self.shape.topics < self.shape.subscribers.max(self.shape.publishers) => {
                Err(PlanError::Contradiction("wildcards need a topic for each publisher and each subscriber"))
            }
            _ => Ok(()),
        }
    }

    /// Topics, each of one publisher.
    pub(crate) const fn streams(&self) -> u32 {
        match self.scenario {
            Scenario::Wildcards => self.shape.topics,
            Scenario::Idle | Scenario::Connect => 0,
            _ => self.shape.publishers,
        }
    }

    /// Sockets open at once.
    pub(crate) fn connections(&self) -> u64 {
        match self.scenario {
            Scenario::Idle => self.shape.connections.into(),
            Scenario::Connect => self.connecting as u64,
            Scenario::Backlog => self.shape.publishers.max(self.shape.subscribers).into(),
            _ => u64::from(self.shape.publishers) + u64::from(self.shape.subscribers),
        }
    }

    fn check_files(&self) -> Result<(), PlanError> {
        let connections = self.connections();
        within("connections", connections, 1, CONNECTIONS_MAXIMUM)?;
        let needed = connections + OTHER_FILES;
        let files = getrlimit(Resource::Nofile);
        if files.current.is_none_or(|limit| needed <= limit) {
            return Ok(());
        }
        // The soft limit is for programs that use select(2).
        let raised = Rlimit { current: files.maximum, maximum: files.maximum };
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => files.maximum,
            Err(_) => files.current,
        };
        match limit {
            Some(limit) if needed > limit => Err(PlanError::Files { connections, needed, limit }),
            _ => Ok(()),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Scenario {
    /// As the command line and the reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FanIn => "fan-in",
            Self::FanOut => "fan-out",
            Self::Pairs => "pairs",
            Self::Shared => "shared",
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Backlog => "backlog",
            Self::Wildcards => "wildcards",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan that is fine.
    pub(crate) fn plan(scenario: Scenario) -> Plan {
        Plan {
            run: 7,
            scenario,
            address: SocketAddr::from(([127, 0, 0, 1], 1883)),
            trust: None,
            version: ProtocolVersion::V311,
            credentials: Credentials::default(),
            client_prefix: "bench".to_owned(),
            qos: QoS::AtLeastOnce,
            persistent: false,
            payload: 64,
            shape: Shape { publishers: 4, subscribers: 4, topics: 10, connections: 4 },
            window: 64,
            outstanding: 1000,
            pace: Pace::Closed { burst: 16 },
            extent: Extent::Time { warm_up: Duration::ZERO, duration: Duration::from_secs(1) },
            grace: Duration::from_secs(1),
            threads: 1,
            connecting: 64,
            pid: None,
        }
    }

    #[test]
    fn a_plan_within_bounds_is_taken() {
        assert!(plan(Scenario::FanIn).check().is_ok());
    }

    #[test]
    fn a_bound_names_the_value_and_the_limit() {
        let says = |plan: Plan, expected: &str| {
            let said = plan.check().map_err(|error| error.to_string());
            assert!(said.as_ref().is_err_and(|said| said.starts_with(expected)), "{said:?}");
        };
        says(
            Plan { payload: 23, ..plan(Scenario::FanIn) },
            "size of the payload is 23, allowed are 24 to 16777216",
        );
        says(Plan { window: 0, ..plan(Scenario::FanIn) }, "window is 0, allowed are 1 to 65535");
        says(Plan { pace: Pace::Open { per_second: f64::NAN }, ..plan(Scenario::FanIn) }, "rate is NaN");
        says(Plan { pace: Pace::Open { per_second: 0.0 }, ..plan(Scenario::FanIn) }, "rate is 0 a second");
        says(plan(Scenario::Backlog), "backlog ends after a number of messages");
        says(Plan { qos: QoS::AtMostOnce, ..plan(Scenario::Backlog) }, "backlog is about messages");
        let mut many = plan(Scenario::Idle);
        many.shape.connections = 1_000_000;
        if getrlimit(Resource::Nofile).maximum.is_some_and(|limit| limit < 1_000_064) {
            says(many, "1000000 connections need 1000064 files, and this process may open ");
        }
    }
}
