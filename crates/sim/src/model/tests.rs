//! Wrong histories: each breaks one rule, and beside it stands the right one that does not. A checker that cannot fail proves
//! nothing.

mod late;
mod lost;
mod opening;
mod rights;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

const RULES: Rules = Rules {
    journal: false,
    generous: true,
    full_disconnects: false,
    inflight: 100,
    queue: 1_000,
    queue_bytes: 1_000_000,
    drops_oldest: true,
    expiry_v3: 60,
    expiry_max: 100,
};
const PATIENCE: Duration = Duration::from_secs(10);
/// Topics and filters by their indices in `topics`: `a/0` is matched by `#` and `a/#`, `s/0` by a shared filter.
const TOPIC: usize = 0;
const SHARED_TOPIC: usize = 8;
const ALL: usize = 0;
const OVERLAPPING: usize = 1;
const OTHER: usize = 6;
const SHARED: usize = 15;

/// A model and how far its time has come.
struct History {
    model: Model,
}

fn connect() -> Connect {
    Connect {
        v5: true,
        anonymous: false,
        clean: false,
        expiry: 50,
        will: None,
        keep_alive: 0,
        receive_maximum: 10,
        packet_max: 10_000,
    }
}

fn wish(filter: usize, qos: u8) -> Wish {
    Wish { filter, qos, ..Wish::default() }
}

fn rule(result: Result<impl Sized, Broken>) -> &'static str {
    result.err().map_or("", |broken| broken.rule)
}

impl History {
    fn new() -> Self {
        Self { model: Model::new(RULES) }
    }

    /// A step later; `quiet` where everything before is routed.
    fn step(&mut self, quiet: bool) -> u64 {
        let Moment { step, time } = self.model.now;
        self.model.begin_step(Moment { step: step + 1, time: time.after(Duration::from_micros(1)) }, quiet);
        step + 1
    }

    fn wait(&mut self, seconds: u64) {
        let Moment { step, time } = self.model.now;
        self.model
            .begin_step(Moment { step: step + 1, time: time.after(Duration::from_secs(seconds)) }, true);
    }

    /// A connection that got its CONNACK.
    fn online(&mut self, actor: usize, connect: &Connect, present: bool) -> usize {
        let link = self.model.links.len();
        self.model.opened(actor, false);
        self.step(false);
        self.model.connect_taken(link, connect);
        self.step(false);
        self.model.connack(link, Some(present)).unwrap();
        self.step(false);
        link
    }

    fn subscribe(&mut self, link: usize, wish: Wish) {
        self.model.subscribe_taken(link, 1, &[wish]);
        self.step(false);
        self.model.suback(link, 1, &[wish.qos]).unwrap();
        self.step(true);
    }

    fn unsubscribe(&mut self, link: usize, filter: usize) {
        self.model.unsubscribe_taken(link, 2, &[filter]);
        self.step(false);
        self.model.unsuback(link, 2, Some(&[0])).unwrap();
        self.step(false);
    }

    fn message(&mut self, actor: usize, topic: usize, qos: u8) -> usize {
        self.model.new_message(Message {
            actor,
            topic,
            qos,
            retain: false,
            size: 8,
            properties: Vec::new(),
            expiry: None,
            certain: true,
            will: false,
            taken: None,
            last_taken: None,
            copies: 0,
            owed: false,
        })
    }

    /// A message that the Server took.
    fn published(&mut self, actor: usize, topic: usize, qos: u8) -> usize {
        let message = self.message(actor, topic, qos);
        self.model.publish_taken(message);
        self.step(false);
        message
    }

    fn retained(&mut self, actor: usize) -> usize {
        let message = self.message(actor, TOPIC, 1);
        self.model.messages[message].retain = true;
        self.model.publish_taken(message);
        self.step(true);
        message
    }

    /// The client receives the message as it should.
    fn delivery(&mut self, link: usize, message: usize) -> Delivery<'static> {
        let published = &self.model.messages[message];
        let (topic, qos) = (published.topic, published.qos);
        self.step(false);
        let packet = (qos > 0).then(|| u16::try_from(message).unwrap() + 1);
        Delivery {
            link,
            message: Some(message),
            topic,
            qos,
            dup: false,
            retain: false,
            packet,
            identifiers: &[],
            expiry: None,
            emitted: self.model.now,
        }
    }

    fn receive(&mut self, link: usize, message: usize) -> &'static str {
        let delivery = self.delivery(link, message);
        rule(self.model.delivered(&delivery))
    }

    /// A publisher and a subscriber to everything with QoS 2.
    fn pair() -> (Self, usize) {
        let mut history = Self::new();
        history.online(0, &connect(), false);
        let link = history.online(1, &connect(), false);
        history.subscribe(link, wish(ALL, 2));
        (history, link)
    }
}

