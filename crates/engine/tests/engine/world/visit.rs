//! What the Server does by itself: its own messages, and what the runtime does with an engine for an operator.

use dunlin_engine::{Effects, Engine, Event, ShardId, Time};

use super::World;

impl World {
    /// The first shard publishes for the Server itself.
    pub(crate) fn say(&mut self, topic: &str, payload: &str) {
        let shard = self.map.iter().next().unwrap();
        self.event(shard, Event::Publish { topic, payload: payload.as_bytes() });
    }

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
