//! A Client that takes slowly what it is sent.

use super::{LOW_WATER, Link, World};

impl World {
    /// A Client that takes nothing by itself takes so many bytes, and forgets them.
    pub(crate) fn trickle(&mut self, link: Link, count: usize) {
        let (shard, connection) = self.clients[link.0].at.expect("a Client that is connected");
        assert!(self.waiting(link) > count + LOW_WATER, "it would have drained");
        self.effects[shard.index()].outbox.advance(connection, count, LOW_WATER);
    }
}
