//! Listeners with a mount point: their Clients say less than the whole name of a topic, and hear less.

use dunlin_engine::{Drop, ListenerRules, Settings};

use crate::hello::{hello, message};
use crate::world::{Link, V5, V311, World};

/// The listener that everybody comes by has this mount point; another one has one, too.
fn mounted_at(mount_point: Option<&str>) -> Settings {
    let rules = |mount_point: Option<&str>| ListenerRules {
        mount_point: mount_point.map(Into::into),
        ..ListenerRules::default()
    };
    Settings { listeners: vec![rules(mount_point), rules(Some("other/"))], ..Settings::default() }
}

/// A Client that came in by a mount point, and one that came in without.
fn both() -> (World, Link, Link) {
    let mut world = World::with(|settings| *settings = mounted_at(Some("site1/")));
    let mounted = world.enter(&hello(V5, "mounted").lasting(60));
    world.reconfigure(&mounted_at(None));
    let whole = world.enter(&hello(V5, "whole").lasting(60));
    (world, mounted, whole)
}

#[test]
fn what_a_mounted_client_says_and_hears_is_a_part_of_the_whole_name() {
    let (mut world, mounted, whole) = both();
    world.subscribe(mounted, "#", 1);
    world.subscribe(whole, "#", 1);
    world.take(mounted);
    world.take(whole);
    world.publish(mounted, &message("a", "1"));
    assert_eq!(world.take(mounted), ["PUBLISH a=1"]);
    assert_eq!(world.take(whole), ["PUBLISH site1/a=1"]);
    world.publish(whole, &message("site1/b", "2"));
    assert_eq!(world.take(mounted), ["PUBLISH b=2"]);
    world.take(whole);
    world.publish(whole, &message("b", "3"));
    assert_eq!(world.take(mounted), [""; 0], "that is nobody's of site1");
    world.unsubscribe(mounted, &["#"]);
    world.take(mounted);
    world.publish(whole, &message("site1/b", "4"));
    assert_eq!(world.take(mounted), [""; 0]);
}

/// An alias stands for what the Client calls the topic; how it is published makes no difference [MQTT-3.3.2-7].
#[test]
fn a_mounted_client_that_takes_aliases_gets_them() {
    for qos in 0..=2 {
        let mut world = World::with(|settings| *settings = mounted_at(Some("site1/")));
        let mounted = world.enter(&hello(V5, "mounted").aliases(2));
        world.subscribe(mounted, "#", 0);
        world.reconfigure(&mounted_at(None));
        let whole = world.enter(&hello(V5, "whole").lasting(60));
        for id in 1..=3 {
            world.publish(whole, &message("site1/pump", "x").qos(qos, id));
        }
        assert_eq!(
            world.take(mounted),
            ["PUBLISH pump=x [alias=1]", "PUBLISH =x [alias=1]", "PUBLISH =x [alias=1]"]
        );
    }
}

/// `site1/#` matches `site1`, for which its Client has no name [MQTT-4.7.1-2].
#[test]
fn what_a_client_has_no_name_for_is_dropped_and_holds_nothing_up() {
    let (mut world, mounted, whole) = both();
    world.subscribe(mounted, "#", 1);
    world.take(mounted);
    world.publish(whole, &message("site1", "0"));
    world.publish(whole, &message("site1", "1").qos(1, 1));
    world.publish(whole, &message("site1/a", "2").qos(1, 2));
    assert_eq!(world.acknowledge_all(mounted), ["2"]);
    assert_eq!(world.dropped(Drop::Denied), 2);
}

#[test]
fn a_session_that_comes_back_by_another_listener_gets_what_it_can_name_there() {
    let (mut world, mounted, whole) = both();
    world.subscribe(mounted, "#", 1);
    world.lose(mounted);
    world.publish(whole, &message("site1/a", "1").qos(1, 1));
    world.reconfigure(&mounted_at(Some("site1/a/")));
    let deeper = world.enter(&hello(V5, "mounted").resume().lasting(60));
    assert_eq!(world.take(deeper), [""; 0]);
    assert_eq!(world.dropped(Drop::Denied), 1);
    world.publish(whole, &message("site1/a/b", "2").qos(1, 2));
    assert_eq!(world.acknowledge_all(deeper), ["2"]);
    world.lose(deeper);
    world.publish(whole, &message("site1/a/c", "3").qos(1, 3));
    world.reconfigure(&mounted_at(None));
    // Whole names, and nothing more is lost.
    let outside = world.enter(&hello(V5, "mounted").resume().lasting(60));
    assert_eq!(world.acknowledge_all(outside), ["3"]);
}

#[test]
fn a_will_is_mounted_and_what_is_retained_is_found_by_both_names() {
    let (mut world, mounted, whole) = both();
    world.subscribe(whole, "site1/#", 0);
    world.take(whole);
    world.reconfigure(&mounted_at(Some("site1/")));
    let dying = world.enter(&hello(V311, "dying").will(message("gone", "1").retain()));
    world.lose(dying);
    assert_eq!(world.take(whole), ["PUBLISH site1/gone=1"]);
    world.subscribe(mounted, "+", 0);
    assert!(world.take(mounted).contains(&"PUBLISH gone=1 retain".to_owned()));
}

/// [MQTT-3.3.2-2] A name that is none stays none: the mount point does not make one of it.
#[test]
fn an_empty_topic_and_those_of_the_server_are_not_mounted() {
    let (mut world, mounted, _) = both();
    world.subscribe(mounted, "$SYS/#", 0);
    world.take(mounted);
    world.say("$SYS/broker/uptime", "7");
    assert_eq!(world.take(mounted), ["PUBLISH $SYS/broker/uptime=7"]);
    world.publish(mounted, &message("", "1"));
    assert!(!world.is_open(mounted));
}
