//! Payloads that are values (JSON, CBOR) or compressed (gzip, Zstandard), each behind its feature.
//!
//! In:    values, bytes; messages that came.
//! Out:   messages whose Content Type and `content-encoding` say what they are (5.0); the values, the bytes.
//! Never: more memory for a payload than the caller allows: a few bytes can unfold to many.

#[cfg(any(feature = "gzip", feature = "zstd"))]
use std::io::Read;

use dunlin_codec::TopicNameError;

#[cfg(any(feature = "gzip", feature = "zstd"))]
use crate::Bytes;
#[cfg(any(feature = "gzip", feature = "zstd", feature = "json", feature = "cbor"))]
use crate::Message;

/// Why a payload cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The topic is none.
    #[error("topic: {0}")]
    Topic(#[from] TopicNameError),
    /// It is no value of the kind that was asked for, or that value cannot be written so; in words.
    #[error("{0}")]
    Value(String),
    /// It is not compressed as it says.
    #[error("not {}: {source}", encoding.name())]
    Compressed {
        /// What it says.
        encoding: Compression,
        /// What is wrong.
        source: std::io::Error,
    },
    /// It unfolds to more than the caller allows.
    #[error("more than {0} bytes when it is unfolded")]
    TooLarge(usize),
    /// This build cannot read it.
    #[error("this build has no {}", .0.name())]
    Unavailable(Compression),
}

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Value of the User Property [`CONTENT_ENCODING`], as HTTP has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What these bytes begin as.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Unfolds bytes to at most `limit` of them.
    ///
    /// # Errors
    /// They are not so compressed, or unfold to more; this build cannot read them.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub fn unfold(self, bytes: &[u8], limit: usize) -> Result<Bytes, PayloadError> {
        let fault = |source| PayloadError::Compressed { encoding: self, source };
        let mut out = Vec::new();
        // One byte more shows that there is more.
        let most = limit as u64 + 1;
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => flate2::read::MultiGzDecoder::new(bytes).take(most).read_to_end(&mut out),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::stream::read::Decoder::with_buffer(bytes)
                .and_then(|decoder| decoder.take(most).read_to_end(&mut out)),
            #[allow(unreachable_patterns, reason = "depends on the features")]
            other => return Err(PayloadError::Unavailable(other)),
        }
        .map_err(fault)?;
        if out.len() > limit { Err(PayloadError::TooLarge(limit)) } else { Ok(out.into()) }
    }

    #[cfg(any(feature = "gzip", feature = "zstd"))]
    fn fold(self, bytes: &[u8]) -> Result<Vec<u8>, PayloadError> {
        let fault = |source| PayloadError::Compressed { encoding: self, source };
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => {
                let mut out = Vec::new();
                let level = flate2::Compression::default();
                flate2::read::GzEncoder::new(bytes, level).read_to_end(&mut out).map_err(fault)?;
                Ok(out)
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::encode_all(bytes, 0).map_err(fault),
            #[allow(unreachable_patterns, reason = "depends on the features")]
            other => Err(PayloadError::Unavailable(other)),
        }
    }
}

/// The User Property that names the compression of a payload.
pub const CONTENT_ENCODING: &str = "content-encoding";

#[cfg(any(feature = "gzip", feature = "zstd"))]
impl Message {
    /// The same with its payload compressed, and `content-encoding` to say so. A payload that would not become shorter
    /// stays as it is.
    ///
    /// # Errors
    /// This build cannot do it.
    pub fn compressed(&self, compression: Compression) -> Result<Self, PayloadError> {
        let folded = compression.fold(self.payload())?;
        if folded.len() >= self.payload().len() {
            return Ok(self.clone());
        }
        let mut message = self.with_payload(folded);
        message.about_mut().user.push((CONTENT_ENCODING.to_owned(), compression.name().to_owned()));
        message.about_mut().utf8 = None;
        Ok(message)
    }

    /// The payload as it was before [`Message::compressed`], `limit` bytes at most; as it is where nothing says that it
    /// is compressed.
    ///
    /// # Errors
    /// As [`Compression::unfold`].
    pub fn unfolded(&self, limit: usize) -> Result<Bytes, PayloadError> {
        let user = self.about().map_or(&[][..], |about| &about.user);
        let named =
            user.iter().rev().find(|(name, _)| name == CONTENT_ENCODING).map(|(_, value)| value.as_str());
        let known = [Compression::Gzip, Compression::Zstd].into_iter().find(|one| Some(one.name()) == named);
        known.map_or_else(|| Ok(self.payload().clone()), |known| known.unfold(self.payload(), limit))
    }
}

