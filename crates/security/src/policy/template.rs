//! Topic Filters with variables: `devices/${client_id}/#`.
//!
//! In:    text of a rule; the values that an identity has.
//! Out:   a [`Template`]; the Topic Filters that it stands for.
//! Never: a Topic Filter that is wider than the template was written: a value stands within its level, and is no wildcard.

use dunlin_codec::{TopicFilter, TopicFilterError};

use super::action::Effect;
use crate::identity::Identity;
use crate::spelling::nearest;

/// Most levels of a rule's Topic Filter: what a walk over rules can be deep.
pub const LEVELS_MAXIMUM: usize = 128;
/// More groups than these are not put into filters one by one: such an identity's `${group}` is not usable.
pub const GROUPS_MAXIMUM: usize = 256;

/// The variables with fixed names. Those of certificates are a closed list, so that a slip is a fault of the file and not a
/// rule that is never about anybody.
const VARIABLES: [&str; 9] = [
    "client_id",
    "username",
    "group",
    "cert.cn",
    "cert.dns",
    "cert.email",
    "cert.uri",
    "cert.serial",
    "cert.subject",
];
/// What authentication knows beyond that: `${attribute.site}`.
const ATTRIBUTE: &str = "attribute.";

/// A Topic Filter that can hold variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Variable(Variable),
}

/// What stands between `${` and `}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    ClientId,
    Username,
    Group,
    Attribute(Box<str>),
}

/// Why text is no filter of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// `${` without `}`.
    #[error("`${{` without `}}`")]
    Open,
    /// Nothing has that name.
    #[error("no variable ${{{name}}}{}", .meant.as_ref().map_or_else(String::new, |meant| format!(" (did you mean ${{{meant}}}?)")))]
    Unknown {
        /// As it was written.
        name: Box<str>,
        /// What was perhaps meant.
        meant: Option<Box<str>>,
    },
    /// Rules are about what is subscribed to, not about how it is shared.
    #[error("starts with $share/; a rule is about the filter after $share/NAME/")]
    Share,
    /// More levels than [`LEVELS_MAXIMUM`].
    #[error("{levels} levels, most are {LEVELS_MAXIMUM}")]
    TooDeep {
        /// How many it has.
        levels: usize,
    },
    /// Not a Topic Filter.
    #[error(transparent)]
    Filter(#[from] TopicFilterError),
}

/// What a variable is for an identity.
enum Value<'a> {
    /// The identity has none: the rule is not about it.
    Missing,
    /// It has one that cannot stand in a level.
    Unusable,
    /// It has this one.
    Usable(&'a str),
}

impl Template {
    /// Text of a rule. `$${` stands for `${`.
    ///
    /// # Errors
    /// What is no Topic Filter, or names variables that there are not.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                plain.push_str(before);
                plain.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            plain.push_str(&rest[..at]);
            let (name, after) = rest[at + 2..].split_once('}').ok_or(TemplateError::Open)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Variable(Variable::named(name)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        let template = Self { text: text.into(), pieces: pieces.into() };
        template.check()?;
        Ok(template)
    }

