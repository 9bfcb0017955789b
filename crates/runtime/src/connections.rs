//! The connections of a shard, in slots that are small and used again.
//!
//! In:    connections that were accepted or handed over.
//! Out:   the connection of a slot, while it is there.
//! Never: a slot used twice in one tick: what was collected about its connection in that tick names the slot only.

use dunlin_engine::{ConnectionId, KeptPeer, Peer};
use dunlin_net::Transport;

use crate::input::Input;

/// A connection and what the loop knows about it. Small: there may be a hundred thousand in a shard.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) peer: KeptPeer,
    /// It holds a place of its address.
    pub(crate) counted: bool,
    pub(crate) input: Input,
    pub(crate) phase: Phase,
    /// The poll reports when it has room for output: since it had none for the first time.
    pub(crate) watched_for_room: bool,
    /// In the queue of connections to be read.
    pub(crate) queued: bool,
    /// The transport may have bytes: the poll said so and no read came up short since.
    pub(crate) readable: bool,
    /// Nothing comes after the bytes that the transport has now.
    pub(crate) ended: bool,
    /// The last read was full: the peer sends in bulk.
    pub(crate) bulk: bool,
    /// The engine withholds something from the peer: not to be read.
    pub(crate) paused: bool,
    /// The engine wants the input again, whether or not something was added to it.
    pub(crate) offer: bool,
    /// The transport took less than it was given: it will say when there is room.
    pub(crate) blocked: bool,
    /// Writing failed. What the peer sent before is still read: a DISCONNECT may be in it, which stops the Will.
    pub(crate) broken: bool,
}

/// What a connection is still for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What comes before MQTT is not done; the engine does not know it.
    Arriving,
    /// The engine knows it.
    Open,
    /// Closed by the engine; the last output is on its way out.
    Flushing,
    /// Closed by the engine; everything was sent, and what the peer still sends is thrown away until it closes its end.
    Draining,
}

impl Connection {
    pub(crate) fn new(transport: Transport, peer: Peer, counted: bool) -> Self {
        let phase = if transport.is_established() { Phase::Open } else { Phase::Arriving };
        Self {
            transport,
            peer: peer.into(),
            counted,
            input: Input::default(),
            phase,
            watched_for_room: false,
            queued: false,
            readable: false,
            ended: false,
            bulk: false,
            paused: false,
            offer: false,
            blocked: false,
            broken: false,
        }
    }

    /// Does the engine know it?
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Has the engine closed it?
    pub(crate) fn is_lingering(&self) -> bool {
        matches!(self.phase, Phase::Flushing | Phase::Draining)
    }
}

/// All of a shard.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Freed in this tick.
    freed: Vec<u32>,
    count: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

impl Connections {
    /// How many there are, lingering ones included.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Open connections that keep more input than this, with how much that is and their slots.
    pub(crate) fn unfinished(&self, most: usize) -> Vec<(usize, u32)> {
        let slots = (0..).zip(&self.slots);
        slots
            .filter_map(|(index, slot)| Some((slot.connection.as_ref()?.input.len(), index)))
            .filter(|(len, _)| *len > most)
            .collect()
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> ConnectionId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1)
                .unwrap_or_else(|_| unreachable!("descriptors are numbered by an i32"))
        });
        let slot = &mut self.slots[index as usize];
        slot.connection = Some(connection);
        self.count += 1;
        ConnectionId::new(index, slot.generation)
    }

    /// Takes the connection out; its slot is free from the next tick on.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Connection> {
        let slot = self.slots.get_mut(index as usize)?;
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.freed.push(index);
        self.count -= 1;
        Some(connection)
    }

    pub(crate) fn get(&mut self, index: u32) -> Option<(ConnectionId, &mut Connection)> {
        let slot = self.slots.get_mut(index as usize)?;
        let id = ConnectionId::new(index, slot.generation);
        slot.connection.as_mut().map(|connection| (id, connection))
    }

    /// The connection that the engine means, unless it is gone.
    pub(crate) fn get_open(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.connection.as_mut().filter(|connection| connection.is_open())
    }

    /// The same, to be looked at.
    pub(crate) fn peek_open(&self, id: ConnectionId) -> Option<&Connection> {
        let slot = self.slots.get(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.connection.as_ref().filter(|connection| connection.is_open())
    }

    /// The connection that lingers under the identifier, unless it is gone.
    pub(crate) fn get_lingering(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.connection.as_mut().filter(|connection| connection.is_lingering())
    }

    /// The connection that is under way under the identifier, unless it has arrived or is gone.
    pub(crate) fn get_arriving(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.connection.as_mut().filter(|connection| connection.phase == Phase::Arriving)
    }

    /// Slots that were freed in this tick may be used again.
    pub(crate) fn end_tick(&mut self) {
        self.free.append(&mut self.freed);
    }
}

/// The slot of an identifier.
pub(crate) fn slot(id: ConnectionId) -> u32 {
    u32::try_from(id.index()).unwrap_or_else(|_| unreachable!("it was made from a u32"))
}

#[cfg(test)]
mod tests {
    use dunlin_net::Wrapping;

    use super::*;

    fn connection() -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = mio::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Connection::new(
            Transport::new(stream.into(), &Wrapping::default()).unwrap(),
            Peer { listener: 0, address: None, authenticate: false },
            false,
        )
    }

    #[test]
    fn a_slot_is_used_again_from_the_next_tick_on_and_under_another_identifier() {
        let mut connections = Connections::default();
        let first = connections.insert(connection());
        assert!(connections.remove(slot(first)).is_some());
        let second = connections.insert(connection());
        assert_ne!(second.index(), first.index());

        connections.end_tick();
        let third = connections.insert(connection());
        assert_eq!(third.index(), first.index());
        assert!(connections.get_open(first).is_none());
        assert!(connections.get_open(third).is_some());
        assert_eq!(connections.count(), 2);
    }

    #[test]
    fn a_slot_is_small() {
        // With the descriptor's bookkeeping of debug builds.
        assert!(size_of::<Slot>() <= 72, "{}", size_of::<Slot>());
    }
}
