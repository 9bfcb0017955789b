//! Topic Names and Topic Filters, and which filter matches which name.
//!
//! In:    well-formed strings.
//! Out:   a proof that the string is a Topic Name or Topic Filter, or why it is none.
//! Never: allocates; normalises: names are compared byte for byte [MQTT-4.7.3-4] [MQTT311-4.7.3-4].
//! Spec:  MQTT 5.0 sections 4.7 and 4.8.2.

use crate::{DecodeError, utf8};

/// Bytes of the longest Topic Name or Topic Filter [MQTT-4.7.3-3] [MQTT311-4.7.3-3].
const MAX_BYTES: usize = 65_535;
/// What a Shared Subscription's Topic Filter starts with [MQTT-4.8.2-1].
const SHARE: &str = "$share";

/// A well-formed Topic Name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicName<'a>(&'a str);

/// A well-formed Topic Filter, perhaps one of a Shared Subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a>(&'a str);

/// A well-formed ShareName: at least one character, no `/`, `+` or `#` [MQTT-4.8.2-1] [MQTT-4.8.2-2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShareName<'a>(&'a str);

/// `$share/{share_name}/{filter}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedFilter<'a> {
    /// Which group.
    pub share_name: ShareName<'a>,
    /// What it subscribes to; not itself a shared one.
    pub filter: TopicFilter<'a>,
}

/// Why a string is no Topic Name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicNameError {
    /// [MQTT-4.7.3-1] [MQTT311-4.7.3-1]
    #[error("topic name is empty")]
    Empty,
    /// [MQTT-4.7.3-3] [MQTT311-4.7.3-3]
    #[error("topic name of {bytes} bytes, longest is 65535")]
    TooLong {
        /// Bytes it has.
        bytes: usize,
    },
    /// [MQTT-4.7.3-2] [MQTT311-4.7.3-2]
    #[error("topic name holds U+0000 at byte {at}")]
    Null {
        /// Byte of the string.
        at: usize,
    },
    /// [MQTT-4.7.0-1] [MQTT-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-3.3.2-2]
    #[error("topic name holds a wildcard at byte {at}")]
    Wildcard {
        /// Byte of the string.
        at: usize,
    },
}

/// Why a string is no Topic Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicFilterError {
    /// [MQTT-4.7.3-1] [MQTT311-4.7.3-1]
    #[error("topic filter is empty")]
    Empty,
    /// [MQTT-4.7.3-3] [MQTT311-4.7.3-3]
    #[error("topic filter of {bytes} bytes, longest is 65535")]
    TooLong {
        /// Bytes it has.
        bytes: usize,
    },
    /// [MQTT-4.7.3-2] [MQTT311-4.7.3-2]
    #[error("topic filter holds U+0000 at byte {at}")]
    Null {
        /// Byte of the string.
        at: usize,
    },
    /// [MQTT-4.7.1-1] [MQTT311-4.7.1-2]
    #[error("'#' at byte {at} is not alone in the last level")]
    MisplacedMultiLevel {
        /// Byte of the string.
        at: usize,
    },
    /// [MQTT-4.7.1-2] [MQTT311-4.7.1-3]
    #[error("'+' at byte {at} is not alone in its level")]
    MisplacedSingleLevel {
        /// Byte of the string.
        at: usize,
    },
    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    #[error("shared subscription has no share name, or a wildcard in it")]
    InvalidShareName,
    /// [MQTT-4.8.2-2]
    #[error("shared subscription has no topic filter after the share name")]
    ShareWithoutFilter,
    /// A Shared Subscription to a Shared Subscription would be one of topics that nobody can publish to.
    #[error("topic filter of a shared subscription starts with $share itself")]
    NestedShare,
}

