//! Random orders, cuts and a slow application: nothing of QoS 1 is lost, nothing of QoS 2 is lost or repeated.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use dunlin_client::session::{Action, DeliveryId, Effects, Event, Filter, Left, Record, Remains};
use dunlin_client::{
    Message, QoS, QueueLimits, Retry, Session, Settings, SubscriptionOptions, Time, Version, WhenFull,
};
use dunlin_codec::{PacketId, ProtocolVersion};
use proptest::prelude::*;

use crate::server::{Server, topic_of};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The application publishes.
    Up(QoS),
    /// Somebody publishes to it.
    Down(QoS),
    /// Up to that many bytes arrive at the Server, and at the client.
    Flow(u16, u16),
    /// The connection is cut; what was under way is lost.
    Cut,
    /// Time passes, in milliseconds.
    Pass(u16),
    /// The application acknowledges one of what it has: which.
    Acknowledge(u8),
    /// The process dies and another goes on from its records.
    Restart,
}

fn step(restarts: bool) -> impl Strategy<Value = Step> {
    let qos = || prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    prop_oneof![
        4 => qos().prop_map(Step::Up),
        4 => qos().prop_map(Step::Down),
        8 => (0..80_u16, 0..80_u16).prop_map(|(up, down)| Step::Flow(up, down)),
        2 => Just(Step::Cut),
        3 => (0..400_u16).prop_map(Step::Pass),
        6 => any::<u8>().prop_map(Step::Acknowledge),
        u32::from(restarts) => Just(Step::Restart),
    ]
}

/// What the records add up to: the simplest store there is.
#[derive(Default)]
struct Disk {
    messages: BTreeMap<u64, Left>,
    taken: Vec<PacketId>,
}

impl Disk {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Queued { key, expires_at, message } => {
                let left = Left { key, expires_at, message, packet_id: None, released: false };
                self.messages.insert(key, left);
            }
            Record::Sent { key, packet_id } => {
                self.messages.get_mut(&key).unwrap().packet_id = Some(packet_id)
            }
            Record::Released { key } => self.messages.get_mut(&key).unwrap().released = true,
            Record::Done { key } => _ = self.messages.remove(&key),
            Record::Taken { packet_id } => self.taken.push(packet_id),
            Record::Freed { packet_id } => self.taken.retain(|id| *id != packet_id),
            Record::NewSession => {
                self.taken.clear();
                self.messages.values_mut().for_each(|left| left.packet_id = None);
            }
        }
    }

    fn remains(&self) -> Remains {
        Remains { messages: self.messages.values().cloned().collect(), taken: self.taken.clone() }
    }
}

struct World {
    now: Time,
    settings: Settings,
    session: Session,
    effects: Effects,
    server: Server,
    disk: Disk,
    dialled: bool,
    holds: Vec<(Option<DeliveryId>, Vec<u8>)>,
    /// What the application has taken.
    taken: Vec<Vec<u8>>,
    sent: Vec<(QoS, Vec<u8>)>,
    given: Vec<(QoS, Vec<u8>)>,
    acknowledged: usize,
    numbers: u32,
}

