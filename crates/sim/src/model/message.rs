//! The messages of a run, and in which order the Server got them.

use std::time::Duration;

use dunlin_engine::Time;

use super::{Broken, Model, Moment, ensure};

/// A message that some client published, or left as its Will. Its number is its place in [`Model::messages`], and is in its
/// payload.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Or [`super::nobody`].
    pub(crate) actor: usize,
    pub(crate) topic: usize,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Bytes of the payload; 0 clears a retained message.
    pub(crate) size: usize,
    /// Encoded Properties to be forwarded unaltered.
    pub(crate) properties: Vec<u8>,
    /// Message Expiry Interval.
    pub(crate) expiry: Option<u32>,
    /// Published by a well-behaved client: what becomes of it is known.
    pub(crate) certain: bool,
    pub(crate) will: bool,
    /// When the Server took it first and last.
    pub(crate) taken: Option<Moment>,
    pub(crate) last_taken: Option<Moment>,
    /// How often it was taken as a new message.
    pub(crate) copies: u32,
    /// A Will that a crash may have made come again, or in another place, but not have lost.
    pub(crate) owed: bool,
}

impl Message {
    /// When it expires.
    pub(super) fn expires_at(&self) -> Option<Time> {
        Some(self.last_taken?.time.after(Duration::from_secs(self.expiry?.into())))
    }

    /// When the copy expires that the Server took first.
    pub(super) fn expires_first(&self) -> Option<Time> {
        Some(self.taken?.time.after(Duration::from_secs(self.expiry?.into())))
    }

    /// Nobody knows when a Will went out that a crash made doubtful.
    pub(super) fn may_have_expired(&self, now: Time) -> bool {
        self.expiry.is_some() && self.expires_at().is_none_or(|at| at <= now)
    }
}

impl Model {
    /// A client is about to send it.
    pub(crate) fn new_message(&mut self, message: Message) -> usize {
        self.messages.push(message);
        self.messages.len() - 1
    }

    /// The Server took a PUBLISH.
    pub(crate) fn publish_taken(&mut self, message: usize) {
        let now = self.now;
        self.note_again(message);
        let state = &mut self.messages[message];
        state.taken.get_or_insert(now);
        if state.qos < 2 || state.copies == 0 {
            state.copies += 1;
            state.last_taken = Some(now);
            if state.retain && state.certain && state.copies == 1 {
                let topic = state.topic;
                self.retained[topic].push(message);
            }
        }
        if self.was_full_since(now.step) {
            self.taken_without_room(message);
        }
    }

    pub(super) fn publish_will(&mut self, message: usize) {
        self.wills.retain(|will| *will != message);
        self.will_resolved(message);
        self.publish_taken(message);
    }

    /// Did every shard see `older` before it saw `newer`?
    pub(super) fn is_before(&self, older: usize, newer: usize) -> bool {
        let (a, b) = (&self.messages[older], &self.messages[newer]);
        // One whose publisher does not know whether it was taken may come again unnoticed.
        let last = a.last_taken.filter(|_| a.certain || a.qos == 0);
        let (Some(last), Some(first)) = (last, b.taken) else { return false };
        let same_way = a.actor == b.actor && !a.will && !b.will;
        (same_way && older < newer && last.step <= first.step) || self.quiet_between(last.step, first.step)
    }

    /// PUBACK or PUBREC: `matched` is false for "no matching subscribers", which is never said of a message that someone
    /// gets (section 3.4.2.1).
    pub(crate) fn publish_acked(&mut self, message: usize, matched: bool) -> Result<(), Broken> {
        let state = &self.messages[message];
        if self.is_unsaid(message) {
            // As if all were well, to a 3.x client.
            return Ok(());
        }
        ensure(state.taken.is_some(), "acknowledged before it was read", || format!("message {message}"))?;
        self.note_acked(message);
        let state = &self.messages[message];
        let Some(taken) = state.taken.filter(|_| !matched && state.copies == 1) else { return Ok(()) };
        for session in self.current.values().filter(|session| !self.sessions[**session].survival.doubt) {
            let must = self.required(*session, message, taken.step).is_some();
            ensure(!must, "no matching subscribers said although there is one", || {
                format!("message {message}, session {session}")
            })?;
        }
        Ok(())
    }
}
