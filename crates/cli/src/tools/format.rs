//! How a message is shown: as its payload, as hex, as JSON, or by a template as mosquitto_sub's `-F`.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use dunlin_client::Message;

use super::{ToolError, json};

/// `--format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The payload as it is
    #[default]
    Text,
    /// A JSON object for each message; a payload that is JSON stands in it as such
    Json,
    /// The payload in hexadecimal digits
    Hex,
}

/// When a message came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Duration);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// In UTC.
    pub(crate) fn iso8601(self) -> String {
        let seconds = self.0.as_secs();
        let (year, month, day) = date(seconds / 86_400);
        let time = seconds % 86_400;
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+0000",
            time / 3600,
            time / 60 % 60,
            time % 60
        )
    }
}

/// Year, month and day of a number of days since 1970-01-01 (proleptic Gregorian calendar).
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is the last; eras are 400 years.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// What to write for a message.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// `--format`, with the topic before it (`-v`) or not.
    Fixed { format: Format, topic: bool },
    /// `-F`
    Template(Vec<Part>),
}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// As it is.
    Byte(u8),
    /// `%` and this letter.
    Field(char),
}

impl Shape {
    /// Reads a template: `%` fields, and the escapes `\n`, `\t`, `\r`, `\0`, `\a`, `\e`, `\v`, `\\`.
    pub(crate) fn template(text: &str) -> Result<Self, ToolError> {
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '%' => match rest.next() {
                    Some('%') => parts.push(Part::Byte(b'%')),
                    Some(letter) if "CDEFIJPRSUXjlpqrtx".contains(letter) => parts.push(Part::Field(letter)),
                    other => {
                        let other = other.map(String::from).unwrap_or_default();
                        return Err(ToolError::Usage(format!("-F: there is no field %{other}")));
                    }
                },
                '\\' => parts.push(Part::Byte(match rest.next() {
                    Some('n') => b'\n',
                    Some('t') => b'\t',
                    Some('r') => b'\r',
                    Some('0') => 0,
                    Some('a') => 7,
                    Some('e') => 27,
                    Some('v') => 11,
                    Some('\\') => b'\\',
                    other => {
                        let other = other.map(String::from).unwrap_or_default();
                        return Err(ToolError::Usage(format!("-F: there is no escape \\{other}")));
                    }
                })),
                other => {
                    let mut bytes = [0; 4];
                    parts.extend(other.encode_utf8(&mut bytes).bytes().map(Part::Byte));
                }
            }
        }
        Ok(Self::Template(parts))
    }

    /// Appends the message, without a line end.
    pub(crate) fn put(&self, received: &Message, now: Moment, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { format: Format::Json, .. } => {
                out.extend_from_slice(json::object(received, now, true).as_bytes());
            }
            Self::Fixed { format, topic } => {
                if *topic {
                    out.extend_from_slice(received.topic().as_bytes());
                    out.push(b' ');
                }
                match format {
                    _ if *topic && received.payload().is_empty() => out.extend_from_slice(b"(null)"),
                    Format::Hex => out.extend_from_slice(hex(received.payload(), false).as_bytes()),
                    Format::Text | Format::Json => out.extend_from_slice(received.payload()),
                }
            }
            Self::Template(parts) => {
                for part in parts {
                    match part {
                        Part::Byte(byte) => out.push(*byte),
                        Part::Field('p') => out.extend_from_slice(received.payload()),
                        Part::Field(letter) => {
                            out.extend_from_slice(field(*letter, received, now).as_bytes())
                        }
                    }
                }
            }
        }
    }
}

/// What stands for `%` and this letter.
fn field(letter: char, received: &Message, now: Moment) -> String {
    let about = received.about();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    match letter {
        'C' => text(about.and_then(|about| about.content_type.as_ref())),
        'D' => about
            .and_then(|about| about.correlation.as_ref())
            .map_or_else(String::new, |data| String::from_utf8_lossy(data).into_owned()),
        'E' => about.and_then(|about| about.expiry).map_or_else(String::new, |expiry| expiry.to_string()),
        'F' => about.and_then(|about| about.utf8).map_or_else(String::new, |utf8| u8::from(utf8).to_string()),
        'I' => now.iso8601(),
        'J' => json::object(received, now, true),
        'j' => json::object(received, now, false),
        'l' => received.payload().len().to_string(),
        'P' => about.map_or_else(String::new, |about| {
            let pairs: Vec<String> =
                about.user.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            pairs.join(" ")
        }),
        'q' => (received.quality() as u8).to_string(),
        'R' => text(about.and_then(|about| about.response_topic.as_ref())),
        'r' => u8::from(received.is_retained()).to_string(),
        'S' => about.map_or_else(String::new, |about| {
            let ids: Vec<String> = about.subscriptions.iter().map(u32::to_string).collect();
            ids.join(",")
        }),
        't' => received.topic().to_owned(),
        'U' => format!("{}.{:09}", now.0.as_secs(), now.0.subsec_nanos()),
        'x' => hex(received.payload(), false),
        'X' => hex(received.payload(), true),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") };
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_778), (2026, 11, 21));
    }

    #[test]
    fn a_template_is_checked_before_it_is_used() {
        assert!(Shape::template("%t %p\\n").is_ok());
        assert!(matches!(Shape::template("%z"), Err(ToolError::Usage(_))));
        assert!(matches!(Shape::template("\\z"), Err(ToolError::Usage(_))));
        assert!(matches!(Shape::template("%"), Err(ToolError::Usage(_))));
    }
}
