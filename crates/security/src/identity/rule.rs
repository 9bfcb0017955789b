//! Rules that credentials carry: a claim of a token, a field of a service's answer.
//!
//! In:    JSON, in one of two forms: a list of rules, or an object of lists of Topic Filters.
//! Out:   rules in the order in which they stand.
//! Never: what they mean for a topic; that is for the policy.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{self, Effect, Rule, Template};

/// The most rules that one set of credentials may carry.
pub const RULES_MAXIMUM: usize = 256;

/// One rule, for the Client that carried it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedRule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// What it is about.
    pub action: Action,
    /// A well-formed Topic Filter, which may hold `${client_id}` and the like.
    pub filter: Box<str>,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Sending messages.
    Publish,
    /// Subscribing, and receiving what matches.
    Subscribe,
    /// Both.
    All,
}

/// Why a value is no list of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Neither of the two forms.
    #[error("rules are neither a list of rules nor an object of lists of topic filters")]
    Form,
    /// Something other than `allow` or `deny`.
    #[error("rule {number} neither allows nor denies")]
    Effect {
        /// Counted from 1.
        number: usize,
    },
    /// Something other than `publish`, `subscribe`, `all`.
    #[error("rule {number} has an unknown action")]
    Action {
        /// Counted from 1.
        number: usize,
    },
    /// No Topic Filter, or none that is well-formed.
    #[error("rule {number} has no well-formed topic filter")]
    Filter {
        /// Counted from 1.
        number: usize,
    },
    /// More than [`RULES_MAXIMUM`].
    #[error("more than {RULES_MAXIMUM} rules")]
    TooMany,
}

impl GrantedRule {
    /// The rule as the policy takes it; `None` where its filter is no template of the policy.
    #[must_use]
    pub fn to_rule(&self) -> Option<Rule> {
        let actions = match self.action {
            Action::Publish => &[policy::Action::Publish][..],
            Action::Subscribe => &[policy::Action::Subscribe, policy::Action::Receive],
            Action::All => &policy::Action::ALL,
        };
        let effect = if self.allow { Effect::Allow } else { Effect::Deny };
        Rule::carried(effect, actions, &self.filter).ok()
    }
}

/// Reads rules. One rule that cannot be read refuses them all: a denial must not get lost.
pub(crate) fn read(value: &Value) -> Result<Vec<GrantedRule>, RuleError> {
    match value {
        Value::Array(rules) if rules.len() > RULES_MAXIMUM => Err(RuleError::TooMany),
        Value::Array(rules) => rules.iter().enumerate().map(|(at, rule)| listed(at + 1, rule)).collect(),
        Value::Object(lists) => {
            let mut rules = Vec::new();
            for (key, filters) in lists {
                let action = action(key).ok_or(RuleError::Form)?;
                for filter in filters.as_array().ok_or(RuleError::Form)? {
                    let number = rules.len() + 1;
                    if number > RULES_MAXIMUM {
                        return Err(RuleError::TooMany);
                    }
                    rules.push(GrantedRule { allow: true, action, filter: well_formed(number, filter)? });
                }
            }
            Ok(rules)
        }
        _ => Err(RuleError::Form),
    }
}

fn listed(number: usize, rule: &Value) -> Result<GrantedRule, RuleError> {
    let rule = rule.as_object().ok_or(RuleError::Form)?;
    if rule.keys().any(|key| !matches!(key.as_str(), "permission" | "action" | "topic")) {
        // A condition that is not understood must not widen the rule that it narrows.
        return Err(RuleError::Form);
    }
    let allow = match rule.get("permission").and_then(Value::as_str) {
        Some("allow") => true,
        Some("deny") => false,
        _ => return Err(RuleError::Effect { number }),
    };
    let action =
        rule.get("action").and_then(Value::as_str).and_then(action).ok_or(RuleError::Action { number })?;
    let filter = rule.get("topic").ok_or(RuleError::Filter { number })?;
    Ok(GrantedRule { allow, action, filter: well_formed(number, filter)? })
}

fn action(text: &str) -> Option<Action> {
    match text {
        "publish" | "pub" => Some(Action::Publish),
        "subscribe" | "sub" => Some(Action::Subscribe),
        "all" => Some(Action::All),
        _ => None,
    }
}

fn well_formed(number: usize, filter: &Value) -> Result<Box<str>, RuleError> {
    let text = filter.as_str().ok_or(RuleError::Filter { number })?;
    Template::parse(text).map_err(|_| RuleError::Filter { number })?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(allow: bool, action: Action, filter: &str) -> GrantedRule {
        GrantedRule { allow, action, filter: filter.into() }
    }

    #[test]
    fn a_list_of_rules_keeps_its_order() {
        let value = json!([
            {"permission": "deny", "action": "publish", "topic": "a/#"},
            {"permission": "allow", "action": "all", "topic": "${client_id}/+"},
        ]);

        let rules = read(&value).unwrap();

        assert_eq!(rules, [rule(false, Action::Publish, "a/#"), rule(true, Action::All, "${client_id}/+")]);
    }

    #[test]
    fn every_rule_that_is_read_is_one_of_the_policy() {
        for filter in ["a", "a/+/#", "${client_id}/#", "x/${cert.cn}"] {
            for rule in read(&json!({"pub": [filter], "sub": [filter], "all": [filter]})).unwrap() {
                assert_eq!(rule.to_rule().unwrap().topics[0].as_str(), filter);
            }
        }
        let deny = rule(false, Action::Subscribe, "a").to_rule().unwrap();
        assert_eq!(deny.effect, Effect::Deny);
        assert_eq!(deny.actions, [policy::Action::Subscribe, policy::Action::Receive]);
    }

    #[test]
    fn an_object_of_filters_allows_each() {
        let rules = read(&json!({"pub": ["a"], "sub": ["b/#"]})).unwrap();

        assert_eq!(rules, [rule(true, Action::Publish, "a"), rule(true, Action::Subscribe, "b/#")]);
    }

    #[test]
    fn what_is_not_understood_refuses_all_rules() {
        let filter = json!([{"permission": "allow", "action": "publish", "topic": "a/#/b"}]);
        assert_eq!(read(&filter), Err(RuleError::Filter { number: 1 }));
        let condition = json!([{"permission": "allow", "action": "publish", "topic": "a", "qos": [0]}]);
        assert_eq!(read(&condition), Err(RuleError::Form));
        let action = json!([{"permission": "allow", "action": "receive", "topic": "a"}]);
        assert_eq!(read(&action), Err(RuleError::Action { number: 1 }));
        let effect = json!([{"permission": "maybe", "action": "publish", "topic": "a"}]);
        assert_eq!(read(&effect), Err(RuleError::Effect { number: 1 }));
        assert_eq!(read(&json!({"publish": ["a"], "x": ["b"]})), Err(RuleError::Form));
        assert_eq!(read(&json!("a/#")), Err(RuleError::Form));
    }

    #[test]
    fn more_rules_than_the_bound_are_refused() {
        let filters = vec!["a"; RULES_MAXIMUM + 1];

        assert_eq!(read(&json!({"pub": filters})), Err(RuleError::TooMany));
    }
}
