//! Two live Clients with one Client Identifier.

use std::time::Duration;

use dunlin_engine::{Notice, Outcome};

use crate::hello::{Hello, hello, message};
use crate::world::{Link, V5, V311, World, admission};

fn nobody_waits(world: &mut World) -> u64 {
    world.count(|counters| counters.excess.takeovers_delayed)
}

/// Each comes back a second after it lost the Session: the one that has it at the end.
fn fight(world: &mut World, greeting: &Hello, rounds: usize) -> Link {
    let mut holder = world.enter(greeting);
    for _ in 0..rounds {
        world.seconds(1);
        let other = world.enter(greeting);
        assert!(!world.is_open(holder));
        holder = other;
    }
    holder
}

/// After three times the newcomer waits: a second, then two, four, and no longer than it is said.
#[test]
fn who_takes_a_session_back_again_and_again_waits_longer_and_longer() {
    for version in [V311, V5] {
        let mut world = World::with(|settings| settings.limits.takeover_delay_maximum_ms = 5_000);
        let greeting = hello(version, "c");
        let mut holder = fight(&mut world, &greeting, 3);
        for delay in [1_000, 2_000, 4_000, 5_000, 5_000] {
            let newcomer = world.knock(&greeting);
            world.pass(Duration::from_millis(delay - 1));
            assert!(world.is_open(holder) && world.take(newcomer).is_empty(), "{delay}");
            world.ping(holder);
            world.pass(Duration::from_millis(1));
            assert!(!world.is_open(holder), "{delay}");
            assert_eq!(world.take(newcomer), ["CONNACK 00"]);
            holder = newcomer;
        }
        assert_eq!(nobody_waits(&mut world), 5);
        assert_eq!(world.count(|counters| counters.excess.takeovers), 8);
        let said: Vec<u32> = world
            .notices
            .iter()
            .filter_map(|notice| match notice {
                Notice::Rivals { client_id, takeovers, .. } if &**client_id == "c" => Some(*takeovers),
                _ => None,
            })
            .collect();
        assert_eq!(said.first(), Some(&3));
        assert!(said.len() <= 3, "one in ten seconds: {said:?}");
    }
}

/// A Client that lost its connection, and whose old one the Server still believes in, is let in at once: that one had lasted.
#[test]
fn who_comes_back_after_a_loss_does_not_wait() {
    let mut world = World::new();
    let greeting = hello(V5, "c").lasting(3600);
    world.enter(&greeting);
    for _ in 0..20 {
        world.seconds(60);
        world.enter(&greeting);
    }
    assert_eq!(nobody_waits(&mut world), 0);
}

/// Nobody waits for a connection that is not there.
#[test]
fn the_newcomer_is_let_in_when_the_other_goes() {
    let mut world = World::new();
    let greeting = hello(V5, "c").lasting(60);
    let holder = fight(&mut world, &greeting, 3);
    let newcomer = world.knock(&greeting);
    assert!(world.take(newcomer).is_empty());
    world.lose(holder);
    world.pass(Duration::ZERO);
    assert_eq!(world.take(newcomer), ["CONNACK 00 present"]);

    world.leave(newcomer);
    world.enter(&greeting);
}

/// Who gives up and comes again waits for what is left of the time.
#[test]
fn giving_up_does_not_begin_the_time_anew() {
    let mut world = World::new();
    let greeting = hello(V5, "c");
    let holder = fight(&mut world, &greeting, 3);
    for _ in 0..9 {
        let newcomer = world.knock(&greeting);
        world.pass(Duration::from_millis(100));
        assert!(world.take(newcomer).is_empty());
        world.lose(newcomer);
    }
    let newcomer = world.knock(&greeting);
    world.pass(Duration::from_millis(100));
    assert_eq!(world.take(newcomer), ["CONNACK 00"]);
    assert!(!world.is_open(holder));
}

