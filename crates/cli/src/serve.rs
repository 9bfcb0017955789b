//! `dunlin serve`: from the command line and the file to a running server, and its end.
//!
//! In:    arguments, the configuration file, signals.
//! Out:   a server; lines on standard output that say where it listens and when it accepts.
//! Never: anonymous access from other machines.

use std::path::Path;
use std::process;
use std::sync::Arc;
use std::thread;

use dunlin_engine::{ListenerRules, Settings};
use dunlin_runtime::{Server, ServerOptions, StartError, Summary};
use dunlin_store::Journal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};

use crate::api::{Api, Doorman, Process};
use crate::args;
use crate::certificates::Certificates;
use crate::config::{self, Config, ConfigError};
use crate::counters;
use crate::failure::Failure;
use crate::file_limit;
use crate::listeners::{Listeners, Reach};
use crate::log::{self, Levels};
use crate::metrics::{Metrics, Sources};
use crate::notify::Notify;
use crate::quic::{self, QuicThread};
use crate::say;
use crate::start::{Doorplate, Entrance, Secured};
use crate::storage;
use crate::telemetry;

/// Runs until a signal ends it.
///
/// # Errors
/// When it cannot start, and when a shard fails.
pub(crate) fn run(arguments: args::Serve) -> Result<(), Failure> {
    let config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    let listeners = Listeners::wanted(&arguments.listen, &config)?;
    let levels = log::start(&config.log).map_err(|error| Failure::Start(StartError::Io(error)))?;
    let data = arguments.data.clone().or_else(|| config.storage.data.clone());
    let (mut listeners, secured) = resolve(&listeners, data.as_deref(), arguments.dev)?;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1]).map_err(Failure::Signals)?;
    let notify = Notify::from_environment();
    warn_of_files(&config);

    let shards = arguments.shards.unwrap_or(config.shards);
    let directory = secured.as_ref().map(|secured| secured.directory.as_path()).or(data.as_deref());
    let settings = config.settings(listeners.rules());
    let doors = listeners.doors();
    let entrance = directory.filter(|_| !arguments.dev);
    let entrance =
        entrance.map(|directory| Entrance::open(directory, &doors, &config)).transpose()?.map(Arc::new);
    let store = directory.map(|directory| storage::open(directory, &config, settings.syncs())).transpose()?;
    let metrics = Metrics::bind(&config.metrics)?;
    let api = Api::bind(&config.api, directory, arguments.dev)?;
    let journal = store.clone().map(|store| store as Arc<dyn Journal>);
    let server = begin(&listeners, shards, settings, entrance.as_ref(), journal)?;
    server.limit_newcomers(config.admission.limits());
    if let Some(entrance) = &entrance {
        entrance.watch(server.reviewer());
    }
    let quic = listeners.take_quic().start(&server).map_err(|error| Failure::Start(StartError::Io(error)))?;
    let urls = say_where(listeners.bound(server.places()), &metrics, &api);
    let mut certificates = listeners.certificates().clone();
    api.add_to(&mut certificates);
    let sources = Sources::new(&server.observer(), store.as_ref(), listeners.certificates());
    let process = Process::of(&config, &listeners, &urls, &sources, store.as_ref(), entrance.as_ref());
    let doorman = doorman(directory, entrance.as_ref())?;
    let api = api.serve(server.observer(), doorman, process, directory)?;
    metrics.show(&sources);
    telemetry::start(&config.opentelemetry, sources)?;
    // The log is closed when the server has ended.
    drop(store);
    say::line("dunlin: accepting connections\n");
    if let Some(secured) = secured {
        secured.keep();
        secured.welcome(&urls).iter().for_each(|text| say::line(text));
    }
    notify.ready();
    info!(target: "dunlin::process", version = env!("CARGO_PKG_VERSION"), "accepting connections");

    #[cfg(feature = "simulated")]
    crate::simulated::start(&server, arguments.simulate);
    certificates.watch();
    let mut running = Running {
        arguments,
        started: config,
        levels,
        server,
        notify,
        certificates,
        rules: listeners.rules(),
        entrance,
        doors,
        quic,
    };
    running.until_the_end(&mut signals);
    api.end();
    running.end(signals)
}