impl World {
    fn new(version: Version, seed: u64) -> Self {
        let mut settings = Settings::new("model");
        settings.version = version;
        settings.seed = seed;
        settings.retry =
            Retry { base: Duration::from_millis(50), cap: Duration::from_millis(400), ..Retry::default() };
        settings.inflight_maximum = NonZeroU16::new(5);
        settings.receive_maximum = NonZeroU16::new(7).unwrap();
        settings.queue =
            QueueLimits { messages: 10_000, when_full: WhenFull::Refuse, ..QueueLimits::default() };
        let mut world = Self {
            now: Time::from_millis(1_000_000),
            session: Session::new(settings.clone()),
            settings,
            effects: Effects::default(),
            server: Server::new(
                if version == Version::V5 { ProtocolVersion::V5 } else { ProtocolVersion::V311 },
                3,
            ),
            disk: Disk::default(),
            dialled: false,
            holds: Vec::new(),
            taken: Vec::new(),
            sent: Vec::new(),
            given: Vec::new(),
            acknowledged: 0,
            numbers: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.event(Event::Start);
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        self.event(Event::Subscribe { token: 0, filters: vec![Filter { filter: "down".into(), options }] });
    }

    fn event(&mut self, event: Event<'_>) {
        self.session.handle(self.now, event, &mut self.effects);
        for record in std::mem::take(&mut self.effects.records) {
            self.disk.apply(record);
        }
        for action in std::mem::take(&mut self.effects.actions) {
            match action {
                Action::Dial => self.dialled = true,
                Action::Close => {
                    self.server.cut();
                    self.effects.output.clear();
                }
                Action::Deliver(delivery) => {
                    assert_eq!(delivery.to, [0]);
                    self.holds.push((delivery.id, delivery.message.payload().to_vec()));
                }
                Action::Published(_, result) => {
                    result.unwrap();
                    self.acknowledged += 1;
                }
                Action::Subscribed(_, result) => _ = result.unwrap(),
                Action::Redirect(_)
                | Action::Reauthenticated(_)
                | Action::Unsubscribed(_)
                | Action::Status(_) => {}
            }
        }
        if std::mem::take(&mut self.dialled) {
            self.event(Event::Dialled);
        }
    }

    fn number(&mut self) -> Vec<u8> {
        self.numbers += 1;
        self.numbers.to_be_bytes().to_vec()
    }

    fn flow(&mut self, up: usize, down: usize) {
        let up = up.min(self.effects.output.len());
        let bytes: Vec<u8> = self.effects.output.drain(..up).collect();
        self.server.receive(&bytes);
        if self.effects.output.is_empty() {
            self.event(Event::Flushed);
        }
        let down = down.min(self.server.output.len());
        let bytes: Vec<u8> = self.server.output.drain(..down).collect();
        if !bytes.is_empty() {
            self.event(Event::Received(&bytes));
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        while self.session.next_deadline().is_some_and(|at| at <= self.now) {
            self.event(Event::Timer);
        }
    }

    fn take(&mut self, at: usize) {
        let (id, payload) = self.holds.remove(at);
        self.taken.push(payload);
        if let Some(id) = id {
            self.event(Event::Acknowledge(id));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Up(qos) => {
                let payload = self.number();
                let message = Message::new(&topic_of(&payload), payload.clone()).unwrap().qos(qos);
                self.sent.push((qos, payload));
                self.event(Event::Publish { token: u64::from(self.numbers), message });
            }
            Step::Down(qos) => {
                let payload = self.number();
                self.server.publish(qos, &payload);
                self.given.push((qos, payload));
            }
            Step::Flow(up, down) => self.flow(up.into(), down.into()),
            Step::Cut => {
                self.server.cut();
                self.event(Event::Lost(String::new()));
            }
            Step::Pass(millis) => self.pass(millis.into()),
            Step::Acknowledge(which) if !self.holds.is_empty() => {
                self.take(usize::from(which) % self.holds.len());
            }
            Step::Acknowledge(_) => {}
            Step::Restart => {
                self.server.cut();
                // What it had taken off the stream and not acknowledged is given to it again.
                self.holds.clear();
                self.effects = Effects::default();
                self.settings.seed += 1;
                self.session = Session::restore(self.settings.clone(), self.disk.remains());
                self.begin();
            }
        }
    }

    /// The network holds, and the application takes what it gets.
    fn settle(&mut self) {
        for _ in 0..5_000 {
            self.flow(usize::MAX, usize::MAX);
            while !self.holds.is_empty() {
                self.take(0);
            }
            let quiet = self.server.output.is_empty() && self.effects.output.is_empty();
            if quiet && self.session.queued() == 0 && self.server.is_idle() {
                return;
            }
            self.pass(10);
        }
        panic!("it does not settle: {} queued", self.session.queued());
    }

    fn check(&self) {
        for (qos, payload) in &self.sent {
            let times = self.server.taken.iter().filter(|(_, taken)| taken == payload).count();
            assert_count(*qos, times, "up", payload);
        }
        for (qos, payload) in &self.given {
            let times = self.taken.iter().filter(|taken| *taken == payload).count();
            assert_count(*qos, times, "down", payload);
        }
    }

    /// What came first was sent first, of the first copies of each QoS [MQTT-4.6.0-6].
    fn check_order(&self) {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut first: Vec<&[u8]> = Vec::new();
            for (_, payload) in self.server.taken.iter().filter(|(of, _)| *of == qos) {
                if !first.contains(&payload.as_slice()) {
                    first.push(payload);
                }
            }
            assert!(first.is_sorted(), "{qos:?} out of order: {first:?}");
        }
    }
}

fn assert_count(qos: QoS, times: usize, way: &str, payload: &[u8]) {
    match qos {
        QoS::ExactlyOnce => assert_eq!(times, 1, "{way} {payload:?} with qos 2"),
        _ => assert!(times >= 1, "{way} {payload:?} with qos 1 was lost"),
    }
}

fn run(version: Version, seed: u64, steps: Vec<Step>) -> World {
    let mut world = World::new(version, seed);
    for step in steps {
        world.step(step);
    }
    world.settle();
    world.check();
    world
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-3.3.1-1]
    #[test]
    fn cuts_lose_and_repeat_nothing(
        version in version(), seed: u64, steps in prop::collection::vec(step(false), 0..250),
    ) {
        let world = run(version, seed, steps);
        world.check_order();
        assert_eq!(world.acknowledged, world.sent.len(), "every publisher was told, once");
    }

    /// [MQTT-4.1.0-1]: what must not be lost is in the records.
    #[test]
    fn restarts_lose_and_repeat_nothing(
        version in version(), seed: u64, steps in prop::collection::vec(step(true), 0..250),
    ) {
        run(version, seed, steps);
    }
}