/// One waits; a third takes its place, and the second is told.
#[test]
fn of_several_newcomers_the_last_waits() {
    for (version, refusal) in [(V5, "CONNACK 9f"), (V311, "CONNACK 88")] {
        let mut world = World::new();
        let greeting = hello(version, "c");
        let holder = fight(&mut world, &greeting, 3);
        let second = world.knock(&greeting);
        let third = world.knock(&greeting);
        assert_eq!(world.take(second), [refusal, "closed"]);
        world.publish(holder, &message("t", "1"));
        assert!(world.is_open(holder));
        world.seconds(1);
        assert_eq!(world.take(third), ["CONNACK 00"]);
    }
}

/// Let in, it waits for the log as long as anybody, from then on.
#[test]
fn who_waited_for_another_is_told_when_the_log_does_not_take_its_session() {
    let mut world = World::durable(1);
    let greeting = hello(V5, "c").lasting(60);
    let holder = fight(&mut world, &greeting, 3);
    let newcomer = world.knock(&greeting);
    world.hold_disk();
    world.seconds(1);
    assert!(!world.is_open(holder));
    world.pass(Duration::from_millis(9_999));
    assert!(world.take(newcomer).is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.take(newcomer), ["CONNACK 88", "closed"]);
}

/// What it sends behind its CONNECT waits with it.
#[test]
fn packets_behind_a_connect_that_waits_are_taken_afterwards() {
    let mut world = World::new();
    let greeting = hello(V5, "c");
    fight(&mut world, &greeting, 3);
    let newcomer = world.knock(&greeting);
    world.ping(newcomer);
    world.seconds(1);
    assert_eq!(world.take(newcomer), ["CONNACK 00", "PINGRESP"]);
}

/// An admission is kept with the CONNECT, in whatever shard it was given.
#[test]
fn who_was_admitted_waits_too() {
    let mut world = World::sharded(4);
    world.guard();
    let name = world.client_on(2, 1);
    let greeting = hello(V5, &name);
    let admit = |world: &mut World| {
        let link = world.knock(&greeting);
        assert!(world.asked(link).is_some());
        world.answer(link, Outcome::Admitted(admission(&name, None)));
        link
    };
    for _ in 0..4 {
        let link = admit(&mut world);
        assert_eq!(world.take(link), ["CONNACK 00"]);
        world.seconds(1);
    }
    let _ = admit(&mut world);
    let last = admit(&mut world);
    world.seconds(3);
    assert_eq!(world.take(last), ["CONNACK 00"]);
    assert!(nobody_waits(&mut world) > 0);
}

#[test]
fn the_arbiter_can_be_turned_off() {
    let mut world = World::with(|settings| settings.limits.takeover_delay_maximum_ms = 0);
    fight(&mut world, &hello(V5, "c"), 50);
    assert_eq!(nobody_waits(&mut world), 0);
}

/// Fights that are over are forgotten, and there are never too many.
#[test]
fn many_fights_are_bounded() {
    let mut world = World::new();
    for id in 0..1_500 {
        let greeting = hello(V5, &format!("c{id}"));
        for _ in 0..4 {
            world.enter(&greeting);
        }
    }
    assert_eq!(nobody_waits(&mut world), 0);
    let newcomer = world.knock(&hello(V5, "c1499"));
    assert!(world.take(newcomer).is_empty());
    // One of the first was forgotten for it: it is not kept out.
    world.enter(&hello(V5, "c0"));
}

/// A CONNECT that is too large to be kept is refused, so that fights are no way to fill the memory.
#[test]
fn a_large_connect_does_not_wait() {
    let mut world = World::new();
    let greeting = hello(V5, "c");
    fight(&mut world, &greeting, 3);
    let large = hello(V5, "c").will(message("w", "x".repeat(20_000)));
    let newcomer = world.knock(&large);
    assert_eq!(world.take(newcomer), ["CONNACK 9f", "closed"]);
    world.seconds(1);
    world.enter(&large);
}
