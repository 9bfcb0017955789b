//! Mosquitto's ACL file: `user`, `topic` and `pattern` lines.

use dunlin_security::policy::{Action, Conditions, Effect, Rule, Subject, Template, TemplateError};

use super::Remark;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// In the order of the file.
    pub(super) rules: Vec<Rule>,
    pub(super) remarks: Vec<Remark>,
}

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let mut subject = Subject::Anonymous;
    for (at, line) in text.lines().enumerate() {
        // Mosquitto takes `#` for a comment at the start of a line only.
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = cut(line);
        match word {
            "user" if rest.is_empty() => {
                read.remark(at, "a user line without a name; what follows is for nobody")
            }
            "user" => subject = Subject::User(rest.into()),
            "topic" => read.access(at, rest, &subject, false),
            "pattern" => read.access(at, rest, &Subject::Everyone, true),
            _ => read.remark(at, format!("{word:?}: not user, topic or pattern; left out")),
        }
        if word == "user" && rest.is_empty() {
            subject = Subject::User("".into());
        }
    }
    read.general();
    read
}

/// A word and what comes after it.
fn cut(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once([' ', '\t']).map_or((line, ""), |(word, rest)| (word, rest.trim()))
}

impl Read {
    fn remark(&mut self, at: usize, text: impl Into<String>) {
        self.remarks.push(Remark::new(at + 1, text));
    }

    /// `[read|write|readwrite|deny] TOPIC`
    fn access(&mut self, at: usize, rest: &str, subject: &Subject, is_pattern: bool) {
        let (word, topic) = cut(rest);
        let (effect, actions, topic) = match (word, topic) {
            ("", _) => return self.remark(at, "no topic; left out"),
            // One word alone is a topic, even `read`.
            (topic, "") => (Effect::Allow, vec![Action::Publish, Action::Subscribe], topic),
            ("read", topic) => (Effect::Allow, vec![Action::Subscribe], topic),
            ("write", topic) => (Effect::Allow, vec![Action::Publish], topic),
            ("readwrite", topic) => (Effect::Allow, vec![Action::Publish, Action::Subscribe], topic),
            ("deny", topic) => (Effect::Deny, vec![Action::Publish, Action::Subscribe], topic),
            (other, _) => {
                return self.remark(at, format!("{other:?}: not read, write, readwrite or deny; left out"));
            }
        };
        if matches!(subject, Subject::User(name) if name.is_empty()) {
            return self.remark(at, "of a user without a name; left out");
        }
        match template(topic, is_pattern) {
            Ok(template) => {
                self.about(at, topic, is_pattern, effect);
                self.rules.push(Rule {
                    line: at + 1,
                    name: None,
                    effect,
                    actions,
                    conditions: Conditions::default(),
                    topics: vec![template],
                    subjects: vec![subject.clone()],
                });
            }
            Err(error) => self.remark(at, format!("{topic}: {error}; left out")),
        }
    }

    /// What is the same text but another meaning.
    fn about(&mut self, at: usize, topic: &str, is_pattern: bool, effect: Effect) {
        let holds = topic.contains("%c") || topic.contains("%u");
        if !is_pattern && holds {
            self.remark(
                at,
                format!("{topic}: %c and %u are plain text in a topic line, and stay so; was pattern meant?"),
            );
        }
        if is_pattern && !holds {
            self.remark(at, format!("{topic}: a pattern without %c or %u is for everyone, as in Mosquitto"));
        }
        if is_pattern && effect == Effect::Deny {
            self.remark(
                at,
                "Mosquitto lets a user's own topic lines win over a pattern that denies; here a denial always wins",
            );
        }
    }

    /// What is different for the file as a whole.
    fn general(&mut self) {
        let is_any = |subject: &dyn Fn(&Subject) -> bool| {
            self.rules.iter().any(|rule| rule.subjects.iter().any(subject))
        };
        let mut remarks = Vec::new();
        if is_any(&|subject| *subject == Subject::Anonymous) {
            remarks.push("topic lines above the first user line are for clients without a user name; whether there may be \
                          any is said by the listeners");
        }
        if self.rules.iter().any(|rule| rule.actions.contains(&Action::Subscribe)) {
            remarks.push("Mosquitto grants every subscription and filters what it delivers; here one in which nothing is \
                          allowed is refused");
        }
        self.remarks.extend(remarks.into_iter().map(|text| Remark::new(0, text)));
    }

