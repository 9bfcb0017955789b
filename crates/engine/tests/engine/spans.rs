//! The way of single messages, followed for OpenTelemetry.

use dunlin_codec::{Property, ReasonCode};
use dunlin_engine::{Span, SpanKind, SpanRules};

use crate::hello::{Message, hello, message};
use crate::world::{V5, V311, World};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: [u8; 8] = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];

fn followed(topic: &str) -> Message {
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    message(topic, "1")
        .property(Property::UserProperty("traceparent", &parent))
        .property(Property::UserProperty("tracestate", "vendor=x"))
}

fn world(shards: usize, ratio: f64) -> World {
    let mut world = World::sharded(shards);
    world.follow(Some(SpanRules { ratio }));
    world
}

fn of(spans: &[Span], kind: SpanKind) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == kind).collect()
}

#[test]
fn a_message_that_its_publisher_follows_is_followed_to_every_acknowledgement() {
    for shards in [1, 4] {
        let mut world = world(shards, 0.0);
        let (first, second) = (world.client_on(0, 0), world.client_on(shards - 1, 1));
        let publisher = world.connect(V5, &first);
        let subscriber = world.connect(V5, &second);
        world.subscribe(subscriber, "t", 2);
        let reader = world.connect(V5, "reader");
        world.subscribe(reader, "#", 0);
        world.publish(publisher, &followed("t").qos(1, 5));
        assert_eq!(world.acknowledge_all(subscriber), ["1"]);
        // [MQTT-3.3.2-17] what the publisher said is not changed.
        let got = world.take(reader);
        assert!(got[0].contains(&format!("user=traceparent:00-{TRACE}-b7ad6b7169203331-01")), "{got:?}");
        let (spans, lost) = world.spans();
        assert_eq!(lost, 0);
        assert!(spans.iter().all(|span| span.trace_id[0] == 0x0a && span.trace_id[15] == 0x9c));
        assert!(spans.iter().all(|span| span.state.as_deref() == Some("vendor=x") && &*span.topic == "t"));
        let [publish] = of(&spans, SpanKind::Publish)[..] else { panic!("{spans:?}") };
        let [route] = of(&spans, SpanKind::Route)[..] else { panic!("{spans:?}") };
        let delivered = of(&spans, SpanKind::Deliver);
        assert_eq!(delivered.len(), 2);
        let deliver = delivered.into_iter().find(|span| *span.client_id == *second).unwrap();
        let [acknowledge] = of(&spans, SpanKind::Acknowledge)[..] else { panic!("{spans:?}") };
        assert_eq!(publish.parent, Some(PARENT));
        assert_eq!((&*publish.client_id, publish.packet_id), (&*first, Some(5)));
        assert_eq!(publish.reason, Some(ReasonCode::Success));
        assert_eq!(route.parent, Some(publish.span_id));
        assert_eq!(deliver.parent, Some(route.span_id));
        assert_eq!(acknowledge.parent, Some(deliver.span_id));
        assert_eq!(acknowledge.reason, Some(ReasonCode::Success));
    }
}

#[test]
fn what_waits_in_a_queue_is_followed_until_it_is_delivered() {
    // What is read back from a log is not followed further.
    let mut world = World::in_memory_with(1, |_| ());
    world.follow(Some(SpanRules { ratio: 0.0 }));
    let away = world.enter(&hello(V5, "s").lasting(100));
    world.subscribe(away, "t", 1);
    world.leave(away);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &followed("t").qos(1, 1));
    world.seconds(7);
    let back = world.enter(&hello(V5, "s").lasting(100));
    world.acknowledge_all(back);
    let (spans, _) = world.spans();
    let [deliver] = of(&spans, SpanKind::Deliver)[..] else { panic!("{spans:?}") };
    assert_eq!(deliver.end.since(deliver.start).as_secs(), 7);
}

#[test]
fn without_a_word_the_ratio_decides() {
    for (ratio, expected) in [(0.0, 0), (1.0, 100)] {
        let mut world = world(1, ratio);
        let client = world.connect(V311, "c");
        for _ in 0..100 {
            world.publish(client, &message("t", "1"));
        }
        let (spans, _) = world.spans();
        assert_eq!(of(&spans, SpanKind::Publish).len(), expected);
        assert!(spans.iter().all(|span| span.kind != SpanKind::Publish || span.parent.is_none()));
    }
    let mut world = world(1, 0.25);
    let client = world.connect(V311, "c");
    for _ in 0..1000 {
        world.publish(client, &message("t", "1"));
    }
    let count = of(&world.spans().0, SpanKind::Publish).len();
    assert!((150..350).contains(&count), "{count}");
}

/// A publisher that does not sample its trace does not want it sampled elsewhere.
#[test]
fn what_is_not_sampled_is_not_followed_whatever_the_ratio() {
    let mut world = world(1, 1.0);
    let client = world.connect(V5, "c");
    let parent = format!("00-{TRACE}-b7ad6b7169203331-00");
    let quiet = message("t", "1").property(Property::UserProperty("traceparent", &parent));
    world.publish(client, &quiet);
    assert_eq!(world.spans().0, []);
}

#[test]
fn a_refusal_is_the_reason_of_its_span() {
    let mut world = world(1, 0.0);
    let client = world.connect(V5, "c");
    world.publish(client, &followed("$SYS/x").qos(1, 1));
    let (spans, _) = world.spans();
    assert_eq!(of(&spans, SpanKind::Publish)[0].reason, Some(ReasonCode::NotAuthorized));
    assert!(of(&spans, SpanKind::Deliver).is_empty());
}

#[test]
fn spans_that_nobody_fetches_are_counted_and_do_not_grow() {
    let mut world = world(1, 1.0);
    let client = world.connect(V311, "c");
    for _ in 0..20_000 {
        world.publish(client, &message("t", "1"));
    }
    let (spans, lost) = world.spans();
    assert_eq!((spans.len(), lost), (16 * 1024, 40_000 - 16 * 1024));
    world.follow(None);
    world.publish(client, &message("t", "1"));
    assert_eq!(world.spans(), (Vec::new(), 0));
}
