//! The names that certificates carry.
//!
//! In:    what somebody typed.
//! Out:   names that are safe as a Client Identifier, as a level of a topic and as the name of a file.
//! Never: `+`, `#`, `/`, spaces, control characters, or a name of nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Longest Common Name of X.509 (ub-common-name).
const LONGEST: usize = 64;

/// The name of a device: its certificate's Common Name, and what its topics are built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceName(String);

/// What clients call a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerName {
    /// A name; its first label may be `*`.
    Dns(String),
    /// An address.
    Address(IpAddr),
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not for a device.
    #[error(
        "{text:?} is not a device's name; allowed: 1 to 64 letters of ASCII, digits, and - _ . : @, beginning with \
         a letter or a digit"
    )]
    Device {
        /// What was typed.
        text: String,
    },
    /// Not for a server.
    #[error(
        "{text:?} is not a host's name and not an address, as broker.example.org, *.example.org or 192.0.2.1"
    )]
    Server {
        /// What was typed.
        text: String,
    },
}

impl DeviceName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins_well && text.len() <= LONGEST && text.bytes().all(is_safe) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Device { text: text.to_owned() })
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for ServerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if is_host(text) {
            return Ok(Self::Dns(text.to_ascii_lowercase()));
        }
        Err(NameError::Server { text: text.to_owned() })
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => out.write_str(name),
            Self::Address(address) => address.fmt(out),
        }
    }
}

/// Labels of letters, digits, `-` and (in the field) `_`; the last one is no number, else it were an address.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && name.split('.').all(is_label) && !name.rsplit('.').next().is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_level_of_a_topic_and_a_file() {
        for text in ["pump-7", "7", "00:1b:44:11:3a:b7", "a@example.org", &"x".repeat(64)] {
            assert_eq!(text.parse::<DeviceName>().unwrap().as_str(), text);
        }
        for text in ["", "+", "#", "a/b", "a+", "a b", "a\n", ".a", "..", "-a", "$SYS", "ä", &"x".repeat(65)]
        {
            assert!(text.parse::<DeviceName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_server_is_a_host_or_an_address() {
        for text in ["localhost", "a.example.org", "*.example.org", "192.0.2.1", "2001:db8::1", "my_host"] {
            assert_eq!(text.parse::<ServerName>().unwrap().to_string(), text);
        }
        for text in ["", "a..b", "-a", "*", "a.*.b", "192.0.2.256", "a b", "a/b", "ü.de", "[::1]", "a:1"] {
            assert!(text.parse::<ServerName>().is_err(), "{text:?}");
        }
        assert_eq!("BROKER.Example".parse::<ServerName>().unwrap().to_string(), "broker.example");
    }
}
