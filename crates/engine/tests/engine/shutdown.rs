//! The Server stops.

use crate::hello::hello;
use crate::world::{V5, V311, World};

/// [MQTT-4.13.2-1] [MQTT-3.14.0-1] [MQTT-3.14.4-2] Everybody is told who can be, and closed.
#[test]
fn every_connection_is_told_and_closed() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        let clients: Vec<_> = (0..6).map(|number| world.connect(V5, &format!("c{number}"))).collect();
        let old = world.connect(V311, "old");
        let new = world.dial_at(0, V5);
        world.shut_down();
        for client in clients {
            assert_eq!(world.take(client), ["DISCONNECT 8b", "closed"]);
        }
        assert_eq!(world.take(old), ["closed"]);
        assert_eq!(world.take(new), ["closed"]);
        assert_eq!(world.count(|counters| counters.connections), 0);
    }
}

/// Twice is as good as once.
#[test]
fn shutting_down_again_is_harmless() {
    let mut world = World::new();
    world.enter(&hello(V5, "c").keep_alive(10));
    world.shut_down();
    world.shut_down();
    world.seconds(1000);
}