#[test]
fn a_good_history_breaks_nothing() {
    let (mut history, link) = History::pair();
    for qos in [0, 1, 2] {
        let message = history.published(0, TOPIC, qos);
        assert_eq!(history.receive(link, message), "");
        if qos > 0 {
            history.model.exchange_ended(link, u16::try_from(message).unwrap() + 1);
        }
    }
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "");
    assert_eq!(history.model.open_exchanges(), []);
}

#[test]
fn a_lost_message_is_missed() {
    for qos in [0, 1, 2] {
        let (mut history, _) = History::pair();
        history.published(0, TOPIC, qos);
        let lost = if qos == 0 { "message with QoS 0 is lost" } else { "acknowledged message is lost" };
        assert_eq!(rule(history.model.check_complete(&Dropped::default())), lost);
        let full = Dropped { output_full: 1, ..Dropped::default() };
        assert_eq!(rule(history.model.check_complete(&full)), if qos == 0 { "" } else { lost });
    }
}

#[test]
fn what_is_missing_must_have_been_counted() {
    let (mut history, _) = History::pair();
    let message = history.published(0, TOPIC, 1);
    history.model.messages[message].size = 20_000;
    let rule_for = |history: &History, dropped: Dropped| rule(history.model.check_complete(&dropped));
    let counted = Dropped { too_large: 1, all: 1, ..Dropped::default() };
    assert_eq!(rule_for(&history, counted), "");
    assert_eq!(rule_for(&history, Dropped::default()), "messages too large that were not counted");

    history.model.messages[message].size = 8;
    history.model.messages[message].expiry = Some(3);
    assert_eq!(rule_for(&history, Dropped::default()), "acknowledged message is lost");
    history.wait(4);
    assert_eq!(rule_for(&history, Dropped::default()), "expired messages that were not counted");
    assert_eq!(rule_for(&history, Dropped { expired: 1, ..Dropped::default() }), "");

    history.model.rules.generous = false;
    assert_eq!(rule_for(&history, Dropped::default()), "messages are missing that no counter explains");
    assert_eq!(rule_for(&history, Dropped { all: 1, ..Dropped::default() }), "");
}

#[test]
fn a_message_comes_once() {
    for qos in [0, 1, 2] {
        let (mut history, link) = History::pair();
        let message = history.published(0, TOPIC, qos);
        assert_eq!(history.receive(link, message), "");
        history.model.exchange_ended(link, u16::try_from(message).unwrap() + 1);
        assert_eq!(history.receive(link, message), "delivered more than once");
    }
}

/// QoS 1 that a publisher sent twice may come twice; QoS 2 not.
#[test]
fn what_was_published_again_may_come_again_with_qos_1() {
    for (qos, expected) in [(1, ""), (2, "delivered more than once")] {
        let (mut history, link) = History::pair();
        let message = history.published(0, TOPIC, qos);
        history.model.publish_taken(message);
        assert_eq!(history.receive(link, message), "");
        history.model.exchange_ended(link, u16::try_from(message).unwrap() + 1);
        assert_eq!(history.receive(link, message), expected);
    }
}

#[test]
fn messages_come_in_order() {
    let (mut history, link) = History::pair();
    let first = history.published(0, TOPIC, 1);
    let second = history.published(0, TOPIC, 1);
    assert_eq!(history.receive(link, second), "");
    assert_eq!(history.receive(link, first), "messages of one publisher out of order");
}

#[test]
fn nobody_gets_what_he_did_not_ask_for() {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let link = history.online(1, &connect(), false);
    history.subscribe(link, wish(OTHER, 2));
    let message = history.published(0, TOPIC, 1);
    assert_eq!(history.receive(link, message), "delivered without a subscription");
}

