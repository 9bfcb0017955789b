//! CONNECT, and what CONNACK says.
//!
//! Spec:  MQTT 5.0 sections 3.1 and 3.2.

use std::num::NonZeroU32;
use std::time::Duration;

use dunlin_codec::{Connect, Packet, Properties, Property, PropertyBuf, ProtocolVersion, ReasonCode};

use super::authentication::Authentication;
use super::settings::{FRESH_EXPIRY, Keep, Password, Settings, Version};
use crate::Message;

/// Whole seconds, as many as a packet can say.
pub(crate) fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

/// Seconds of the Keep Alive.
pub(crate) fn keep_alive(settings: &Settings) -> u16 {
    u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX)
}

/// Appends CONNECT; `first`: no connection of this session came before it.
pub(crate) fn put_connect(
    settings: &Settings,
    authentication: &mut Authentication,
    first: bool,
    out: &mut Vec<u8>,
) {
    let version: ProtocolVersion = settings.version.into();
    let v5 = settings.version == Version::V5;
    let mut properties = PropertyBuf::new();
    if v5 {
        put_properties(settings, &mut properties);
        authentication.begin(&mut properties);
    }
    let mut about = PropertyBuf::new();
    if let Some(will) = settings.will.as_ref().filter(|_| v5) {
        if will.delay > Duration::ZERO {
            about.push(Property::WillDelayInterval(seconds(will.delay)));
        }
        let expiry = will.message.about().and_then(|about| about.expiry);
        will.message.put_properties(expiry, &mut about);
    }
    let fresh = settings.keep == Keep::Fresh;
    Packet::Connect(Connect {
        version,
        // 3.1.1 has no Session that ends by itself: one that is not to stay is never begun. The Server takes an empty
        // identifier for such a one only [MQTT311-3.1.3-7].
        clean_start: if v5 { fresh && first } else { fresh || settings.client_id.is_empty() },
        keep_alive: keep_alive(settings),
        properties: properties.as_properties(),
        client_id: &settings.client_id,
        will: settings.will.as_ref().map(|will| dunlin_codec::Will {
            qos: will.message.quality(),
            retain: will.message.is_retained(),
            properties: about.as_properties(),
            topic: will.message.topic(),
            payload: will.message.payload(),
        }),
        user_name: settings.user_name.as_deref(),
        password: settings.password.as_ref().map(Password::as_bytes),
    })
    .encode(version, out);
}

fn put_properties(settings: &Settings, properties: &mut PropertyBuf) {
    let expiry = match settings.keep {
        Keep::Resume { expiry } => seconds(expiry),
        Keep::Fresh => FRESH_EXPIRY,
    };
    properties.push(Property::SessionExpiryInterval(expiry));
    properties.push(Property::ReceiveMaximum(settings.receive_maximum));
    if let Some(maximum) = NonZeroU32::new(settings.maximum_packet_size) {
        properties.push(Property::MaximumPacketSize(maximum));
    }
    if settings.topic_alias_maximum > 0 {
        properties.push(Property::TopicAliasMaximum(settings.topic_alias_maximum));
    }
    for (name, value) in &settings.user_properties {
        properties.push(Property::UserProperty(name, value));
    }
}

/// The Reason String, if there is one.
pub(crate) fn reason_string(properties: Properties<'_>) -> Option<String> {
    properties.iter().find_map(|property| match property {
        Property::ReasonString(text) => Some(text.to_owned()),
        _ => None,
    })
}

/// Where the Server sends its client, and whether for good.
pub(crate) fn redirection(reason: ReasonCode, properties: Properties<'_>) -> Option<(String, bool)> {
    let lasting = match reason {
        ReasonCode::UseAnotherServer => false,
        ReasonCode::ServerMoved => true,
        _ => return None,
    };
    let reference = properties.iter().find_map(|property| match property {
        Property::ServerReference(text) => Some(text.to_owned()),
        _ => None,
    });
    reference.map(|reference| (reference, lasting))
}

/// Will it be refused again, however often it is tried?
pub(crate) fn is_lasting(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
            | ReasonCode::TopicNameInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::RetainNotSupported
            | ReasonCode::QoSNotSupported
    )
}

impl Settings {
    /// Is there something in it that no CONNECT can say?
    ///
    /// # Errors
    /// What.
    pub fn check(&self) -> Result<(), SettingsError> {
        let text = |what: &'static str, text: &str| {
            let bytes = text.len();
            let fits = bytes <= 65_535 && !text.contains('\0');
            if fits { Ok(()) } else { Err(SettingsError::Field { what, bytes }) }
        };
        text("client identifier", &self.client_id)?;
        text("user name", self.user_name.as_deref().unwrap_or_default())?;
        let bytes = self.password.as_ref().map_or(0, |password| password.as_bytes().len());
        if bytes > 65_535 {
            return Err(SettingsError::Field { what: "password", bytes });
        }
        for (name, value) in &self.user_properties {
            text("name of a user property", name)?;
            text("value of a user property", value)?;
        }
        if let Some(method) = &self.authentication {
            if self.version == Version::V311 {
                return Err(SettingsError::AuthenticationMethod);
            }
            text("authentication method", method.name())?;
        }
        // [MQTT311-3.1.2-22]
        if self.version == Version::V311 && self.password.is_some() && self.user_name.is_none() {
            return Err(SettingsError::PasswordAlone);
        }
        self.will.as_ref().map_or(Ok(()), |will| check_will(&will.message))
    }
}

fn check_will(message: &Message) -> Result<(), SettingsError> {
    message.check().map_err(SettingsError::Will)?;
    let bytes = message.payload().len();
    if bytes > 65_535 {
        return Err(SettingsError::Field { what: "payload of the will", bytes });
    }
    Ok(())
}

/// Why settings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Too long for a packet, or with U+0000 in it.
    #[error("{what} of {bytes} bytes, longest is 65535, and U+0000 is not allowed")]
    Field {
        /// Which.
        what: &'static str,
        /// Bytes it has.
        bytes: usize,
    },
    /// [MQTT311-3.1.2-22]
    #[error("mqtt 3.1.1 has no password without a user name")]
    PasswordAlone,
    /// 3.1.1 has none.
    #[error("mqtt 3.1.1 has no enhanced authentication")]
    AuthenticationMethod,
    /// The Will cannot be sent.
    #[error("will: {0}")]
    Will(crate::MessageError),
}
