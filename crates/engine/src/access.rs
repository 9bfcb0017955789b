//! What a Session may do: the policy it was admitted with, asked on every path a message or a Subscription takes.
//!
//! In:    topics and filters, where a Session with a policy publishes, subscribes or is delivered to.
//! Out:   yes or no; refusals counted, and said now and then.
//! Never: a cost for Sessions without a policy, nor for deliveries that a granted filter covers. An answer about a topic is kept
//!        under the number of its route, which is never used again.

use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{ProtocolVersion, Publish, QoS, ReasonCode, TopicFilter};

use crate::admission::{Admission, Identity};
use crate::counters::Drop;
use crate::effect::{Effect, Notice, Wanted};
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::explain::What;
use crate::hub::{Cx, Hub};
use crate::mail::MemberEvent;
use crate::policy::{Policy, Subscribing};
use crate::session::{Membership, Session, SessionId, Sessions, Subscription, Will};
use crate::settings::{AccessRules, DeniedPublish, WideSubscriptions};
use crate::time::Time;

/// Answers about topics that are kept for a Session; 128 bytes. A device publishes to a few.
const VERDICTS: usize = 16;
/// A Session's notices of refusals come at least this far apart.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// The rights of a Session.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) identity: Arc<Identity>,
    /// `None`: it may do everything.
    pub(crate) policy: Option<Arc<dyn Policy>>,
    /// What waits in its queue was put there under other rights.
    pub(crate) recheck: bool,
    verdicts: Option<Box<Verdicts>>,
    /// When a notice of refusals was last given, and how many there were since.
    denied: (Time, u64),
}

/// Answers about publishing, each in the place that the number of its route gives.
#[derive(Debug, Default)]
struct Verdicts([u64; VERDICTS]);

impl Verdicts {
    /// The answer, asked for with `ask` where it is not there. `number` is that of the topic's route.
    fn get_or(&mut self, number: u64, qos: QoS, retain: bool, ask: impl FnOnce() -> bool) -> bool {
        // Numbers begin at 1, so that an empty place is nobody's.
        let key = number << 4 | (qos as u64) << 2 | u64::from(retain) << 1;
        let place = usize::try_from(number).unwrap_or_default() % VERDICTS;
        let kept = self.0[place];
        if kept & !1 == key {
            return kept & 1 == 1;
        }
        let verdict = ask();
        self.0[place] = key | u64::from(verdict);
        verdict
    }
}

impl Access {
    pub(crate) fn new(admission: Admission) -> Self {
        let Admission { identity, policy, .. } = admission;
        Self { identity, policy, recheck: false, verdicts: None, denied: (Time::ZERO, 0) }
    }
}

impl Access {
    /// The routes that it was asked about and answers are kept for: number, QoS, RETAIN.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (u64, QoS, bool)> {
        let kept = self.verdicts.iter().flat_map(|verdicts| verdicts.0).filter(|kept| *kept != 0);
        kept.map(|kept| {
            let qos = match kept >> 2 & 0b11 {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            };
            (kept >> 4, qos, kept & 0b10 != 0)
        })
    }
}

impl Session {
    fn policy(&self) -> Option<&Arc<dyn Policy>> {
        self.access.as_ref()?.policy.as_ref()
    }
}

impl Sessions {
    /// May a message of the topic be delivered to the Session in this slot?
    pub(crate) fn may_receive(&self, index: u32, topic: &str) -> bool {
        let policy = self.slots.get(index).and_then(Session::policy);
        policy.is_none_or(|policy| policy.may_receive(topic))
    }
}

impl Hub {
    /// May the Session publish this? `number` is that of the topic's route.
    pub(crate) fn may_publish(
        &mut self,
        session: SessionId,
        number: u64,
        topic: &str,
        qos: QoS,
        retain: bool,
    ) -> bool {
        let access = self.sessions.get_mut(session).and_then(|session| session.access.as_mut());
        let Some(Access { policy: Some(policy), verdicts, .. }) = access.map(|access| &mut **access) else {
            return true;
        };
        let verdicts = verdicts.get_or_insert_default();
        verdicts.get_or(number, qos, retain, || policy.may_publish(topic, qos, retain))
    }

    /// Is it a message that waited while the rights of its Session changed, and that it may not receive any more?
    #[inline]
    pub(crate) fn is_withheld(&self, index: u32, topic: &str) -> bool {
        let access = self.sessions.slots.get(index).and_then(|session| session.access.as_ref());
        access.is_some_and(|access| access.recheck) && !self.sessions.may_receive(index, topic)
    }

