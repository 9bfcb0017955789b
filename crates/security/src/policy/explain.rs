//! Which rule decides.
//!
//! In:    an identity and what it wants to do.
//! Out:   the same answer as its compiled policy gives, with the rule that is the reason.
//! Never: on the path of a message; every rule that is about the identity is looked at.

use std::fmt;

use dunlin_engine::{Policy, Subscribing};

use super::action::{Action, Effect, Request};
use super::relation::{covers, intersect};
use super::rule::Rule;
use super::rules::{Rules, Standing};
use crate::identity::Identity;

/// The answer; from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may subscribe, but is not sent all that matches.
    Filtered,
    /// It may not.
    Denied,
}

impl Verdict {
    /// As it stands in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Filtered => "filtered",
            Self::Denied => "denied",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// An answer with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The answer.
    pub verdict: Verdict,
    /// The rule that decides; `None`: no rule allows it.
    pub rule: Option<&'a Rule>,
    /// The filter of that rule, variables replaced.
    pub filter: Option<String>,
    /// How the rule comes to decide.
    pub why: Why,
}

/// How a rule comes to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It allows it, and no rule denies it.
    Allows,
    /// It allows a part; other rules allow the rest.
    AllowsWithOthers,
    /// It allows a part, and no rule the rest.
    AllowsPart,
    /// It denies it.
    Denies,
    /// It denies a part.
    DeniesPart,
    /// The part that it allows is for another QoS; a delivery would not show which.
    OtherQoS,
    /// No rule allows it.
    NoRule,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Allows => "allows it",
            Self::AllowsWithOthers => "allows it, together with other rules",
            Self::AllowsPart => "allows a part of it, no rule the rest",
            Self::Denies => "denies it",
            Self::DeniesPart => "denies a part of it",
            Self::OtherQoS => "allows a part at another QoS, which cannot be told apart at delivery",
            Self::NoRule => "no rule allows it",
        })
    }
}

/// A rule with the filter that it comes to.
type Found<'a> = Option<(&'a Rule, String)>;

impl Rules {
    /// What an identity may do, and which rule says so. The topic must be well-formed.
    #[must_use]
    pub fn explain(&self, identity: &Identity, request: &Request<'_>) -> Decision<'_> {
        let standing = self.standing(identity);
        let compiled = self.compiled(&standing, &[]);
        if request.action == Action::Subscribe {
            let verdict = match compiled.may_subscribe(request.topic, request.qos) {
                Subscribing::Granted => Verdict::Allowed,
                Subscribing::Filtered => Verdict::Filtered,
                Subscribing::Refused => Verdict::Denied,
            };
            return self.explain_subscribe(&standing, request, verdict);
        }
        let verdict = if compiled.permits(request) { Verdict::Allowed } else { Verdict::Denied };
        let matches = |effect| self.find(&standing, request, effect, |filter| covers(filter, request.topic));
        match verdict {
            Verdict::Denied => match matches(Effect::Deny) {
                None => decision(verdict, Why::NoRule, None),
                found => decision(verdict, Why::Denies, found),
            },
            _ => decision(verdict, Why::Allows, matches(Effect::Allow)),
        }
    }

    fn explain_subscribe<'a>(
        &'a self,
        standing: &Standing<'_>,
        request: &Request<'_>,
        verdict: Verdict,
    ) -> Decision<'a> {
        let covering = |effect| self.find(standing, request, effect, |filter| covers(filter, request.topic));
        let touching =
            |effect| self.find(standing, request, effect, |filter| intersect(filter, request.topic));
        match verdict {
            Verdict::Allowed => match covering(Effect::Allow) {
                None => decision(verdict, Why::AllowsWithOthers, touching(Effect::Allow)),
                found => decision(verdict, Why::Allows, found),
            },
            Verdict::Filtered => match touching(Effect::Deny) {
                None => decision(verdict, Why::AllowsPart, touching(Effect::Allow)),
                found => decision(verdict, Why::DeniesPart, found),
            },
            Verdict::Denied => match (covering(Effect::Deny), touching(Effect::Allow)) {
                (Some(found), _) => decision(verdict, Why::Denies, Some(found)),
                (None, None) => self.other_qos(standing, request),
                (None, _) => match touching(Effect::Deny) {
                    None => self.other_qos(standing, request),
                    found => decision(verdict, Why::Denies, found),
                },
            },
        }
    }

    /// Denied, though no rule denies: nothing allows it, or nothing at this QoS.
    fn other_qos<'a>(&'a self, standing: &Standing<'_>, request: &Request<'_>) -> Decision<'a> {
        let received = Request::receive(request.topic);
        match self.find(standing, &received, Effect::Allow, |filter| intersect(filter, request.topic)) {
            Some((rule, filter)) if rule.is_by_qos() => {
                decision(Verdict::Denied, Why::OtherQoS, Some((rule, filter)))
            }
            _ => decision(Verdict::Denied, Why::NoRule, None),
        }
    }

    /// The first rule of an effect that is about the request and has a filter like that.
    fn find<'a>(
        &'a self,
        standing: &Standing<'_>,
        request: &Request<'_>,
        effect: Effect,
        is_it: impl Fn(&str) -> bool,
    ) -> Found<'a> {
        let case = request.case();
        for rule in self.concerning(standing).filter(|rule| rule.effect == effect && rule.cases().meets(case))
        {
            let mut found = None;
            for topic in &rule.topics {
                standing.filters(rule, topic, |filter| {
                    if found.is_none() && is_it(filter) {
                        found = Some(filter.to_owned());
                    }
                });
            }
            if let Some(filter) = found {
                return Some((rule, filter));
            }
        }
        None
    }
}

fn decision(verdict: Verdict, why: Why, found: Found<'_>) -> Decision<'_> {
    let (rule, filter) = found.map_or((None, None), |(rule, filter)| (Some(rule), Some(filter)));
    Decision { verdict, rule, filter, why }
}
