//! Who clients are and what they may do, where the Server asks: answers that take their time, and rights that change.

use std::sync::Arc;

use dunlin_codec::{QoS, ReasonCode};
use dunlin_engine::{
    Admission, Authority, ConnectionId, Event, Identity, Outcome, Policy, Review, Subscribing,
};

use super::{Action, Phase, World};
use crate::model::{Broken, Rights};
use crate::topics::{TOPICS, matches, topic_index};

/// Longest time that an answer takes, in microseconds.
const ANSWER_MAX: usize = 150_000;
/// Longest time between two changes of rights.
const CHANGE_MAX: usize = 2_000_000;

/// A question that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Question {
    shard: usize,
    connection: ConnectionId,
    /// As it was when the question was asked: it may be another by now.
    policy: Arc<dyn Policy>,
}

#[derive(Debug)]
struct Bounds(Rights);

impl Policy for Bounds {
    fn may_publish(&self, topic: &str, _: QoS, _: bool) -> bool {
        topic_index(topic).is_none_or(|topic| self.0.says(topic))
    }

    fn may_subscribe(&self, filter: &str, _: QoS) -> Subscribing {
        let hears_all =
            TOPICS.iter().enumerate().all(|(at, topic)| self.0.hears(at) || !matches(filter, topic));
        match hears_all {
            _ if filter.starts_with("$SYS") => Subscribing::Refused,
            true => Subscribing::Granted,
            false => Subscribing::Filtered,
        }
    }

    fn may_receive(&self, topic: &str) -> bool {
        topic_index(topic).is_none_or(|topic| self.0.hears(topic))
    }
}

/// The policy of each client.
#[derive(Debug)]
struct Register(Vec<Arc<dyn Policy>>);

impl Authority for Register {
    fn review(&self, identity: &Identity) -> Review {
        let policy = identity.name.parse().ok().and_then(|actor: usize| self.0.get(actor));
        policy.map_or(Review::Unchanged, |policy| Review::Policy(Some(Arc::clone(policy))))
    }
}

impl World {
    /// Gives a newcomer its rights: everything, or not quite.
    pub(super) fn give_rights(&mut self, actor: usize, everything: bool) {
        if !self.scenario.guarded {
            return;
        }
        let mut rights = Rights::default();
        if !everything {
            rights.unsaid = self.some_topics(15);
            rights.unheard = self.some_topics(20);
        }
        self.set_rights(actor, rights);
        if actor == 0 {
            self.plan(CHANGE_MAX, Action::Rights);
        }
    }

    fn some_topics(&mut self, percent: usize) -> u32 {
        (0..TOPICS.len()).filter(|_| self.rng.percent(percent)).map(|topic| 1 << topic).sum()
    }

    fn set_rights(&mut self, actor: usize, rights: Rights) {
        self.trace.note(&[40, actor], || format!("client {actor} has {rights:?}"));
        self.model.rights_changed(actor, rights);
        let policy: Arc<dyn Policy> = Arc::new(Bounds(rights));
        match self.policies.get_mut(actor) {
            Some(known) => *known = policy,
            None => self.policies.push(policy),
        }
    }

    /// Somebody may hear other topics than before; every shard is told.
    pub(super) fn change_rights(&mut self) -> Result<(), Broken> {
        if self.phase != Phase::Run {
            return Ok(());
        }
        let next = self.rng.below(CHANGE_MAX);
        self.plan(next, Action::Rights);
        let actor = self.rng.below(self.actors.len());
        let unheard = self.some_topics(20);
        let rights = Rights { unheard, ..self.model.rights(actor) };
        self.set_rights(actor, rights);
        let authority: Arc<dyn Authority> = Arc::new(Register(self.policies.clone()));
        for shard in 0..self.shards.len() {
            self.tell(shard, Event::PolicyChanged(Arc::clone(&authority)))?;
        }
        Ok(())
    }

    /// An engine asks who this is.
    pub(super) fn ask(&mut self, shard: usize, link: usize, connection: ConnectionId) {
        let policy = Arc::clone(&self.policies[self.links[link].actor]);
        self.links[link].question = Some(Question { shard, connection, policy });
        let never = self.actors[self.links[link].actor].hostile && self.rng.percent(10);
        if !never {
            let delay = self.rng.below(ANSWER_MAX);
            self.plan(delay, Action::Answer(link));
        }
    }

    /// Somebody knows.
    pub(super) fn answer(&mut self, link: usize) -> Result<(), Broken> {
        let Some(Question { shard, connection, policy }) = self.links[link].question.take() else {
            return Ok(());
        };
        self.run_timers(shard)?;
        let actor = self.links[link].actor;
        let refused = self.actors[actor].hostile && self.rng.percent(20);
        self.trace.note(&[41, link], || format!("link {link} is client {actor}, refused: {refused}"));
        let outcome = if refused {
            let reason = ReasonCode::BadUserNameOrPassword;
            Outcome::Refused { reason, detail: "not known".into() }
        } else {
            let name = actor.to_string().into();
            let identity = Arc::new(Identity { name, ..Identity::default() });
            Outcome::Admitted(Admission { client_id: None, identity, policy: Some(policy), data: None })
        };
        if self.links[link].place == Some((shard, connection))
            && let Some(connect) = self.links[link].greeting.take()
        {
            self.model.packet_taken(link);
            self.connect_taken(link, &connect);
        }
        // It may be gone: that is for the engine to know.
        self.tell(shard, Event::Authenticated { connection, outcome: Box::new(outcome) })
    }
}
