//! The scenarios of the other clients for `rumqttc`, whose two versions are two libraries in one crate.

use std::time::Duration;

use dunlin_tests::Broker;

/// How long one expectation may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What a client received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

impl Message {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// What the scenarios need of a version. A connection makes progress only while one of these is called.
pub(crate) trait Peer: Sized {
    /// Connects, with a Session that lasts where told, and a Will of QoS 1 on topic `will` where given.
    fn connect(broker: &Broker, id: &str, lasting: bool, will: Option<&str>) -> Self;
    /// What the CONNACK said.
    fn session_present(&self) -> bool;
    /// Subscribes and awaits the SUBACK.
    fn subscribe(&mut self, topic: &str, qos: u8);
    /// Publishes and awaits the end of the handshake.
    fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool);
    /// The next message.
    fn take(&mut self) -> Message;
    /// Sends DISCONNECT.
    fn disconnect(self);

    /// Ends the connection without DISCONNECT.
    fn die(self) {}

    /// Nothing is on its way: a marker of one's own comes first.
    fn nothing(&mut self) {
        self.subscribe("marker", 1);
        self.publish("marker", b"", 1, false);
        assert_eq!(self.take().topic, "marker");
    }
}

fn two<P: Peer>(broker: &Broker) -> (P, P) {
    (P::connect(broker, "subscriber", false, None), P::connect(broker, "publisher", false, None))
}

/// Twenty messages arrive in order at the QoS they were sent with.
pub(crate) fn roundtrip<P: Peer>(broker: &Broker, qos: u8) {
    let (mut subscriber, mut publisher) = two::<P>(broker);
    subscriber.subscribe("a/#", qos);
    for number in 0..20 {
        publisher.publish("a/b", number.to_string().as_bytes(), qos, false);
    }
    for number in 0..20 {
        let message = subscriber.take();
        assert_eq!((message.topic.as_str(), message.text(), message.qos), ("a/b", number.to_string(), qos));
    }
    subscriber.nothing();
}

/// A retained message is set, found and cleared.
pub(crate) fn retained<P: Peer>(broker: &Broker) {
    let (mut early, mut publisher) = two::<P>(broker);
    publisher.publish("r/x", b"kept", 1, true);
    early.subscribe("r/#", 1);
    let message = early.take();
    assert!(message.retain && message.text() == "kept", "{message:?}");
    publisher.publish("r/x", b"", 1, true);
    assert_eq!(early.take().text(), "");
    let mut late = P::connect(broker, "late", false, None);
    late.subscribe("r/#", 1);
    late.nothing();
}

/// Only the connection that was cut leaves its Will.
pub(crate) fn will<P: Peer>(broker: &Broker) {
    let mut watcher = P::connect(broker, "watcher", false, None);
    watcher.subscribe("will", 1);
    P::connect(broker, "polite", false, Some("not this")).disconnect();
    P::connect(broker, "dying", false, Some("gone")).die();
    assert_eq!(watcher.take().text(), "gone");
    watcher.nothing();
}

/// Messages wait for a client that is away.
pub(crate) fn session<P: Peer>(broker: &Broker) {
    let mut keeper = P::connect(broker, "keeper", true, None);
    assert!(!keeper.session_present());
    keeper.subscribe("q", 2);
    keeper.disconnect();
    let mut publisher = P::connect(broker, "publisher", false, None);
    for number in 0..10 {
        publisher.publish("q", number.to_string().as_bytes(), 1 + number / 5, false);
    }
    let mut back = P::connect(broker, "keeper", true, None);
    assert!(back.session_present());
    for number in 0..10 {
        assert_eq!(back.take().text(), number.to_string());
    }
    back.nothing();
}

/// Each message reaches one member of the group.
pub(crate) fn shared<P: Peer>(broker: &Broker) {
    let join = |number| {
        let mut member = P::connect(broker, &format!("member{number}"), false, None);
        member.subscribe("$share/g/s", 1);
        member
    };
    let mut members: Vec<P> = (0..3).map(join).collect();
    let mut publisher = P::connect(broker, "publisher", false, None);
    for number in 0..30 {
        publisher.publish("s", number.to_string().as_bytes(), 1, false);
    }
    let mut seen = Vec::new();
    for (number, member) in members.iter_mut().enumerate() {
        let end = format!("end/{number}");
        member.subscribe(&end, 1);
        publisher.publish(&end, b"", 1, false);
        let before = seen.len();
        loop {
            let message = member.take();
            if message.topic == end {
                break;
            }
            seen.push(message.text().parse::<usize>().unwrap());
        }
        assert!(seen.len() > before, "member {number} got nothing");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
}

/// A payload of `size` bytes arrives unchanged.
pub(crate) fn payload_of<P: Peer>(broker: &Broker, size: u32) {
    let (mut subscriber, mut publisher) = two::<P>(broker);
    subscriber.subscribe("big", 1);
    let payload: Vec<u8> = (0..size).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
    publisher.publish("big", &payload, 1, false);
    assert!(subscriber.take().payload == payload, "the payload changed");
}

macro_rules! scenarios {
    ($peer:ty) => {
        scenarios!($peer,
            qos0: roundtrip(0), qos1: roundtrip(1), qos2: roundtrip(2), retained: retained(), will: will(),
            session: session(), shared: shared(), big: payload_of(1 << 20), maximum: payload_of((2 << 20) - 1024),
        );
    };
    ($peer:ty, $($name:ident: $scenario:ident($($size:expr)?),)*) => {
        $(
            #[test]
            fn $name() {
                let broker = dunlin_tests::Broker::start(&["--shards", "4"]);
                crate::rumqttc::$scenario::<$peer>(&broker $(, $size)?);
            }
        )*
    };
}
pub(crate) use scenarios;
