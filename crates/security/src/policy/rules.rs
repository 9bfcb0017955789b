//! All rules of a policy, and what they come to for one identity.
//!
//! In:    rules of a file, who a Client is, the rules that its credentials carry.
//! Out:   a [`Policy`] for the engine.
//! Never: a look at rules that are for others: a hundred thousand rules for a hundred thousand devices cost each device its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dunlin_codec::QoS;
use dunlin_engine::{Policy, Subscribing};

use super::action::{Effect, Request};
use super::cover::Question;
use super::rule::Rule;
use super::subject::Subject;
use super::template::Template;
use super::trie::{Trie, TrieBuilder};
use crate::identity::Identity;

/// Different sets of shared rules that are remembered; more are compiled again.
const SHARED_MAXIMUM: usize = 1024;

/// A policy: deny wins, and what no rule allows is denied.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    groups: BTreeMap<Box<str>, Vec<Subject>>,
    /// The groups that the file puts a user or a Client in.
    memberships: BTreeMap<Subject, Vec<Box<str>>>,
    /// The rules for each subject, by number.
    index: BTreeMap<Subject, Lists>,
    by_qos: bool,
    /// What many Clients share: the rules without variables for everyone and for groups.
    shared: Mutex<BTreeMap<Vec<Subject>, Weak<Trie>>>,
}

#[derive(Debug, Default)]
struct Lists {
    /// With a topic that is the same for all.
    fixed: Vec<usize>,
    /// With a topic that holds a variable.
    varying: Vec<usize>,
}

/// What a Client is, as far as rules ask.
pub(super) struct Standing<'a> {
    pub(super) identity: &'a Identity,
    /// Without duplicates, in order.
    pub(super) groups: Vec<&'a str>,
    /// What it shares with others: everyone, its groups, its attributes.
    classes: Vec<Subject>,
    /// What is its own: its names.
    names: Vec<Subject>,
}

impl Rules {
    /// Of rules, with the members of groups (users and Clients) and the holders of roles (anybody but roles).
    pub(super) fn new(
        rules: Vec<Rule>,
        groups: BTreeMap<Box<str>, Vec<Subject>>,
        roles: &BTreeMap<Box<str>, Vec<Subject>>,
    ) -> Self {
        let mut memberships: BTreeMap<Subject, Vec<Box<str>>> = BTreeMap::new();
        for (group, members) in &groups {
            for member in members {
                memberships.entry(member.clone()).or_default().push(group.clone());
            }
        }
        let mut index: BTreeMap<Subject, Lists> = BTreeMap::new();
        for (number, rule) in rules.iter().enumerate() {
            let is_fixed = |topic: &Template| topic.plain().is_some();
            for subject in holders(&rule.subjects, roles) {
                let lists = index.entry(subject.clone()).or_default();
                if rule.topics.iter().any(is_fixed) {
                    lists.fixed.push(number);
                }
                if !rule.topics.iter().all(is_fixed) {
                    lists.varying.push(number);
                }
            }
        }
        let by_qos = rules.iter().any(Rule::is_by_qos);
        Self { rules, groups, memberships, index, by_qos, shared: Mutex::default() }
    }

    /// In the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The groups that rules are for but that the file does not define: they must come from authentication.
    #[must_use]
    pub fn foreign_groups(&self) -> BTreeSet<&str> {
        let subjects = self.index.keys();
        subjects
            .filter_map(|subject| match subject {
                Subject::Group(name) if !self.groups.contains_key(name) => Some(&**name),
                _ => None,
            })
            .collect()
    }

    /// What an identity may do. Costs time for the rules that are about it.
    #[must_use]
    pub fn compile(&self, identity: &Identity) -> Arc<dyn Policy> {
        self.compile_with(identity, &[])
    }

    /// The same, with rules that its credentials carry; whom those are for is not asked.
    #[must_use]
    pub fn compile_with(&self, identity: &Identity, carried: &[Rule]) -> Arc<dyn Policy> {
        Arc::new(self.compiled(&self.standing(identity), carried))
    }

    pub(super) fn compiled(&self, standing: &Standing<'_>, carried: &[Rule]) -> Compiled {
        let shared = self.shared(&standing.classes);
        let mut own = TrieBuilder::default();
        for number in self.numbers(&standing.names, |lists| &lists.fixed) {
            add_fixed(&mut own, &self.rules[number]);
        }
        let subjects = || standing.classes.iter().chain(&standing.names);
        let varying = self.numbers(subjects(), |lists| &lists.varying);
        for rule in varying.into_iter().map(|number| &self.rules[number]) {
            add_varying(&mut own, rule, standing);
        }
        for rule in carried {
            add_fixed(&mut own, rule);
            add_varying(&mut own, rule, standing);
        }
        let by_qos = self.by_qos || carried.iter().any(Rule::is_by_qos);
        Compiled { shared, own: own.build(), by_qos }
    }

