//! The same for what comes later than one would think: snapshots whose Subscription was replaced, messages that came again.

use super::*;

const UNASKED: &str = "retained message that no SUBSCRIBE asked for";

impl History {
    /// SUBSCRIBE and SUBACK, with mail on the way all the time.
    fn busy_subscribe(&mut self, link: usize, wish: Wish) {
        self.model.subscribe_taken(link, 1, &[wish]);
        self.step(false);
        self.model.suback(link, 1, &[wish.qos]).unwrap();
        self.step(false);
    }
}

/// A client asks for what is retained, retains something itself under a Subscription that replaces the first one, replaces that
/// too, and gets its own message with RETAIN.
fn own_message(is_quiet: bool, no_local: bool, ends: bool) -> &'static str {
    let mut history = History::new();
    let link = history.online(0, &connect(), false);
    history.busy_subscribe(link, wish(ALL, 1));
    history.step(is_quiet);
    if ends {
        history.unsubscribe(link, ALL);
    }
    history.busy_subscribe(link, Wish { handling: 2, no_local, ..wish(ALL, 1) });
    let own = history.retained(0);
    history.busy_subscribe(link, Wish { handling: 2, ..wish(ALL, 1) });
    let delivery = Delivery { retain: true, ..history.delivery(link, own) };
    rule(history.model.delivered(&delivery))
}

#[test]
fn a_late_snapshot_has_what_no_local_kept_back() {
    assert_eq!(own_message(false, true, false), "");
    assert_eq!(own_message(true, true, false), UNASKED, "it had come by then");
    assert_eq!(own_message(false, false, false), UNASKED, "it comes live");
    assert_eq!(own_message(false, true, true), UNASKED, "UNSUBSCRIBE ended it");
}
