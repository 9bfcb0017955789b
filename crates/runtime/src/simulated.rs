//! Clients that are played within the process, where there are more than it may open files: for measurements only.
//!
//! In:    how many, and when each says its next thing.
//! Out:   connections that the shards treat like any other, from their first byte on.
//! Never: in a build without the feature `simulated`.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Weak};

use dunlin_engine::{Partition, Peer};
use dunlin_net::Transport;

use crate::clock;
use crate::input::Input;
use crate::post::{Arrival, Item};
use crate::server::Server;
use crate::shard::{Shard, Shared};

/// The played Clients of a Server.
#[derive(Clone, Debug)]
pub struct Crowd(Weak<Shared>);

impl Server {
    /// See [`Crowd`].
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        Crowd(Arc::downgrade(&self.shared))
    }
}

impl Crowd {
    /// Lets Clients with these numbers connect to the first listener, each from the address that is said for it, and where the
    /// Session of its Client Identifier is at home. How many were let in.
    #[must_use]
    pub fn enter(&self, numbers: Range<u32>, who: impl Fn(u32) -> (SocketAddr, String)) -> usize {
        let Some(shared) = self.0.upgrade() else { return 0 };
        let authenticate = shared.asking.first().copied().unwrap_or(true);
        let mut entered = 0;
        for number in numbers {
            let (address, client_id) = who(number);
            let Ok(counted) = shared.admissions.admit(clock::now(), 0, Some(address)) else { continue };
            let peer = Peer { listener: 0, address: Some(address), authenticate };
            let transport = Transport::simulated(number);
            let arrival = Arrival { transport, peer, counted, input: Input::default(), pledge: None };
            let home = shared.post.map().home(Partition::of_client(&client_id));
            shared.post.send_connection(home, Box::new(arrival));
            entered += 1;
        }
        entered
    }

    /// Those in these slots of every shard say their next thing.
    pub fn speak(&self, slots: Range<u32>) {
        if let Some(shared) = self.0.upgrade() {
            shared.post.broadcast(|| Item::Speak(slots.clone()));
        }
    }
}

impl Shard {
    /// As if the poll had reported them.
    pub(crate) fn hear(&mut self, slots: Range<u32>) {
        for index in slots {
            if let Some((_, connection)) = self.connections.get(index)
                && connection.transport.is_simulated()
            {
                connection.readable = true;
                self.queue(index);
            }
        }
    }
}
