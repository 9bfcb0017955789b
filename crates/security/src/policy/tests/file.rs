//! Faults name the place, the value, and what is allowed.

use super::*;

fn faults(text: &str) -> Vec<String> {
    let faults = PolicyFile::parse(text).expect_err("the text has faults");
    faults.iter().map(|fault| format!("{}:{}: {fault}", fault.line, fault.column)).collect()
}

fn fault(text: &str) -> String {
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].clone()
}

const TOPIC: &str = "a topic filter; variables: ${client_id}, ${username}, ${group}, ${cert.cn}, ${cert.dns}, \
     ${cert.email}, ${cert.uri}, ${cert.serial}, ${cert.subject}, ${attribute.NAME}";

#[test]
fn an_unknown_key_is_named_with_the_nearest() {
    let rule = "[[rule]]\nallow = 'publish'\ntopics = 'a'\n";
    assert_eq!(fault("[[rules]]"), "1:3: rules: not known (did you mean rule?)");
    assert_eq!(
        fault(&format!("{rule}topic = 'b'")),
        "4:1: rule.topic: not known (did you mean rule.topics?)"
    );
    assert_eq!(
        fault(&format!("{rule}colour = 'b'")),
        "4:1: rule.colour: not known; allowed: name, for, allow, deny, topics, qos, retain"
    );
}

#[test]
fn a_value_that_is_not_allowed_is_named_with_what_is() {
    let with = |line: &str| fault(&format!("[[rule]]\n{line}\n"));
    assert_eq!(
        with("allow = 'publihs'\ntopics = 'a'"),
        "2:9: rule.allow = 'publihs': not one of the choices (did you mean \"publish\"?); allowed: publish, subscribe, receive"
    );
    assert_eq!(
        with("allow = 'publish'\ntopics = 'a/#/b'"),
        format!(
            "3:10: rule.topics = 'a/#/b': '#' at byte 2 is not alone in the last level; allowed: {TOPIC}"
        )
    );
    assert_eq!(
        with("allow = 'publish'\ntopics = ['a', 'a/${clientid}']"),
        format!(
            "3:16: rule.topics = 'a/${{clientid}}': no variable ${{clientid}} (did you mean ${{client_id}}?); allowed: {TOPIC}"
        )
    );
    assert_eq!(
        with("allow = 'publish'\ntopics = '$share/g/a'"),
        format!(
            "3:10: rule.topics = '$share/g/a': starts with $share/; a rule is about the filter after $share/NAME/; allowed: {TOPIC}"
        )
    );
    assert_eq!(
        with("allow = 'publish'\ntopics = 'a'\nqos = [3]"),
        "4:8: rule.qos = 3: not one of the choices; allowed: 0, 1, 2"
    );
    assert_eq!(
        with("allow = 'publish'\ntopics = 7"),
        "3:10: rule.topics = 7: an integer, not a string or a list of strings; allowed: a string or a list of strings"
    );
    assert_eq!(
        with("for = 'users:anna'\nallow = 'publish'\ntopics = 'a'"),
        "2:7: rule.for = 'users:anna': names nobody (did you mean user:?); allowed: everyone, anonymous, user:NAME, \
         client:ID, group:NAME, role:NAME, attribute:NAME=VALUE"
    );
    assert_eq!(
        fault("[roles]\nreader = []\n[[rule]]\nfor = 'role:raeder'\nallow = 'publish'\ntopics = 'a'"),
        "4:7: rule.for = 'role:raeder': no such role (did you mean \"role:reader\"?); allowed: a name under [roles]"
    );
}

#[test]
fn a_rule_is_whole() {
    assert_eq!(
        faults("[[rule]]\n"),
        [
            "1:1: rule.allow: missing; allowed: allow = [...] or deny = [...] with publish, subscribe, receive".to_owned(),
            format!("1:1: rule.topics: missing; allowed: {TOPIC}"),
        ]
    );
    assert_eq!(
        fault("[[rule]]\nallow = 'publish'\ndeny = 'publish'\ntopics = 'a'"),
        "1:1: rule: a rule either allows or denies; allowed: allow or deny, not both"
    );
    assert_eq!(
        fault("[[rule]]\nallow = []\ntopics = 'a'"),
        "2:9: rule.allow = []: empty; allowed: a string or a list of strings"
    );
    assert_eq!(
        fault("[[rule]]\nfor = []\nallow = 'publish'\ntopics = 'a'"),
        "2:7: rule.for = []: empty; allowed: a string or a list of strings"
    );
}

#[test]
fn a_condition_without_effect_is_a_fault() {
    assert_eq!(
        fault("[[rule]]\nallow = ['publish', 'subscribe']\ntopics = 'a'\nretain = false"),
        "4:10: rule.retain = false: a condition of publish; allowed: in a rule that is about publish alone"
    );
    assert_eq!(
        fault("[[rule]]\nallow = 'receive'\ntopics = 'a'\nqos = 1"),
        "4:7: rule.qos = 1: a condition of publish and subscribe; allowed: in a rule that is not about receive"
    );
}

#[test]
fn groups_hold_users_and_clients_only_and_roles_no_roles() {
    assert_eq!(
        fault("[groups]\na = 'group:b'"),
        "2:5: groups.a = 'group:b': cannot stand here; allowed: user:NAME, client:ID"
    );
    assert!(fault("[roles]\na = ['role:b']").contains("cannot stand here"));
}

#[test]
fn all_faults_are_found_and_text_that_is_no_toml_is_one() {
    assert_eq!(faults("[[rule]]\nallow = 1\ntopics = ''\nx = 1\n[groups]\na = 1").len(), 4);
    assert!(fault("[[rule]]\nallow = ").starts_with("2:"));
    let nested = format!("x = {}1", "[".repeat(10_000));
    assert!(!faults(&nested).is_empty());
}

#[test]
fn too_many_levels_are_a_fault() {
    let topic = vec!["a"; 129].join("/");
    assert!(
        fault(&format!("[[rule]]\nallow = 'publish'\ntopics = '{topic}'"))
            .contains("129 levels, most are 128")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = PolicyFile::read(std::path::Path::new("/nowhere/access.toml")).expect_err("there is none");
    assert!(error.to_string().starts_with("cannot read the policy /nowhere/access.toml: "), "{error}");
}

#[test]
fn groups_that_the_file_does_not_define_are_known() {
    let rules =
        rules("[groups]\na = []\n[[rule]]\nfor = ['group:a', 'group:b']\nallow = 'publish'\ntopics = 'x'");
    assert_eq!(rules.foreign_groups().into_iter().collect::<Vec<_>>(), ["b"]);
}