#[test]
fn nothing_is_delivered_that_was_never_published() {
    let (mut history, link) = History::pair();
    let message = history.message(0, TOPIC, 1);
    assert_eq!(history.receive(link, message), "delivered although it was never published");
}

#[test]
fn what_was_published_after_unsuback_does_not_come() {
    let (mut history, link) = History::pair();
    let before = history.published(0, TOPIC, 1);
    history.unsubscribe(link, ALL);
    let after = history.published(0, TOPIC, 1);
    assert_eq!(history.receive(link, before), "", "in flight when it unsubscribed");
    assert_eq!(history.receive(link, after), "delivered without a subscription");
}

#[test]
fn what_was_routed_before_subscribe_does_not_come() {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let link = history.online(1, &connect(), false);
    let message = history.published(0, TOPIC, 1);
    history.step(true);
    history.subscribe(link, wish(ALL, 1));
    assert_eq!(history.receive(link, message), "delivered without a subscription");
}

#[test]
fn no_local_is_kept() {
    for (no_local, expected) in [(false, ""), (true, "delivered without a subscription")] {
        let mut history = History::new();
        let link = history.online(0, &connect(), false);
        history.subscribe(link, Wish { no_local, ..wish(ALL, 1) });
        let message = history.published(0, TOPIC, 1);
        assert_eq!(history.receive(link, message), expected);
    }
}

#[test]
fn granted_qos_is_neither_exceeded_nor_missed() {
    let (mut history, link) = History::pair();
    history.subscribe(link, wish(ALL, 1));
    let message = history.published(0, TOPIC, 2);
    for (qos, expected) in [(2, "QoS above what was granted"), (0, "QoS below what was granted"), (1, "")] {
        let packet = (qos > 0).then_some(u16::from(qos) + 1);
        let delivery = Delivery { qos, packet, ..history.delivery(link, message) };
        assert_eq!(rule(history.model.delivered(&delivery)), expected);
    }
}

#[test]
fn subscription_identifiers_are_those_of_the_subscriptions() {
    let (mut history, link) = History::pair();
    history.subscribe(link, Wish { identifier: 7, ..wish(ALL, 1) });
    history.subscribe(link, Wish { identifier: 9, ..wish(OVERLAPPING, 1) });
    history.subscribe(link, Wish { identifier: 11, ..wish(OTHER, 1) });
    let cases: [(&[u32], &str); 4] = [
        (&[7], "Subscription Identifier is missing"),
        (&[7, 9, 11], "foreign Subscription Identifier"),
        (&[7, 9, 5], "foreign Subscription Identifier"),
        (&[9, 7], ""),
    ];
    let message = history.published(0, TOPIC, 1);
    for (at, (identifiers, expected)) in cases.into_iter().enumerate() {
        let packet = Some(u16::try_from(at).unwrap() + 1);
        let delivery = Delivery { identifiers, packet, ..history.delivery(link, message) };
        assert_eq!(rule(history.model.delivered(&delivery)), expected);
    }
}

#[test]
fn receive_maximum_is_kept() {
    let mut history = History::new();
    let link = history.online(1, &Connect { receive_maximum: 2, ..connect() }, false);
    history.subscribe(link, wish(ALL, 2));
    let messages: Vec<usize> = (0..5).map(|_| history.published(0, TOPIC, 2)).collect();
    assert_eq!(history.receive(link, messages[0]), "");
    assert_eq!(history.receive(link, messages[1]), "");
    // PUBREC frees nothing, PUBCOMP does.
    history.model.exchange_released(link, 1);
    let early = history.delivery(link, messages[3]);
    history.model.exchange_ended(link, 1);
    assert_eq!(history.receive(link, messages[2]), "");
    assert_eq!(rule(history.model.delivered(&early)), "Receive Maximum exceeded");
}

#[test]
fn packet_identifiers_are_not_reused_while_in_use() {
    let (mut history, link) = History::pair();
    let (one, other) = (history.published(0, TOPIC, 1), history.published(0, TOPIC, 1));
    assert_eq!(history.receive(link, one), "");
    let packet = history.delivery(link, one).packet;
    let reused = Delivery { packet, ..history.delivery(link, other) };
    assert_eq!(
        rule(history.model.delivered(&reused)),
        "packet identifier reused, or sent twice on a connection"
    );
}

