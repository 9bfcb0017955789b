//! The flags of `dunlin bench`, and the plan they make.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use dunlin_bench::{Credentials, Extent, Pace, Plan, Scenario, Shape, Trust};
use dunlin_client::{Address, Host, QoS, Tls, Version};
use dunlin_codec::ProtocolVersion;

use super::chart::Theme;
use super::versus::Target;
use crate::tools::{qos, version};

/// Longest time that a flag can ask for, in seconds; the plan has closer bounds.
const SECONDS_MAXIMUM: f64 = 1e9;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// 50 publishers with a topic each, 1 subscriber of all
    FanIn,
    /// 1 publisher, 100 subscribers
    FanOut,
    /// 50 publishers, 50 subscribers, a topic each
    Pairs,
    /// 50 publishers, 10 subscribers that are one shared group
    Shared,
    /// 1000 connections that do nothing
    Idle,
    /// Connect, disconnect, again; 64 at once
    Connect,
    /// 50000 messages for a session whose client is away, and comes back
    Backlog,
    /// 10000 topics, a filter with a wildcard for each, 50 publishers, 10 subscribers
    Wildcards,
}

/// Put a load on a broker, and say what became of every message
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Bench {
    /// What to measure
    #[arg(value_enum, value_name = "SCENARIO")]
    pub(crate) which: Which,
    /// Host of the broker
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost")]
    host: String,
    /// Port; 1883, with TLS 8883
    #[arg(short = 'p', long, value_name = "PORT")]
    port: Option<u16>,
    /// What to call this broker; its address unless said otherwise
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Another broker to compare with, in turn; may be repeated
    #[arg(long, value_name = "NAME=HOST:PORT", value_parser = Target::parse)]
    vs: Vec<Target>,
    /// Rounds; 1, with --vs 3
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Process id of the broker, if it cannot be found by its port on this machine
    #[arg(long, value_name = "PID", conflicts_with = "vs")]
    pid: Option<u32>,

    /// Quality of service: 0, 1 or 2; 0, for a backlog 1
    #[arg(short = 'q', long, value_name = "QOS", value_parser = qos)]
    qos: Option<QoS>,
    /// Bytes of a payload, at least 24
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// The subscribers' sessions outlive their connections; those of a backlog always do
    #[arg(long)]
    persistent: bool,
    /// Connections that publish
    #[arg(long, value_name = "N")]
    publishers: Option<u32>,
    /// Connections that subscribe
    #[arg(long, value_name = "N")]
    subscribers: Option<u32>,
    /// Topics (wildcards)
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    topics: u32,
    /// Connections (idle)
    #[arg(long, value_name = "N", default_value_t = 1000)]
    connections: u32,
    /// Messages a second, all publishers together; connections a second (connect). Without it as many as it can take
    #[arg(short = 'r', long, value_name = "N")]
    rate: Option<f64>,
    /// Messages that a publisher writes in its turn, where there is no rate
    #[arg(long, value_name = "N", default_value_t = 16, conflicts_with = "rate")]
    burst: u32,
    /// Unacknowledged messages of a publisher
    #[arg(short = 'M', long, value_name = "N", default_value = "64")]
    max_inflight: NonZeroU16,
    /// Copies on their way to subscribers at once, where there is no rate
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    outstanding: u64,
    /// Seconds that are measured
    #[arg(short = 't', long, value_name = "SECONDS", default_value_t = 5.0, conflicts_with = "messages")]
    time: f64,
    /// Seconds before anything is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,
    /// End after that many messages instead of after a time
    #[arg(short = 'n', long, value_name = "N")]
    messages: Option<u64>,
    /// Seconds without progress after which what is missing counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    grace: f64,
    /// Threads of the generator; half the processors unless said otherwise
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Handshakes at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    connecting: usize,

    /// Version: 5, 311, mqttv5 or mqttv311
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "5", value_parser = version)]
    protocol_version: Version,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME", allow_hyphen_values = true)]
    username: Option<String>,
    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,
    /// What client identifiers begin with
    #[arg(short = 'I', long, value_name = "PREFIX", default_value = "bench", allow_hyphen_values = true)]
    id_prefix: String,
    /// TLS, trusting the system's authorities
    #[arg(long, visible_alias = "tls-use-os-certs")]
    tls: bool,
    /// TLS, trusting the authorities in this file (PEM)
    #[arg(long, value_name = "FILE")]
    cafile: Vec<PathBuf>,
    /// The clients' certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Take any certificate: whoever answers can read everything
    #[arg(long)]
    insecure: bool,

    /// Everything as JSON on standard output, instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the result: bars, and a curve of the latencies
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Colours of the drawing; auto follows whoever looks at it
    #[arg(long, value_enum, default_value_t = Theme::Auto, requires = "svg")]
    pub(crate) theme: Theme,
    /// No progress, no warnings
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Show this
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Which {
    const fn scenario(self) -> Scenario {
        match self {
            Self::FanIn => Scenario::FanIn,
            Self::FanOut => Scenario::FanOut,
            Self::Pairs => Scenario::Pairs,
            Self::Shared => Scenario::Shared,
            Self::Idle => Scenario::Idle,
            Self::Connect => Scenario::Connect,
            Self::Backlog => Scenario::Backlog,
            Self::Wildcards => Scenario::Wildcards,
        }
    }

    /// Publishers and subscribers unless said otherwise; the help text has the same numbers.
    const fn shape(self) -> (u32, u32) {
        match self {
            Self::FanIn => (50, 1),
            Self::FanOut => (1, 100),
            Self::Pairs => (50, 50),
            Self::Shared | Self::Wildcards => (50, 10),
            Self::Backlog => (10, 1),
            Self::Idle | Self::Connect => (1, 1),
        }
    }
}

