//! A Server that asks who its Clients are: tests answer.

use std::sync::Arc;

use dunlin_engine::{Admission, Authority, Credentials, Event, Identity, Outcome, Policy};

use super::{Link, World};
use crate::got::Got;
use crate::hello::Hello;

impl World {
    /// From now on nobody is let in unasked.
    pub(crate) fn guard(&mut self) {
        self.guarded = true;
    }

    /// From now on everybody is let in unasked.
    pub(crate) fn unguard(&mut self) {
        self.guarded = false;
    }

    /// Takes the question about a connection.
    pub(crate) fn asked(&mut self, link: Link) -> Option<Credentials> {
        let at = self.asked.iter().position(|(other, _)| *other == link)?;
        Some(*self.asked.remove(at).1)
    }

    /// Connections that went to another shard admitted.
    pub(crate) fn pledges(&self) -> usize {
        self.pledges
    }

    /// Answers the question about a connection.
    pub(crate) fn answer(&mut self, link: Link, outcome: Outcome) {
        let (shard, connection) = self.client(link).at.unwrap();
        self.event(shard, Event::Authenticated { connection, outcome: Box::new(outcome) });
    }

    /// The same for one that was lost, under the identifier that its connection would have.
    pub(crate) fn answer_late(&mut self, link: Link, outcome: Outcome) {
        let (shard, connection) = self.client(link).was_at.unwrap();
        self.event(shard, Event::Authenticated { connection, outcome: Box::new(outcome) });
    }

    /// A connection whose Client was admitted under its Client Identifier; the CONNACK is read.
    pub(crate) fn enter_with(&mut self, hello: &Hello, policy: Arc<dyn Policy>) -> Link {
        self.guard();
        let link = self.knock(hello);
        let credentials = self.asked(link).expect("a question");
        self.answer(link, Outcome::Admitted(admission(&credentials.client_id, Some(policy))));
        let connack = self.client(link).got.pop_front().expect("an answer to CONNECT");
        assert!(matches!(connack, Got::ConnAck { code: 0, .. }), "{connack}");
        link
    }

    /// The rights of some are others now.
    pub(crate) fn policy_changed(&mut self, authority: &Arc<dyn Authority>) {
        for shard in self.map.iter() {
            self.event(shard, Event::PolicyChanged(Arc::clone(authority)));
        }
    }
}

/// Of somebody with this name.
pub(crate) fn admission(name: &str, policy: Option<Arc<dyn Policy>>) -> Admission {
    let identity = Identity { name: name.into(), client_id: name.into(), ..Identity::default() };
    Admission { client_id: None, identity: Arc::new(identity), policy, data: None }
}
