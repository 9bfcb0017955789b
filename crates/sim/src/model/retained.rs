//! Retained messages: what a SUBSCRIBE brings, and what is kept at the end.
//!
//! Spec:  MQTT 5.0 sections 3.3.1.3 and 3.8.3.1.

use std::collections::BTreeMap;

use super::{Broken, Delivery, Dropped, Message, Model, ensure, subscription::Sub};
use crate::topics::{FIRST_SHARED, TOPICS};

impl Model {
    /// How many snapshots of one topic all SUBSCRIBEs of the Session brought at most.
    pub(super) fn snapshots_owed(&self, session: usize, delivery: &Delivery<'_>) -> u32 {
        let subs = &self.sessions[session].subs;
        let brings = |at: &usize| {
            self.table.matches(subs[*at].wish.filter, delivery.topic) && self.brings_retained(session, *at)
        };
        u32::try_from((0..subs.len()).filter(brings).count()).unwrap_or(u32::MAX)
    }

    fn brings_retained(&self, session: usize, at: usize) -> bool {
        let sub = &self.sessions[session].subs[at];
        // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
        match sub.wish.handling {
            _ if sub.wish.filter >= FIRST_SHARED => false,
            0 => true,
            1 => !sub.existed || sub.existed_perhaps,
            _ => false,
        }
    }

    /// A retained message came because of a SUBSCRIBE.
    pub(super) fn check_snapshot(
        &self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
        candidates: &[usize],
    ) -> Result<(), Broken> {
        let state = &self.sessions[session];
        let late = self.late_snapshots(session, delivery, message, candidates);
        let brings = candidates.iter().copied().filter(|at| self.brings_retained(session, *at));
        let owed: Vec<_> = brings.chain(late).map(|at| &state.subs[at]).collect();
        if owed.is_empty() && self.was_unheard(session, delivery.topic) {
            // No live message came before it that would have kept it back: a snapshot that is late has the value of now.
            return Ok(());
        }
        ensure(!owed.is_empty(), "retained message that no SUBSCRIBE asked for", || format!("{delivery:?}"))?;
        let newer: Vec<usize> = self.retained[delivery.topic]
            .iter()
            .copied()
            .filter(|other| !self.is_doubtful(*other) && self.is_before(message, *other))
            .collect();
        let known_at = |other: usize, step: u64| {
            let Message { taken, last_taken, .. } = &self.messages[other];
            // What a crash lost, and its publisher sent again, is known from then on.
            let known = if self.came_again(other) { last_taken } else { taken };
            known.is_some_and(|known| self.quiet_between(known.step, step))
        };
        let fresh = owed.iter().any(|sub| !newer.iter().any(|other| known_at(*other, sub.taken.step)));
        ensure(fresh, "retained message that had been replaced", || {
            format!("{delivery:?}, newer: {newer:?}")
        })?;
        let overtaken = state.live_retained.iter().find(|(topic, qos, other)| {
            *topic == delivery.topic
                && *qos == delivery.qos
                && !self.is_doubtful(*other)
                && self.is_before(message, *other)
        });
        ensure(overtaken.is_none(), "older retained message after a newer live one", || {
            format!("{delivery:?} after {overtaken:?}")
        })
    }

    /// Was there a time, since a SUBSCRIBE that brings retained messages of the topic, when the client could not hear it?
    fn was_unheard(&self, session: usize, topic: usize) -> bool {
        self.sessions[session].subs.iter().enumerate().any(|(at, sub)| {
            self.table.matches(sub.wish.filter, topic)
                && self.brings_retained(session, at)
                && !self.hears_since(session, topic, sub.taken.step)
        })
    }

    /// SUBSCRIBEs that were replaced before the client published the message, and whose snapshots are still on their way. A snapshot
    /// has the value of when it is made and goes by the options of when it comes [MQTT-3.8.3-3]. A client does not get its own
    /// message live while No Local holds, so that nothing keeps it back from the snapshot.
    fn late_snapshots(
        &self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
        candidates: &[usize],
    ) -> Vec<usize> {
        let (subs, published) = (&self.sessions[session].subs, &self.messages[message]);
        let taken = published.taken.map_or(0, |taken| taken.step);
        let is_own = published.actor == self.sessions[session].actor && !published.will;
        let no_local = candidates.iter().any(|at| subs[*at].wish.no_local && subs[*at].taken.step <= taken);
        let got = self.sessions[session].got.get(&message).copied().unwrap_or_default();
        if !is_own || !no_local || got.live + got.either > 0 {
            return Vec::new();
        }
        let connected = self.links[delivery.link].connack.unwrap_or(0);
        let is_late = |at: &usize| {
            let sub = &subs[*at];
            let since = sub.taken.step;
            self.table.matches(sub.wish.filter, delivery.topic)
                && self.brings_retained(session, *at)
                // An UNSUBSCRIBE ends it, and the end of the process.
                && sub.unsub_taken.is_none_or(|ended| ended >= delivery.emitted.step)
                && self.crashes_since(since) == 0
                // What one connection had no time for the next one gets.
                && (connected > since || !self.quiet_between(since, taken))
        };
        (0..subs.len()).filter(is_late).collect()
    }