    /// Everything that waited was asked about, if nothing waits, nor may have to be sent again.
    pub(crate) fn end_recheck(&mut self, index: u32) {
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        if let Some(access) = session.access.as_mut().filter(|access| access.recheck) {
            access.recheck = session
                .outgoing
                .as_ref()
                .is_some_and(|outgoing| outgoing.queue_len() > 0 || outgoing.has_flight());
        }
    }

    /// Counts a refusal, and says so now and then.
    fn denied(&mut self, cx: &mut Cx<'_>, session: SessionId, wanted: Wanted, topic: &str) {
        let counter = match wanted {
            Wanted::Publish | Wanted::Will => &mut self.counters.publishes_denied,
            Wanted::Subscribe => &mut self.counters.subscriptions_denied,
        };
        *counter += 1;
        let Some(session) = self.sessions.get_mut(session) else { return };
        let Some(access) = &mut session.access else { return };
        access.denied.1 += 1;
        let (last, count) = access.denied;
        if (count == 1 && last == Time::ZERO) || cx.now.since(last) >= NOTICE_INTERVAL {
            access.denied = (cx.now, 0);
            let client_id = session.client_id.clone();
            let notice = Notice::Denied { client_id, wanted, topic: topic.into(), count };
            cx.fx.list.push(Effect::Notice(Box::new(notice)));
        }
    }
}

impl Engine {
    /// A PUBLISH that is not allowed [MQTT311-3.3.5-2].
    pub(crate) fn deny_publish(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        publish: &Publish<'_>,
        topic: &str,
    ) {
        self.hub.denied(cx, session, Wanted::Publish, topic);
        let what = What::PublishDenied { qos: publish.qos, retain: publish.retain };
        self.hub.note_failure(cx.now, session, topic, what);
        let Some(connection) = self.hub.connections.get(id) else { return };
        let AccessRules { denied_publish_v3, denied_publish_qos0, .. } = self.hub.settings.access;
        let rule = match (connection.version, publish.qos) {
            (ProtocolVersion::V31 | ProtocolVersion::V311, _) => denied_publish_v3,
            (ProtocolVersion::V5, QoS::AtMostOnce) => denied_publish_qos0,
            (ProtocolVersion::V5, _) => DeniedPublish::Acknowledge,
        };
        match rule {
            DeniedPublish::Acknowledge => self.answer(cx, id, publish, ReasonCode::NotAuthorized),
            DeniedPublish::Disconnect => {
                self.disconnect(cx, id, ReasonCode::NotAuthorized, "not allowed to publish to this topic");
            }
        }
    }

    /// Asked at CONNECT of whoever is admitted, before there is a Session.
    pub(crate) fn may_have_will(admission: Option<&Admission>, will: &Will) -> bool {
        let policy = admission.and_then(|admission| admission.policy.as_ref());
        policy.is_none_or(|policy| will_passes(&**policy, will))
    }

    /// Asked again when it is due: the rights may be others than at CONNECT.
    pub(crate) fn may_publish_will(&mut self, cx: &mut Cx<'_>, id: SessionId, will: &Will) -> bool {
        let policy = self.hub.sessions.get(id).and_then(Session::policy);
        let passes = policy.is_none_or(|policy| will_passes(&**policy, will));
        if !passes {
            self.hub.denied(cx, id, Wanted::Will, will.message.view().topic);
            self.hub.note_failure(cx.now, id, will.message.view().topic, What::WillDenied);
        }
        passes
    }

    /// May the Session have the Subscription, and is each message asked about then?
    pub(crate) fn grade(&self, id: SessionId, filter: TopicFilter<'_>, qos: QoS) -> Result<bool, ReasonCode> {
        let Some(policy) = self.hub.sessions.get(id).and_then(Session::policy) else { return Ok(false) };
        let topic_filter = filter.shared().map_or(filter, |shared| shared.filter);
        match (policy.may_subscribe(topic_filter.as_str(), qos), self.hub.settings.access.wide_subscriptions)
        {
            (Subscribing::Granted, _) => Ok(false),
            (Subscribing::Filtered, WideSubscriptions::Filter) => Ok(true),
            (Subscribing::Filtered, WideSubscriptions::Refuse) | (Subscribing::Refused, _) => {
                Err(ReasonCode::NotAuthorized)
            }
        }
    }

    /// [`Self::grade`] for a SUBSCRIBE: a refusal is counted.
    pub(crate) fn grade_new(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        filter: TopicFilter<'_>,
        qos: QoS,
    ) -> Result<bool, ReasonCode> {
        let grade = self.grade(id, filter, qos);
        if grade.is_err() {
            self.hub.denied(cx, id, Wanted::Subscribe, filter.as_str());
        }
        grade
    }

