//! The compiled policy against models that are slow and obvious.

use dunlin_codec::{TopicFilter, TopicName, matches};
use proptest::prelude::*;

use super::super::relation;
use super::super::{Action, Conditions, Effect, Rule, Subject, Template, Verdict};
use super::*;

/// Every topic of up to four levels over the names that rules use, and one that they do not.
fn all_topics() -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    let mut last: Vec<String> = ["a", "b", "z", "", "$s"].map(str::to_owned).into();
    for _ in 0..4 {
        let next = last.iter().flat_map(|front| ["a", "b", "z", ""].map(|level| format!("{front}/{level}")));
        let next = next.collect();
        topics.extend(std::mem::replace(&mut last, next));
    }
    topics.retain(|topic| !topic.is_empty());
    topics
}

fn does_match(filter: &str, topic: &str) -> bool {
    matches(TopicFilter::parse(filter).unwrap(), TopicName::parse(topic).unwrap())
}

fn filter() -> impl Strategy<Value = String> {
    let first = prop_oneof![4 => "[ab]", 2 => Just("+".to_owned()), 1 => Just("$s".to_owned())];
    let level = prop_oneof![4 => "[ab]", 3 => Just("+".to_owned()), 1 => Just(String::new())];
    (first, prop::collection::vec(level, 0..3), any::<bool>()).prop_map(|(first, rest, is_open)| {
        let mut levels = vec![first];
        levels.extend(rest);
        if is_open {
            if levels.len() > 1 || levels[0].starts_with('$') {
                levels.push("#".into())
            } else {
                levels[0] = "#".into()
            }
        }
        levels.join("/")
    })
}

prop_compose! {
    fn rule()(
        is_allow in prop::bool::weighted(0.7),
        actions in prop::sample::subsequence(Action::ALL.to_vec(), 1..=3),
        qos in prop::sample::subsequence(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce], 0..=3),
        with_qos in any::<bool>(),
        topics in prop::collection::vec(filter(), 1..4),
        is_own in any::<bool>(),
    ) -> Rule {
        Rule {
            line: 1,
            name: None,
            effect: if is_allow { Effect::Allow } else { Effect::Deny },
            conditions: Conditions { qos: if with_qos && !actions.contains(&Action::Receive) { qos } else { Vec::new() }, retain: None },
            actions,
            topics: topics.iter().map(|topic| Template::parse(topic).unwrap()).collect(),
            subjects: vec![if is_own { Subject::Client("x".into()) } else { Subject::Everyone }],
        }
    }
}

const TEMPLATES: [&str; 8] = [
    "a/${client_id}/#",
    "${client_id}/a",
    "+/${client_id}",
    "a/#",
    "${username}/+/z",
    "a/b",
    "#",
    "${username}/${client_id}",
];

fn of(rules: Vec<Rule>) -> Rules {
    Rules::new(rules, Default::default(), &Default::default())
}

/// Does a rule speak of subscribing at a QoS, or of receiving, as the documentation says it?
fn speaks(rule: &Rule, qos: Option<QoS>) -> bool {
    let levels = &rule.conditions.qos;
    let is_for = |action| rule.actions.contains(&action);
    let at_all = levels.is_empty() || levels.len() == 3;
    match (qos, rule.effect) {
        (None, Effect::Allow) => is_for(Action::Receive) || is_for(Action::Subscribe),
        (None, Effect::Deny) => is_for(Action::Receive) || (is_for(Action::Subscribe) && at_all),
        (Some(qos), effect) => {
            (is_for(Action::Subscribe) && (at_all || levels.contains(&qos)))
                || (effect == Effect::Deny && is_for(Action::Receive))
        }
    }
}

fn permitted(rules: &[Rule], topic: &str, qos: Option<QoS>) -> bool {
    let is_any = |effect| {
        rules.iter().any(|rule| {
            rule.effect == effect
                && speaks(rule, qos)
                && rule.topics.iter().any(|filter| does_match(filter.as_str(), topic))
        })
    };
    is_any(Effect::Allow) && !is_any(Effect::Deny)
}

