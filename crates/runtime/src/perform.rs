//! What the engine wants done about connections.
//!
//! In:    effects, right after the event that brought them about: none may be followed by an event that it forbids.
//! Out:   connections closed in good order or handed over; connections to be read again; lines in the log.
//! Never: an event for the engine.

use dunlin_engine::{ConnectionId, Effect, Pledge, ShardId};

use crate::connections::{Connection, Phase, slot};
use crate::librarian::Request;
use crate::linger::{Due, LINGERING_MAX};
use crate::post::Arrival;
use crate::shard::Shard;

impl Shard {
    /// Performs the effects of the last event, in order.
    pub(crate) fn perform(&mut self) {
        if self.effects.list.is_empty() {
            return;
        }
        let mut list = std::mem::take(&mut self.effects.list);
        for effect in list.drain(..) {
            match effect {
                Effect::Close { connection } => self.close(connection),
                Effect::Read { token, partition, records } => {
                    // It ends after the shards.
                    let _ = self.desk.send(Request { shard: self.id(), token, partition, records });
                }
                Effect::HandOver { connection, to, pledge } => self.hand_over(connection, to, pledge),
                Effect::Authenticate { connection, credentials } => self.ask(connection, *credentials),
                Effect::ReadMore { connection } => self.read_more(connection),
                Effect::Notice(notice) => self.notices.notice(self.now, &notice),
            }
        }
        self.effects.list = list;
    }

    fn read_more(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_open(id) {
            connection.paused = false;
            connection.offer = true;
            self.queue(slot(id));
        }
    }

    /// Writes what waits for the connection and closes it, at once where that loses nothing.
    fn close(&mut self, id: ConnectionId) {
        let owed = !self.effects.outbox.is_empty(id);
        let Some(connection) = self.connections.get_open(id) else { return };
        connection.input.release(&mut self.pool);
        connection.phase = Phase::Flushing;
        let (index, unread, ended) = (slot(id), connection.readable, connection.ended);
        self.linger.begin();
        if !owed && (!unread || ended) {
            return self.drop_connection(index);
        }
        // At once: at the end of the tick the slot may mean another connection.
        self.flush_one(index);
        if self.connections.get_lingering(id).is_some_and(|connection| connection.phase == Phase::Flushing) {
            self.linger.flush(self.now, id);
        }
        self.queue(index);
    }

    /// Moves a connection that is being flushed on to draining, or closes it, once nothing is owed any more.
    pub(crate) fn drain_if_flushed(&mut self, index: u32) {
        let Some((id, connection)) = self.connections.get(index) else { return };
        if connection.broken {
            return self.drop_connection(index);
        }
        if connection.phase != Phase::Flushing || !self.effects.outbox.is_empty(id) {
            return;
        }
        if connection.ended || connection.transport.shut_down_write(&mut self.work).is_err() {
            return self.drop_connection(index);
        }
        connection.phase = Phase::Draining;
        self.linger.drain(self.now, id);
    }

    /// Closes lingering connections whose time is over, and the oldest where too many linger.
    pub(crate) fn give_up_lingering(&mut self) {
        // At the end of the process all of them linger, and cost nothing that they did not cost before.
        let most = if self.stopping.is_some() { usize::MAX } else { LINGERING_MAX };
        while let Some(due) = self.linger.next_due(self.now, most) {
            let (id, phase) = match due {
                Due::Flushing(id) => (id, Phase::Flushing),
                Due::Draining(id) => (id, Phase::Draining),
            };
            if self.connections.get_lingering(id).is_some_and(|connection| connection.phase == phase) {
                self.drop_connection(slot(id));
            }
        }
    }

    /// Moves a connection to another shard. Nothing was written to it yet, or everything was sent.
    fn hand_over(&mut self, id: ConnectionId, to: ShardId, pledge: Option<Box<Pledge>>) {
        if self.connections.get_open(id).is_none() {
            return;
        }
        let Some(mut connection) = self.connections.remove(slot(id)) else { return };
        self.write(id, &mut connection);
        let left = !self.effects.outbox.is_empty(id);
        self.effects.outbox.clear(id);
        // A peer that has not read what it asked for before its CONNECT was done is none to keep.
        if left || connection.transport.unwatch(self.poll.registry()).is_err() {
            connection.input.release(&mut self.pool);
            let Connection { peer, counted, .. } = connection;
            self.shared.admissions.release(peer.listener(), peer.address(), counted);
            return;
        }
        let Connection { transport, peer, counted, input, .. } = connection;
        let peer = peer.whole();
        self.shared.post.send_connection(to, Box::new(Arrival { transport, peer, counted, input, pledge }));
    }
}
