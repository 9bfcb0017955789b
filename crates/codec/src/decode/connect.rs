//! CONNECT: the packet that says which version it is.
//!
//! Spec:  MQTT 5.0 section 3.1; MQTT 3.1.1 section 3.1 and MQTT 3.1 section 3.1 where they differ.

use super::check_flags;
use crate::{
    Connect, DecodeError, Frame, Properties, ProtocolVersion, QoS, Will,
    property::Allowed,
    reader::{Judge, Reader},
};

/// Characters of the longest Client Identifier of 3.1.
const CLIENT_ID_31: usize = 23;

/// The Connect Flags (section 3.1.2.3), consistent with each other.
struct Flags {
    clean_start: bool,
    /// Will QoS and Will Retain.
    will: Option<(QoS, bool)>,
    user_name: bool,
    password: bool,
}

impl Flags {
    fn parse(byte: u8, version: ProtocolVersion, judge: &mut Judge<'_>) -> Result<Self, DecodeError> {
        // [MQTT-3.1.2-3] [MQTT311-3.1.2-3]; 3.1 only says that it is not used.
        if byte & 1 != 0 && version != ProtocolVersion::V31 {
            judge.excuse(DecodeError::ConnectFlagsReserved)?;
        }
        let will_retain = byte & 0b10_0000 != 0;
        // [MQTT-3.1.2-12] [MQTT311-3.1.2-14]
        let will_qos = QoS::from_u8(byte >> 3 & 0b11).ok_or(DecodeError::InvalidQoS)?;
        let will = if byte & 0b100 != 0 {
            Some((will_qos, will_retain))
        } else if will_retain || will_qos != QoS::AtMostOnce {
            // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15]
            return Err(DecodeError::WillFlagsWithoutWill { qos: will_qos as u8 });
        } else {
            None
        };
        let user_name = byte & 0b1000_0000 != 0;
        let password = byte & 0b100_0000 != 0;
        if password && !user_name && version != ProtocolVersion::V5 {
            // [MQTT311-3.1.2-22]
            judge.excuse(DecodeError::PasswordWithoutUserName)?;
        }
        Ok(Self { clean_start: byte & 0b10 != 0, will, user_name, password })
    }
}

/// Protocol Name and Protocol Version.
fn version(reader: &mut Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
    let name = reader.binary()?;
    // [MQTT-3.1.2-1] [MQTT311-3.1.2-1]
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        return Err(DecodeError::UnknownProtocolName);
    }
    match (name, reader.u8()?) {
        (b"MQIsdp", 3) => Ok(ProtocolVersion::V31),
        (b"MQTT", 4) => Ok(ProtocolVersion::V311),
        (b"MQTT", 5) => Ok(ProtocolVersion::V5),
        // [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
        (_, level) => Err(DecodeError::UnsupportedProtocolVersion { level }),
    }
}

fn client_id<'a>(
    reader: &mut Reader<'a>,
    version: ProtocolVersion,
    judge: &mut Judge<'_>,
) -> Result<&'a str, DecodeError> {
    // The first field, and UTF-8 [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT311-3.1.3-3] [MQTT311-3.1.3-4].
    let client_id = reader.text(judge)?;
    if version == ProtocolVersion::V31 && client_id.len() > CLIENT_ID_31 {
        let characters = client_id.chars().count();
        if characters > CLIENT_ID_31 {
            judge.excuse(DecodeError::ClientIdTooLong { characters, limit: CLIENT_ID_31 })?;
        }
    }
    Ok(client_id)
}

impl<'a> Connect<'a> {
    /// Checks all that makes it well-formed [MQTT-3.1.4-1] [MQTT311-3.1.4-1].
    pub(super) fn decode(frame: Frame<'a>, mut judge: Judge<'_>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let version = version(&mut reader)?;
        let v5 = version == ProtocolVersion::V5;
        check_flags(frame, version, &mut judge)?;
        let flags = Flags::parse(reader.u8()?, version, &mut judge)?;
        let keep_alive = reader.u16()?;
        let properties = |allowed, reader: &mut Reader<'a>, judge: &mut Judge<'_>| {
            if v5 { Properties::decode(reader, allowed, judge) } else { Ok(Properties::EMPTY) }
        };
        let connect_properties = properties(Allowed::CONNECT, &mut reader, &mut judge)?;
        // In this order [MQTT-3.1.3-1] [MQTT311-3.1.3-1].
        let client_id = client_id(&mut reader, version, &mut judge)?;
        let will = match flags.will {
            // [MQTT-3.1.2-9] [MQTT311-3.1.2-9]
            Some((qos, retain)) => Some(Will {
                qos,
                retain,
                properties: properties(Allowed::WILL, &mut reader, &mut judge)?,
                // [MQTT-3.1.3-11] [MQTT311-3.1.3-10]
                topic: reader.text(&mut judge)?,
                payload: reader.binary()?,
            }),
            None => None,
        };
        // 3.1: the flag may be set and the field missing; Remaining Length takes precedence.
        let present = |flag: bool, reader: &Reader<'_>| {
            flag && !(version == ProtocolVersion::V31 && reader.rest.is_empty())
        };
        let mut user_name = None;
        if present(flags.user_name, &reader) {
            // [MQTT-3.1.2-17] [MQTT-3.1.3-12] [MQTT311-3.1.2-19] [MQTT311-3.1.3-11]
            user_name = Some(reader.text(&mut judge)?);
        }
        let mut password = None;
        if present(flags.password, &reader) {
            // [MQTT-3.1.2-19] [MQTT311-3.1.2-21]
            password = Some(reader.binary()?);
        }
        // A field without its flag [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20].
        reader.finish()?;
        Ok(Self {
            version,
            clean_start: flags.clean_start,
            keep_alive,
            properties: connect_properties,
            client_id,
            will,
            user_name,
            password,
        })
    }
}
