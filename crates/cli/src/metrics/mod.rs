//! What the server says of itself: to Prometheus, and below `$SYS`.
//!
//! In:    figures of the shards, the log, the listeners and the process.
//! Out:   a page of metrics; retained messages.
//! Never: a shard that waits for whoever looks.

mod process;
mod scrape;
mod sys;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use dunlin_observe::{Endpoint, Format};
use dunlin_runtime::Observer;
use tracing::{error, warn};

use crate::config;
use crate::failure::Failure;
pub(crate) use process::began;
pub(crate) use scrape::{Sources, fill};

/// Bound, and not shown yet.
pub(crate) struct Metrics {
    endpoint: Option<Endpoint>,
    sys_interval: Duration,
}

impl Metrics {
    /// Takes the port, if one is configured.
    ///
    /// # Errors
    /// When it is not to be had.
    pub(crate) fn bind(config: &config::Metrics) -> Result<Self, Failure> {
        let bind = |address| Endpoint::bind(address).map_err(|error| Failure::Metrics { address, error });
        let endpoint = config.listen.map(bind).transpose()?;
        Ok(Self { endpoint, sys_interval: Duration::from_secs(config.sys_interval_seconds.into()) })
    }

    /// Where they are shown.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().and_then(|endpoint| endpoint.address().ok())
    }

    /// Shows them from now on.
    pub(crate) fn show(self, sources: &Sources) {
        if let Some(address) = self.address().filter(|address| !address.ip().is_loopback()) {
            warn!(target: "dunlin::process", %address, "metrics are readable by other machines, without encryption");
        }
        began();
        let page = page(sources);
        let serve = |endpoint: Endpoint| endpoint.serve(page);
        let served = self.endpoint.map(serve).transpose().map(drop);
        let published =
            if self.sys_interval.is_zero() { Ok(()) } else { publish(sources.observer(), self.sys_interval) };
        for error in [served, published].into_iter().filter_map(Result::err) {
            error!(target: "dunlin::process", %error, "no thread for metrics");
        }
    }
}

/// What makes the page of metrics.
pub(crate) fn page(sources: &Sources) -> impl Fn(Format) -> String + Send + Sync + 'static {
    let sources = sources.clone();
    move |format| scrape::page(&sources, format)
}

/// Keeps the topics below `$SYS` up to date until the server has ended.
fn publish(observer: &Observer, interval: Duration) -> std::io::Result<()> {
    let observer = observer.clone();
    let mut topics = sys::Topics::default();
    // The first Client finds them.
    let mut is_there = topics.publish(&observer);
    let work = move || {
        while is_there {
            // Nothing wakes it earlier, and if something did, the topics would only be fresher.
            thread::park_timeout(interval);
            is_there = topics.publish(&observer);
        }
    };
    thread::Builder::new().name("dunlin-sys".to_owned()).spawn(work).map(drop)
}