fn obvious(rules: &[Rule], filter: &str, qos: QoS, topics: &[String]) -> Subscribing {
    let matching: Vec<&String> = topics.iter().filter(|topic| does_match(filter, topic)).collect();
    let allowed = matching.iter().filter(|topic| permitted(rules, topic, Some(qos))).count();
    let leaks = matching.iter().any(|topic| {
        let others = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        !permitted(rules, topic, Some(qos))
            && permitted(rules, topic, None)
            && others.into_iter().any(|other| permitted(rules, topic, Some(other)))
    });
    match allowed {
        0 => Subscribing::Refused,
        all if all == matching.len() => Subscribing::Granted,
        _ if leaks => Subscribing::Refused,
        _ => Subscribing::Filtered,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_subscription_is_granted_exactly_when_all_that_matches_is_allowed(
        list in prop::collection::vec(rule(), 0..6),
        filters in prop::collection::vec(filter(), 1..6),
        qos in prop::sample::select(vec![QoS::AtMostOnce, QoS::ExactlyOnce]),
    ) {
        let topics = all_topics();
        let rules = of(list.clone());
        let policy = rules.compile(&client("x"));
        for filter in &filters {
            let expected = obvious(&list, filter, qos, &topics);
            prop_assert_eq!(policy.may_subscribe(filter, qos), expected, "{}", filter);
        }
    }

    #[test]
    fn a_message_is_allowed_exactly_when_a_rule_allows_it_and_none_denies_it(
        list in prop::collection::vec(rule(), 0..8),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let topics = all_topics();
        let rules = of(list.clone());
        let policy = rules.compile(&client("x"));
        for topic in picks.iter().map(|pick| pick.get(&topics)) {
            prop_assert_eq!(policy.may_receive(topic), permitted(&list, topic, None), "{}", topic);
        }
    }

    /// What explains never disagrees with what decides, and always names a rule for what is allowed.
    #[test]
    fn an_explanation_agrees_with_the_decision(
        list in prop::collection::vec(rule(), 0..8),
        pick in any::<prop::sample::Index>(),
        filter in filter(),
    ) {
        let topics = all_topics();
        let rules = of(list);
        let policy = rules.compile(&client("x"));
        let identity = client("x");
        let topic = pick.get(&topics).as_str();
        let requests = [
            Request::publish(topic, QoS::AtLeastOnce, true),
            Request::receive(topic),
            Request::subscribe(&filter, QoS::AtLeastOnce),
        ];
        let may = |is_allowed| if is_allowed { Verdict::Allowed } else { Verdict::Denied };
        for request in requests {
            let decision = rules.explain(&identity, &request);
            let expected = match request.action {
                Action::Publish => may(policy.may_publish(request.topic, request.qos, true)),
                Action::Receive => may(policy.may_receive(request.topic)),
                Action::Subscribe => match policy.may_subscribe(&filter, request.qos) {
                    Subscribing::Granted => Verdict::Allowed,
                    Subscribing::Filtered => Verdict::Filtered,
                    Subscribing::Refused => Verdict::Denied,
                },
            };
            prop_assert_eq!(decision.verdict, expected);
            prop_assert!(decision.verdict == Verdict::Denied || decision.rule.is_some());
            if let Some(rule) = decision.rule {
                let denies = matches!(decision.why, crate::policy::Why::Denies | crate::policy::Why::DeniesPart);
                prop_assert_eq!(rule.effect == Effect::Deny, denies);
            }
        }
    }

    /// Whoever may, is among those who can, with the values that he has.
    #[test]
    fn those_who_can_are_those_who_may(
        list in prop::collection::vec((prop::bool::weighted(0.8), prop::sample::select(TEMPLATES.to_vec())), 0..5),
        id in "[abx]",
        name in prop::option::of("[ab]"),
        pick in any::<prop::sample::Index>(),
    ) {
        let topics = all_topics();
        let rule = |(is_allow, template): &(bool, &str)| {
            let effect = if *is_allow { Effect::Allow } else { Effect::Deny };
            Rule::carried(effect, &[Action::Publish], template).unwrap()
        };
        let rules = of(list.iter().map(rule).collect());
        let identity = Identity { username: name.map(Into::into), ..client(&id) };
        let request = Request::publish(pick.get(&topics).as_str(), QoS::AtMostOnce, false);
        let holders = rules.who_can(&request);
        let has = |(variable, value): &(String, String)| match variable.as_str() {
            "client_id" => *value == id,
            _ => identity.username.as_deref() == Some(value),
        };
        let is_one = holders.iter().any(|holder| holder.bindings.iter().all(has));
        let decision = rules.explain(&identity, &request);
        if decision.verdict == Verdict::Allowed {
            prop_assert!(is_one, "{:?}", holders);
        } else if is_one {
            prop_assert!(decision.rule.is_some_and(|rule| holders[0].except.contains(&rule)));
        }
    }

    #[test]
    fn relations_of_filters_are_those_of_the_topics_that_match(one in filter(), other in filter()) {
        let topics = all_topics();
        let both = topics.iter().any(|topic| does_match(&one, topic) && does_match(&other, topic));
        let within = topics.iter().filter(|topic| does_match(&other, topic)).all(|topic| does_match(&one, topic));
        prop_assert_eq!(relation::intersect(&one, &other), both, "{} {}", one, other);
        prop_assert_eq!(relation::covers(&one, &other), within, "{} {}", one, other);
    }

    /// Whatever a Client calls itself: what it may do is below one level that is exactly its name.
    #[test]
    fn a_value_never_widens_a_filter(
        id in "[ab+#/$\\x00]{0,4}",
        topic in "[ab$/]{1,8}",
        filter in filter(),
    ) {
        let text = "[[rule]]\nallow = ['publish', 'subscribe']\ntopics = ['d/${client_id}/#', '${client_id}/x']\n";
        let rules = rules(text);
        let policy = rules.compile(&client(&id));
        let is_own = |topic: &str| {
            let levels: Vec<&str> = topic.split('/').collect();
            !id.is_empty()
                && ((levels[0] == "d" && levels.get(1) == Some(&id.as_str()))
                    || (levels == [id.as_str(), "x"] && !id.starts_with('$')))
        };
        if policy.may_publish(&topic, QoS::AtMostOnce, false) || policy.may_receive(&topic) {
            prop_assert!(is_own(&topic), "{:?} {:?}", id, topic);
        }
        if policy.may_subscribe(&filter, QoS::AtMostOnce) == Subscribing::Granted {
            for topic in all_topics().iter().filter(|topic| does_match(&filter, topic)) {
                prop_assert!(is_own(topic), "{:?} {:?}", id, topic);
            }
        }
    }

    /// A denial with a value that cannot be used denies no less than with one that can.
    #[test]
    fn an_unusable_value_never_lifts_a_denial(id in "[ab+#/]{1,4}", topic in "[ab]/[ab]/[ab]") {
        let text = "[[rule]]\nallow = 'publish'\ntopics = '#'\n[[rule]]\ndeny = 'publish'\ntopics = ['a/${client_id}/#']\n";
        let rules = rules(text);
        let is_plain = !id.contains(['+', '#', '/']);
        let denied = !publishes(&rules, &client(&id), &topic);
        let levels: Vec<&str> = topic.split('/').collect();
        prop_assert_eq!(denied, levels[0] == "a" && (!is_plain || levels[1] == id));
    }

    #[test]
    fn any_text_is_a_policy_or_has_faults_with_a_place(text in "(\\[\\[rule\\]\\]\n|allow = |'publish'|topics = |'a/\\$\\{client_id\\}'|\n|[a-z='\"\\[\\]]){0,12}") {
        if let Err(faults) = PolicyFile::parse(&text) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.line >= 1 && fault.line <= text.matches('\n').count() + 1));
        }
    }
}
