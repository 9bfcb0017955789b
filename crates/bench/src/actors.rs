//! The connections of a run that carry messages.

use std::sync::{Arc, Mutex};

use crate::check::Checker;
use crate::handle::{Actor, Role};
use crate::plan::{Pace, Plan};
use crate::publisher::{Publisher, Stream};
use crate::subscriber::{Ledger, Subscriber};
use crate::topology::Topology;

/// The account of a shared group.
pub(crate) type Group = Arc<Mutex<Checker>>;

/// What client identifiers of this run begin with.
pub(crate) fn prefix(plan: &Plan) -> String {
    format!("{}-{:08x}-", plan.client_prefix, plan.run)
}

/// The publishers; together they send at most `quota` messages.
pub(crate) fn publishers(plan: &Plan, topology: &Topology, quota: u64) -> Vec<Actor> {
    let count = plan.shape.publishers;
    let is_open_loop = matches!(plan.pace, Pace::Open { .. });
    let mut streams: Vec<Vec<Stream>> = (0..count).map(|_| Vec::new()).collect();
    for (id, topic) in (0..).zip(&topology.topics) {
        streams[(id % count) as usize].push(Stream { id, topic: topic.clone(), sent: 0 });
    }
    let actor = |(at, streams): (u32, Vec<Stream>)| {
        let at = u64::from(at);
        let count = u64::from(count);
        let quota = quota / count + u64::from(at < quota % count);
        let publisher = Publisher::new(streams, plan.qos, plan.window, quota, is_open_loop);
        Actor::new(format!("{}p{at}", prefix(plan)), Role::Publisher(publisher))
    };
    (0..count).zip(streams).map(actor).collect()
}

/// The subscribers, and the account that they share if they are a group.
pub(crate) fn subscribers(plan: &Plan, topology: &Topology) -> (Vec<Actor>, Option<Group>) {
    let streams = 0..u32::try_from(topology.topics.len()).unwrap_or(u32::MAX);
    let group = topology.is_group.then(|| Arc::new(Mutex::new(Checker::new(streams.clone(), false))));
    let actor = |(at, interest): (usize, &crate::topology::Interest)| {
        let ledger = match &group {
            Some(group) => Ledger::member(group.clone(), interest.streams.clone()),
            None => Ledger::Own(Checker::new(interest.streams.clone(), true)),
        };
        let subscriber = Subscriber::new(interest.filters.clone(), ledger);
        let actor = Actor::new(format!("{}s{at}", prefix(plan)), Role::Subscriber(subscriber));
        // In 3.1.1 a clean session never outlives its connection. The identifiers are new, so there is none yet.
        Actor { is_kept: plan.persistent, is_clean: !plan.persistent, ..actor }
    };
    let actors = topology.interests.iter().enumerate().map(actor).collect();
    (actors, group)
}