    fn shared(&self, classes: &[Subject]) -> Arc<Trie> {
        let mut known = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trie) = known.get(classes).and_then(Weak::upgrade) {
            return trie;
        }
        let mut builder = TrieBuilder::default();
        for number in self.numbers(classes, |lists| &lists.fixed) {
            add_fixed(&mut builder, &self.rules[number]);
        }
        let trie = Arc::new(builder.build());
        known.retain(|_, trie| trie.strong_count() > 0);
        if known.len() < SHARED_MAXIMUM {
            known.insert(classes.to_vec(), Arc::downgrade(&trie));
        }
        trie
    }

    /// The numbers of the rules of some subjects, each once.
    fn numbers<'a>(
        &self,
        subjects: impl IntoIterator<Item = &'a Subject>,
        which: impl Fn(&Lists) -> &Vec<usize>,
    ) -> BTreeSet<usize> {
        subjects
            .into_iter()
            .filter_map(|subject| self.index.get(subject))
            .flat_map(|lists| which(lists).iter().copied())
            .collect()
    }

    pub(super) fn standing<'a>(&'a self, identity: &'a Identity) -> Standing<'a> {
        let mut names = vec![Subject::Client(identity.client_id.clone())];
        names.extend(identity.username.clone().map(Subject::User));
        let of_file = names.iter().filter_map(|name| self.memberships.get(name)).flatten();
        let groups: BTreeSet<&str> = identity.groups.iter().chain(of_file).map(AsRef::as_ref).collect();
        let groups: Vec<&str> = groups.into_iter().collect();
        let mut classes = vec![Subject::Everyone];
        if identity.username.is_none() {
            classes.push(Subject::Anonymous);
        }
        classes.extend(groups.iter().map(|group| Subject::Group((*group).into())));
        classes.extend(
            identity.attributes.iter().map(|(name, value)| Subject::Attribute(name.clone(), value.clone())),
        );
        classes.retain(|class| self.index.contains_key(class));
        Standing { identity, groups, classes, names }
    }

    /// The rules that are about somebody, in the order of the file.
    pub(super) fn concerning<'a>(&'a self, standing: &Standing<'_>) -> impl Iterator<Item = &'a Rule> {
        let subjects = || standing.classes.iter().chain(&standing.names);
        let mut numbers = self.numbers(subjects(), |lists| &lists.fixed);
        numbers.extend(self.numbers(subjects(), |lists| &lists.varying));
        numbers.into_iter().map(|number| &self.rules[number])
    }
}

impl Standing<'_> {
    /// The filters of a rule's topic for this identity.
    pub(super) fn filters(&self, rule: &Rule, topic: &Template, each: impl FnMut(&str)) {
        match rule.effect {
            Effect::Allow => topic.allowed(self.identity, &self.groups, each),
            Effect::Deny => topic.denied(self.identity, &self.groups, each),
        }
    }
}

/// Those whom a rule is for, roles replaced by who has them.
fn holders<'a>(
    subjects: &'a [Subject],
    roles: &'a BTreeMap<Box<str>, Vec<Subject>>,
) -> BTreeSet<&'a Subject> {
    subjects
        .iter()
        .flat_map(|subject| match subject {
            Subject::Role(name) => roles.get(name).map_or(&[][..], Vec::as_slice),
            other => std::slice::from_ref(other),
        })
        .collect()
}

fn add_fixed(trie: &mut TrieBuilder, rule: &Rule) {
    for filter in rule.topics.iter().filter_map(Template::plain) {
        trie.insert(filter, rule.marks());
    }
}

fn add_varying(trie: &mut TrieBuilder, rule: &Rule, standing: &Standing<'_>) {
    for topic in rule.topics.iter().filter(|topic| topic.plain().is_none()) {
        standing.filters(rule, topic, |filter| trie.insert(filter, rule.marks()));
    }
}

/// What one identity may do.
#[derive(Debug)]
pub(super) struct Compiled {
    shared: Arc<Trie>,
    own: Trie,
    by_qos: bool,
}

impl Compiled {
    pub(super) fn permits(&self, request: &Request<'_>) -> bool {
        let case = request.case();
        let own = self.own.marks(request.topic, case);
        !own.deny.meets(case) && own.with(self.shared.marks(request.topic, case)).permit(case)
    }
}

impl Policy for Compiled {
    fn may_publish(&self, topic: &str, qos: QoS, retain: bool) -> bool {
        self.permits(&Request::publish(topic, qos, retain))
    }

    fn may_subscribe(&self, filter: &str, qos: QoS) -> Subscribing {
        let case = Request::subscribe(filter, qos).case();
        Question { tries: [&self.own, &self.shared], case, by_qos: self.by_qos }.answer(filter)
    }

    fn may_receive(&self, topic: &str) -> bool {
        self.permits(&Request::receive(topic))
    }
}

#[cfg(test)]
impl Compiled {
    pub(super) fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}