    /// Retained messages that were kept before a SUBSCRIBE and ever since, and that it did not bring.
    pub(super) fn missing_snapshots(&self, session: usize, dropped: &Dropped) -> Option<String> {
        let state = &self.sessions[session];
        let connected = state.link.and_then(|link| self.links[link].connack);
        for (topic, published) in self.retained.iter().enumerate() {
            let last = published.iter().copied().max_by_key(|message| self.messages[*message].last_taken);
            let Some((at, message)) = last.map(|at| (at, &self.messages[at])) else { continue };
            // Two that were on their way at once are kept in an order that nobody knows.
            if published.iter().any(|other| *other != at && !self.is_before(*other, at)) {
                continue;
            }
            let is_kept = message.size > 0 && message.expiry.is_none() && !self.is_doubtful(at);
            let Some(kept) = message.last_taken.filter(|_| is_kept) else {
                continue;
            };
            let own = message.actor == state.actor;
            let brings = |(index, sub): &(usize, &Sub)| {
                // Its messages go by the options of now: those of a SUBSCRIBE that came meanwhile.
                let later = state.subs[*index..].iter().filter(|other| other.wish.filter == sub.wish.filter);
                let qos =
                    later.clone().map(|other| other.wish.qos).min().unwrap_or_default().min(message.qos);
                let lasting = sub.confirmed.is_some()
                    && later
                        .clone()
                        .all(|other| other.unsub_taken.is_none() && !(own && other.wish.no_local));
                let heard = qos > 0
                    || dropped.output_full == 0 && connected.is_some_and(|since| since < sub.taken.step);
                lasting
                    && heard
                    && self.hears_since(session, topic, sub.taken.step)
                    && self.table.matches(sub.wish.filter, topic)
                    && self.brings_retained(session, *index)
                    && !sub.existed_perhaps
                    // What was on its way when the process ended is not sent again.
                    && self.crashes_since(sub.taken.step) == 0
                    && self.quiet_between(kept.step, sub.taken.step)
            };
            let owed = state.subs.iter().enumerate().filter(brings).count();
            let got = state.got.get(&at).copied().unwrap_or_default();
            let came = usize::try_from(got.snapshots + got.either).unwrap_or(usize::MAX);
            let fits = message.size + message.properties.len() + 120;
            if came < owed && fits < state.smallest_packet_max.try_into().unwrap_or(usize::MAX) {
                return Some(format!(
                    "message {at} ({message:?}), {owed} owed, {got:?}, session {session}: {:?}",
                    state.subs
                ));
            }
        }
        None
    }

    /// At the end, with everything routed: what a new subscriber to everything got.
    pub(crate) fn check_retained(&self, seen: &BTreeMap<usize, Vec<usize>>) -> Result<(), Broken> {
        for (topic, published) in self.retained.iter().enumerate() {
            let last: Vec<usize> = published
                .iter()
                .copied()
                .filter(|one| {
                    let replaces = |other: &usize| !self.is_doubtful(*other) && self.is_before(*one, *other);
                    !published.iter().any(replaces)
                })
                .collect();
            let got = seen.get(&topic).map_or(&[][..], Vec::as_slice);
            let what = || format!("topic {}: last {last:?}, got {got:?}", TOPICS[topic]);
            ensure(got.len() <= 1, "several retained messages of one topic", what)?;
            match got.first() {
                Some(message) => {
                    let kept = last.contains(message) && self.messages[*message].size > 0;
                    ensure(kept, "wrong retained message", what)?;
                }
                None => {
                    let gone = |at: &usize| {
                        let message = &self.messages[*at];
                        // What came again is taken for the first time where a crash did not lose that.
                        let first = message.expires_first().filter(|_| self.came_again(*at));
                        message.size == 0
                            || message.may_have_expired(self.now.time)
                            || first.is_some_and(|first| first <= self.now.time)
                    };
                    let is_doubtful = last.iter().all(|message| self.is_doubtful(*message));
                    let none = is_doubtful || last.iter().any(gone) || !self.rules.generous;
                    ensure(none, "retained message is missing", what)?;
                }
            }
        }
        Ok(())
    }
}