/// Who knows those who may use the API; where nobody has to say who it is, it lets everybody of this machine in.
fn doorman(directory: Option<&Path>, entrance: Option<&Arc<Entrance>>) -> Result<Doorman, Failure> {
    let known = directory.zip(entrance.cloned());
    let known = known.map(|(directory, entrance)| Doorman::of(directory, move || entrance.users()));
    known.unwrap_or_else(|| Ok(Doorman::open()))
}

fn begin(
    listeners: &Listeners,
    shards: u16,
    settings: Settings,
    entrance: Option<&Arc<Entrance>>,
    journal: Option<Arc<dyn Journal>>,
) -> Result<Server, Failure> {
    let options = ServerOptions {
        listeners: listeners.options(),
        shards: (shards > 0).then_some(usize::from(shards)),
        settings: Arc::new(settings),
        seed: None,
        authentication: entrance.map(Entrance::authentication),
        on_failure: end_by_signal,
        journal,
    };
    Server::start(options).map_err(|error| listeners.failure(error))
}

/// Who may reach the listeners, and what they need for that.
fn resolve(
    listeners: &[config::Listener],
    data: Option<&Path>,
    dev: bool,
) -> Result<(Listeners, Option<Secured>), Failure> {
    if dev {
        return Ok((Listeners::resolve(listeners, Reach::Loopback)?, None));
    }
    let secured = Secured::prepare(data.map(Path::to_owned), listeners)?;
    Ok((Listeners::resolve(&secured.listeners, Reach::Everybody)?, Some(secured)))
}

/// What whoever started it needs to know, and programs wait for.
fn say_where(bound: impl Iterator<Item = String>, metrics: &Metrics, api: &Api) -> Vec<String> {
    let urls: Vec<_> = bound.collect();
    for url in &urls {
        say::line(&format!("dunlin: listening on {url}\n"));
    }
    if let Some(address) = metrics.address() {
        say::line(&format!("dunlin: metrics on http://{address}/metrics\n"));
    }
    if let Some(url) = api.url() {
        say::line(&format!("dunlin: API on {url}\n"));
    }
    urls
}

/// A shard has failed: the main thread, which waits for signals, gets one and finds out.
fn end_by_signal() {
    // It can fail only for signals that do not exist.
    let _ = signal_hook::low_level::raise(SIGTERM);
}

struct Running {
    arguments: args::Serve,
    /// What it was started with: the keys that need a restart are as here.
    started: Config,
    levels: Levels,
    server: Server,
    notify: Notify,
    certificates: Certificates,
    /// Of the listeners, which need a restart.
    rules: Vec<ListenerRules>,
    /// Where clients show who they are.
    entrance: Option<Arc<Entrance>>,
    /// Of the listeners, as they were asked for at the start.
    doors: Vec<Doorplate>,
    /// Serves QUIC while it is there.
    quic: QuicThread,
}

impl Running {
    fn until_the_end(&mut self, signals: &mut Signals) {
        for signal in signals.forever() {
            match signal {
                SIGHUP => self.reload(),
                SIGUSR1 => counters::report(&self.server.counters(), &self.server.traffic()),
                _ => {
                    info!(target: "dunlin::process", signal = name_of(signal), "ending");
                    return;
                }
            }
        }
    }

    fn end(self, signals: Signals) -> Result<(), Failure> {
        self.notify.stopping();
        self.server.shut_down();
        end_at_once_on_signal(signals);
        let summary = self.server.wait();
        // After the shards, whose last words it carries.
        quic::end(self.quic);
        let Summary { counters, traffic } = summary?;
        counters::report(&counters, &traffic);
        info!(target: "dunlin::process", "ended");
        Ok(())
    }

