//! A disk without room, and mail that a crash loses.

use dunlin_engine::{Event, JournalBatch, ShardId};

use super::{Carriage, World};

impl World {
    /// From now on the disk takes only what relieves it.
    pub(crate) fn fill_disk(&mut self) {
        self.settle_disk();
        (self.is_full, self.stores) = (true, false);
        self.set_full(true);
    }

    /// The disk is full before it has taken anything of the batches that wait.
    pub(crate) fn fill_disk_before_the_batch(&mut self) {
        (self.is_full, self.stores) = (true, false);
        self.disk.as_mut().expect("a World with a journal").hides_unstored = true;
        self.set_full(true);
        for shard in self.map.iter() {
            self.step(shard, Event::Stored { relief_only: true });
        }
    }

    /// There is room again.
    pub(crate) fn empty_disk(&mut self) {
        self.disk.as_mut().expect("a World with a journal").hides_unstored = false;
        self.is_full = false;
        self.set_full(false);
        self.store_at_once();
    }

    /// Tells every shard whether the log has room for what others hand over.
    pub(crate) fn set_short(&mut self, short: bool) {
        for shard in self.map.iter() {
            self.event(shard, Event::JournalShort(short));
        }
    }

    /// What is written while the disk is full: relief is stored, the rest waits.
    pub(super) fn relieve(&mut self, shard: ShardId) {
        while self.is_full && self.engines[shard.index()].write_deadline().is_some_and(|at| at <= self.now) {
            let mut batch = JournalBatch::default();
            self.engines[shard.index()].write(self.now, &mut batch);
            let has_stuck = self.disk.as_mut().expect("a World with a journal").relieve(shard, batch);
            if has_stuck {
                self.step(shard, Event::JournalFull(true));
            }
            self.step(shard, Event::Stored { relief_only: true });
        }
    }

    /// What is on its way is lost, as in a crash; mail goes at once from now on.
    pub(crate) fn forget_mail(&mut self) {
        self.transit.clear();
        self.carriage = Carriage::AtOnce;
    }
}
