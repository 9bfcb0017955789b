//! Properties that the Server passes on and does not read.

use dunlin_tests::request::Publish;
use dunlin_tests::{Broker, Connect, Version, on_shards, prop};

use Version::{V5, V311};

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
#[test]
fn every_property_of_a_message_is_passed_on_unaltered() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("q", 1);
        let publish = Publish::new("q", "who?")
            .qos(1, 1)
            .property(&prop::user("z", "1"))
            .property(&prop::u8(prop::PAYLOAD_FORMAT, 1))
            .property(&prop::user("a", "2"))
            .property(&prop::string(prop::RESPONSE_TOPIC, "answers/7"))
            .property(&prop::string(prop::CORRELATION_DATA, [0, 0xff, 0x80]))
            .property(&prop::user("z", "1"))
            .property(&prop::string(prop::CONTENT_TYPE, ""))
            .property(&prop::user("", ""));
        broker.connect(V5, "p").publish(&publish);
        let properties = subscriber.take("q", "who?").properties;
        assert_eq!(properties.number(prop::PAYLOAD_FORMAT), Some(1));
        assert_eq!(properties.text(prop::RESPONSE_TOPIC).as_deref(), Some("answers/7"));
        assert_eq!(properties.get(prop::CORRELATION_DATA), Some(&[0, 3, 0, 0xff, 0x80][..]));
        assert_eq!(properties.text(prop::CONTENT_TYPE).as_deref(), Some(""));
        let user =
            [("z", "1"), ("a", "2"), ("z", "1"), ("", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(properties.user(), user);
        assert_eq!(properties.0.len(), 8);
    });
}

/// [MQTT-3.3.2-17] [MQTT-4.5.0-1] Also from a queue and at a repetition.
#[test]
fn properties_survive_the_queue_and_the_repetition() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("q", 1);
        subscriber.disconnect();
        let publish = Publish::new("q", "m")
            .qos(1, 1)
            .property(&prop::user("k", "v"))
            .property(&prop::string(prop::RESPONSE_TOPIC, "r"));
        broker.connect(V5, "p").publish(&publish);
        for _ in 0..2 {
            let mut back = broker.connect_with(&lasting);
            let properties = back.expect_publish("q", "m").properties;
            assert_eq!(properties.user(), [("k".into(), "v".into())]);
            assert_eq!(properties.text(prop::RESPONSE_TOPIC).as_deref(), Some("r"));
            back.cut();
        }
    });
}

/// [MQTT-3.3.2-15] A request and its answer, between Clients that meet only here.
#[test]
fn a_request_finds_its_answer() {
    on_shards(|broker| {
        let mut responder = broker.connect(V5, "responder");
        responder.subscribe("service", 1);
        let mut requester = broker.connect(V5, "requester");
        requester.subscribe("answers/requester", 1);
        let request = Publish::new("service", "2+2")
            .qos(1, 1)
            .property(&prop::string(prop::RESPONSE_TOPIC, "answers/requester"))
            .property(&prop::string(prop::CORRELATION_DATA, "id-1"));
        requester.publish(&request);
        let asked = responder.take("service", "2+2").properties;
        let answer = Publish::new(asked.text(prop::RESPONSE_TOPIC).unwrap(), "4")
            .qos(1, 1)
            .property(&prop::string(prop::CORRELATION_DATA, asked.text(prop::CORRELATION_DATA).unwrap()));
        responder.publish(&answer);
        let answered = requester.take("answers/requester", "4").properties;
        assert_eq!(answered.text(prop::CORRELATION_DATA).as_deref(), Some("id-1"));
    });
}

/// [MQTT-3.3.2-14] [MQTT-4.13.1-1]
#[test]
fn a_response_topic_with_wildcards_is_refused() {
    let broker = Broker::start(&[]);
    for topic in ["a/#", "+", ""] {
        let mut client = broker.connect(V5, "x");
        client.send(Publish::new("q", "m").property(&prop::string(prop::RESPONSE_TOPIC, topic)).bytes(V5));
        client.expect_disconnect_among(&[0x81, 0x82, 0x90]);
    }
}

/// [MQTT-3.3.2-4] The Server need not look into a payload whose format is announced.
#[test]
fn a_payload_that_is_not_the_announced_utf_8_is_passed_on_or_refused_with_0x99() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("q", 1);
        let mut publisher = broker.connect(V5, "p");
        let publish = Publish::new("q", [0xff]).qos(1, 1).property(&prop::u8(prop::PAYLOAD_FORMAT, 1));
        match publisher.publish(&publish) {
            0x99 => subscriber.expect_nothing_from(&mut publisher),
            code => {
                assert_eq!(code, 0);
                assert_eq!(subscriber.expect_any_publish().payload, [0xff]);
            }
        }
    });
}

/// [MQTT-3.3.2-17] What 3.1.1 cannot carry is left out, and the message still comes.
#[test]
fn a_subscriber_of_3_1_1_gets_the_message_without_its_properties() {
    on_shards(|broker| {
        let mut old = broker.connect(V311, "old");
        old.subscribe("q", 0);
        let publish = Publish::new("q", "m")
            .property(&prop::user("k", "v"))
            .property(&prop::string(prop::RESPONSE_TOPIC, "r"));
        broker.connect(V5, "p").publish(&publish);
        old.expect(Publish::new("q", "m").bytes(V311));
    });
}
