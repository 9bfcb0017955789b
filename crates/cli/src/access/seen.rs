//! What clients did, as a broker writes it: a JSON object a line.
//!
//! ```json
//! {"client":"pump-7","user":"anna","action":"publish","topic":"devices/pump-7/state","qos":1,"retain":true,"count":3}
//! ```
//!
//! `client`, `action` and `topic` must be there; `user`, `groups`, `attributes`, `qos`, `retain` and `count` say more. Other
//! keys are left alone, so that whoever writes such a log can add to it.

use std::collections::BTreeMap;

use dunlin_security::identity::Identity;
use dunlin_security::policy::{Action, Request};
use serde::Deserialize;

use super::arguments::{qos, request};

/// One line.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) client: Box<str>,
    #[serde(default)]
    pub(super) user: Option<Box<str>>,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    attributes: BTreeMap<Box<str>, Box<str>>,
    action: Box<str>,
    topic: Box<str>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    /// How often.
    #[serde(default = "once")]
    pub(super) count: u64,
}

const fn once() -> u64 {
    1
}

impl Seen {
    /// Of a line.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            username: self.user.clone(),
            client_id: self.client.clone(),
            groups: self.groups.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// What it did, or what is wrong with the line.
    pub(super) fn request(&self) -> Result<Request<'_>, String> {
        let action = Action::named(&self.action)
            .ok_or_else(|| format!("action {}: allowed: publish, subscribe, receive", self.action))?;
        if self.qos > 2 {
            return Err(format!("qos {}: allowed: 0, 1, 2", self.qos));
        }
        request(action, &self.topic, qos(self.qos), self.retain)
    }
}
