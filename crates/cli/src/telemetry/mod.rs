//! OpenTelemetry: spans of messages and the metrics, sent to a collector.
//!
//! In:    spans of all shards; the samples of the catalogue.
//! Out:   OTLP over HTTP, in JSON, from a thread of its own.
//! Never: makes a shard wait; keeps more than a bound while the collector is away; a span that is lost and not counted.

mod describe;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dunlin_engine::{SpanRules, Time};
use dunlin_observe::Wall;
use dunlin_observe::otlp::{Points, Resource, Span, traces};
use dunlin_runtime::Observer;
use dunlin_security::identity::http::{Client, ClientSettings};
use tracing::{error, warn};

use crate::config::{self, Part};
use crate::failure::Failure;
use crate::metrics::Sources;

/// How often spans are fetched from the shards.
const EVERY: Duration = Duration::from_secs(1);
/// Spans of one request.
const BATCH: usize = 512;
/// Spans that wait while the collector is away: some 30 MiB.
const WAITING_MAXIMUM: usize = 32 * 1024;
/// A shard answers between two events.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until the next attempt, doubled each time, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// For a request with its answer.
const REQUEST: Duration = Duration::from_secs(10);

/// What became of spans; since the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// Sends to one collector.
struct Exporter {
    observer: Observer,
    sources: Sources,
    resource: Resource,
    traces: Client,
    metrics: Option<(Client, Duration)>,
    authorization: Option<String>,
    tally: Arc<Tally>,
    waiting: VecDeque<Span>,
    /// After a failure: when to try again, and how long to wait after the next one.
    pause: Option<(Instant, Duration)>,
    metrics_sent: Instant,
    clock: Wall,
}

/// Follows messages from now on, and sends what is found, until the server has ended.
///
/// # Errors
/// Where the collector's URL or the file with its credentials cannot be used.
pub(crate) fn start(config: &config::OpenTelemetry, sources: Sources) -> Result<(), Failure> {
    let Some(endpoint) = &config.endpoint else { return Ok(()) };
    if !Part::OpenTelemetry.is_built() {
        // The check of the configuration has refused it.
        return Err(Failure::Telemetry(Part::OpenTelemetry.lack().to_owned()));
    }
    if endpoint.starts_with("http://") {
        warn!(target: "dunlin::process", endpoint, "spans and metrics go to the collector without encryption");
    }
    let settings = ClientSettings {
        timeout: REQUEST,
        insecure: true,
        body_maximum: 1 << 20,
        ..ClientSettings::default()
    };
    let client = |path: &str| {
        let url = format!("{}/v1/{path}", endpoint.trim_end_matches('/'));
        Client::new(&url, &settings).map_err(|error| Failure::Telemetry(error.to_string()))
    };
    let interval = Duration::from_secs(config.metrics_interval_seconds.into());
    let metrics = if interval.is_zero() { None } else { Some((client("metrics")?, interval)) };
    let authorization = config.authorization_file.as_deref().map(first_line).transpose()?;
    let tally = Arc::clone(&sources.telemetry);
    let observer = sources.observer().clone();
    let exporter = Exporter {
        observer: observer.clone(),
        sources,
        resource: resource(),
        traces: client("traces")?,
        metrics,
        authorization,
        tally,
        waiting: VecDeque::new(),
        pause: None,
        metrics_sent: Instant::now(),
        clock: Wall::default(),
    };
    let rules = SpanRules { ratio: f64::from(config.sampled_per_million) / 1e6 };
    for shard in 0..observer.shards() {
        drop(observer.visit(shard, move |engine, _, _| engine.follow(Some(rules))));
    }
    let spawned = thread::Builder::new().name("dunlin-otlp".to_owned()).spawn(move || exporter.run());
    if let Err(error) = spawned {
        error!(target: "dunlin::process", %error, "no thread for OpenTelemetry");
    }
    Ok(())
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::read(path, error))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn resource() -> Resource {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Resource {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: format!("{:x}-{now:x}", std::process::id()),
    }
}

impl Exporter {
    fn run(mut self) {
        while self.fetch() {
            self.send();
            self.send_metrics();
            thread::park_timeout(EVERY);
        }
        // The last words.
        self.send();
    }

    /// Takes what the shards have. False when the server has ended.
    fn fetch(&mut self) -> bool {
        let shards = self.observer.shards();
        for shard in 0..shards {
            let answer =
                self.observer.visit(shard, |engine, now, _| (now, SystemTime::now(), engine.spans()));
            let Ok((now, wall, (spans, lost))) = answer.recv_timeout(PATIENCE) else { continue };
            self.clock.look(now.as_micros(), wall);
            let clock = self.clock;
            let nanos = |at: Time| clock.micros(at.as_micros()).saturating_mul(1000);
            self.tally.dropped.fetch_add(lost, Ordering::Relaxed);
            for span in spans {
                if self.waiting.len() >= WAITING_MAXIMUM {
                    self.waiting.pop_front();
                    self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                }
                self.waiting.push_back(describe::span(span, shard, nanos));
            }
        }
        shards > 0
    }

    fn send(&mut self) {
        while !self.waiting.is_empty() && self.may_try() {
            let count = self.waiting.len().min(BATCH);
            let batch: Vec<_> = self.waiting.drain(..count).collect();
            match self.post(&self.traces, &traces(&self.resource, &batch)) {
                Posted::Taken => {
                    self.pause = None;
                    self.tally.sent.fetch_add(count as u64, Ordering::Relaxed);
                }
                Posted::Refused(status) => {
                    warn!(target: "dunlin::process", status, "the collector refuses spans; they are dropped");
                    self.tally.dropped.fetch_add(count as u64, Ordering::Relaxed);
                }
                Posted::Failed(error) => {
                    batch.into_iter().rev().for_each(|span| self.waiting.push_front(span));
                    self.failed(&error);
                }
            }
        }
    }

    fn send_metrics(&mut self) {
        let Some((client, interval)) = &self.metrics else { return };
        if self.metrics_sent.elapsed() < *interval || !self.may_try() {
            return;
        }
        self.metrics_sent = Instant::now();
        let nanos = |at: SystemTime| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        };
        let mut points = Points::new(nanos(crate::metrics::began()), nanos(SystemTime::now()));
        crate::metrics::fill(&self.sources, &mut points);
        // Those that follow are as good: cumulative.
        if let Posted::Failed(error) = self.post(client, &points.finish(&self.resource)) {
            self.failed(&error);
        }
    }

    fn may_try(&self) -> bool {
        self.pause.is_none_or(|(until, _)| Instant::now() >= until)
    }

    fn failed(&mut self, error: &str) {
        let (least, most) = RETRY;
        let wait = self.pause.map_or(least, |(_, next)| next);
        if self.pause.is_none() {
            warn!(target: "dunlin::process", error, "the collector cannot be reached; spans wait, as far as there is room");
        }
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        self.pause = Some((Instant::now() + wait, (wait * 2).min(most)));
    }

    fn post(&self, client: &Client, body: &[u8]) -> Posted {
        match client.post(body, self.authorization.as_deref()) {
            Ok(200..=299) => Posted::Taken,
            // What the specification has clients try again.
            Ok(status @ (429 | 502..=504)) => Posted::Failed(format!("status {status}")),
            Ok(status) => Posted::Refused(status),
            Err(error) => Posted::Failed(error.to_string()),
        }
    }
}

/// What became of a request.
enum Posted {
    Taken,
    Refused(u16),
    Failed(String),
}
