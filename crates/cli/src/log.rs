//! The log: lines on standard error, with a level for each area that changes while the process runs.

mod outlet;

use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{DefaultFields, Format as Lines, Full};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Area, Format, Level, Log};
use outlet::Outlet;

/// For what has been logged when the process ends: a reader that takes nothing for a second takes nothing at all.
const DRAIN_TIME: Duration = Duration::from_secs(1);

static OUTLET: Outlet = Outlet::new();

/// The levels of the running log.
#[derive(Debug)]
pub(crate) struct Levels(reload::Handle<Targets, Registry>);

/// Starts the log of this process.
///
/// # Errors
/// When there is no thread left to write it.
pub(crate) fn start(log: &Log) -> io::Result<Levels> {
    OUTLET.start()?;
    let (filter, levels) = reload::Layer::new(targets(log));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        Format::Text => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(lines().with_ansi(colours)).try_init()
        }
        Format::Json => {
            let objects = lines().json().flatten_event(true);
            registry.with(objects.with_current_span(false).with_span_list(false)).try_init()
        }
    };
    // A process starts one log; where a test has started another, that one stays.
    drop(started);
    Ok(Levels(levels))
}

/// Waits a second at most until what was logged is written; is it? Where it is not, nobody reads standard error, and
/// whoever writes there waits for ever.
pub(crate) fn finish() -> bool {
    OUTLET.drain(DRAIN_TIME)
}

fn lines<S>() -> fmt::Layer<S, DefaultFields, Lines<Full>, &'static Outlet> {
    // A line that cannot be written is lost: saying so on the same broken pipe would panic.
    fmt::layer().with_writer(&OUTLET).log_internal_errors(false)
}

impl Levels {
    /// Takes the levels of a new configuration; its format holds from the next start.
    pub(crate) fn change(&self, log: &Log) {
        // Fails only when the log is gone, and the log lives as long as the process.
        drop(self.0.reload(targets(log)));
    }
}

/// The level of every target: ours as configured; of the libraries only what is wrong.
fn targets(log: &Log) -> Targets {
    let ours = filter(log.level);
    let areas = log.areas.iter().map(|(area, level)| (target(*area), filter(*level)));
    Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target("dunlin", ours).with_targets(areas)
}

const fn target(area: Area) -> &'static str {
    match area {
        Area::Process => "dunlin::process",
        Area::Listener => "dunlin::listener",
        Area::Connection => "dunlin::connection",
        Area::Protocol => "dunlin::protocol",
        Area::Session => "dunlin::session",
        Area::Journal => "dunlin::journal",
        Area::Authentication => "dunlin::authentication",
        Area::Access => "dunlin::access",
        Area::Log => "dunlin::log",
    }
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tracing::Level as Verbosity;

    fn log(text: &str) -> Targets {
        targets(&Config::parse(text).unwrap().log)
    }

    #[test]
    fn an_area_has_its_own_level_and_the_others_the_general_one() {
        let targets = log("[log]\nlevel = \"warn\"\nareas = { connection = \"debug\", log = \"off\" }");
        assert!(targets.would_enable("dunlin::connection", &Verbosity::DEBUG));
        assert!(!targets.would_enable("dunlin::connection", &Verbosity::TRACE));
        assert!(targets.would_enable("dunlin::session", &Verbosity::WARN));
        assert!(!targets.would_enable("dunlin::session", &Verbosity::INFO));
        assert!(!targets.would_enable("dunlin::log", &Verbosity::ERROR));
    }

    #[test]
    fn libraries_are_heard_when_something_is_wrong() {
        let targets = log("[log]\nlevel = \"trace\"");
        assert!(targets.would_enable("mio::poll", &Verbosity::WARN));
        assert!(!targets.would_enable("mio::poll", &Verbosity::TRACE));
        assert!(targets.would_enable("dunlin_runtime::shard", &Verbosity::TRACE));
        assert!(!log("log.level = \"off\"").would_enable("mio::poll", &Verbosity::ERROR));
    }
}
