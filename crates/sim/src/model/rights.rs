//! What each client may say and hear: nobody hears what its rights forbid, and what it may not say is heard by nobody.
//!
//! In:    the rights of clients, as they change.
//! Out:   what they were at a step, and whether they were the same ever since.

use super::{Broken, Delivery, Model, ensure};

/// Topics, a bit each, that a client may not have. What it may say never changes; what it may hear does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) unsaid: u32,
    pub(crate) unheard: u32,
}

impl Rights {
    pub(crate) const fn says(self, topic: usize) -> bool {
        self.unsaid & 1 << topic == 0
    }

    pub(crate) const fn hears(self, topic: usize) -> bool {
        self.unheard & 1 << topic == 0
    }
}

impl Model {
    /// From this step on a client has these rights.
    pub(crate) fn rights_changed(&mut self, actor: usize, rights: Rights) {
        let step = self.now.step;
        self.rights.entry(actor).or_default().push((step, rights));
    }

    /// Those of now.
    pub(crate) fn rights(&self, actor: usize) -> Rights {
        self.rights.get(&actor).and_then(|all| all.last()).map(|(_, rights)| *rights).unwrap_or_default()
    }

    /// Is its publisher not allowed to publish it?
    pub(crate) fn is_unsaid(&self, message: usize) -> bool {
        let message = &self.messages[message];
        !self.rights(self.person(message.actor)).says(message.topic)
    }

    /// Could the client hear the topic at a step? Where its rights changed in that very step, before or after.
    fn hears_at(&self, actor: usize, topic: usize, step: u64) -> bool {
        let Some(all) = self.rights.get(&actor) else { return true };
        let then = |known: usize| known.checked_sub(1).is_none_or(|last| all[last].1.hears(topic));
        let before = all.partition_point(|(at, _)| *at < step);
        then(before) || then(all.partition_point(|(at, _)| *at <= step))
    }

    /// Could whoever has the Session hear the topic at that step and ever since?
    pub(super) fn hears_since(&self, session: usize, topic: usize, step: u64) -> bool {
        let Some(all) = self.rights.get(&self.person(self.sessions[session].actor)) else { return true };
        let known = all.partition_point(|(at, _)| *at <= step);
        all[known.saturating_sub(1)..].iter().all(|(_, rights)| rights.hears(topic))
    }

    /// The same as a group knows it, which may be in another shard: it is told by mail.
    pub(super) fn group_hears_since(&self, session: usize, topic: usize, step: u64) -> bool {
        let actor = self.person(self.sessions[session].actor);
        let changes = self.rights.get(&actor).map_or(&[][..], Vec::as_slice);
        let known = &changes[..changes.partition_point(|(at, _)| *at <= step)];
        let deaf = known.iter().rposition(|(_, rights)| !rights.hears(topic));
        let began = deaf.and_then(|deaf| known.get(deaf + 1));
        self.hears_since(session, topic, step)
            && began.is_none_or(|(began, _)| self.quiet_between(*began, step))
    }

    /// A client received a PUBLISH on this topic that was written at that step.
    pub(crate) fn heard(&self, link: usize, topic: usize, emitted: u64) -> Result<(), Broken> {
        let actor = self.links[link].actor;
        ensure(self.hears_at(actor, topic, emitted), "somebody hears what its policy forbids", || {
            format!("connection {link}, topic {topic}, written at step {emitted}")
        })
    }

    /// Could the exchange have been given up, because the client may not have the message any more?
    pub(super) fn may_be_withheld(&self, session: usize, exchange: &super::exchange::Exchange) -> bool {
        !self.hears_since(session, exchange.topic, exchange.since)
    }

    pub(super) fn check_rights(&self, delivery: &Delivery<'_>) -> Result<(), Broken> {
        self.heard(delivery.link, delivery.topic, delivery.emitted.step)
    }

    /// Who is behind an actor: a client without a name is somebody all the same.
    fn person(&self, actor: usize) -> usize {
        let first = super::nobody(0);
        if actor >= first { self.links[actor - first].actor } else { actor }
    }
}
