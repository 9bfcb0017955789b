//! A CONNECT that waits for the log.

use super::*;

/// A client whose CONNECT waits, with a Will, and a subscriber; `refused`: the Server put out that it will not have it.
fn waiting(seconds: u64, refused: bool) -> (History, usize, usize, usize) {
    let (mut history, subscriber) = History::pair();
    history.model.rules.journal = true;
    let will = history.message(2, TOPIC, 1);
    history.model.messages[will].will = true;
    let link = history.model.links.len();
    history.model.opened(2, false);
    history.step(false);
    history.model.connect_taken(link, &Connect { will: Some(Will::new(will, 0)), ..connect() });
    history.wait(seconds);
    if refused {
        history.model.answered(link);
        history.model.connect_refused(link);
    }
    (history, subscriber, link, will)
}

#[test]
fn whoever_waits_for_a_slow_log_is_told_so_when_its_time_is_over() {
    let unexplained = "the Server closed a connection without a reason";
    for (seconds, refused, expected) in
        [(9, true, unexplained), (10, false, unexplained), (11, false, unexplained), (10, true, "")]
    {
        let (mut history, _, link, _) = waiting(seconds, refused);
        let closed = rule(history.model.closed_by_server(link, true, PATIENCE));
        assert_eq!(closed, expected, "after {seconds} s, refused: {refused}");
        assert_eq!(history.model.may_be_turned_away(link), refused);
    }
}

#[test]
fn whoever_is_refused_leaves_no_will() {
    let (mut history, subscriber, link, will) = waiting(10, true);
    history.model.closed_by_server(link, true, PATIENCE).unwrap();
    assert_eq!(history.receive(subscriber, will), "delivered although it was never published");
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "");
}
