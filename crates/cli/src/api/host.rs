//! What the API asks the process, beside the engines.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use dunlin_admin::doctor::Wire;
use dunlin_admin::explain::{Right, Rules};
use dunlin_admin::{Host, RightsFiles};
use dunlin_codec::QoS;
use dunlin_engine::Identity;
use dunlin_observe::Format;
use dunlin_security::policy::{Action, Request, Verdict};
use dunlin_store::{DirDisk, Store};
use serde_json::Value;

use crate::access::reason;
use crate::backup;
use crate::config::Config;
use crate::listeners::Listeners;
use crate::metrics::{self, Sources};
use crate::start::Entrance;

/// Makes the page of metrics.
type Page = Box<dyn Fn(Format) -> String + Send + Sync>;

/// The process that serves.
pub(crate) struct Process {
    /// The URL of each listener.
    listeners: Vec<String>,
    /// What lies between each listener and its Clients.
    wires: Vec<Wire>,
    /// The page of metrics.
    page: Page,
    /// As it was at the start, without secrets.
    configuration: Value,
    /// Weak: it is closed when the server has ended.
    store: Option<Weak<Store<DirDisk>>>,
    /// Where clients show who they are; nobody does with `--dev`.
    entrance: Option<Arc<Entrance>>,
}

impl Process {
    /// With these listeners at these URLs.
    pub(crate) fn of(
        config: &Config,
        listeners: &Listeners,
        urls: &[String],
        sources: &Sources,
        store: Option<&Arc<Store<DirDisk>>>,
        entrance: Option<&Arc<Entrance>>,
    ) -> Self {
        Self {
            listeners: urls.to_vec(),
            wires: listeners.wires(),
            page: Box::new(metrics::page(sources)),
            configuration: super::shown(config),
            store: store.map(Arc::downgrade),
            entrance: entrance.cloned(),
        }
    }
}

impl Host for Process {
    fn listener(&self, index: u16) -> Option<String> {
        self.listeners.get(usize::from(index)).cloned()
    }

    fn wire(&self, index: u16) -> Wire {
        self.wires.get(usize::from(index)).copied().unwrap_or(Wire::Private)
    }

    fn metrics(&self, format: Format) -> String {
        (self.page)(format)
    }

    fn configuration(&self) -> Value {
        self.configuration.clone()
    }

    fn back_up(&self, to: &Path) -> Result<(u64, u64), String> {
        let store: Option<Arc<_>> = self.store.as_ref().and_then(Weak::upgrade);
        let store = store.ok_or_else(|| "this broker keeps nothing on disk".to_owned())?;
        backup::copy_running(&store, to)
    }

    fn rights_files(&self) -> RightsFiles {
        // Whoever asks is in another working directory.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let paths = self.entrance.as_ref().map(|entrance| entrance.paths());
        let (rules, users) = paths.map(|(rules, users)| (absolute(rules), absolute(users))).unzip();
        RightsFiles { rules, users }
    }

    fn read_rights_again(&self) -> Result<(), String> {
        self.entrance.as_ref().map_or(Ok(()), |entrance| entrance.read_again())
    }
}

impl Rules for Process {
    fn decide(&self, identity: &Identity, right: Right, topic: &str) -> Option<(bool, String)> {
        let entrance = self.entrance.as_ref()?;
        let action = match right {
            Right::Publish => Action::Publish,
            Right::Subscribe => Action::Subscribe,
            Right::Receive => Action::Receive,
        };
        let shared = topic.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        let topic = shared.map_or(topic, |(_, filter)| filter);
        let request = Request { action, topic, qos: QoS::AtMostOnce, retain: false };
        Some(entrance.door().explain(identity, &request, |decision| {
            (decision.verdict == Verdict::Allowed, reason(decision, &entrance.rules_name()))
        }))
    }
}
