//! The same for what is lost: what a crash may make the Server forget, and what may go with a member of a group.

use super::*;

/// A publisher and a subscriber to everything, whose Sessions are stored.
fn durable() -> (History, usize) {
    let mut history = History { model: Model::new(Rules { journal: true, ..RULES }) };
    history.online(0, &connect(), false);
    let link = history.online(1, &connect(), false);
    history.subscribe(link, wish(ALL, 2));
    history.model.all_stored();
    (history, link)
}

impl History {
    fn crash(&mut self) {
        self.model.crash(self.model.now.time);
        self.step(true);
    }

    /// The subscriber comes back, and receives messages again.
    fn again(&mut self, messages: &[usize]) -> Vec<&'static str> {
        let link = self.online(1, &connect(), true);
        let receive = |message: &usize| {
            let delivery = Delivery { dup: true, ..self.delivery(link, *message) };
            rule(self.model.delivered(&delivery))
        };
        messages.iter().map(receive).collect()
    }
}

/// The end of an exchange was not stored: it comes again in its old place, however many crashes later.
#[test]
fn what_a_crash_undid_stays_undone() {
    for crashes in 1..4 {
        let (mut history, link) = durable();
        let messages = [history.published(0, TOPIC, 1), history.published(0, TOPIC, 1)];
        messages.iter().for_each(|message| assert_eq!(history.receive(link, *message), ""));
        history.model.all_stored();
        history.step(true);
        history.model.exchange_ended(link, 1);
        history.step(true);
        for _ in 0..crashes {
            history.crash();
            history.model.all_stored();
            history.step(true);
        }
        assert_eq!(history.again(&messages), ["", ""], "{crashes}");
        history.crash();
        assert_eq!(history.again(&messages), ["", ""], "{crashes}");
    }
}

/// [MQTT-4.6.0-6] A message of QoS 2 comes behind a later one only where it had expired before, and a crash made that forgotten.
#[test]
fn what_expired_may_come_late_after_a_crash() {
    let late = |expiry: Option<u32>, crashes: bool| {
        let (mut history, link) = durable();
        let first = history.message(0, TOPIC, 2);
        history.model.messages[first].expiry = expiry;
        history.model.publish_taken(first);
        history.wait(4);
        let second = history.published(0, TOPIC, 2);
        assert_eq!(history.receive(link, second), "");
        if crashes {
            history.crash();
        } else {
            history.model.closed_by_client(link);
        }
        history.again(&[first])[0]
    };
    let disordered = "messages of one publisher out of order";
    assert_eq!(late(Some(3), true), "");
    assert_eq!(late(Some(3), false), disordered);
    assert_eq!(late(Some(100), true), disordered);
    assert_eq!(late(None, true), disordered);
}

/// [MQTT-3.1.3-9] A Will whose delay began with the end of the process may wait once more after the next crash, and become void,
/// until its client was told that its Session is gone.
#[test]
fn a_will_may_wait_again_after_every_crash() {
    let lost = |is_told: bool| {
        let (mut history, _) = durable();
        let will = history.message(2, TOPIC, 1);
        history.model.messages[will].will = true;
        history.online(2, &Connect { will: Some(Will::new(will, 30)), ..connect() }, false);
        history.step(true);
        history.model.all_stored();
        history.crash();
        history.model.all_stored();
        history.step(true);
        let clean = Connect { clean: true, ..connect() };
        if is_told {
            history.online(2, &clean, false);
        } else {
            history.model.opened(2, false);
            history.model.connect_taken(history.model.links.len() - 1, &clean);
        }
        assert!(history.model.messages[will].taken.is_some(), "its Session ended");
        history.crash();
        rule(history.model.check_complete(&Dropped::default()))
    };
    assert_eq!(lost(false), "");
    assert_eq!(lost(true), "acknowledged message is lost");
}

/// The same where a full queue had dropped it.
#[test]
fn what_was_dropped_may_come_late_after_a_crash() {
    let late = |queue: usize, queue_bytes: u64, drops_oldest: bool, crashes: bool| {
        let (mut history, link) = durable();
        history.model.rules = Rules { queue, queue_bytes, drops_oldest, ..history.model.rules };
        let messages: Vec<usize> = (0..4).map(|_| history.published(0, TOPIC, 1)).collect();
        assert_eq!(history.receive(link, messages[3]), "");
        if crashes {
            history.crash();
        } else {
            history.model.closed_by_client(link);
        }
        history.again(&messages[..1])[0]
    };
    let disordered = "messages of one publisher out of order";
    assert_eq!(late(3, 10_000, true, true), "");
    assert_eq!(late(4, 800, true, true), "");
    assert_eq!(late(4, 10_000, true, true), disordered, "it was never full");
    assert_eq!(late(3, 10_000, false, true), disordered, "the newest is dropped");
    assert_eq!(late(3, 10_000, true, false), disordered);
}

/// [MQTT-4.6.0-1] What a client sees first when it is sent again has its place between the others from then on.
#[test]
fn what_is_seen_late_keeps_its_place() {
    let again = |order: [usize; 3]| {
        let (mut history, link) = durable();
        let before = history.published(0, TOPIC, 2);
        let expired = history.message(0, TOPIC, 2);
        history.model.messages[expired].expiry = Some(3);
        history.model.publish_taken(expired);
        history.wait(4);
        let after = history.published(0, TOPIC, 2);
        assert_eq!([before, after].map(|message| history.receive(link, message)), ["", ""]);
        history.crash();
        let messages = [before, expired, after];
        assert_eq!(history.again(&messages), ["", "", ""]);
        history.again(&order.map(|at| messages[at]))
    };
    let disordered = "sent again in another order";
    assert_eq!(again([0, 1, 2]), ["", "", ""]);
    assert_eq!(again([0, 2, 1]), ["", "", disordered]);
    assert_eq!(again([1, 0, 2]), ["", disordered, ""]);
}

/// A crash may not have lost what its publisher sends again: then its interval began before.
#[test]
fn what_is_sent_again_may_have_expired() {
    let missing = |crashes: bool| {
        let (mut history, _) = durable();
        let message = history.message(0, TOPIC, 2);
        history.model.messages[message].expiry = Some(3);
        history.model.publish_taken(message);
        if crashes {
            history.crash();
            history.online(1, &connect(), true);
        }
        history.wait(4);
        history.model.publish_taken(message);
        history.model.publish_acked(message, true).unwrap();
        history.model.messages[message].last_taken = Some(history.model.now);
        rule(history.model.check_complete(&Dropped { expired: 1, ..Dropped::default() }))
    };
    assert_eq!(missing(true), "");
    assert_eq!(missing(false), "acknowledged message is lost");
}

#[test]
fn what_a_group_loses_is_counted_as_one_thing_or_another() {
    for (is_large, counted) in [
        (false, Dropped { member_lost: 1, ..Dropped::default() }),
        (true, Dropped { too_large: 1, ..Dropped::default() }),
    ] {
        let (mut history, links) = group();
        let message = history.published(0, SHARED_TOPIC, 2);
        history.model.messages[message].size = if is_large { 20_000 } else { 8 };
        history.model.end_session(history.model.links[links[1]].session.unwrap());
        let none = rule(history.model.check_complete(&Dropped::default()));
        assert_eq!(
            none,
            if is_large { "messages dropped and not counted" } else { "lost with a member and not counted" }
        );
        assert_eq!(rule(history.model.check_complete(&counted)), "");
    }
}
