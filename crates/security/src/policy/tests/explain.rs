//! Which rule decides, and who may.

use super::super::{Verdict, Why};
use super::*;

const PLANT: &str = "
[groups]
crew = ['user:anna']

[[rule]]
name = 'own topics'
allow = ['publish', 'subscribe']
topics = 'devices/${client_id}/#'

[[rule]]
for = 'group:crew'
allow = 'subscribe'
topics = 'devices/#'

[[rule]]
deny = 'subscribe'
topics = 'devices/+/key'
";

#[test]
fn the_rule_that_decides_is_named_with_its_line() {
    let rules = rules(PLANT);
    let pump = client("pump");
    let line = |request: &Request<'_>| {
        let decision = rules.explain(&pump, request);
        (decision.verdict, decision.why, decision.rule.map(|rule| rule.line))
    };

    let own = Request::publish("devices/pump/state", QoS::AtMostOnce, false);
    assert_eq!(line(&own), (Verdict::Allowed, Why::Allows, Some(5)));
    let other = Request::publish("devices/gate/state", QoS::AtMostOnce, false);
    assert_eq!(line(&other), (Verdict::Denied, Why::NoRule, None));
    assert_eq!(line(&Request::receive("devices/pump/key")), (Verdict::Denied, Why::Denies, Some(15)));
    let subscribe = |filter| line(&Request::subscribe(filter, QoS::AtMostOnce));
    assert_eq!(subscribe("devices/pump/key"), (Verdict::Denied, Why::Denies, Some(15)));
    assert_eq!(subscribe("devices/pump/#"), (Verdict::Filtered, Why::DeniesPart, Some(15)));
    assert_eq!(subscribe("devices/pump/a/#"), (Verdict::Allowed, Why::Allows, Some(5)));
    assert_eq!(subscribe("+/pump/a"), (Verdict::Filtered, Why::AllowsPart, Some(5)));
    assert_eq!(subscribe("gates/#"), (Verdict::Denied, Why::NoRule, None));
}

#[test]
fn an_explanation_shows_what_the_variables_came_to() {
    let rules = rules(PLANT);
    let identity = client("pump");
    let decision = rules.explain(&identity, &Request::publish("devices/pump/a", QoS::AtMostOnce, false));

    assert_eq!(decision.filter.as_deref(), Some("devices/pump/#"));
}

#[test]
fn a_subscription_that_another_qos_would_allow_says_so() {
    let rules = rules("[[rule]]\nallow = 'subscribe'\ntopics = 'a'\nqos = 0\n");
    let decision = rules.explain(&client("x"), &Request::subscribe("a", QoS::AtLeastOnce));

    assert_eq!((decision.verdict, decision.why), (Verdict::Denied, Why::OtherQoS));
}

#[test]
fn who_can_binds_the_variables_and_names_the_exceptions() {
    let rules = rules(PLANT);
    let holders = rules.who_can(&Request::subscribe("devices/pump/state", QoS::AtMostOnce));
    let found: Vec<_> = holders.iter().map(|holder| (holder.rule.line, holder.bindings.clone())).collect();
    assert_eq!(found, [(5, vec![("client_id".to_owned(), "pump".to_owned())]), (10, vec![])]);
    assert!(holders.iter().all(|holder| holder.except.is_empty()));

    assert!(rules.who_can(&Request::receive("devices/pump/key")).is_empty());
    let wide = rules.who_can(&Request::subscribe("devices/pump/#", QoS::AtMostOnce));
    assert_eq!(wide[0].except.iter().map(|rule| rule.line).collect::<Vec<_>>(), [15]);
    assert_eq!(rules.who_can(&Request::subscribe("devices/+/state", QoS::AtMostOnce)).len(), 1);
}

#[test]
fn who_can_binds_within_a_level() {
    let rules = rules("[[rule]]\nallow = 'publish'\ntopics = 'dev-${client_id}/${username}/x${client_id}'\n");
    let who = |topic| {
        let holders = rules.who_can(&Request::publish(topic, QoS::AtMostOnce, false));
        holders.first().map(|holder| holder.bindings.clone())
    };

    let value = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let bound = vec![value("client_id", "7"), value("username", "u"), value("client_id", "7")];
    assert_eq!(who("dev-7/u/x7"), Some(bound));
    assert_eq!(who("dev-7/u/x8"), None);
    assert_eq!(who("dev-/u/x"), None);
}
