//! A log without room: what the Server may refuse then, and what a refusal leaves.
//!
//! In:    since when, and until when, some shard had no room.
//! Out:   whether a refusal is one that a client has to take.
//! Never: a refusal while there was room.

use super::{Message, Model};

/// When there was no room.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    is_full: bool,
    /// The last step at which there was none, if there was one.
    last: Option<u64>,
}

impl Room {
    pub(super) fn was_full_since(&self, step: u64) -> bool {
        self.is_full || self.last.is_some_and(|last| last >= step)
    }
}

impl Model {
    /// Some shard has no room in the log, or all have it again.
    pub(crate) fn journal_full(&mut self, full: bool) {
        self.note_room();
        self.room.is_full = full;
        self.note_room();
    }

    fn note_room(&mut self) {
        if self.room.is_full {
            self.room.last = Some(self.now.step);
        }
    }

    /// Was there no room at some time from that step on?
    pub(crate) fn was_full_since(&self, step: u64) -> bool {
        self.room.was_full_since(step)
    }

    /// May the Server have refused the message for want of room?
    pub(crate) fn may_be_refused(&self, message: usize) -> bool {
        self.messages[message].taken.is_some_and(|taken| self.was_full_since(taken.step))
    }

    /// Until its publisher is told what became of it, if it ever is, it may be refused or not.
    pub(super) fn taken_without_room(&mut self, message: usize) {
        let Message { qos, retain, .. } = self.messages[message];
        match qos {
            // It would have to be kept, and nobody could be told that it is not.
            0 if retain => self.refused(message),
            0 => {}
            _ => self.crashes.doubt_message(message),
        }
    }

    /// It was refused: it may be somewhere only where it was sent before.
    pub(crate) fn refused(&mut self, message: usize) {
        self.messages[message].certain = false;
        self.crashes.doubt_message(message);
    }

    /// The connection was closed over it, which its client sends again.
    pub(crate) fn turned_away(&mut self, message: usize) {
        let now = self.now.step;
        let state = &mut self.messages[message];
        if state.qos == 0 || state.taken.is_none_or(|taken| taken.step != now) {
            return;
        }
        (state.taken, state.last_taken, state.copies) = (None, None, 0);
        let topic = state.topic;
        self.retained[topic].retain(|other| *other != message);
    }
}
