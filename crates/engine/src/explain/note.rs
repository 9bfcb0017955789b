//! Where decisions are noted: one line at each place that makes one.

use dunlin_codec::QoS;

use super::entry::{SessionEnd, What};
use super::ledger::Watch;
use crate::counters::Drop;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::{Cx, Hub};
use crate::message::MessageView;
use crate::session::SessionId;
use crate::time::Time;
use crate::topic::Route;

impl Hub {
    /// A message that is published here: is it followed?
    #[inline]
    pub(crate) fn follow(&mut self, now: Time, route: &mut Route, view: &mut MessageView<'_>) {
        if self.ledger.see(now, &mut route.seen, view.origin) {
            self.follow_perhaps(now, route, view);
        }
    }

    #[cold]
    fn follow_perhaps(&mut self, now: Time, route: &mut Route, view: &mut MessageView<'_>) {
        if self.ledger.watching && self.ledger.first_end().is_some_and(|end| end <= now) {
            self.end_watches(now);
        }
        let publisher = view.origin.and_then(|origin| self.sessions.get(origin.session));
        let is_watched = publisher.is_some_and(|session| session.seldom.watched);
        view.number = self.ledger.follow(now, &mut route.seen, view.topic, is_watched);
        if view.number != 0 {
            let receivers = route.targets.len() + route.groups.len() + route.remote.iter().count();
            let receivers = u32::try_from(receivers).unwrap_or(u32::MAX);
            let what = What::Published { qos: view.qos, retain: view.retain, receivers };
            let client = publisher.map_or("", |session| &session.client_id);
            self.ledger.step(now, client, view.topic, what, view.number);
        }
    }

    /// Is a delivery noted?
    #[inline]
    fn is_noted(&self, index: u32, number: u32) -> bool {
        number != 0 || self.ledger.watching && self.is_under_watch(index)
    }

    #[cold]
    fn is_under_watch(&self, index: u32) -> bool {
        self.sessions.slots.get(index).is_some_and(|session| session.seldom.watched)
    }

    /// A step of a delivery, where the message is followed or its receiver under watch.
    #[inline]
    pub(crate) fn note_step(&mut self, cx: &Cx<'_>, index: u32, view: &MessageView<'_>, what: What) {
        if self.is_noted(index, view.number) {
            self.note_anyway(cx.now, index, view.topic, what, view.number);
        }
    }

    #[cold]
    fn note_anyway(&mut self, now: Time, index: u32, topic: &str, what: What, number: u32) {
        let Some(session) = self.sessions.slots.get(index) else { return };
        self.ledger.step(now, &session.client_id, topic, what, number);
    }

    /// The last message that a Session was sent with QoS 1 or 2.
    #[inline]
    pub(crate) fn note_sent(
        &mut self,
        cx: &Cx<'_>,
        index: u32,
        view: &MessageView<'_>,
        (qos, retain): (QoS, bool),
    ) {
        if !self.is_noted(index, view.number) {
            return;
        }
        let outgoing = self.sessions.slots.get_mut(index).and_then(|session| session.outgoing.as_mut());
        let delivery = outgoing.and_then(|outgoing| outgoing.note_last_sent());
        self.note_anyway(cx.now, index, view.topic, What::Written { qos, retain, delivery }, view.number);
    }

    /// The last message that was put into a Session's queue.
    #[inline]
    pub(crate) fn note_queued(&mut self, cx: &Cx<'_>, index: u32, view: &MessageView<'_>, qos: QoS) {
        if !self.is_noted(index, view.number) {
            return;
        }
        let outgoing = self.sessions.slots.get_mut(index).and_then(|session| session.outgoing.as_mut());
        let Some(delivery) = outgoing.and_then(|outgoing| outgoing.note_last_queued()) else { return };
        self.note_anyway(cx.now, index, view.topic, What::Queued { qos, delivery }, view.number);
    }

    /// An exchange of a delivery that was noted is over.
    #[cold]
    pub(crate) fn note_acknowledged(&mut self, cx: &Cx<'_>, index: u32, delivery: u32) {
        self.note_anyway(cx.now, index, "", What::Acknowledged { delivery }, 0);
    }

    /// A delivery that was noted is dropped, and only the log knows its topic.
    pub(crate) fn note_discarded(&mut self, cx: &Cx<'_>, index: u32, delivery: u32, bound: Drop) {
        self.note_anyway(cx.now, index, "", What::Discarded { delivery, bound }, 0);
    }

    /// A message that a Session does not get.
    pub(crate) fn note_drop(&mut self, cx: &Cx<'_>, index: u32, (topic, number): (&str, u32), bound: Drop) {
        let Some(session) = self.sessions.slots.get(index) else { return };
        self.ledger.failure(cx.now, &session.client_id, topic, What::Dropped(bound), number);
    }

    /// The PUBLISH of a Client goes nowhere.
    pub(crate) fn note_refused(&mut self, cx: &Cx<'_>, id: ConnectionId, topic: &str, what: What) {
        let session = self.connections.get(id).and_then(|connection| connection.session());
        if let Some(session) = session {
            self.note_failure(cx.now, session, topic, what);
        }
    }

    /// Something went wrong for a Session.
    pub(crate) fn note_failure(&mut self, now: Time, session: SessionId, topic: &str, what: What) {
        if let Some(session) = self.sessions.get(session) {
            self.ledger.failure(now, &session.client_id, topic, what, 0);
        }
    }

    /// Something became of a Session or one of its Subscriptions.
    pub(crate) fn note_session(&mut self, now: Time, session: SessionId, text: &str, what: What) {
        if let Some(session) = self.sessions.get(session) {
            self.ledger.session(now, &session.client_id, text, what);
        }
    }

    /// A Client is connected.
    pub(crate) fn note_connected(&mut self, now: Time, id: SessionId, resumed: bool) {
        self.note_session(now, id, "", What::Connected { resumed });
        if let Some(session) = self.sessions.get_mut(id) {
            session.set_watched(self.ledger.watches_client(&session.client_id));
        }
    }

    /// A Session is about to end.
    pub(crate) fn note_end(&mut self, now: Time, id: SessionId, why: SessionEnd) {
        let Some(session) = self.sessions.get(id).filter(|session| !session.is_bequest()) else { return };
        let outgoing = session.outgoing.as_deref();
        let lost = outgoing.map_or(0, |outgoing| outgoing.queue_len() + outgoing.in_flight());
        let lost = u32::try_from(lost).unwrap_or(u32::MAX);
        self.ledger.session(now, &session.client_id, "", What::SessionEnded { why, lost });
    }

    fn end_watches(&mut self, now: Time) {
        for watch in self.ledger.end_watches(now) {
            self.mark_watched(&watch);
        }
    }

    fn mark_watched(&mut self, watch: &Watch) {
        let Some(client) = &watch.client else { return };
        let watched = self.ledger.watches_client(client);
        let session = self.sessions.find(client);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(session)) {
            session.set_watched(watched);
        }
    }
}

impl Engine {
    /// From now on everything is kept about a Client or some topics. To be said to every shard. False where too many watches
    /// are going on.
    pub fn watch(&mut self, now: Time, watch: Watch) -> bool {
        self.hub.end_watches(now);
        let added = self.hub.ledger.watch(now, watch.clone());
        self.hub.mark_watched(&watch);
        added
    }
}
