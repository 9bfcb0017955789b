//! The same for rights: what may not be heard, and what may not be said.

use super::*;

#[test]
fn nobody_hears_what_its_rights_forbid() {
    let deaf = Rights { unheard: 1 << TOPIC, ..Rights::default() };
    let (mut history, link) = History::pair();
    let message = history.published(0, TOPIC, 0);
    let before = history.delivery(link, message);
    history.step(false);
    history.model.rights_changed(1, deaf);
    let at_once = Delivery { emitted: history.model.now, ..before };
    history.step(false);
    let after = Delivery { emitted: history.model.now, ..before };
    assert_eq!(rule(history.model.check_rights(&before)), "");
    assert_eq!(rule(history.model.check_rights(&at_once)), "");
    assert_eq!(rule(history.model.check_rights(&after)), "somebody hears what its policy forbids");
    // Nor need it come.
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "");

    history.step(false);
    history.model.rights_changed(1, Rights::default());
    history.published(0, TOPIC, 1);
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "acknowledged message is lost");
}

#[test]
fn a_group_is_told_of_rights_by_mail() {
    let (mut history, _) = group();
    for unheard in [1 << SHARED_TOPIC, 0] {
        history.step(true);
        (1..=2)
            .for_each(|actor| history.model.rights_changed(actor, Rights { unheard, ..Rights::default() }));
    }
    history.published(0, SHARED_TOPIC, 1);
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "");
    history.step(true);
    history.published(0, SHARED_TOPIC, 1);
    assert_eq!(rule(history.model.check_complete(&Dropped::default())), "acknowledged message is lost");
}

#[test]
fn nobody_hears_what_may_not_be_said() {
    let (mut history, link) = History::pair();
    history.model.rights_changed(0, Rights { unsaid: 1 << TOPIC, ..Rights::default() });
    let message = history.message(0, TOPIC, 1);
    assert!(history.model.is_unsaid(message));
    assert_eq!(history.receive(link, message), "delivered although it was never published");
}
