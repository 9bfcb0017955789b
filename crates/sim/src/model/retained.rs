//! Retained messages: what a SUBSCRIBE brings, and what is kept at the end.
//!
//! Spec:  MQTT 5.0 sections 3.3.1.3 and 3.8.3.1.

use std::collections::BTreeMap;

use super::{Broken, Delivery, Model, ensure};
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
            1 => !sub.existed,
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
        let owed: Vec<_> = candidates
            .iter()
            .filter(|at| self.brings_retained(session, **at))
            .map(|at| &state.subs[*at])
            .collect();
        ensure(!owed.is_empty(), "retained message that no SUBSCRIBE asked for", || format!("{delivery:?}"))?;
        let newer: Vec<usize> = self.retained[delivery.topic]
            .iter()
            .copied()
            .filter(|other| self.is_before(message, *other))
            .collect();
        let known_at = |other: usize, step: u64| {
            self.messages[other].taken.is_some_and(|taken| self.quiet_between(taken.step, step))
        };
        let fresh = owed.iter().any(|sub| !newer.iter().any(|other| known_at(*other, sub.taken.step)));
        ensure(fresh, "retained message that had been replaced", || {
            format!("{delivery:?}, newer: {newer:?}")
        })?;
        // A newer one that was published before the SUBSCRIBE may have been delivered because of another Subscription while it was
        // still on its way to where retained messages are kept: only those after it count.
        let since = owed.iter().map(|sub| sub.taken.step).max().unwrap_or_default();
        let overtaken = state.live_retained.iter().find(|(topic, qos, other)| {
            *topic == delivery.topic
                && *qos == delivery.qos
                && self.messages[*other].taken.is_some_and(|taken| taken.step > since)
                && self.is_before(message, *other)
        });
        ensure(overtaken.is_none(), "older retained message after a newer live one", || {
            format!("{delivery:?} after {overtaken:?}")
        })
    }

    /// At the end, with everything routed: what a new subscriber to everything got.
    pub(crate) fn check_retained(&self, seen: &BTreeMap<usize, Vec<usize>>) -> Result<(), Broken> {
        for (topic, published) in self.retained.iter().enumerate() {
            let last: Vec<usize> = published
                .iter()
                .copied()
                .filter(|one| !published.iter().any(|other| self.is_before(*one, *other)))
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
                    let gone = |message: &usize| {
                        let message = &self.messages[*message];
                        message.size == 0 || message.expires_at().is_some_and(|at| at <= self.now.time)
                    };
                    let none = last.is_empty() || last.iter().any(gone) || !self.rules.generous;
                    ensure(none, "retained message is missing", what)?;
                }
            }
        }
        Ok(())
    }
}