#[cfg(feature = "json")]
impl Message {
    /// A message of QoS 1 with a value as JSON, and a Content Type that says so.
    ///
    /// # Errors
    /// What is no Topic Name; a value that JSON cannot hold.
    pub fn json<T: serde::Serialize + ?Sized>(topic: &str, value: &T) -> Result<Self, PayloadError> {
        let payload = serde_json::to_vec(value).map_err(|error| PayloadError::Value(error.to_string()))?;
        let mut message = Self::new(topic, payload)?;
        message.about_mut().content_type = Some("application/json".to_owned());
        message.about_mut().utf8 = Some(true);
        Ok(message)
    }

    /// The value that the payload is the JSON of.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read_json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, PayloadError> {
        serde_json::from_slice(self.payload()).map_err(|error| PayloadError::Value(error.to_string()))
    }
}

#[cfg(feature = "cbor")]
impl Message {
    /// A message of QoS 1 with a value as CBOR (RFC 8949), and a Content Type that says so.
    ///
    /// # Errors
    /// What is no Topic Name; a value that CBOR cannot hold.
    pub fn cbor<T: serde::Serialize + ?Sized>(topic: &str, value: &T) -> Result<Self, PayloadError> {
        let mut payload = Vec::new();
        ciborium::into_writer(value, &mut payload).map_err(|error| PayloadError::Value(error.to_string()))?;
        let mut message = Self::new(topic, payload)?;
        message.about_mut().content_type = Some("application/cbor".to_owned());
        Ok(message)
    }

    /// The value that the payload is the CBOR of.
    ///
    /// # Errors
    /// Where it is none, or something follows it.
    pub fn read_cbor<T: serde::de::DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let mut rest = &self.payload()[..];
        let value =
            ciborium::from_reader(&mut rest).map_err(|error| PayloadError::Value(error.to_string()))?;
        let end = format!("{} bytes follow the value", rest.len());
        if rest.is_empty() { Ok(value) } else { Err(PayloadError::Value(end)) }
    }
}

#[cfg(all(test, feature = "gzip", feature = "zstd", feature = "json", feature = "cbor"))]
mod tests {
    use super::*;

    #[test]
    fn compressed_payloads_come_back() {
        let message = Message::new("t", "tick ".repeat(1000)).unwrap();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let folded = message.compressed(compression).unwrap();
            assert!(folded.payload().len() < 100);
            assert_eq!(Compression::of(folded.payload()), Some(compression));
            assert_eq!(folded.unfolded(5000).unwrap(), message.payload());
            // A few bytes that unfold to many.
            assert!(matches!(folded.unfolded(4999), Err(PayloadError::TooLarge(4999))));
            let torn = folded.with_payload(folded.payload().slice(..20));
            assert!(matches!(torn.unfolded(5000), Err(PayloadError::Compressed { .. })));
        }
        let short = Message::new("t", "x").unwrap();
        assert_eq!(short.compressed(Compression::Gzip).unwrap(), short);
        assert_eq!(short.unfolded(0).unwrap(), "x");
    }

    #[test]
    fn values_come_back() {
        let value = vec![("a".to_owned(), 1.5), ("b".to_owned(), -2.0)];
        let json = Message::json("t", &value).unwrap();
        let cbor = Message::cbor("t", &value).unwrap();
        assert_eq!(json.read_json::<Vec<(String, f64)>>().unwrap(), value);
        assert_eq!(cbor.read_cbor::<Vec<(String, f64)>>().unwrap(), value);
        assert_eq!(cbor.about().unwrap().content_type.as_deref(), Some("application/cbor"));
        assert!(json.read_json::<u8>().is_err() && cbor.read_cbor::<u8>().is_err());
        assert!(cbor.read_json::<u8>().is_err());
        let more = cbor.with_payload([&cbor.payload()[..], &[0]].concat());
        assert!(more.read_cbor::<Vec<(String, f64)>>().is_err());
        assert!(matches!(Message::json("a/#", &value), Err(PayloadError::Topic(_))));
    }
}