    /// With letters for the variables it must be a Topic Filter.
    fn check(&self) -> Result<(), TemplateError> {
        let sample = self.filled(|_| "x");
        if sample == "$share" || sample.starts_with("$share/") {
            return Err(TemplateError::Share);
        }
        TopicFilter::parse(&sample)?;
        let levels = sample.split('/').count();
        if levels > LEVELS_MAXIMUM { Err(TemplateError::TooDeep { levels }) } else { Ok(()) }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The filter, where it holds no variable.
    pub(super) fn plain(&self) -> Option<&str> {
        match &*self.pieces {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The filters that an allowing rule gives to an identity: none where a value is missing or cannot stand in a level.
    pub(super) fn allowed(&self, identity: &Identity, groups: &[&str], mut each: impl FnMut(&str)) {
        self.expand(Effect::Allow, identity, groups, |filter| {
            if let Some(filter) = filter {
                each(filter);
            }
        });
    }

    /// The filters that a denying rule takes from an identity. Where a value is there but cannot stand in a level, the rule
    /// takes every value of that level: a name chosen to be unusable must not lift a denial.
    pub(super) fn denied(&self, identity: &Identity, groups: &[&str], mut each: impl FnMut(&str)) {
        self.expand(Effect::Deny, identity, groups, |filter| match filter {
            Some(filter) => each(filter),
            None => each(&self.any()),
        });
    }

    /// `each` gets a filter, or `None` where a value is unusable; nothing where a value is missing.
    fn expand(
        &self,
        effect: Effect,
        identity: &Identity,
        groups: &[&str],
        mut each: impl FnMut(Option<&str>),
    ) {
        if let Some(filter) = self.plain() {
            return each(Some(filter));
        }
        if !self.has_group() {
            return self.substitute(effect, identity, Value::Missing, &mut each);
        }
        if groups.len() > GROUPS_MAXIMUM {
            return self.substitute(effect, identity, Value::Unusable, &mut each);
        }
        for group in groups {
            self.substitute(effect, identity, self.usable(effect, &Variable::Group, group), &mut each);
        }
    }

    fn substitute(
        &self,
        effect: Effect,
        identity: &Identity,
        group: Value<'_>,
        each: &mut impl FnMut(Option<&str>),
    ) {
        let mut filter = String::new();
        let mut is_usable = true;
        for piece in &self.pieces {
            let value = match piece {
                Piece::Text(text) => Value::Usable(text),
                Piece::Variable(Variable::Group) => match group {
                    Value::Missing => Value::Missing,
                    Value::Unusable => Value::Unusable,
                    Value::Usable(group) => Value::Usable(group),
                },
                Piece::Variable(variable) => match variable.of(identity) {
                    None => Value::Missing,
                    Some(value) => self.usable(effect, variable, value),
                },
            };
            match value {
                Value::Missing => return,
                Value::Unusable => is_usable = false,
                Value::Usable(value) => filter.push_str(value),
            }
        }
        each(is_usable.then_some(filter.as_str()));
    }

    /// Can the value stand in a level, and mean no more there than itself?
    fn usable<'a>(&self, effect: Effect, variable: &Variable, value: &'a str) -> Value<'a> {
        let is_plain = !value.is_empty() && !value.contains(['+', '#', '/', '\0']);
        // At the start of the filter it would give topics of the Server, or a share [MQTT-4.7.2-1]. To take them is no harm.
        let is_first = matches!(self.pieces.first(), Some(Piece::Variable(first)) if first == variable);
        let is_reserved = effect == Effect::Allow && is_first && value.starts_with('$');
        if is_plain && !is_reserved { Value::Usable(value) } else { Value::Unusable }
    }

    /// With `+` for each level that holds a variable.
    fn any(&self) -> String {
        // No Topic Filter holds it.
        let marked = self.filled(|_| "\0");
        let levels = marked.split('/').map(|level| if level.contains('\0') { "+" } else { level });
        levels.collect::<Vec<_>>().join("/")
    }

    fn filled<'a>(&'a self, value: impl Fn(&Variable) -> &'a str) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Variable(variable) => value(variable),
            })
            .collect()
    }

    fn has_group(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Variable(Variable::Group)))
    }

    /// The levels, those with variables as their pieces.
    pub(super) fn levels(&self) -> Vec<Level<'_>> {
        let mut levels = vec![Vec::new()];
        for piece in &self.pieces {
            match piece {
                Piece::Variable(variable) => levels.last_mut().into_iter().for_each(|level| {
                    level.push(Part::Variable(variable.name()));
                }),
                Piece::Text(text) => {
                    for (at, text) in text.split('/').enumerate() {
                        if at > 0 {
                            levels.push(Vec::new());
                        }
                        levels.last_mut().into_iter().for_each(|level| level.push(Part::Text(text)));
                    }
                }
            }
        }
        levels.into_iter().map(Level).collect()
    }
}

/// A level of a template.
pub(super) struct Level<'a>(Vec<Part<'a>>);

enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

impl<'a> Level<'a> {
    /// The text, where there is no variable in it.
    pub(super) fn plain(&self) -> Option<&'a str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What its variable must be for the level to be this one. `None`: it never is. Of several variables in one level, the
    /// first takes as little as it can.
    pub(super) fn bind<'t>(&self, level: &'t str) -> Option<Vec<(&'a str, &'t str)>> {
        let mut bound = Vec::new();
        let mut rest = level;
        let mut open: Option<&'a str> = None;
        for part in &self.0 {
            match (part, open.take()) {
                (Part::Text(text), None) => rest = rest.strip_prefix(text)?,
                (Part::Text(""), Some(name)) => open = Some(name),
                (Part::Text(text), Some(name)) => {
                    let at = rest.match_indices(text).map(|(at, _)| at).find(|at| *at > 0)?;
                    bound.push((name, &rest[..at]));
                    rest = &rest[at + text.len()..];
                }
                (Part::Variable(name), None) => open = Some(name),
                (Part::Variable(name), Some(before)) => {
                    let first = rest.chars().next()?.len_utf8();
                    bound.push((before, &rest[..first]));
                    rest = &rest[first..];
                    open = Some(name);
                }
            }
        }
        match open {
            Some(name) if !rest.is_empty() => bound.push((name, rest)),
            None if rest.is_empty() => {}
            _ => return None,
        }
        Some(bound)
    }
}

impl Variable {
    fn named(name: &str) -> Result<Self, TemplateError> {
        match name {
            "client_id" => Ok(Self::ClientId),
            "username" => Ok(Self::Username),
            "group" => Ok(Self::Group),
            name if VARIABLES.contains(&name) => Ok(Self::Attribute(name.into())),
            name if name.strip_prefix(ATTRIBUTE).is_some_and(|name| !name.is_empty()) => {
                Ok(Self::Attribute(name.into()))
            }
            name => {
                let meant = nearest(name, VARIABLES.into_iter()).map(Into::into);
                Err(TemplateError::Unknown { name: name.into(), meant })
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::ClientId => "client_id",
            Self::Username => "username",
            Self::Group => "group",
            Self::Attribute(name) => name,
        }
    }

    /// Of the variables with one value.
    fn of<'a>(&self, identity: &'a Identity) -> Option<&'a str> {
        match self {
            Self::ClientId => Some(&identity.client_id),
            Self::Username => identity.username.as_deref(),
            Self::Group => None,
            Self::Attribute(name) => {
                identity.attributes.get(name.strip_prefix(ATTRIBUTE).unwrap_or(name)).map(AsRef::as_ref)
            }
        }
    }
}

/// What may stand in `${...}`, for messages.
pub(super) const ALLOWED: &str = "a topic filter; variables: ${client_id}, ${username}, ${group}, ${cert.cn}, ${cert.dns}, \
     ${cert.email}, ${cert.uri}, ${cert.serial}, ${cert.subject}, ${attribute.NAME}";
