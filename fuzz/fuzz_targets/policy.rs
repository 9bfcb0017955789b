//! A Client Identifier, a topic and a policy file, each from a line of its own. Reading never panics and names places that are
//! there; what decides, what explains and what edits agree with each other.

#![no_main]

use dunlin_codec::{QoS, TopicFilter, TopicName};
use dunlin_engine::Subscribing;
use dunlin_security::identity::Identity;
use dunlin_security::policy::{
    Action, Conditions, Effect, PolicyFile, Request, Rule, Rules, Subject, Template, Verdict, add, remove,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let [client, topic, text] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let rules = match PolicyFile::parse(text) {
        Ok(rules) => rules,
        Err(faults) => {
            assert!(!faults.is_empty());
            let last = text.matches('\n').count() + 1;
            assert!(
                faults.iter().all(|fault| (1..=last).contains(&fault.line) && fault.column > 0),
                "{faults:?}"
            );
            return;
        }
    };
    let identity = Identity {
        client_id: client.into(),
        username: Some(client.into()),
        groups: vec![client.into(), "crew".into()],
        attributes: [("cert.cn".into(), client.into())].into(),
    };
    if TopicName::parse(topic).is_ok() {
        decide(&rules, &identity, topic);
    }
    if TopicFilter::parse(topic).is_ok_and(|filter| filter.shared().is_none()) {
        subscribe(&rules, &identity, topic);
    }
    edit(text, &rules);
});

fn decide(rules: &Rules, identity: &Identity, topic: &str) {
    let policy = rules.compile(identity);
    let publish = Request::publish(topic, QoS::AtLeastOnce, true);
    let explained = rules.explain(identity, &publish);
    assert_eq!(policy.may_publish(topic, QoS::AtLeastOnce, true), explained.verdict == Verdict::Allowed);
    assert_eq!(
        explained.verdict == Verdict::Allowed,
        explained.rule.is_some_and(|rule| rule.effect == Effect::Allow)
    );
    let received = rules.explain(identity, &Request::receive(topic));
    assert_eq!(policy.may_receive(topic), received.verdict == Verdict::Allowed);
    // A subscription to one topic is never filtered, and brings no more than may be received.
    match policy.may_subscribe(topic, QoS::AtMostOnce) {
        Subscribing::Granted => assert!(policy.may_receive(topic)),
        Subscribing::Filtered => panic!("one topic is filtered: {topic:?}"),
        Subscribing::Refused => {}
    }
    // Someone of whom nothing is usable is allowed no more than what is fixed.
    let hostile = Identity { client_id: "+/#".into(), ..Identity::default() };
    let plain = Identity { client_id: "z\u{fffd}z".into(), ..Identity::default() };
    let names_either = rules
        .rules()
        .iter()
        .flat_map(|rule| &rule.subjects)
        .any(|subject| matches!(subject, Subject::Client(id) if &**id == "+/#" || &**id == "z\u{fffd}z"));
    if rules.compile(&hostile).may_receive(topic) && !names_either {
        assert!(
            !rules.explain(&hostile, &Request::receive(topic)).filter.unwrap_or_default().contains("+/#")
        );
        let denied = rules.explain(&plain, &Request::receive(topic));
        assert!(denied.verdict == Verdict::Allowed || denied.rule.is_some(), "{topic:?}");
    }
}

fn subscribe(rules: &Rules, identity: &Identity, filter: &str) {
    let request = Request::subscribe(filter, QoS::AtMostOnce);
    let expected = match rules.compile(identity).may_subscribe(filter, QoS::AtMostOnce) {
        Subscribing::Granted => Verdict::Allowed,
        Subscribing::Filtered => Verdict::Filtered,
        Subscribing::Refused => Verdict::Denied,
    };
    assert_eq!(rules.explain(identity, &request).verdict, expected);
    let _ = rules.who_can(&request);
}

fn edit(text: &str, rules: &Rules) {
    let rule = Rule {
        line: 0,
        name: Some("added here".into()),
        effect: Effect::Deny,
        actions: vec![Action::Receive],
        conditions: Conditions::default(),
        topics: Template::parse("added/${client_id}").into_iter().collect(),
        subjects: vec![Subject::Everyone],
    };
    let Ok(added) = add(text, &rule) else { return };
    let read = PolicyFile::parse(&added).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(read.rules().len(), rules.rules().len() + 1);
    let line = read.rules().last().map_or(0, |rule| rule.line);
    let (removed, _) = remove(&added, line).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(removed.trim_end_matches('\n'), text.trim_end_matches('\n'));
}