/// A message of a Session that is resumed, not acknowledged on the connection before.
fn resumed() -> (History, usize, [usize; 2]) {
    let (mut history, link) = History::pair();
    let messages = [history.published(0, TOPIC, 1), history.published(0, TOPIC, 1)];
    for message in messages {
        assert_eq!(history.receive(link, message), "");
    }
    history.model.closed_by_client(link);
    let link = history.online(1, &connect(), true);
    (history, link, messages)
}

#[test]
fn what_is_sent_again_has_dup_and_the_old_order() {
    let again = |order: [usize; 2], dup: bool| {
        let (mut history, link, messages) = resumed();
        let each = order.map(|at| {
            let delivery = Delivery { dup, ..history.delivery(link, messages[at]) };
            rule(history.model.delivered(&delivery))
        });
        each.into_iter().find(|rule| !rule.is_empty()).unwrap_or("")
    };
    assert_eq!(again([0, 1], true), "");
    assert_eq!(again([0, 1], false), "sent again without DUP");
    assert_eq!(again([1, 0], true), "sent again in another order");
}

#[test]
fn what_was_in_flight_comes_before_what_is_new() {
    let (mut history, link, _) = resumed();
    let new = history.published(0, TOPIC, 1);
    assert_eq!(history.receive(link, new), "new message before the old ones were sent again");
}

#[test]
fn dup_needs_a_first_time_and_pubrec_ends_repetition() {
    let (mut history, link) = History::pair();
    let message = history.published(0, TOPIC, 2);
    let delivery = Delivery { dup: true, ..history.delivery(link, message) };
    assert_eq!(rule(history.model.delivered(&delivery)), "DUP on a first delivery");

    let (mut history, link) = History::pair();
    let message = history.published(0, TOPIC, 2);
    assert_eq!(history.receive(link, message), "");
    history.model.exchange_released(link, u16::try_from(message).unwrap() + 1);
    history.model.closed_by_client(link);
    let link = history.online(1, &connect(), true);
    let delivery = Delivery { dup: true, ..history.delivery(link, message) };
    assert_eq!(rule(history.model.delivered(&delivery)), "PUBLISH sent again after PUBREC");
}

#[test]
fn session_present_follows_the_session() {
    let present = |first: Connect, seconds: u64, second: Connect| {
        let mut history = History::new();
        let link = history.online(0, &first, false);
        history.model.closed_by_client(link);
        history.wait(seconds);
        history.model.opened(0, false);
        history.model.connect_taken(1, &second);
        history.model.links[1].resumed
    };
    assert!(present(connect(), 10, connect()));
    assert!(!present(connect(), 50, connect()), "expired");
    assert!(!present(connect(), 10, Connect { clean: true, ..connect() }));
    assert!(!present(Connect { expiry: 0, ..connect() }, 0, connect()));
    assert!(present(Connect { v5: false, expiry: 0, ..connect() }, 59, connect()));
    assert!(!present(Connect { v5: false, clean: true, ..connect() }, 0, connect()));

    let mut history = History::new();
    history.model.opened(0, false);
    history.model.connect_taken(0, &connect());
    assert_eq!(rule(history.model.connack(0, Some(true))), "Session Present is wrong");
}

#[test]
fn the_server_closes_connections_for_a_reason_only() {
    let unexplained = "the Server closed a connection without a reason";
    let mut history = History::new();
    let link = history.online(0, &Connect { keep_alive: 4, ..connect() }, false);
    history.wait(5);
    let closed = |history: &mut History| rule(history.model.closed_by_server(link, false, PATIENCE));
    assert_eq!(closed(&mut history), unexplained);
    assert_eq!(rule(history.model.silence_checked(link)), "");
    history.wait(3);
    assert_eq!(
        rule(history.model.silence_checked(link)),
        "Keep Alive passed and the connection is still open"
    );
    assert_eq!(rule(history.model.closed_by_server(link, true, PATIENCE)), unexplained, "it did not read");
    assert_eq!(closed(&mut history), "");

    let link = history.online(0, &connect(), true);
    history.online(0, &connect(), true);
    assert!(history.model.was_replaced(link));
    assert_eq!(rule(history.model.closed_by_server(link, false, PATIENCE)), "");
}

