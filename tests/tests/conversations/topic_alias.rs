//! Topic Alias, both ways.

use std::collections::BTreeMap;

use dunlin_tests::request::Publish;
use dunlin_tests::{Broker, Connect, Version, Wire, on_shards, prop};

use Version::{V5, V311};

fn alias(topic: &str, payload: &str, number: u16) -> Publish {
    Publish::new(topic, payload).property(&prop::u16(prop::TOPIC_ALIAS, number))
}

fn announced(client: &Wire) -> u16 {
    let maximum = client.connack.clone().unwrap().properties.number(prop::TOPIC_ALIAS_MAXIMUM);
    u16::try_from(maximum.unwrap_or(0)).unwrap()
}

/// [MQTT-3.3.2-12]
#[test]
fn an_alias_stands_for_its_topic_until_it_is_set_anew() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("#", 0);
        let mut publisher = broker.connect(V5, "p");
        assert!(announced(&publisher) > 0, "the default allows aliases");
        publisher.publish(&alias("a", "1", 1));
        publisher.publish(&alias("", "2", 1));
        publisher.publish(&alias("", "3", 1).qos(1, 1));
        publisher.publish(&alias("b", "4", 1));
        publisher.publish(&alias("", "5", 1).qos(2, 2));
        publisher.publish(&Publish::new("a", "6"));
        for (topic, payload) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("b", "5"), ("a", "6")] {
            let publish = subscriber.take(topic, payload);
            assert_eq!(publish.properties.get(prop::TOPIC_ALIAS), None, "each hop has its own aliases");
        }
    });
}

/// [MQTT-3.3.2-12] All that were announced, each its own.
#[test]
fn every_announced_alias_is_accepted() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("t/+", 0);
        let mut publisher = broker.connect(V5, "p");
        let maximum = announced(&publisher);
        for number in 1..=maximum {
            publisher.publish(&alias(&format!("t/{number}"), "set", number));
            subscriber.expect_publish(&format!("t/{number}"), "set");
        }
        for number in (1..=maximum).rev() {
            publisher.publish(&alias("", "used", number));
            subscriber.expect_publish(&format!("t/{number}"), "used");
        }
    });
}

/// [MQTT-3.3.2-9] [MQTT-3.2.2-17] [MQTT-4.13.1-1] DISCONNECT 0x94.
#[test]
fn an_alias_above_the_announced_maximum_is_refused() {
    let broker = Broker::start(&[]);
    let mut publisher = broker.connect(V5, "p");
    let above = announced(&publisher) + 1;
    publisher.send(alias("a", "m", above).bytes(V5));
    publisher.expect_disconnect(0x94);
}

/// [MQTT-3.3.2-8]
#[test]
fn an_alias_of_zero_is_refused() {
    let broker = Broker::start(&[]);
    let mut publisher = broker.connect(V5, "p");
    publisher.send(alias("a", "m", 0).bytes(V5));
    publisher.expect_disconnect_among(&[0x94, 0x82, 0x81]);
}

/// [MQTT-4.13.1-1] Section 3.3.2.3.4: without a mapping it is a Protocol Error.
#[test]
fn an_alias_that_was_never_set_is_refused() {
    let broker = Broker::start(&[]);
    let mut publisher = broker.connect(V5, "p");
    publisher.publish(&alias("a", "m", 1));
    publisher.send(alias("", "m", 2).bytes(V5));
    publisher.expect_disconnect(0x82);
}

/// [MQTT-4.7.3-1] Section 3.3.2.1: an empty Topic Name needs an alias.
#[test]
fn an_empty_topic_without_an_alias_is_refused() {
    let broker = Broker::start(&[]);
    let mut publisher = broker.connect(V5, "p");
    publisher.send(Publish::new("", "m").bytes(V5));
    publisher.expect_disconnect(0x82);
    let mut old = broker.connect(V311, "p");
    old.send(Publish::new("", "m").bytes(V311));
    old.expect_closed();
}

/// [MQTT-3.3.2-7]
#[test]
fn an_alias_ends_with_its_connection_even_where_the_session_goes_on() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "p").lasting(100);
        let mut publisher = broker.connect_with(&lasting);
        publisher.publish(&alias("a", "m", 1));
        publisher.disconnect();
        let mut back = broker.connect_with(&lasting);
        back.send(alias("", "m", 1).bytes(V5));
        back.expect_disconnect(0x82);
    });
}

/// [MQTT-3.3.2-7] Aliases of two Clients have nothing to do with each other.
#[test]
fn an_alias_belongs_to_one_client() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("+", 0);
        let mut first = broker.connect(V5, "first");
        let mut second = broker.connect(V5, "second");
        first.publish(&alias("one", "1", 1).qos(1, 1));
        subscriber.expect_publish("one", "1");
        second.publish(&alias("two", "2", 1).qos(1, 1));
        subscriber.expect_publish("two", "2");
        first.publish(&alias("", "3", 1).qos(1, 2));
        subscriber.expect_publish("one", "3");
    });
}

/// [MQTT-3.1.2-27] [MQTT-3.3.2-11]
#[test]
fn without_a_topic_alias_maximum_the_server_sends_none() {
    on_shards(|broker| {
        for connect in
            [Connect::new(V5, "s"), Connect::new(V5, "s").property(&prop::u16(prop::TOPIC_ALIAS_MAXIMUM, 0))]
        {
            let mut subscriber = broker.connect_with(&connect);
            subscriber.subscribe("a", 1);
            let mut publisher = broker.connect(V5, "p");
            for number in 1..=5 {
                publisher.publish(&Publish::new("a", "m").qos(1, number));
                assert_eq!(subscriber.take("a", "m").properties.get(prop::TOPIC_ALIAS), None);
            }
            subscriber.disconnect();
        }
    });
}

/// [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-10] Whatever the Server aliases, a Client can undo.
#[test]
fn the_servers_aliases_stay_within_the_clients_maximum_and_mean_what_they_meant() {
    on_shards(|broker| {
        let few = Connect::new(V5, "s").lasting(100).property(&prop::u16(prop::TOPIC_ALIAS_MAXIMUM, 2));
        let mut publisher = broker.connect(V5, "p");
        for _ in 0..2 {
            let mut subscriber = broker.connect_with(&few);
            subscriber.subscribe("t/#", 1);
            let mut aliases = BTreeMap::new();
            for round in 0..20_u16 {
                let topic = format!("t/{}", round % 4);
                publisher.publish(&Publish::new(&topic, "m").qos(1, round + 1));
                let publish = subscriber.take_all(1).remove(0);
                let number = publish.properties.number(prop::TOPIC_ALIAS);
                if let Some(number) = number {
                    assert!((1..=2).contains(&number), "{publish:?}");
                    if !publish.topic.is_empty() {
                        aliases.insert(number, publish.topic.clone());
                    }
                }
                let meant = if publish.topic.is_empty() {
                    aliases.get(&number.unwrap())
                } else {
                    Some(&publish.topic)
                };
                assert_eq!(meant, Some(&topic), "{publish:?}");
            }
            subscriber.disconnect();
        }
    });
}

/// [MQTT-4.13.1-1] Section 3.3.2.3.4: twice in one packet is a Protocol Error.
#[test]
fn two_aliases_in_one_packet_are_refused() {
    let broker = Broker::start(&[]);
    let mut publisher = broker.connect(V5, "p");
    publisher.send(alias("a", "m", 1).property(&prop::u16(prop::TOPIC_ALIAS, 1)).bytes(V5));
    publisher.expect_disconnect(0x82);
}