impl<'a> TopicName<'a> {
    /// # Errors
    /// What is no Topic Name.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, TopicNameError> {
        if text.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(TopicNameError::TooLong { bytes: text.len() });
        }
        // No early exit, so that the compiler takes many bytes at a time.
        let plain = text.bytes().fold(true, |plain, byte| plain & !matches!(byte, 0 | b'+' | b'#'));
        if plain { Ok(Self(text)) } else { Err(Self::fault(text)) }
    }

    #[cold]
    fn fault(text: &str) -> TopicNameError {
        let at = |wanted: fn(u8) -> bool| text.bytes().position(wanted);
        match at(|byte| byte == 0) {
            Some(at) => TopicNameError::Null { at },
            None => {
                TopicNameError::Wildcard { at: at(|byte| matches!(byte, b'+' | b'#')).unwrap_or_default() }
            }
        }
    }

    /// As it was given.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The parts between `/`, of which there is at least one; they can be empty.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }

    /// Starts with `$`: no filter that starts with a wildcard matches it [MQTT-4.7.2-1].
    #[inline]
    #[must_use]
    pub fn is_reserved(self) -> bool {
        self.0.starts_with('$')
    }

    /// Holds a control character or a non-character: [`crate::Rule::Utf8Discouraged`]. PUBLISH leaves that check to whoever
    /// parses its topic.
    #[must_use]
    pub fn is_discouraged(self) -> bool {
        matches!(utf8::fault(self.0), Some(DecodeError::Utf8Discouraged { .. }))
    }
}

impl<'a> TopicFilter<'a> {
    /// # Errors
    /// What is no Topic Filter, and no Shared Subscription where it starts with `$share/`.
    pub fn parse(text: &'a str) -> Result<Self, TopicFilterError> {
        if text.is_empty() {
            return Err(TopicFilterError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(TopicFilterError::TooLong { bytes: text.len() });
        }
        if let Some(at) = text.find('\0') {
            return Err(TopicFilterError::Null { at });
        }
        if text.split('/').next() == Some(SHARE) {
            Self::check_shared(text)?;
        }
        Self::check_wildcards(text)?;
        Ok(Self(text))
    }

    /// Of a list that was checked when it was decoded.
    pub(crate) const fn from_trusted(text: &'a str) -> Self {
        Self(text)
    }

    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    fn check_shared(text: &str) -> Result<(), TopicFilterError> {
        let mut parts = text.splitn(3, '/').skip(1);
        let share_name = parts.next().unwrap_or_default();
        if share_name.is_empty() || share_name.contains(['+', '#']) {
            return Err(TopicFilterError::InvalidShareName);
        }
        match parts.next() {
            None | Some("") => Err(TopicFilterError::ShareWithoutFilter),
            Some(filter) if filter.split('/').next() == Some(SHARE) => Err(TopicFilterError::NestedShare),
            Some(_) => Ok(()),
        }
    }

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]
    fn check_wildcards(text: &str) -> Result<(), TopicFilterError> {
        let bytes = text.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let starts_level = at == 0 || bytes[at - 1] == b'/';
            let next = bytes.get(at + 1);
            if byte == b'#' && !(starts_level && next.is_none()) {
                return Err(TopicFilterError::MisplacedMultiLevel { at });
            }
            if byte == b'+' && !(starts_level && matches!(next, None | Some(b'/'))) {
                return Err(TopicFilterError::MisplacedSingleLevel { at });
            }
        }
        Ok(())
    }

    /// As it was given, `$share/` and all.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Holds `+` or `#`.
    #[must_use]
    pub fn has_wildcard(self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// The parts of a Shared Subscription's Topic Filter; `None` for others.
    #[must_use]
    pub fn shared(self) -> Option<SharedFilter<'a>> {
        let (share_name, filter) = self.0.strip_prefix(SHARE)?.strip_prefix('/')?.split_once('/')?;
        Some(SharedFilter { share_name: ShareName(share_name), filter: TopicFilter(filter) })
    }
}

impl<'a> ShareName<'a> {
    /// As it was given.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Does the filter match the name? Of a Shared Subscription, does the filter after the ShareName?
#[must_use]
pub fn matches(filter: TopicFilter<'_>, topic: TopicName<'_>) -> bool {
    let filter = filter.shared().map_or(filter, |shared| shared.filter).0;
    // [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
    if topic.is_reserved() && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.levels();
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            // Also the parent level: "sport/#" matches "sport" (section 4.7.1.2).
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
