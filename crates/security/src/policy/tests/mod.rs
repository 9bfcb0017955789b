//! The policy through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod decide;
mod edit;
mod explain;
mod file;
mod properties;

use dunlin_codec::QoS;
use dunlin_engine::Subscribing;

use super::{PolicyFile, Request, Rules};
use crate::identity::Identity;

fn rules(text: &str) -> Rules {
    PolicyFile::parse(text).unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(|fault| format!("{}: {fault}\n", fault.line)).collect::<String>())
    })
}

fn client(client_id: &str) -> Identity {
    Identity { client_id: client_id.into(), ..Identity::default() }
}

fn user(client_id: &str, username: &str) -> Identity {
    Identity { username: Some(username.into()), ..client(client_id) }
}

fn publishes(rules: &Rules, identity: &Identity, topic: &str) -> bool {
    rules.compile(identity).may_publish(topic, QoS::AtLeastOnce, false)
}

fn receives(rules: &Rules, identity: &Identity, topic: &str) -> bool {
    rules.compile(identity).may_receive(topic)
}

fn subscribes(rules: &Rules, identity: &Identity, filter: &str) -> Subscribing {
    rules.compile(identity).may_subscribe(filter, QoS::AtLeastOnce)
}