    /// The policy, one block for each run of lines that differ in the topic alone.
    pub(super) fn to_toml(&self, from: &str) -> String {
        let mut merged: Vec<Rule> = Vec::new();
        for rule in &self.rules {
            match merged.last_mut() {
                Some(last)
                    if (last.effect, &last.actions, &last.subjects)
                        == (rule.effect, &rule.actions, &rule.subjects) =>
                {
                    last.topics.extend(rule.topics.iter().cloned());
                }
                _ => merged.push(rule.clone()),
            }
        }
        let name: String = from.chars().filter(|letter| !letter.is_control()).collect();
        let blocks = merged.iter().map(|rule| format!("\n# line {}\n{}", rule.line, rule.to_toml()));
        format!("# From Mosquitto's {name}\n{}", blocks.collect::<String>())
    }
}

/// Mosquitto's variables as ours; `${` of a topic stays text.
fn template(topic: &str, is_pattern: bool) -> Result<Template, TemplateError> {
    let escaped = topic.replace("${", "$${");
    if is_pattern {
        Template::parse(&escaped.replace("%c", "${client_id}").replace("%u", "${username}"))
    } else {
        Template::parse(&escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::QoS;
    use dunlin_security::identity::Identity;
    use dunlin_security::policy::{PolicyFile, Request, Rules, Verdict};

    const FILE: &str = "\
# the plant
topic read public/#

user anna
topic readwrite plant/#
topic deny plant/secret
topic write notes/anna's own
topic status

pattern write devices/%c/up
pattern read $SYS/broker/%u/#
";

    fn rules(text: &str) -> Rules {
        let toml = read(text).to_toml("acl");
        PolicyFile::parse(&toml).unwrap_or_else(|faults| unreachable!("{toml}: {faults:?}"))
    }

    fn may(rules: &Rules, user: Option<&str>, request: &Request<'_>) -> bool {
        let identity =
            Identity { client_id: "c7".into(), username: user.map(Into::into), ..Identity::default() };
        rules.explain(&identity, request).verdict == Verdict::Allowed
    }

    #[test]
    fn lines_become_rules_with_the_same_meaning() {
        let rules = rules(FILE);
        let publish = |topic| Request::publish(topic, QoS::AtMostOnce, false);
        let read = Request::receive;

        assert!(may(&rules, None, &read("public/a")));
        assert!(!may(&rules, Some("anna"), &read("public/a")));
        assert!(may(&rules, Some("anna"), &publish("plant/1")));
        assert!(may(&rules, Some("anna"), &read("plant/1")));
        assert!(!may(&rules, Some("anna"), &read("plant/secret")));
        assert!(!may(&rules, Some("anna"), &publish("plant/secret")));
        assert!(may(&rules, Some("anna"), &publish("notes/anna's own")));
        assert!(may(&rules, Some("anna"), &read("status")));
        assert!(!may(&rules, Some("ben"), &read("plant/1")));
        assert!(may(&rules, Some("ben"), &publish("devices/c7/up")));
        assert!(!may(&rules, Some("ben"), &read("devices/c7/up")));
        assert!(may(&rules, Some("ben"), &read("$SYS/broker/ben/load")));
        assert!(!may(&rules, None, &read("$SYS/broker/c7/load")));
    }

    #[test]
    fn what_does_not_carry_over_is_named_with_its_line() {
        let read =
            read("topic rw a\nuser\ntopic a\nuser b\ntopic read a/#/b\nacl x\ntopic\ntopic read %c/${x}\n");

        let lines: Vec<(usize, &str)> =
            read.remarks.iter().map(|remark| (remark.line, remark.text.as_str())).collect();
        let expected = [
            (1, "\"rw\": not read"),
            (2, "a user line without a name"),
            (3, "of a user without a name"),
            (5, "a/#/b: '#' at byte 2"),
            (6, "\"acl\": not user"),
            (7, "no topic"),
            (8, "%c/${x}: %c and %u are plain text"),
            (0, "Mosquitto grants every subscription"),
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (found, expected) in lines.iter().zip(expected) {
            assert_eq!(found.0, expected.0);
            assert!(found.1.starts_with(expected.1), "{found:?}");
        }
        assert_eq!(read.rules.len(), 1);
        assert_eq!(read.rules[0].topics[0].as_str(), "%c/$${x}");
    }

    #[test]
    fn lines_that_differ_in_the_topic_alone_are_one_rule() {
        let toml = read("user a\ntopic read x\ntopic read y\ntopic write z\n").to_toml("acl");
        assert_eq!(
            toml,
            "# From Mosquitto's acl\n\n# line 2\n[[rule]]\nfor = \"user:a\"\nallow = \"subscribe\"\n\
             topics = [\"x\", \"y\"]\n\n# line 4\n[[rule]]\nfor = \"user:a\"\nallow = \"publish\"\ntopics = \"z\"\n"
        );
    }
}
