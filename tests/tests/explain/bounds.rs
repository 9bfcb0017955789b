//! Messages that were dropped at a bound, and publishers that were held up by one.

use dunlin_tests::{Connect, Publish, Version, prop};

use crate::scene::{Scene, qos1};

/// Five messages for a queue of three.
fn overfill(scene: &Scene) {
    scene.away("full", "queue/+", 1);
    let mut publisher = scene.client("publisher");
    for number in 1..=5_u16 {
        publisher.publish(&Publish::new(format!("queue/{number}"), "message").qos(1, number));
    }
}

#[test]
fn a_full_queue_that_drops_the_oldest() {
    let scene = Scene::new("[limits]\nqueue_messages_maximum = 3\n");
    overfill(&scene);
    let words = [
        "limits.queue_messages_maximum = 3",
        "drop_oldest: the oldest makes room",
        "Raise limits.queue_messages_maximum",
    ];
    scene.explains("full", "queue/1", "queue_full_messages", &words);
    scene.explains("full", "queue/2", "queue_full_messages", &words);
    scene.explains("full", "queue/5", "waits_for_client", &["which holds 3 messages"]);
}

#[test]
fn a_full_queue_that_drops_the_newest() {
    let scene = Scene::new("[limits]\nqueue_messages_maximum = 3\nqueue_full = \"drop_newest\"\n");
    overfill(&scene);
    let words = [
        "limits.queue_messages_maximum = 3",
        "drop_newest: the new one is dropped",
        "change limits.queue_full",
    ];
    scene.explains("full", "queue/5", "queue_full_messages", &words);
}

#[test]
fn a_queue_that_is_full_of_bytes() {
    let keys = "[limits]\nmaximum_packet_size = 1024\nqueue_bytes_maximum = 2048\n";
    let scene = Scene::new(keys);
    scene.away("full", "queue/+", 1);
    let mut publisher = scene.client("publisher");
    for number in 1..=3_u16 {
        publisher.publish(&Publish::new(format!("queue/{number}"), "x".repeat(900)).qos(1, number));
    }
    let words = ["limits.queue_bytes_maximum = 2048", "Raise limits.queue_bytes_maximum"];
    scene.explains("full", "queue/1", "queue_full_bytes", &words);
}

#[test]
fn qos_0_beyond_the_output_of_a_connection() {
    let scene = Scene::new("[limits]\nmaximum_packet_size = 1024\noutput_bytes_maximum = 1024\n");
    let mut deaf = scene.client("deaf");
    deaf.subscribe("flood", 0);
    let mut publisher = scene.client("publisher");
    let burst = Publish::new("flood", "x".repeat(900)).bytes(Version::V5).repeat(1000);
    // As much as two sockets hold, and more.
    for _ in 0..20 {
        publisher.send(&burst);
        publisher.ping();
    }
    let words = ["more than limits.output_bytes_maximum = 1024 bytes", "Subscribe with QoS 1"];
    scene.explains("deaf", "flood", "output_full", &words);
}

#[test]
fn a_publisher_that_is_slowed() {
    let keys = "[limits]\nqueue_messages_maximum = 20\nslow_publisher_maximum_ms = 60000\n";
    let scene = Scene::new(keys);
    let connect = Connect::new(Version::V5, "slow").property(&prop::u16(prop::RECEIVE_MAXIMUM, 1));
    let mut slow = scene.broker.connect_with(&connect);
    slow.subscribe("work", 1);
    let mut eager = scene.client("eager");
    for number in 1..=15 {
        eager.send(Publish::new("work", "message").qos(1, number).bytes(Version::V5));
    }
    let words = [
        "eager is being slowed",
        "limits.slow_publisher_maximum_ms = 60000",
        "Make the slow subscriber faster",
    ];
    scene.explains("eager", "work", "publisher_slowed", &words);
    let answer = scene.explains("slow", "work", "waits_for_acknowledgements", &["Receive Maximum"]);
    assert!(answer["notes"].to_string().contains("publishers to it are slowed"), "{answer:#}");
}

#[test]
fn a_log_that_is_full() {
    let scene = Scene::new(
        "[storage]\nsegment_bytes = 2_097_152\nquota_bytes = 8_388_608\n[limits]\nmaximum_packet_size = 131072\n",
    );
    scene.away("absent", "big", 1);
    let big = Publish::new("big", "x".repeat(100_000)).qos(1, 1).bytes(Version::V5);
    // A message that is under way when the log fills is not answered before there is room: nobody waits for it.
    let send = |number: u32| {
        let mut publisher = scene.client(&format!("publisher-{number}"));
        publisher.send(&big);
        publisher
    };
    let mut publishers: Vec<_> = (0..150).map(send).collect();
    scene.broker.logged("the log has no room");
    // Some may come before every shard has heard of it; the last do not.
    publishers.extend((150..170).map(send));
    let words = ["the log on disk is full", "0x97", "Raise storage.quota_bytes"];
    scene.explains("absent", "big", "log_full", &words);
    drop(publishers);
}

#[test]
fn a_filter_beyond_a_limit() {
    let scene = Scene::new("[limits]\nsubscriptions_per_client = 1\n");
    let mut client = scene.client("greedy");
    client.subscribe("one", 1);
    assert_eq!(client.subscribe("two", 1), 0x97);
    scene.publish("publisher", &qos1("two"));
    let words = ["asked for two", "refused with 0x97", "limits.subscriptions_per_client = 1"];
    scene.explains("greedy", "two", "subscribe_refused", &words);
}
