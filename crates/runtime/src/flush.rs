//! What peers get: from the outbox to sockets.
//!
//! In:    connections that got output in this tick, and those whose transport has room again.
//! Out:   one write for each, of everything that waits; `Drained` where the engine waits for that.
//! Never: a write that the transport has no room for: it says when it has.

use dunlin_engine::{CloseCause, ConnectionId, Event, Outbox};
use dunlin_net::Workspace;
use mio::Token;
use smallvec::SmallVec;

use crate::connections::{Connection, Phase, slot};
use crate::shard::Shard;

/// The engine adds more when no more than this is left. A write of 64 KiB is as cheap a byte as a larger one.
const LOW_WATER: usize = 64 * 1024;
/// Writes for one connection in one round, where its output is in many slices.
const WRITES: usize = 16;
/// Rounds in one tick: each may make the engine add output to connections that were drained.
const ROUNDS: usize = 4;
/// Slices of one write.
const SLICES: usize = 8;

impl Shard {
    /// Writes what waits. Connections that could take more at once than they were given stay in `dirty`.
    pub(crate) fn flush(&mut self) {
        for _ in 0..ROUNDS {
            self.effects.outbox.take_dirty(&mut self.dirty);
            if self.dirty.is_empty() {
                return;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            for id in dirty.drain(..) {
                // The identifier may be an older one of the slot: what counts is who has it now.
                self.flush_one(slot(id));
            }
            if self.dirty.is_empty() {
                self.dirty = dirty;
            }
        }
        self.effects.outbox.take_dirty(&mut self.dirty);
    }

    /// Writes what waits for the connection, and does what follows from that.
    pub(crate) fn flush_one(&mut self, index: u32) {
        let Some((id, connection)) = self.connections.get(index) else { return };
        let Written { owed, bytes, more } = write(&mut self.effects.outbox, id, connection, &mut self.work);
        self.traffic.bytes_sent += bytes;
        if connection.blocked && !connection.watched_for_room {
            connection.watched_for_room = true;
            let (registry, token) = (self.poll.registry(), Token(id.index()));
            connection.broken |= connection.transport.watch_for_room(registry, token).is_err();
        }
        let (phase, broken) = (connection.phase, connection.broken);
        if more {
            self.dirty.push(id);
        }
        match phase {
            Phase::Open if broken => {
                // What it sent before is read to the end; that also finds the end.
                connection.ended = true;
                connection.readable = true;
                self.queue(index);
            }
            Phase::Open => {
                if owed {
                    self.handle(Event::Drained { connection: id });
                }
            }
            Phase::Flushing => self.drain_if_flushed(index),
            Phase::Arriving if broken => self.lose_arriving(index, CloseCause::Failed),
            Phase::Arriving | Phase::Draining => {}
        }
    }

    /// Writes what waits for a connection that is being taken out.
    pub(crate) fn write(&mut self, id: ConnectionId, connection: &mut Connection) {
        let Written { bytes, .. } = write(&mut self.effects.outbox, id, connection, &mut self.work);
        self.traffic.bytes_sent += bytes;
    }
}

/// What a write did.
struct Written {
    /// The engine is owed `Drained`.
    owed: bool,
    bytes: u64,
    /// More waits and the transport has room for it.
    more: bool,
}

/// Writes what the transport itself has to say.
fn flush_own(connection: &mut Connection, work: &mut Workspace) {
    if connection.transport.owes() && !connection.blocked && !connection.broken {
        match connection.transport.flush(work) {
            Ok(flushed) => connection.blocked = !flushed,
            Err(_) => connection.broken = true,
        }
    }
}

/// Writes what waits as far as the transport takes it.
fn write(
    outbox: &mut Outbox,
    id: ConnectionId,
    connection: &mut Connection,
    work: &mut Workspace,
) -> Written {
    let mut written = Written { owed: false, bytes: 0, more: false };
    flush_own(connection, work);
    for _ in 0..WRITES {
        let mut slices: SmallVec<[&[u8]; SLICES]> = SmallVec::new();
        outbox.slices(id, &mut slices);
        let waiting: usize = slices.iter().map(|slice| slice.len()).sum();
        if waiting == 0 || connection.blocked || connection.broken {
            break;
        }
        let result = connection.transport.write(&slices, work);
        drop(slices);
        let count = match result {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                connection.broken = true;
                break;
            }
        };
        connection.blocked = count < waiting;
        written.bytes += count as u64;
        written.owed |= outbox.advance(id, count, LOW_WATER);
        written.more = !connection.blocked && !outbox.is_empty(id);
        if !written.more {
            flush_own(connection, work);
            return written;
        }
    }
    if connection.broken {
        outbox.clear(id);
    }
    // Where nothing waits, the engine may have asked to be told so.
    written.owed |= outbox.advance(id, 0, LOW_WATER);
    written.more = !connection.blocked && !outbox.is_empty(id);
    written
}