/// A client with a Will of that delay is lost; the message and its subscriber.
fn willing(delay: u32, expiry: u32) -> (History, usize, usize, usize) {
    let (mut history, subscriber) = History::pair();
    let message = history.message(2, TOPIC, 1);
    history.model.messages[message].will = true;
    let will = Some(Will::new(message, delay));
    let link = history.online(2, &Connect { will, expiry, ..connect() }, false);
    (history, subscriber, link, message)
}

#[test]
fn a_will_is_published_when_it_is_due() {
    let never = "delivered although it was never published";
    let (mut history, subscriber, _, will) = willing(0, 50);
    assert_eq!(history.receive(subscriber, will), never, "still connected");

    let (mut history, subscriber, link, will) = willing(0, 50);
    history.model.closed_by_client(link);
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "acknowledged message is lost");
    assert_eq!(history.receive(subscriber, will), "");
    history.model.exchange_ended(subscriber, 1);
    assert_eq!(history.receive(subscriber, will), "delivered more than once");

    for (delay, expiry, due) in [(5, 50, 5), (5, 3, 3), (3, 9, 3)] {
        for early in [true, false] {
            let (mut history, subscriber, link, will) = willing(delay, expiry);
            history.model.closed_by_client(link);
            history.wait(if early { due - 1 } else { due });
            let expected = if early { never } else { "" };
            assert_eq!(history.receive(subscriber, will), expected, "{delay} {expiry} {early}");
        }
    }
}

#[test]
fn a_will_is_taken_back_by_disconnect_and_by_coming_back_in_time() {
    let never = "delivered although it was never published";
    let (mut history, subscriber, link, will) = willing(0, 50);
    history.model.disconnect_taken(link, false, None);
    history.model.closed_by_server(link, false, PATIENCE).unwrap();
    assert_eq!(history.receive(subscriber, will), never);

    let (mut history, subscriber, link, will) = willing(0, 50);
    history.model.disconnect_taken(link, true, None);
    history.model.closed_by_server(link, false, PATIENCE).unwrap();
    assert_eq!(history.receive(subscriber, will), "");

    let (mut history, subscriber, link, will) = willing(5, 50);
    history.model.closed_by_client(link);
    history.online(2, &connect(), true);
    history.wait(10);
    assert_eq!(history.receive(subscriber, will), never);

    // A clean start ends the Session, and so the delay.
    let (mut history, subscriber, link, will) = willing(5, 50);
    history.model.closed_by_client(link);
    history.online(2, &Connect { clean: true, ..connect() }, false);
    assert_eq!(history.receive(subscriber, will), "");
}

#[test]
fn retained_messages_come_for_a_subscribe_and_are_the_last() {
    let snapshot = |handling: u8, old: bool| {
        let mut history = History::new();
        history.online(0, &connect(), false);
        let messages = [history.retained(0), history.retained(0)];
        let link = history.online(1, &connect(), false);
        history.subscribe(link, Wish { handling, ..wish(ALL, 1) });
        let message = messages[usize::from(!old)];
        let delivery = Delivery { retain: true, ..history.delivery(link, message) };
        rule(history.model.delivered(&delivery))
    };
    assert_eq!(snapshot(0, false), "");
    assert_eq!(snapshot(0, true), "retained message that had been replaced");
    assert_eq!(snapshot(1, false), "");
    assert_eq!(snapshot(2, false), "retained message that no SUBSCRIBE asked for");
}

#[test]
fn a_subscribe_brings_what_is_retained() {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let message = history.retained(0);
    let link = history.online(1, &connect(), false);
    history.subscribe(link, wish(ALL, 1));
    let check = |history: &History| rule(history.model.check_complete(&Dropped::default()));
    assert_eq!(check(&history), "a SUBSCRIBE did not bring a retained message");
    let delivery = Delivery { retain: true, ..history.delivery(link, message) };
    assert_eq!(rule(history.model.delivered(&delivery)), "");
    assert_eq!(check(&history), "");
    history.subscribe(link, wish(ALL, 1));
    assert_eq!(check(&history), "a SUBSCRIBE did not bring a retained message", "the second one");
}

#[test]
fn an_empty_message_is_never_sent_as_a_retained_one() {
    let (mut history, link) = History::pair();
    let clear = history.retained(0);
    let live = Delivery { message: None, ..history.delivery(link, clear) };
    assert_eq!(rule(history.model.delivered(&live)), "");
    let kept = Delivery { message: None, retain: true, packet: Some(9), ..history.delivery(link, clear) };
    assert_eq!(rule(history.model.delivered(&kept)), "an empty retained message");
}

