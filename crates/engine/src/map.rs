//! Hash maps whose order depends on nothing but a seed that is handed in, so that a run can be repeated.

use foldhash::fast::FixedState;

/// A hash map; make it with [`seeded`].
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, FixedState>;

/// An empty map. The seed is random in production, which keeps peers from choosing keys that collide.
pub(crate) fn seeded<K, V>(seed: u64) -> Map<K, V> {
    Map::with_hasher(FixedState::with_seed(seed))
}
