//! Clients each of which does one thing wrong.

use dunlin_tests::{Connect, Publish};

use crate::stage::{Play, Scene, V5, V311, lose, publish, steady, with_will};

/// Each with whom it is found at, and as what.
pub(crate) const FIXTURES: [(Play, (&str, &str)); 13] = [
    (qos0_loss, ("bad-lossy", "qos0-loss")),
    (qos2_unneeded, ("bad-exact", "qos2-unneeded")),
    (qos_above_subscribers, ("bad-careful", "qos-above-subscribers")),
    (random_ids, ("bad-address 198.51.100.4", "random-client-ids")),
    (never_resumed, ("bad-forgetful", "session-never-resumed")),
    (keep_alive_off, ("bad-keep-alive", "keep-alive")),
    (restless, ("bad-restless", "keep-alive")),
    (no_will, ("bad-silent", "no-will")),
    (no_backoff, ("bad-hasty", "no-backoff")),
    (bloated, ("bad-bloated", "payload-shrinks")),
    (retained_command, ("bad-remote", "retained-misuse")),
    (deep_topic, ("bad-deep", "topic-shape")),
    // Last: it has two addresses.
    (fight, ("bad-fight", "client-id-fight")),
];

/// It wants what it misses while it is away, and asks for QoS 0.
fn qos0_loss(scene: &mut Scene<'_>) {
    let lossy = Connect::new(V311, "bad-lossy").clean(false).keep_alive(60);
    let mut wire = scene.connect(&lossy);
    wire.subscribe("alarms/#", 0);
    lose(wire);
    let mut feed = scene.connect(&steady(V311, "feed"));
    publish(&mut feed, 15, |id| Publish::new("alarms/7", "smoke").qos(1, id));
    let wire = scene.connect(&lossy);
    scene.keep(wire);
    scene.keep(feed);
}

/// A state that is retained, exactly once each time.
fn qos2_unneeded(scene: &mut Scene<'_>) {
    scene.subscriber("exact-subscriber", "meter/+", 2);
    let mut wire = scene.connect(&with_will(V5, "bad-exact"));
    for number in 1..=24_u16 {
        wire.publish(&Publish::new("meter/1", number.to_string()).qos(2, number).retain());
    }
    scene.keep(wire);
}

fn qos_above_subscribers(scene: &mut Scene<'_>) {
    scene.subscriber("careful-dashboard", "weather/#", 0);
    let mut wire = scene.connect(&steady(V5, "bad-careful"));
    publish(&mut wire, 40, |id| Publish::new("weather/rain", id.to_string()).qos(1, id));
    scene.keep(wire);
}

/// A new name each time.
fn random_ids(scene: &mut Scene<'_>) {
    for number in 0..32_u64 {
        let random = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut wire = scene.connect(&steady(V311, format!("mqttjs_{random:016x}")));
        publish(&mut wire, 1, |_| Publish::new("door/1", "open"));
        wire.disconnect();
    }
}

/// Asks for a Session that is kept, and begins anew each time.
fn never_resumed(scene: &mut Scene<'_>) {
    for _ in 0..4 {
        let mut wire = scene.connect(&steady(V5, "bad-forgetful").expiring(3600));
        wire.subscribe("orders/#", 1);
        wire.disconnect();
    }
}

pub(crate) fn keep_alive_off(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&Connect::new(V311, "bad-keep-alive"));
    wire.subscribe("news/#", 0);
    scene.keep(wire);
}

/// More pings than anything else.
fn restless(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&Connect::new(V311, "bad-restless").keep_alive(5));
    for _ in 0..40 {
        wire.ping();
    }
    scene.keep(wire);
}

/// Goes without a word, and what it retained stays.
fn no_will(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&steady(V5, "bad-silent"));
    publish(&mut wire, 1, |_| Publish::new("pump/7/state", "running").retain());
    lose(wire);
}

/// Comes back at once, again and again.
fn no_backoff(scene: &mut Scene<'_>) {
    for _ in 0..20 {
        lose(scene.connect(&steady(V311, "bad-hasty")));
    }
}

/// Two that both think that they are it.
pub(crate) fn fight(scene: &mut Scene<'_>) {
    let connect = steady(V311, "bad-fight");
    let mut last = scene.connect_from(&connect, 0);
    for round in 1..=4 {
        let next = scene.connect_from(&connect, round % 2);
        last.expect_closed();
        last = next;
    }
    scene.keep(last);
}

fn bloated(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&steady(V311, "bad-bloated"));
    let reading =
        |number: u16| format!(r#"{{"measurement":"temperature","unit":"celsius","value":{number}}},"#);
    let payload = |number: u16| (0..10).map(|more| reading(number + more)).collect::<String>();
    publish(&mut wire, 64, |number| Publish::new("bloated/readings", payload(number)));
    scene.keep(wire);
}

/// Whoever subscribes next year switches the lamp on.
fn retained_command(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&steady(V311, "bad-remote"));
    publish(&mut wire, 1, |_| Publish::new("lamp/7/set", "on").retain());
    scene.keep(wire);
}

fn deep_topic(scene: &mut Scene<'_>) {
    let mut wire = scene.connect(&steady(V5, "bad-deep"));
    let topic = "company/europe/de/by/muc/plant3/hall2/line7/press1/motor/rpm";
    publish(&mut wire, 12, |number| Publish::new(topic, number.to_string()));
    scene.keep(wire);
}