#[test]
fn an_older_retained_message_does_not_follow_a_newer_live_one() {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let old = history.retained(0);
    let link = history.online(1, &connect(), false);
    history.subscribe(link, wish(ALL, 1));
    let new = history.retained(0);
    assert_eq!(history.receive(link, new), "");
    let delivery = Delivery { retain: true, ..history.delivery(link, old) };
    assert_eq!(rule(history.model.delivered(&delivery)), "older retained message after a newer live one");
}

#[test]
fn the_retain_flag_is_as_asked_for() {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let link = history.online(1, &connect(), false);
    history.subscribe(link, Wish { retain_as_published: true, ..wish(ALL, 1) });
    let plain = history.published(0, TOPIC, 1);
    let delivery = Delivery { retain: true, ..history.delivery(link, plain) };
    assert_eq!(rule(history.model.delivered(&delivery)), "RETAIN on a message that is not retained");
    let retained = history.retained(0);
    assert_eq!(history.receive(link, retained), "Retain As Published ignored");
}

#[test]
fn at_the_end_the_last_retained_message_is_kept() {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let (old, new) = (history.retained(0), history.retained(0));
    let check = |history: &History, seen: &[usize]| {
        let seen = BTreeMap::from([(TOPIC, seen.to_vec())]);
        rule(history.model.check_retained(&seen))
    };
    assert_eq!(check(&history, &[new]), "");
    assert_eq!(check(&history, &[old]), "wrong retained message");
    assert_eq!(check(&history, &[]), "retained message is missing");
    assert_eq!(check(&history, &[old, new]), "several retained messages of one topic");
    let clear = history.message(0, TOPIC, 1);
    history.model.messages[clear].retain = true;
    history.model.messages[clear].size = 0;
    history.model.publish_taken(clear);
    history.step(true);
    assert_eq!(check(&history, &[]), "");
    assert_eq!(check(&history, &[new]), "wrong retained message");
}

/// Two members of a group.
fn group() -> (History, [usize; 2]) {
    let mut history = History::new();
    history.online(0, &connect(), false);
    let links = [1, 2].map(|actor| {
        let link = history.online(actor, &connect(), false);
        history.subscribe(link, wish(SHARED, 2));
        link
    });
    (history, links)
}

#[test]
fn a_shared_message_is_with_one_member_at_a_time() {
    let twice = "shared message at two members at once";
    let (mut history, links) = group();
    let message = history.published(0, SHARED_TOPIC, 1);
    assert_eq!(history.receive(links[0], message), "");
    assert_eq!(history.receive(links[1], message), twice);

    // It goes on when the first is gone.
    let (mut history, links) = group();
    let message = history.published(0, SHARED_TOPIC, 1);
    assert_eq!(history.receive(links[0], message), "");
    history.model.closed_by_client(links[0]);
    assert_eq!(history.receive(links[1], message), "");

    // Not when the first acknowledged it, nor with QoS 2.
    for (qos, acknowledged) in [(1, true), (2, false)] {
        let (mut history, links) = group();
        let message = history.published(0, SHARED_TOPIC, qos);
        assert_eq!(history.receive(links[0], message), "");
        if acknowledged {
            history.model.exchange_ended(links[0], u16::try_from(message).unwrap() + 1);
        }
        history.model.closed_by_client(links[0]);
        assert_eq!(history.receive(links[1], message), twice);
    }
}

#[test]
fn a_shared_message_is_not_stranded() {
    let (mut history, links) = group();
    let message = history.published(0, SHARED_TOPIC, 1);
    let lost = "acknowledged message is lost";
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), lost);
    assert_eq!(history.receive(links[0], message), "");
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), lost, "delivered, not acknowledged");
    history.model.exchange_ended(links[0], u16::try_from(message).unwrap() + 1);
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "");
}

#[test]
fn a_shared_subscription_brings_no_retained_message() {
    let (mut history, links) = group();
    let message = history.message(0, SHARED_TOPIC, 1);
    history.model.messages[message].retain = true;
    history.model.publish_taken(message);
    let delivery = Delivery { retain: true, ..history.delivery(links[0], message) };
    assert_eq!(rule(history.model.delivered(&delivery)), "retained message to a shared subscription");
}

