//! What is done with an engine between two events, as the runtime does it for an operator.

use dunlin_engine::{Effects, Engine, ShardId, Time};

use super::World;

impl World {
    /// Visits one shard.
    pub(crate) fn visit<T>(
        &mut self,
        shard: usize,
        visit: impl FnOnce(&mut Engine, Time, &mut Effects) -> T,
    ) -> T {
        let answer = visit(&mut self.engines[shard], self.now, &mut self.effects[shard]);
        self.perform(ShardId::new(shard).unwrap());
        self.carry_if_at_once();
        answer
    }
}
