//! Whom a rule is for: `user:anna`, `group:operators`, `everyone`.

use std::fmt;

use crate::spelling::nearest;

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Every Client.
    Everyone,
    /// Every Client without a user name.
    Anonymous,
    /// Who proved this user name.
    User(Box<str>),
    /// Who has this Client Identifier.
    Client(Box<str>),
    /// The members of a group, as authentication or the file says.
    Group(Box<str>),
    /// Those whom the file gives a role.
    Role(Box<str>),
    /// Those of whom authentication knows this, such as `cert.ou=workshop`.
    Attribute(Box<str>, Box<str>),
}

/// Why text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Neither a word nor `KIND:NAME`.
    #[error("names nobody{}", .meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)")))]
    Unknown {
        /// What was perhaps meant.
        meant: Option<&'static str>,
    },
    /// Nothing after the colon.
    #[error("names nobody after the colon")]
    Empty,
}

/// The forms, for messages.
pub(super) const ALLOWED: &str =
    "everyone, anonymous, user:NAME, client:ID, group:NAME, role:NAME, attribute:NAME=VALUE";

const WORDS: [&str; 7] = ["everyone", "anonymous", "user:", "client:", "group:", "role:", "attribute:"];

impl Subject {
    /// Reads `everyone`, `anonymous` or `KIND:NAME`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        match text {
            "everyone" => return Ok(Self::Everyone),
            "anonymous" => return Ok(Self::Anonymous),
            _ => {}
        }
        let Some((kind, name)) = text.split_once(':') else {
            return Err(SubjectError::Unknown { meant: nearest(text, WORDS.into_iter()) });
        };
        let make: fn(Box<str>) -> Self = match kind {
            "user" => Self::User,
            "client" => Self::Client,
            "group" => Self::Group,
            "role" => Self::Role,
            "attribute" => {
                return match name.split_once('=') {
                    Some((name, value)) if !name.is_empty() => Ok(Self::Attribute(name.into(), value.into())),
                    _ => Err(SubjectError::Empty),
                };
            }
            _ => {
                return Err(SubjectError::Unknown { meant: nearest(&format!("{kind}:"), WORDS.into_iter()) });
            }
        };
        if name.is_empty() { Err(SubjectError::Empty) } else { Ok(make(name.into())) }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => write!(out, "everyone"),
            Self::Anonymous => write!(out, "anonymous"),
            Self::User(name) => write!(out, "user:{name}"),
            Self::Client(id) => write!(out, "client:{id}"),
            Self::Group(name) => write!(out, "group:{name}"),
            Self::Role(name) => write!(out, "role:{name}"),
            Self::Attribute(name, value) => write!(out, "attribute:{name}={value}"),
        }
    }
}