#[test]
fn expiry_is_counted_down_and_kept() {
    let deliver = |waited: u64, left: Option<u32>| {
        let (mut history, link) = History::pair();
        let message = history.message(0, TOPIC, 1);
        history.model.messages[message].expiry = Some(10);
        history.model.publish_taken(message);
        history.wait(waited);
        let delivery = Delivery { expiry: left, ..history.delivery(link, message) };
        rule(history.model.delivered(&delivery))
    };
    let wrong = "Message Expiry Interval counted wrongly";
    assert_eq!(deliver(4, Some(6)), "");
    assert_eq!(deliver(4, Some(10)), wrong);
    assert_eq!(deliver(4, Some(3)), wrong);
    assert_eq!(deliver(11, Some(1)), "delivered after it expired");
    let (mut history, link) = History::pair();
    let message = history.published(0, TOPIC, 1);
    let delivery = Delivery { expiry: Some(1), ..history.delivery(link, message) };
    assert_eq!(rule(history.model.delivered(&delivery)), "Message Expiry Interval out of nowhere");
}

#[test]
fn acknowledgements_of_the_server_fit() {
    let (mut history, _) = History::pair();
    let message = history.message(0, TOPIC, 1);
    assert_eq!(rule(history.model.publish_acked(message, true)), "acknowledged before it was read");
    history.model.publish_taken(message);
    assert_eq!(rule(history.model.publish_acked(message, true)), "");
    assert_eq!(
        rule(history.model.publish_acked(message, false)),
        "no matching subscribers said although there is one"
    );
}

#[test]
fn subscribing_is_answered_once_and_as_asked() {
    let mut history = History::new();
    let link = history.online(0, &connect(), false);
    assert_eq!(rule(history.model.suback(link, 1, &[1])), "SUBACK without SUBSCRIBE");
    let answer = |history: &mut History, reasons: &[u8]| {
        history.model.subscribe_taken(link, 1, &[wish(ALL, 1)]);
        rule(history.model.suback(link, 1, reasons))
    };
    assert_eq!(answer(&mut history, &[1, 1]), "SUBACK of another length than SUBSCRIBE");
    assert_eq!(answer(&mut history, &[0x80]), "subscription refused or granted another QoS");
    assert_eq!(answer(&mut history, &[1]), "");
    assert_eq!(rule(history.model.unsuback(link, 1, None)), "UNSUBACK without UNSUBSCRIBE");
    let answer = |history: &mut History, filter: usize, reasons: &[u8]| {
        history.model.unsubscribe_taken(link, 1, &[filter]);
        rule(history.model.unsuback(link, 1, Some(reasons)))
    };
    assert_eq!(answer(&mut history, OTHER, &[0]), "UNSUBACK with wrong reasons");
    assert_eq!(answer(&mut history, OTHER, &[0x11]), "");
    assert_eq!(answer(&mut history, ALL, &[0]), "");
}

#[test]
fn unsuback_may_tell_of_a_refusal_for_want_of_room_before_suback() {
    for (is_full, broken) in [(false, "UNSUBACK with wrong reasons"), (true, "")] {
        let mut history = History::new();
        let link = history.online(0, &connect(), false);
        history.model.journal_full(is_full);
        history.model.subscribe_taken(link, 1, &[wish(ALL, 1)]);
        history.model.unsubscribe_taken(link, 2, &[ALL]);
        assert_eq!(rule(history.model.unsuback(link, 2, Some(&[0x11]))), broken);
    }
}

#[test]
fn a_queue_is_bounded() {
    let mut history = History::new();
    history.model.rules.queue = 0;
    history.model.rules.inflight = 0;
    history.online(0, &connect(), false);
    let link = history.online(1, &connect(), false);
    history.subscribe(link, wish(ALL, 1));
    history.model.closed_by_client(link);
    let messages: Vec<usize> = (0..70).map(|_| history.published(0, TOPIC, 1)).collect();
    history.model.rules.inflight = 5;
    let link = history.online(1, &connect(), true);
    let mut results = messages.iter().map(|message| {
        let result = history.receive(link, *message);
        history.model.exchange_ended(link, u16::try_from(*message).unwrap() + 1);
        result
    });
    assert_eq!(results.find(|rule| !rule.is_empty()), Some("more messages waited than the queue may hold"));
}
