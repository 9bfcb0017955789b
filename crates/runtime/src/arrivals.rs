//! Connections that are not yet ready for MQTT: the header of a proxy, TLS or a WebSocket request is to come.
//!
//! In:    newcomers, time.
//! Out:   those that took too long.
//! Never: a newcomer that waits for ever. The engine hears of none before it is ready.

use std::collections::VecDeque;

use dunlin_engine::{CloseCause, ConnectionId, Event, Peer, Time};
use dunlin_net::Incoming;

use crate::admissions::Refusal;
use crate::connections::{Connections, Phase, slot};
use crate::reading::LEAD;
use crate::shard::Shard;

/// Who waits, in the order in which they came. May name connections that have arrived, or are gone.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(VecDeque<(Time, ConnectionId)>);

impl Arrivals {
    pub(crate) fn expect(&mut self, id: ConnectionId, deadline: Time) {
        self.0.push_back((deadline, id));
    }

    /// When the first of those who still wait has taken too long.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.0.front().map(|(deadline, _)| *deadline)
    }

    /// The next that has taken too long.
    fn next_due(&mut self, now: Time, connections: &mut Connections) -> Option<ConnectionId> {
        while let Some((deadline, id)) = self.0.front().copied() {
            let waits = connections.get_arriving(id).is_some();
            if waits && deadline > now {
                return None;
            }
            self.0.pop_front();
            if waits {
                return Some(id);
            }
        }
        None
    }
}

impl Shard {
    /// Goes on with the handshake of a connection; how many bytes were looked at.
    pub(crate) fn arrive(&mut self, index: u32) -> usize {
        let Some((id, connection)) = self.connections.get(index) else { return 0 };
        if !connection.readable {
            return 0;
        }
        let got = connection.transport.read(&mut self.scratch[LEAD..], &mut self.work);
        if let Incoming::Proxied(address) = got {
            if address.is_some() {
                connection.peer = Peer { address, ..connection.peer.whole() }.into();
            }
            if address.is_some() && !self.admit_named(index) {
                return 0;
            }
        }
        let Some((_, connection)) = self.connections.get(index) else { return 0 };
        if connection.transport.is_established()
            && matches!(got, Incoming::Bytes { .. } | Incoming::Nothing | Incoming::Proxied(_))
        {
            if let Incoming::Bytes { count, .. } = got {
                connection.input.append(&self.scratch[LEAD..LEAD + count], &mut self.pool);
            }
            connection.phase = Phase::Open;
            let peer = connection.peer.whole();
            self.handle(Event::Opened { connection: id, peer, pledge: None });
            if self.connections.get_open(id).is_some_and(|connection| !connection.input.is_empty()) {
                self.offer_input(index);
            }
        }
        self.after_read(index, got)
    }

    /// Takes a place for the address that a proxy has named; false where there is none, and the connection is gone.
    fn admit_named(&mut self, index: u32) -> bool {
        let Some((_, connection)) = self.connections.get(index) else { return false };
        let address = connection.peer.address();
        match self.shared.admissions.admit_address(self.now, address) {
            Ok(counted) => connection.counted = counted,
            Err(refusal) => {
                self.drop_connection(index);
                self.turn_away(address, refusal);
                return false;
            }
        }
        true
    }

    /// Closes newcomers that took too long.
    pub(crate) fn give_up_arrivals(&mut self) {
        while let Some(id) = self.arrivals.next_due(self.now, &mut self.connections) {
            let Some((_, connection)) = self.connections.get(slot(id)) else { continue };
            let address = connection.peer.address();
            self.drop_connection(slot(id));
            self.turn_away(address, Refusal::HandshakeTimeout);
        }
    }

    /// Closes all of them: the process ends.
    pub(crate) fn drop_arrivals(&mut self) {
        for (_, id) in std::mem::take(&mut self.arrivals.0) {
            if self.connections.get_arriving(id).is_some() {
                self.drop_connection(slot(id));
            }
        }
    }

    /// A connection that had not arrived is gone.
    pub(crate) fn lose_arriving(&mut self, index: u32, cause: CloseCause) {
        if let Some((_, connection)) = self.connections.get(index)
            && let Some(fault) = connection.transport.take_fault()
        {
            let address = connection.peer.address();
            self.shared.admissions.count(Refusal::Handshake);
            self.notices.transport_failed(self.now, address, &fault);
        } else if cause == CloseCause::Failed {
            self.shared.admissions.count(Refusal::Handshake);
        }
        self.drop_connection(index);
    }
}
