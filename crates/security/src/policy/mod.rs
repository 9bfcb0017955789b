//! The access rules: read, compiled for one identity, asked for each message, explained.
//!
//! In:    the policy file, the identity of a Client.
//! Out:   a [`dunlin_engine::Policy`]; which rule decides, and for whom.
//! Never: allocation or waiting when the engine asks about a message; a filter wider than the rule was written.

mod action;
mod cover;
mod edit;
mod explain;
mod fault;
mod file;
mod relation;
mod rule;
mod rules;
mod subject;
mod template;
mod trie;
mod who_can;

pub use action::{Action, Conditions, Effect, Request};
pub use edit::{EditError, add, remove};
pub use explain::{Decision, Verdict, Why};
pub use fault::{Fault, PolicyError, Problem};
pub use file::{BUILT_IN, PolicyFile};
pub use rule::Rule;
pub use rules::Rules;
pub use subject::{Subject, SubjectError};
pub use template::{GROUPS_MAXIMUM, LEVELS_MAXIMUM, Template, TemplateError};
pub use who_can::Holder;

#[cfg(test)]
mod tests;
