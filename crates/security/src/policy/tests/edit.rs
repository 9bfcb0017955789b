//! Rules that are added and removed in the text of a file.

use super::super::{Action, Conditions, Effect};
use super::super::{EditError, Rule, Subject, Template, add, remove};
use super::*;

const FILE: &str = "\
# The plant.

[groups]
crew = ['user:anna'] # nights

# Everybody's own.
[[rule]]
allow = 'publish' # no more
topics = [
  'a/${client_id}', # [ not a header
]

# For the crew.
[[rule]]
for = 'group:crew'
deny = 'subscribe'
topics = 'b'

[roles]
reader = []
";

fn rule(topic: &str) -> Rule {
    Rule {
        line: 0,
        name: Some("say \"hi\"".into()),
        effect: Effect::Allow,
        actions: vec![Action::Publish],
        conditions: Conditions { qos: vec![QoS::AtMostOnce, QoS::AtLeastOnce], retain: Some(false) },
        topics: vec![Template::parse(topic).unwrap()],
        subjects: vec![Subject::User("an\\na".into()), Subject::Everyone],
    }
}

#[test]
fn an_added_rule_stands_at_the_end_and_reads_back() {
    let text = add(FILE, &rule("x/\u{7f}/#")).unwrap();

    assert!(text.starts_with(FILE));
    let rules = rules(&text);
    assert_eq!(Rule { line: 0, ..rules.rules()[2].clone() }, rule("x/\u{7f}/#"));
    assert_eq!(add(&text, &rule("x/\u{7f}/#")), Err(EditError::Known { line: 22 }));
}

#[test]
fn an_empty_file_takes_a_rule() {
    assert_eq!(rules(&add("", &rule("x")).unwrap()).rules().len(), 1);
}

#[test]
fn a_removed_rule_goes_with_its_comment_and_all_else_stays() {
    let (text, removed) = remove(FILE, 7).unwrap();
    let rest = FILE.replace(&removed, "");
    assert_eq!(text, rest);
    assert!(
        removed.starts_with("# Everybody's own.\n[[rule]]\nallow") && removed.ends_with("]\n\n"),
        "{removed}"
    );

    let (text, removed) = remove(&text, 7).unwrap();
    assert!(removed.starts_with("# For the crew.\n"), "{removed}");
    assert_eq!(text, "# The plant.\n\n[groups]\ncrew = ['user:anna'] # nights\n\n[roles]\nreader = []\n");
}

#[test]
fn a_comment_that_opens_the_file_stays() {
    let (text, _) = remove("# The plant.\n[[rule]]\nallow = 'publish'\ntopics = 'a'\n", 2).unwrap();
    assert_eq!(text, "# The plant.\n");
}

#[test]
fn what_cannot_be_changed_is_refused() {
    assert_eq!(remove(FILE, 8), Err(EditError::NoRule { line: 8 }));
    assert!(matches!(remove("x = 1", 1), Err(EditError::Invalid(_))));
    let list = "rule = [{ allow = 'publish', topics = 'a' }]\n";
    assert_eq!(add(list, &rule("x")), Err(EditError::NotBlocks));
    assert_eq!(remove(list, 1), Err(EditError::NotBlocks));
}
