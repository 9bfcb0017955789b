//! `--decode`: payloads that are compressed or binary, for people: text and JSON.
//!
//! In:    a message, and what its payload is, or that it is to be found out.
//! Out:   the message with a payload that can be read.
//! Never: more than [`UNFOLDED_MAX`] bytes; a guess that the payload does not fit to the last byte.

mod binary;
mod cbor;
mod msgpack;

use clap::ValueEnum;
use dunlin_client::{Bytes, Compression, Message};

use super::json;
use crate::say;

/// What a payload may unfold to: the longest that a message can have.
const UNFOLDED_MAX: usize = 268_435_455;

/// `--decode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Decode {
    /// What the content type and the first bytes say
    Auto,
    Gzip,
    Zstd,
    /// CBOR, shown as JSON
    Cbor,
    /// MessagePack, shown as JSON
    Msgpack,
    /// JSON, which anything else is a fault of
    Json,
}

/// The message as it is to be shown; one that is not what it should be is shown as it is, with a warning.
pub(crate) fn shown(message: &Message, steps: &[Decode], pretty: bool, quiet: bool) -> Message {
    let decoded = decode(message, steps).unwrap_or_else(|why| {
        if !quiet {
            say::warning(&format!("{}: {why}", message.topic()));
        }
        message.clone()
    });
    if !pretty || !json::is_json(decoded.payload()) {
        return decoded;
    }
    decoded.with_payload(json::pretty(&String::from_utf8_lossy(decoded.payload())))
}

/// The message as it is to be shown, or why its payload is not what it should be.
pub(crate) fn decode(message: &Message, steps: &[Decode]) -> Result<Message, String> {
    let mut message = message.clone();
    for step in steps {
        let payload = match step {
            Decode::Auto => auto(&message)?,
            Decode::Gzip => Some(unfold(Compression::Gzip, message.payload())?),
            Decode::Zstd => Some(unfold(Compression::Zstd, message.payload())?),
            Decode::Cbor => Some(cbor::to_json(message.payload())?.into()),
            Decode::Msgpack => Some(msgpack::to_json(message.payload())?.into()),
            Decode::Json if json::is_json(message.payload()) => None,
            Decode::Json => return Err("not JSON".to_owned()),
        };
        if let Some(payload) = payload {
            message = message.with_payload(payload);
        }
    }
    Ok(message)
}

fn unfold(compression: Compression, payload: &Bytes) -> Result<Bytes, String> {
    compression.unfold(payload, UNFOLDED_MAX).map_err(|error| error.to_string())
}

/// Unfolds what is compressed, then shows what is binary as JSON; `None`: it is what it is.
fn auto(message: &Message) -> Result<Option<Bytes>, String> {
    let unfolded = match Compression::of(message.payload()) {
        Some(compression) => Some(unfold(compression, message.payload())?),
        None => None,
    };
    let payload = unfolded.as_ref().unwrap_or(message.payload());
    let named = message.about().and_then(|about| about.content_type.as_deref()).unwrap_or_default();
    let named = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let shown = if named == "application/cbor" || named.ends_with("+cbor") {
        Some(cbor::to_json(payload)?)
    } else if matches!(&*named, "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack") {
        Some(msgpack::to_json(payload)?)
    } else if named.is_empty() {
        guess(payload)
    } else {
        None
    };
    Ok(shown.map(Bytes::from).or(unfolded))
}

/// Only maps, whose first byte is of one of the two alone, and the tag with which CBOR names itself.
fn guess(payload: &[u8]) -> Option<String> {
    match payload {
        [0xa0..=0xbf, ..] | [0xd9, 0xd9, 0xf7, ..] => cbor::to_json(payload).ok(),
        [0x80..=0x8f | 0xde | 0xdf, ..] => msgpack::to_json(payload).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &Message, steps: &[Decode]) -> Result<String, String> {
        decode(message, steps).map(|message| String::from_utf8_lossy(message.payload()).into_owned())
    }

    #[test]
    fn what_it_is_named_or_begins_as() {
        let text = "tick ".repeat(100);
        let plain = Message::new("t", text.clone()).unwrap();
        for compression in [Compression::Gzip, Compression::Zstd] {
            assert_eq!(shown(&plain.compressed(compression).unwrap(), &[Decode::Auto]), Ok(text.clone()));
        }
        let bytes = |bytes: &[u8]| plain.with_payload(bytes.to_vec());
        assert_eq!(shown(&bytes(&[0xa1, 0x61, b'a', 1]), &[Decode::Auto]).unwrap(), "{\"a\":1}");
        assert_eq!(shown(&bytes(&[0x81, 0xa1, b'a', 1]), &[Decode::Auto]).unwrap(), "{\"a\":1}");
        assert_eq!(shown(&bytes(b"plain"), &[Decode::Auto]).unwrap(), "plain");
        let mut named = bytes(&[0x82, 1, 2]);
        named.about_mut().content_type = Some("application/cbor".to_owned());
        assert_eq!(shown(&named, &[Decode::Auto]).unwrap(), "[1,2]");
        assert!(shown(&named.with_payload("{"), &[Decode::Auto]).is_err());
    }

    proptest::proptest! {
        /// Whatever comes is shown as JSON or refused.
        #[test]
        fn whatever_comes_is_json_or_no_value(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            for shown in [cbor::to_json(&bytes), msgpack::to_json(&bytes)].into_iter().flatten() {
                assert!(json::is_json(shown.as_bytes()), "{shown}");
                assert!(json::is_json(json::pretty(&shown).as_bytes()), "{shown}");
            }
        }
    }

    #[test]
    fn steps_follow_one_another() {
        let long = Message::new("t", [vec![0x98, 200], vec![7; 200]].concat()).unwrap();
        let folded = long.compressed(Compression::Zstd).unwrap();
        let shown = shown(&folded, &[Decode::Zstd, Decode::Cbor, Decode::Json]).unwrap();
        assert!(shown.starts_with("[7,7,7"));
        assert!(decode(&folded, &[Decode::Gzip]).is_err());
        assert_eq!(decode(&folded, &[Decode::Json]).unwrap_err(), "not JSON");
    }
}
