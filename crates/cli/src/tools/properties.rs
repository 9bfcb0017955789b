//! `-D COMMAND NAME VALUE`, as mosquitto_pub has it.

use dunlin_client::{About, Bytes, Settings, Version};

use super::ToolError;

/// What the properties say, by packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) publish: About,
    pub(crate) will: About,
    /// Seconds.
    pub(crate) will_delay: u32,
    /// Seconds.
    pub(crate) session_expiry: Option<u32>,
    connect_user: Vec<(String, String)>,
    receive_maximum: Option<std::num::NonZeroU16>,
    maximum_packet_size: Option<u32>,
    topic_alias_maximum: Option<u16>,
}

impl Given {
    /// Reads all `-D` one after another: each says by itself how many words it has.
    pub(crate) fn parse(words: &[String], version: Version) -> Result<Self, ToolError> {
        let mut given = Self::default();
        if !words.is_empty() && version != Version::V5 {
            return Err(ToolError::Usage("-D: properties are of MQTT 5; see -V".to_owned()));
        }
        let mut words = words.iter();
        while let Some(command) = words.next() {
            let name = words.next().ok_or_else(|| few(command))?;
            let value = words.next().ok_or_else(|| few(command))?;
            let second =
                if name == "user-property" { Some(words.next().ok_or_else(|| few(command))?) } else { None };
            given.take(&command.to_lowercase(), name, value, second)?;
        }
        Ok(given)
    }

    fn take(
        &mut self,
        command: &str,
        name: &str,
        value: &str,
        second: Option<&String>,
    ) -> Result<(), ToolError> {
        let pair = second.map(|second| (value.to_owned(), second.clone()));
        match (command, name, pair) {
            ("connect", _, Some(pair)) => self.connect_user.push(pair),
            ("publish", _, Some(pair)) => self.publish.user.push(pair),
            ("will", _, Some(pair)) => self.will.user.push(pair),
            ("connect", "session-expiry-interval", _) => self.session_expiry = Some(number(name, value)?),
            ("connect", "receive-maximum", _) => self.receive_maximum = Some(number(name, value)?),
            ("connect", "maximum-packet-size", _) => self.maximum_packet_size = Some(number(name, value)?),
            ("connect", "topic-alias-maximum", _) => self.topic_alias_maximum = Some(number(name, value)?),
            ("will", "will-delay-interval", _) => self.will_delay = number(name, value)?,
            ("publish", _, _) => about(&mut self.publish, name, value)?,
            ("will", _, _) => about(&mut self.will, name, value)?,
            _ => {
                return Err(ToolError::Usage(format!(
                    "-D {command} {name}: no such property, or not one that can be set"
                )));
            }
        }
        Ok(())
    }

    /// What concerns CONNECT.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        settings.user_properties.clone_from(&self.connect_user);
        settings.receive_maximum = self.receive_maximum.unwrap_or(settings.receive_maximum);
        settings.maximum_packet_size = self.maximum_packet_size.unwrap_or(settings.maximum_packet_size);
        settings.topic_alias_maximum = self.topic_alias_maximum.unwrap_or(settings.topic_alias_maximum);
    }
}

fn about(about: &mut About, name: &str, value: &str) -> Result<(), ToolError> {
    match name {
        "payload-format-indicator" => about.utf8 = Some(number::<u8>(name, value)? == 1),
        "message-expiry-interval" => about.expiry = Some(number(name, value)?),
        "content-type" => about.content_type = Some(value.to_owned()),
        "response-topic" => about.response_topic = Some(value.to_owned()),
        "correlation-data" => about.correlation = Some(Bytes::copy_from_slice(value.as_bytes())),
        _ => {
            return Err(ToolError::Usage(format!("-D {name}: no such property, or not one that can be set")));
        }
    }
    Ok(())
}

fn few(command: &str) -> ToolError {
    ToolError::Usage(format!("-D {command}: COMMAND NAME VALUE, or COMMAND user-property NAME VALUE"))
}

fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<N, ToolError> {
    value.parse().map_err(|_| ToolError::Usage(format!("-D {name}: {value:?} is no number that it can be")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Given, ToolError> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Given::parse(&words, Version::V5)
    }

    #[test]
    fn several_properties_follow_one_another() {
        let given = parse(
            "publish user-property a b PUBLISH content-type text/plain connect session-expiry-interval 9 will will-delay-interval 3",
        )
        .unwrap();
        assert_eq!(given.publish.user, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(given.publish.content_type.as_deref(), Some("text/plain"));
        assert_eq!((given.session_expiry, given.will_delay), (Some(9), 3));
    }

    #[test]
    fn what_is_no_property() {
        for words in
            ["publish topic-alias 3", "publish user-property a", "connect receive-maximum 0", "x y z"]
        {
            assert!(matches!(parse(words), Err(ToolError::Usage(_))), "{words}");
        }
        assert!(Given::parse(&["publish".into()], Version::V311).is_err());
    }
}
