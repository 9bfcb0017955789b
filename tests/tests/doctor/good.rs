//! Clients with which nothing is wrong, each close to one of the bad ones.

use dunlin_tests::request::PUBACK;
use dunlin_tests::{Connect, Publish};

use crate::stage::{Play, Scene, V5, V311, lose, publish, steady, with_will};

pub(crate) const FIXTURES: [Play; 14] = [
    comes_back_for_its_messages,
    counts_money,
    has_one_careful_subscriber,
    same_name_each_time,
    many_behind_one_address,
    tells_of_all_its_devices,
    has_a_will,
    waits_longer,
    moves_once,
    sends_noise,
    commands_and_states,
    consistent_topics,
    short_keep_alive_with_much_to_say,
    listens_only,
];

/// A Session for what it misses.
fn comes_back_for_its_messages(scene: &mut Scene<'_>) {
    let connect = steady(V5, "good-worker").lasting(3600);
    let mut wire = scene.connect(&connect);
    wire.subscribe("jobs/#", 1);
    lose(wire);
    let mut feed = scene.connect(&steady(V5, "good-feed"));
    publish(&mut feed, 30, |id| Publish::new("jobs/7", id.to_string()).qos(1, id));
    let mut wire = scene.connect(&connect);
    for _ in 0..30 {
        let id = wire.expect_any_publish().id;
        wire.ack(PUBACK, id);
    }
    scene.keep(wire);
    scene.keep(feed);
}

/// QoS 2, and somebody who asked for it.
fn counts_money(scene: &mut Scene<'_>) {
    scene.subscriber("good-ledger", "payments/#", 2);
    let mut wire = scene.connect(&steady(V5, "good-till"));
    for number in 1..=40_u16 {
        wire.publish(&Publish::new("payments/1", number.to_string()).qos(2, number));
    }
    scene.keep(wire);
}

/// Of two subscribers one asked for QoS 1.
fn has_one_careful_subscriber(scene: &mut Scene<'_>) {
    scene.subscriber("good-dashboard", "tank/#", 0);
    scene.subscriber("good-archive", "tank/level", 1);
    let mut wire = scene.connect(&steady(V311, "good-tank"));
    publish(&mut wire, 40, |id| Publish::new("tank/level", id.to_string()).qos(1, id));
    scene.keep(wire);
}

/// Publishes now and then, and says goodbye.
fn same_name_each_time(scene: &mut Scene<'_>) {
    for _ in 0..30 {
        let mut wire = scene.connect(&steady(V311, "good-cron"));
        publish(&mut wire, 1, |_| Publish::new("backup/done", "1"));
        wire.disconnect();
    }
}

/// Different devices, and the same again.
fn many_behind_one_address(scene: &mut Scene<'_>) {
    for round in 0..2 {
        let names = (0..16).map(|number| format!("good-device-{number}"));
        let wires: Vec<_> = names.map(|name| scene.connect(&steady(V5, name))).collect();
        for wire in wires {
            if round == 0 { wire.disconnect() } else { scene.keep(wire) }
        }
    }
}

/// A gateway that retains what its devices are, all at once.
fn tells_of_all_its_devices(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&with_will(V311, "good-gateway"));
    publish(&mut wire, 600, |number| {
        Publish::new(format!("discovery/sensor/{number}/config"), r#"{"unit":"C"}"#).retain()
    });
    scene.keep(wire);
}

/// Is lost, and everybody is told.
fn has_a_will(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&with_will(V5, "good-pump"));
    publish(&mut wire, 1, |_| Publish::new("good-pump/state", "running").retain());
    lose(wire);
}

/// As often as somebody comes back who waits twice as long each time.
fn waits_longer(scene: &mut Scene<'_>) {
    for _ in 0..7 {
        lose(scene.connect(&steady(V5, "good-patient")));
    }
    let wire = scene.connect(&steady(V5, "good-patient"));
    scene.keep(wire);
}

/// From one network to another, before the first is noticed to be gone.
fn moves_once(scene: &mut Scene<'_>) {
    let mut first = scene.connect_from(&steady(V311, "good-phone"), 0);
    let second = scene.connect_from(&steady(V311, "good-phone"), 100);
    first.expect_closed();
    scene.keep(second);
}

/// What is compressed or encrypted already.
fn sends_noise(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&steady(V5, "good-camera"));
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(400)
    .collect();
    publish(&mut wire, 64, |_| Publish::new("camera/1/image", &noise));
    scene.keep(wire);
}

/// The state is retained, the command is not.
fn commands_and_states(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&with_will(V5, "good-remote"));
    publish(&mut wire, 4, |_| Publish::new("lamp/8/set", "on"));
    publish(&mut wire, 4, |_| Publish::new("lamp/8/state", "on").retain());
    scene.keep(wire);
}

fn consistent_topics(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&steady(V311, "good-press"));
    publish(&mut wire, 20, |number| {
        Publish::new(format!("company/de/muc/plant3/line{}/press/rpm", number % 5), number.to_string())
    });
    scene.keep(wire);
}

fn short_keep_alive_with_much_to_say(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&Connect::new(V311, "good-talker").keep_alive(5));
    for _ in 0..30 {
        publish(&mut wire, 2, |_| Publish::new("talk/1", "1"));
    }
    scene.keep(wire);
}

fn listens_only(scene: &mut Scene<'_>) {
    scene.subscriber("good-listener", "#", 0);
}
