//! One shard: an engine, what it wants done, and which connection has which slot.

use std::collections::VecDeque;

use dunlin_engine::{ConnectionId, Effects, Engine, MailBag, ReadToken, Time};

/// Records that an engine wants to have read: for whom, of which partition, which, and how often that failed.
pub(super) type Wanted = (ReadToken, u16, Vec<(u32, u64)>, u32);

/// A shard as the runtime sees it.
pub(super) struct Shard {
    pub(super) engine: Engine,
    pub(super) effects: Effects,
    /// The link in each slot, and how often the slot was used.
    slots: Vec<(Option<usize>, u32)>,
    /// Links that have output to be written.
    pub(super) dirty: Vec<usize>,
    pub(super) flush_planned: bool,
    /// When the next timer event is planned.
    pub(super) timer: Option<Time>,
    /// When the next look at the log is planned.
    pub(super) write: Option<Time>,
    /// Records that are being read.
    pub(super) reads: VecDeque<Wanted>,
}

/// Mail from one shard to another, on its way.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) bags: VecDeque<MailBag>,
    pub(super) planned: bool,
}

impl Shard {
    pub(super) fn new(engine: Engine, effects: Effects) -> Self {
        Self {
            engine,
            effects,
            slots: Vec::new(),
            dirty: Vec::new(),
            flush_planned: false,
            timer: None,
            write: None,
            reads: VecDeque::new(),
        }
    }

    /// Gives the link the lowest free slot, as a runtime would.
    pub(super) fn occupy(&mut self, link: usize) -> ConnectionId {
        let free = self.slots.iter().position(|(used, _)| used.is_none());
        let index = free.unwrap_or_else(|| {
            self.slots.push((None, 0));
            self.slots.len() - 1
        });
        let (used, generation) = &mut self.slots[index];
        *used = Some(link);
        *generation += 1;
        ConnectionId::new(u32::try_from(index).unwrap_or(u32::MAX), *generation)
    }

    pub(super) fn link(&self, connection: ConnectionId) -> Option<usize> {
        let (link, generation) = self.slots.get(connection.index())?;
        link.filter(|_| *generation == connection.generation())
    }

    pub(super) fn release(&mut self, connection: ConnectionId) {
        self.slots[connection.index()].0 = None;
    }
}
