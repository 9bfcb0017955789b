//! The broker's side of `dunlin explain`.
//!
//! In:    `{"client", "topic", "at"}`; `{"client", "filter", "seconds"}` of a watch.
//! Out:   the verdict, with the access rule that decides.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dunlin_admin::explain::{self, Asked, NoRules, Right, Rules};
use dunlin_engine::Identity;
use dunlin_runtime::Observer;
use dunlin_security::policy::{Action, Request, Verdict};
use serde_json::{Value, json};

use crate::access::reason;
use crate::start::Entrance;

/// The longest watch, in seconds.
const WATCH_MAXIMUM: u64 = 24 * 3600;

/// Answers questions about the server that runs.
#[derive(Clone, Debug)]
pub(crate) struct Explaining {
    observer: Observer,
    entrance: Option<Arc<Entrance>>,
}

impl Explaining {
    pub(crate) const fn new(observer: Observer, entrance: Option<Arc<Entrance>>) -> Self {
        Self { observer, entrance }
    }

    /// Who looks at the server.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The verdict.
    ///
    /// # Errors
    /// In words, for whoever asked.
    pub(crate) fn explain(&self, arguments: &Value) -> Result<Value, String> {
        let text = |key: &str| arguments[key].as_str().map(str::to_owned);
        let (Some(client), Some(topic)) = (text("client"), text("topic")) else {
            return Err("explain needs \"client\" and \"topic\"".to_owned());
        };
        let at = text("at").and_then(|at| explain::parse(&at, SystemTime::now()));
        let asked = Asked { client, topic, at };
        let rules: &dyn Rules = self.entrance.as_deref().map_or(&NoRules, |entrance| entrance);
        let answer = explain::explain(&self.observer, &asked, rules).map_err(|error| error.to_string())?;
        serde_json::to_value(answer).map_err(|error| error.to_string())
    }

    /// Everything about a client or a filter is kept for some time.
    ///
    /// # Errors
    /// In words, for whoever asked.
    pub(crate) fn watch(&self, arguments: &Value) -> Result<Value, String> {
        let seconds = arguments["seconds"].as_u64().filter(|seconds| (1..=WATCH_MAXIMUM).contains(seconds));
        let seconds = seconds.ok_or_else(|| format!("watch needs \"seconds\", 1 to {WATCH_MAXIMUM}"))?;
        let (client, filter) = (arguments["client"].as_str(), arguments["filter"].as_str());
        if client.is_none() && filter.is_none() {
            return Err("watch needs \"client\" or \"filter\"".to_owned());
        }
        explain::watch(&self.observer, client, filter, Duration::from_secs(seconds))
            .map_err(|error| error.to_string())?;
        Ok(json!({ "seconds": seconds }))
    }
}

impl Rules for Entrance {
    fn decide(&self, identity: &Identity, right: Right, topic: &str) -> Option<(bool, String)> {
        let action = match right {
            Right::Publish => Action::Publish,
            Right::Subscribe => Action::Subscribe,
            Right::Receive => Action::Receive,
        };
        let topic = topic
            .strip_prefix("$share/")
            .and_then(|rest| rest.split_once('/'))
            .map_or(topic, |(_, filter)| filter);
        let request = Request { action, topic, qos: dunlin_codec::QoS::AtMostOnce, retain: false };
        Some(self.door().explain(identity, &request, |decision| {
            (decision.verdict == Verdict::Allowed, reason(decision, &self.rules_name()))
        }))
    }
}
