//! The lists of Topic Filters in SUBSCRIBE and UNSUBSCRIBE.
//!
//! In:    the payload of such a packet, or filters one after another.
//! Out:   lists that were checked once, so that going through them cannot fail.
//! Never: copies a filter while decoding.
//! Spec:  MQTT 5.0 sections 3.8.3 and 3.10.3.

use crate::{
    DecodeError, ProtocolVersion, SubscriptionOptions, TopicFilter,
    encode::put_binary,
    reader::{Judge, Reader},
};

/// The payload of a SUBSCRIBE, checked when it was decoded: iterating cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeList<'a> {
    raw: &'a [u8],
    version: ProtocolVersion,
}

/// The payload of an UNSUBSCRIBE, checked when it was decoded: iterating cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterList<'a> {
    raw: &'a [u8],
}

/// A well-formed Topic Filter from the front of `reader` [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT311-3.8.3-1]
/// [MQTT311-3.10.3-1].
fn filter<'a>(reader: &mut Reader<'a>, judge: &mut Judge<'_>) -> Result<TopicFilter<'a>, DecodeError> {
    let text = reader.text(judge)?;
    TopicFilter::parse(text).map_err(DecodeError::InvalidTopicFilter)
}

impl<'a> SubscribeList<'a> {
    /// Checks all of what `reader` has left.
    pub(crate) fn decode(
        mut reader: Reader<'a>,
        version: ProtocolVersion,
        judge: &mut Judge<'_>,
    ) -> Result<Self, DecodeError> {
        let raw = reader.rest;
        if raw.is_empty() {
            // A Protocol Error [MQTT-3.8.3-2] [MQTT311-3.8.3-3].
            return Err(DecodeError::EmptyList);
        }
        while !reader.rest.is_empty() {
            let filter = filter(&mut reader, judge)?;
            let options = SubscriptionOptions::from_byte(reader.u8()?, version, judge)?;
            if options.no_local && filter.shared().is_some() {
                // [MQTT-3.8.3-4]
                return Err(DecodeError::NoLocalOnShared);
            }
        }
        Ok(Self { raw, version })
    }

    /// In the order of the packet; at least one.
    pub fn iter(self) -> impl Iterator<Item = (TopicFilter<'a>, SubscriptionOptions)> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || {
            let text = next_text(&mut reader)?;
            // Reserved bits were judged when decoding.
            let byte = reader.u8().ok()? & SubscriptionOptions::known_bits(self.version);
            let Ok(options) = SubscriptionOptions::from_known_bits(byte) else {
                unreachable!("subscription options were checked when they were decoded");
            };
            Some((TopicFilter::from_trusted(text), options))
        })
    }

    /// How many: at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty [MQTT-3.8.3-2]")]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Bytes on the wire, the same in every version.
    pub(crate) const fn encoded_len(self) -> usize {
        self.raw.len()
    }

    pub(crate) fn encode(self, version: ProtocolVersion, out: &mut Vec<u8>) {
        for (filter, options) in self.iter() {
            put_binary(filter.as_str().as_bytes(), out);
            out.push(options.to_byte(version));
        }
    }
}

impl PartialEq for SubscribeList<'_> {
    /// The same filters with the same options in the same order; bits that mean nothing do not count.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscribeList<'_> {}

impl<'a> FilterList<'a> {
    /// Checks all of what `reader` has left.
    pub(crate) fn decode(mut reader: Reader<'a>, judge: &mut Judge<'_>) -> Result<Self, DecodeError> {
        let raw = reader.rest;
        if raw.is_empty() {
            // A Protocol Error [MQTT-3.10.3-2] [MQTT311-3.10.3-2].
            return Err(DecodeError::EmptyList);
        }
        while !reader.rest.is_empty() {
            filter(&mut reader, judge)?;
        }
        Ok(Self { raw })
    }

    /// In the order of the packet; at least one.
    pub fn iter(self) -> impl Iterator<Item = TopicFilter<'a>> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || next_text(&mut reader).map(TopicFilter::from_trusted))
    }

    /// How many: at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty [MQTT-3.10.3-2]")]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// As on the wire.
    pub(crate) const fn as_bytes(self) -> &'a [u8] {
        self.raw
    }
}

fn next_text<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    if reader.rest.is_empty() {
        return None;
    }
    let Ok(text) = reader.raw_text() else {
        unreachable!("topic filters were checked when they were decoded");
    };
    Some(text)
}

/// A SUBSCRIBE's payload in the making.
#[derive(Clone, Debug)]
pub struct SubscribeBuf {
    bytes: Vec<u8>,
    version: ProtocolVersion,
}

impl SubscribeBuf {
    /// An empty one; push at least one filter before it goes into a packet [MQTT-3.8.3-2].
    #[must_use]
    pub const fn new(version: ProtocolVersion) -> Self {
        Self { bytes: Vec::new(), version }
    }

    /// Appends one.
    ///
    /// # Panics
    /// No Local on a Shared Subscription, which no Client may send [MQTT-3.8.3-4].
    pub fn push(&mut self, filter: TopicFilter<'_>, options: SubscriptionOptions) {
        assert!(!options.no_local || filter.shared().is_none(), "no local on a shared subscription");
        put_binary(filter.as_str().as_bytes(), &mut self.bytes);
        self.bytes.push(options.to_byte(self.version));
    }

    /// What was pushed.
    #[must_use]
    pub fn as_list(&self) -> SubscribeList<'_> {
        SubscribeList { raw: &self.bytes, version: self.version }
    }
}

/// An UNSUBSCRIBE's payload in the making.
#[derive(Clone, Debug, Default)]
pub struct FilterBuf {
    bytes: Vec<u8>,
}

impl FilterBuf {
    /// An empty one; push at least one filter before it goes into a packet [MQTT-3.10.3-2].
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Appends one.
    pub fn push(&mut self, filter: TopicFilter<'_>) {
        put_binary(filter.as_str().as_bytes(), &mut self.bytes);
    }

    /// What was pushed.
    #[must_use]
    pub fn as_list(&self) -> FilterList<'_> {
        FilterList { raw: &self.bytes }
    }
}