    fn reload(&self) {
        self.certificates.reload();
        let Some(path) = &self.arguments.config else {
            match &self.entrance {
                Some(entrance) => {
                    entrance.reload(&self.started, &self.doors);
                    info!(target: "dunlin::process", "users and rules read again; no configuration file was named at the start");
                }
                None => {
                    warn!(target: "dunlin::process", "nothing to reload: no configuration file was named at the start");
                }
            }
            return;
        };
        self.notify.reloading();
        match Config::read(path) {
            Ok(config) => self.apply(path, &config),
            Err(error) => log_refusal(&error),
        }
        self.notify.ready();
    }

    fn apply(&self, path: &Path, config: &Config) {
        for key in self.keys_that_wait(config) {
            warn!(target: "dunlin::process", key, "a change of this key needs a restart");
        }
        warn_of_files(config);
        self.levels.change(&config.log);
        self.server.limit_newcomers(config.admission.limits());
        // The log was opened for what was configured then.
        let durability = self.started.settings(Vec::new()).durability;
        let settings = Settings { durability, ..config.settings(self.rules.clone()) };
        self.server.reconfigure(Arc::new(settings));
        if let Some(entrance) = &self.entrance {
            entrance.reload(config, &self.doors(config));
        }
        info!(target: "dunlin::process", file = %path.display(), "configuration reloaded");
    }

    /// The listeners of the start, each with what its clients are let in by now. Where the file has others, they need a restart.
    fn doors(&self, config: &Config) -> Vec<Doorplate> {
        let mut doors = self.doors.clone();
        if self.arguments.listen.is_empty() && config.listener.len() == self.started.listener.len() {
            for door in &mut doors {
                let now =
                    config.listener.get(door.index).and_then(|listener| listener.authentication.clone());
                door.listener.authentication = now;
            }
        }
        doors
    }

    /// What differs from the start, has no effect before the next one, and is not overruled by the command line.
    fn keys_that_wait(&self, config: &Config) -> impl Iterator<Item = &'static str> {
        let started = &self.started;
        [
            ("shards", self.arguments.shards.is_none() && config.shards != started.shards),
            ("listener", self.arguments.listen.is_empty() && listeners(config) != listeners(started)),
            ("storage", config.storage != started.storage),
            ("metrics", config.metrics != started.metrics),
            ("opentelemetry", config.opentelemetry != started.opentelemetry),
            ("api", config.api != started.api),
            ("log.format", config.log.format != started.log.format),
            (
                "limits.explain_bytes_maximum",
                config.limits.explain_bytes_maximum != started.limits.explain_bytes_maximum,
            ),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
    }
}

/// The listeners without what a reload changes.
fn listeners(config: &Config) -> Vec<config::Listener> {
    let plain = |listener: &config::Listener| config::Listener { authentication: None, ..listener.clone() };
    config.listener.iter().map(plain).collect()
}

/// Says where the configuration allows more connections than the process may have files.
fn warn_of_files(config: &Config) {
    if let Some(warning) = file_limit::warning(config) {
        warn!(target: "dunlin::process", "{warning}");
    }
}

fn log_refusal(refusal: &ConfigError) {
    const WHAT: &str = "configuration not reloaded; the settings stay as they were";
    match refusal {
        ConfigError::Read { .. } => error!(target: "dunlin::process", error = %refusal, "{WHAT}"),
        ConfigError::Invalid(faults) => {
            for fault in &faults.faults {
                error!(
                    target: "dunlin::process",
                    file = faults.file, line = fault.line, column = fault.column, key = fault.key,
                    value = fault.value, problem = %fault.problem, allowed = fault.allowed, "{WHAT}"
                );
            }
        }
    }
}

/// From here on a signal means: now.
fn end_at_once_on_signal(mut signals: Signals) {
    thread::spawn(move || {
        if let Some(signal) = signals.forever().find(|signal| matches!(*signal, SIGINT | SIGTERM)) {
            if log::finish() {
                say::error(&format!("ended at once by a second {}", name_of(signal)));
            }
            process::exit(128 + signal);
        }
    });
}

fn name_of(signal: i32) -> &'static str {
    if signal == SIGINT { "SIGINT" } else { "SIGTERM" }
}
