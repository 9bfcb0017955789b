//! Who may do something, read from the rules alone: no list of users is needed.

use super::action::{Effect, Request};
use super::relation::intersect;
use super::rule::Rule;
use super::rules::Rules;
use super::subject::Subject;
use super::template::{Level, Template};

/// Some who may, because of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its topic that matches.
    pub topic: &'a Template,
    /// What the variables must be: only those of the rule's subjects that have these values.
    pub bindings: Vec<(String, String)>,
    /// Rules that deny it to some of them, or for some of what matches.
    pub except: Vec<&'a Rule>,
}

impl Rules {
    /// Those who may, in the order of the file. A rule that is denied to everyone by another is left out.
    #[must_use]
    pub fn who_can(&self, request: &Request<'_>) -> Vec<Holder<'_>> {
        let case = request.case();
        let about = |effect| {
            self.rules().iter().filter(move |rule| rule.effect == effect && rule.cases().meets(case))
        };
        if self.denied_to_everyone(request).is_some() {
            return Vec::new();
        }
        let meets = |rule: &&Rule| rule.topics.iter().any(|topic| intersect(&any(topic), request.topic));
        let except: Vec<&Rule> = about(Effect::Deny).filter(meets).collect();
        let mut holders = Vec::new();
        for rule in about(Effect::Allow) {
            let topics =
                rule.topics.iter().filter_map(|topic| Some((topic, bindings(topic, request.topic)?)));
            holders.extend(topics.map(|(topic, bindings)| Holder {
                rule,
                topic,
                bindings,
                except: except.clone(),
            }));
        }
        holders
    }

    /// The rule that denies something to everyone, where there is one.
    #[must_use]
    pub fn denied_to_everyone(&self, request: &Request<'_>) -> Option<&Rule> {
        self.rules().iter().find(|rule| {
            rule.effect == Effect::Deny
                && rule.cases().meets(request.case())
                && rule.subjects.contains(&Subject::Everyone)
                && rule
                    .topics
                    .iter()
                    .any(|topic| topic.plain().is_some() && bindings(topic, request.topic).is_some())
        })
    }
}

/// What the variables must be for the template to cover a topic or a filter. `None`: it never does.
fn bindings(template: &Template, inner: &str) -> Option<Vec<(String, String)>> {
    let levels = template.levels();
    let starts_wild = levels.first().and_then(Level::plain).is_some_and(|level| matches!(level, "+" | "#"));
    let starts_varying = levels.first().is_some_and(|level| level.plain().is_none());
    if inner.starts_with('$') && (starts_wild || starts_varying) {
        return None;
    }
    let mut bound: Vec<(String, String)> = Vec::new();
    let mut given = inner.split('/');
    for level in &levels {
        match (level.plain(), given.next()) {
            (Some("#"), _) => return Some(bound),
            (_, None | Some("#")) => return None,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            (Some(_), Some(_)) | (None, Some("+")) => return None,
            (None, Some(given)) => {
                for (name, value) in level.bind(given)? {
                    let is_other = |(known, other): &(String, String)| known == name && other != value;
                    if bound.iter().any(is_other) {
                        return None;
                    }
                    bound.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }
    given.next().is_none().then_some(bound)
}

/// With `+` for the levels that hold variables.
fn any(template: &Template) -> String {
    let levels: Vec<&str> = template.levels().iter().map(|level| level.plain().unwrap_or("+")).collect();
    levels.join("/")
}
