//! What peers send: from sockets to the engine.
//!
//! In:    the queue of connections that may have something to read.
//! Out:   `Received` with all that a connection has to offer; `Closed` at its end.
//! Never: a second read where the first came up short (nothing more is there); more from one connection, or from all,
//!        than a share of a tick, so that output leaves in time and nobody starves.

use dunlin_engine::{CloseCause, ConnectionId, Event};
use dunlin_net::Incoming;

use crate::connections::{Connection, Phase};
use crate::shard::Shard;

/// One read at most. Larger ones save few calls and cost the caches.
const READ: usize = 64 * 1024;
/// Unconsumed bytes of a peer that sends in bulk are copied in front of the next read while they are fewer.
pub(crate) const LEAD: usize = READ;
/// The same for a peer that sends in pieces, where the copy would be made for each piece.
const LEAD_OF_PIECES: usize = 4 * 1024;
/// Room for the bytes kept and one read.
pub(crate) const SCRATCH: usize = LEAD + READ;
/// Read from all connections in one tick: what a thousand subscribers get of it must fit their output.
const TICK_BUDGET: usize = 256 * 1024;

impl Shard {
    /// Puts a connection into the queue, once.
    pub(crate) fn queue(&mut self, index: u32) {
        if let Some((_, connection)) = self.connections.get(index)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push_back(index);
        }
    }

    /// Reads each queued connection once, as far as the budget goes; the rest keeps its place for the next tick.
    pub(crate) fn read_ready(&mut self) {
        let mut budget = TICK_BUDGET;
        for _ in 0..self.ready.len() {
            let Some(index) = self.ready.pop_front() else { return };
            budget = budget.saturating_sub(self.attend(index));
            if budget == 0 {
                return;
            }
        }
    }

    /// Does what is to be done about the input of a connection; how many bytes were looked at.
    fn attend(&mut self, index: u32) -> usize {
        let Some((_, connection)) = self.connections.get(index) else { return 0 };
        connection.queued = false;
        match connection.phase {
            Phase::Open => {}
            Phase::Arriving => return self.arrive(index),
            Phase::Flushing | Phase::Draining => return self.discard(index),
        }
        if connection.paused {
            return 0;
        }
        if connection.offer && !connection.input.is_empty() {
            return self.offer(index);
        }
        connection.offer = false;
        if !connection.readable {
            return 0;
        }
        let kept = connection.input.len();
        let got = if kept <= if connection.bulk { LEAD } else { LEAD_OF_PIECES } {
            self.read_beside(index)
        } else {
            self.read_behind(index)
        };
        self.after_read(index, got)
    }

    /// Reads into the scratch, behind a copy of the bytes kept.
    fn read_beside(&mut self, index: u32) -> Incoming {
        let Some((id, connection)) = self.connections.get(index) else { return Incoming::Nothing };
        let got = connection.transport.read(&mut self.scratch[LEAD..], &mut self.work);
        let Incoming::Bytes { count, .. } = got else { return got };
        if count == 0 {
            return got;
        }
        let kept = connection.input.len();
        let start = LEAD - kept;
        self.scratch[start..LEAD].copy_from_slice(connection.input.filled());
        self.effects.consumed = 0;
        self.effects.paused = false;
        let event = Event::Received { connection: id, bytes: &self.scratch[start..LEAD + count] };
        self.engine.handle(self.now, event, &mut self.effects);
        let consumed = self.effects.consumed;
        assert!(consumed <= kept + count, "more was consumed than there was");
        connection.input.consume(consumed.min(kept), &mut self.pool);
        let unread = LEAD + consumed.saturating_sub(kept)..LEAD + count;
        connection.input.append(&self.scratch[unread], &mut self.pool);
        connection.paused = self.effects.paused;
        got
    }

    /// Reads behind the bytes kept: a large packet that comes in pieces.
    fn read_behind(&mut self, index: u32) -> Incoming {
        let Some((_, connection)) = self.connections.get(index) else { return Incoming::Nothing };
        let room = connection.input.room(READ, &mut self.pool);
        let got = connection.transport.read(room, &mut self.work);
        if let Incoming::Bytes { count: count @ 1.., .. } = got {
            connection.input.grow(count);
            self.offer_input(index);
        }
        got
    }

    /// Offers the bytes kept to the engine, effects not performed.
    pub(crate) fn offer_input(&mut self, index: u32) {
        let Some((id, connection)) = self.connections.get(index) else { return };
        self.effects.consumed = 0;
        self.effects.paused = false;
        let event = Event::Received { connection: id, bytes: connection.input.filled() };
        self.engine.handle(self.now, event, &mut self.effects);
        connection.input.consume(self.effects.consumed, &mut self.pool);
        connection.paused = self.effects.paused;
    }

    /// Offers the bytes kept again, nothing new added.
    pub(crate) fn offer(&mut self, index: u32) -> usize {
        let Some((_, connection)) = self.connections.get(index) else { return 0 };
        connection.offer = false;
        let count = connection.input.len();
        self.touched = true;
        self.offer_input(index);
        self.perform();
        self.queue_if_readable(index);
        count
    }

    /// Performs what the engine made of a read and finds out whether there will be another.
    pub(crate) fn after_read(&mut self, index: u32, got: Incoming) -> usize {
        let Some((id, connection)) = self.connections.get(index) else { return 0 };
        if connection.transport.owes() && !connection.blocked {
            // It answered the peer, and found no room: the flush at the end of the tick asks to be told of it.
            self.dirty.push(id);
        }
        let count = match got {
            Incoming::Bytes { count, more } => {
                connection.bulk = more;
                connection.readable = more || connection.ended;
                count
            }
            Incoming::Proxied(_) => {
                connection.readable = true;
                0
            }
            Incoming::Nothing => {
                connection.readable = false;
                connection.bulk = false;
                if connection.ended {
                    self.lose(index, CloseCause::Failed);
                }
                return 0;
            }
            Incoming::End => {
                self.lose(index, CloseCause::ByPeer);
                return 0;
            }
            Incoming::Failed => {
                self.lose(index, CloseCause::Failed);
                return 0;
            }
        };
        if count == 0 {
            self.queue_if_readable(index);
            return count;
        }
        // An ended connection whose read came up short has nothing more but its end.
        let over = connection.ended && !connection.bulk && !connection.paused;
        self.touched = true;
        self.traffic.bytes_received += count as u64;
        self.perform();
        if over && self.connections.get(index).is_some_and(|(_, connection)| connection.is_open()) {
            self.lose(index, CloseCause::ByPeer);
        } else {
            self.queue_if_readable(index);
        }
        count
    }

    fn queue_if_readable(&mut self, index: u32) {
        if let Some((_, connection)) = self.connections.get(index)
            && !connection.paused
            && (connection.readable || connection.offer)
        {
            self.queue(index);
        }
    }

    /// Reads what a lingering connection still sends, for nothing.
    fn discard(&mut self, index: u32) -> usize {
        let Some((_, connection)) = self.connections.get(index) else { return 0 };
        match connection.transport.read(&mut self.scratch, &mut self.work) {
            Incoming::Bytes { count, more } => {
                if more || connection.ended {
                    self.queue(index);
                }
                count
            }
            Incoming::Nothing | Incoming::Proxied(_) => 0,
            // It closed its half only, perhaps: what it is owed still goes out.
            Incoming::End if connection.phase == Phase::Flushing => {
                connection.ended = true;
                0
            }
            Incoming::End | Incoming::Failed => {
                self.drop_connection(index);
                0
            }
        }
    }

    /// Closes a connection without a word.
    pub(crate) fn cut(&mut self, index: u32) {
        self.lose(index, CloseCause::Failed);
    }

    /// The connection came to its end, and not by the engine.
    fn lose(&mut self, index: u32, cause: CloseCause) {
        let Some((id, connection)) = self.connections.get(index) else { return };
        if connection.phase == Phase::Arriving {
            return self.lose_arriving(index, cause);
        }
        let Some(mut connection) = self.connections.remove(index) else { return };
        if let Some(fault) = connection.transport.take_fault() {
            self.notices.transport_failed(self.now, connection.peer.address(), &fault);
        }
        if cause == CloseCause::ByPeer {
            // A peer that closed its half only still gets its answer.
            self.write(id, &mut connection);
        }
        self.retire(id, connection);
        self.handle(Event::Closed { connection: id, cause });
    }

    /// Closes a connection that the engine does not know any more.
    pub(crate) fn drop_connection(&mut self, index: u32) {
        let Some((id, _)) = self.connections.get(index) else { return };
        let Some(connection) = self.connections.remove(index) else { return };
        if connection.is_lingering() {
            self.linger.end();
        }
        self.retire(id, connection);
    }

    /// Frees what a connection holds and closes it.
    fn retire(&mut self, id: ConnectionId, mut connection: Connection) {
        connection.transport.close(&mut self.work);
        connection.input.release(&mut self.pool);
        self.effects.outbox.clear(id);
        let Connection { peer, counted, .. } = connection;
        self.shared.admissions.release(peer.listener(), peer.address(), counted);
    }
}