    /// The policy of a Session, for a shared group that asks about each message.
    pub(crate) fn policy_where(&self, id: SessionId, filtered: bool) -> Option<Arc<dyn Policy>> {
        let session = self.hub.sessions.get(id).filter(|_| filtered)?;
        session.policy().cloned()
    }

    /// A Session gets the rights that it was admitted with, or those of a connection that nobody asked.
    pub(crate) fn grant(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        admission: Option<Admission>,
    ) {
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        if found.access.is_none() && admission.is_none() {
            return;
        }
        let old = found.access.take();
        found.access = admission.map(|admission| Box::new(Access::new(admission)));
        let had = old.as_ref().and_then(|access| access.policy.as_ref());
        let is_same = match (had, found.policy()) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let still = old.as_ref().is_some_and(|access| access.recheck);
        let restricted = found.policy().is_some();
        if let Some(access) = &mut found.access {
            access.recheck = still;
        }
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.restricted = restricted;
        }
        if !is_same {
            self.rights_changed(cx, session);
        }
    }

    /// A Session has another policy than before: what it subscribed to and what waits for it is looked at again.
    pub(crate) fn rights_changed(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        let waits = session
            .outgoing
            .as_ref()
            .is_some_and(|outgoing| outgoing.queue_len() > 0 || outgoing.has_flight());
        if let Some(access) = &mut session.access {
            access.recheck |= waits;
            access.verdicts = None;
        }
        let connection = session.any_connection();
        let restricted = session.policy().is_some();
        if let Some(connection) = connection.and_then(|id| self.hub.connections.get_mut(id)) {
            connection.restricted = restricted;
        }
        let Some(subscribed) = self.subscribed(id) else { return };
        let mut kept = Vec::new();
        let mut lost = Vec::new();
        for (filter, subscription) in subscribed.iter() {
            let Ok(parsed) = TopicFilter::parse(&filter) else { continue };
            match self.grade(id, parsed, subscription.options.qos) {
                Ok(false) if !subscription.filtered => {}
                Ok(filtered) => kept.push((filter, Subscription { filtered, ..subscription })),
                Err(_) => lost.push(filter),
            }
        }
        for (filter, subscription) in kept {
            self.regrade(cx, id, &filter, subscription);
        }
        for filter in lost {
            self.hub.denied(cx, id, Wanted::Subscribe, &filter);
            if let Ok(filter) = TopicFilter::parse(&filter) {
                self.unsubscribe_one(cx, id, filter);
                self.hub.note_session(cx.now, id, filter.as_str(), What::Withdrawn);
            }
        }
    }

    /// A Subscription that is, was, or will be asked about.
    fn regrade(&mut self, cx: &mut Cx<'_>, id: SessionId, filter: &str, subscription: Subscription) {
        let Ok(parsed) = TopicFilter::parse(filter) else { return };
        if parsed.shared().is_none() {
            // Routes are found anew.
            self.want(cx, id, parsed, subscription);
            return;
        }
        let joined = self.new_join();
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        // With a new number: what the group has on its way here was not asked about.
        session.subscriptions.join(parsed, Membership { subscription, joined });
        let policy = self.policy_where(id, subscription.filtered);
        self.tell_group(cx, id, parsed, MemberEvent::Rights { joined, policy });
    }
}

impl Hub {
    /// Counts messages that nobody may receive.
    pub(crate) fn withheld(&mut self, count: u64) {
        self.counters.drop_many(Drop::Denied, count);
    }
}

fn will_passes(policy: &dyn Policy, will: &Will) -> bool {
    let view = will.message.view();
    policy.may_publish(view.topic, view.qos, view.retain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer is kept for the route, the QoS and RETAIN it was given for.
    #[test]
    fn an_answer_is_asked_for_once() {
        let mut verdicts = Verdicts::default();
        let mut asked = 0;
        for _ in 0..3 {
            for (number, qos, retain, answer) in [
                (1, QoS::AtMostOnce, false, true),
                (2, QoS::AtMostOnce, false, false),
                (3, QoS::ExactlyOnce, true, true),
            ] {
                let got = verdicts.get_or(number, qos, retain, || {
                    asked += 1;
                    answer
                });
                assert_eq!(got, answer);
            }
        }
        assert_eq!(asked, 3);
        assert!(!verdicts.get_or(1, QoS::AtMostOnce, true, || false));
        assert!(!verdicts.get_or(1 + VERDICTS as u64, QoS::AtMostOnce, false, || false));
    }
}