/// Messages of a backlog unless said otherwise; the help text has the same number.
const BACKLOG: u64 = 50_000;

fn time(flag: &str, seconds: f64) -> Result<Duration, String> {
    if !(0.0..=SECONDS_MAXIMUM).contains(&seconds) {
        return Err(format!("{flag}: {seconds} is no time in seconds"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl Bench {
    /// The brokers, the one of -h and -p first.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let encrypted = self.tls || !self.cafile.is_empty() || self.cert.is_some() || self.insecure;
        let port = self.port.unwrap_or(if encrypted { 8883 } else { 1883 });
        let host = Host { name: self.host.clone(), port, encrypted };
        let name = self.name.clone().unwrap_or_else(|| Address::Tcp(host.clone()).to_string());
        let mut targets = vec![Target { name, host }];
        targets.extend(self.vs.iter().cloned());
        targets
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.vs.is_empty() { 1 } else { 3 })
    }

    fn shape(&self) -> Shape {
        let (publishers, subscribers) = self.which.shape();
        let pairs = self.publishers.or(self.subscribers);
        let (publishers, subscribers) = if self.which == Which::Pairs {
            pairs.map_or((publishers, subscribers), |n| (n, n))
        } else {
            (publishers, subscribers)
        };
        Shape {
            publishers: self.publishers.unwrap_or(publishers),
            subscribers: self.subscribers.unwrap_or(subscribers),
            topics: self.topics,
            connections: self.connections,
        }
    }

    fn extent(&self) -> Result<Extent, String> {
        let messages = self.messages.or((self.which == Which::Backlog).then_some(BACKLOG));
        Ok(match messages {
            Some(messages) => Extent::Messages(messages),
            None => Extent::Time {
                warm_up: time("--warm-up", self.warm_up)?,
                duration: time("--time", self.time)?,
            },
        })
    }

    /// How to trust a broker, where it is reached by TLS.
    fn trust(&self, host: &Host) -> Result<Option<Trust>, String> {
        if !host.encrypted {
            return Ok(None);
        }
        let tls = Tls {
            authorities: self.cafile.clone(),
            identity: self.cert.clone().zip(self.key.clone()),
            server_name: None,
            insecure: self.insecure,
        };
        let config = tls.load().map_err(|error| error.to_string())?;
        let name = tls.name(&host.name).map_err(|error| error.to_string())?;
        Ok(Some(Trust { config, name }))
    }

    /// What one broker is asked; what is left to say is the run's number and the broker's address.
    ///
    /// # Errors
    /// A flag that cannot be used, in words.
    pub(crate) fn plan(&self, target: &Target) -> Result<Plan, String> {
        let qos =
            self.qos.unwrap_or(if self.which == Which::Backlog { QoS::AtLeastOnce } else { QoS::AtMostOnce });
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Plan {
            run: 0,
            scenario: self.which.scenario(),
            address: target.resolve()?,
            trust: self.trust(&target.host)?,
            version: match self.protocol_version {
                Version::V5 => ProtocolVersion::V5,
                Version::V311 => ProtocolVersion::V311,
            },
            credentials: Credentials {
                user_name: self.username.clone(),
                password: self.password.clone().map(String::into_bytes),
            },
            client_prefix: self.id_prefix.clone(),
            qos,
            persistent: self.persistent || self.which == Which::Backlog,
            payload: self.size,
            shape: self.shape(),
            window: self.max_inflight.get(),
            outstanding: self.outstanding,
            pace: match self.rate {
                Some(per_second) => Pace::Open { per_second },
                None => Pace::Closed { burst: self.burst },
            },
            extent: self.extent()?,
            grace: time("--grace", self.grace)?,
            threads: self.threads.unwrap_or((processors / 2).max(1)),
            connecting: self.connecting,
            pid: self.pid,
        })
    }
}
