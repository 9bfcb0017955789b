//! The framer: where one packet ends in a stream of bytes.
//!
//! In:    bytes of one connection, however they were cut.
//! Out:   the first [`Frame`] in them, or how many bytes it needs.
//! Never: looks into the packet.
//! Spec:  MQTT 5.0 sections 2.1.1 and 2.1.4.

use crate::{
    DecodeError, QoS, VarInt,
    decode::packet_type::PUBLISH,
    encode::{packet_len, put_header},
};

/// One packet as it came: its first byte, and what Remaining Length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
}

/// What the front of a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing<'a> {
    /// A whole packet.
    Complete {
        /// The packet.
        frame: Frame<'a>,
        /// Bytes of the stream it took.
        len: usize,
    },
    /// A part of one.
    Incomplete {
        /// Bytes of the whole packet, as far as they are known; always more than were given.
        needed: usize,
    },
}

impl<'a> Frame<'a> {
    /// Finds the first packet in `bytes`. `maximum_packet_size` counts the whole packet, in bytes.
    ///
    /// # Errors
    /// A Remaining Length that is none; a packet beyond the maximum, as soon as its length is known.
    #[inline]
    pub fn split(bytes: &'a [u8], maximum_packet_size: u32) -> Result<Framing<'a>, DecodeError> {
        let [first, after @ ..] = bytes else {
            return Ok(Framing::Incomplete { needed: 2 });
        };
        if *first < 0x10 {
            // No packet starts like this: no need to wait for its length.
            return Err(DecodeError::PacketTypeReserved { packet_type: 0 });
        }
        let Some((remaining, length_bytes)) = VarInt::decode(after)? else {
            return Ok(Framing::Incomplete { needed: bytes.len() + 1 });
        };
        let len = 1 + length_bytes + remaining.get() as usize;
        if len > maximum_packet_size as usize {
            return Err(DecodeError::PacketTooLarge { size: len, limit: maximum_packet_size });
        }
        match bytes.get(1 + length_bytes..len) {
            Some(body) => Ok(Framing::Complete { frame: Frame { first: *first, body }, len }),
            None => Ok(Framing::Incomplete { needed: len }),
        }
    }

    /// A PUBLISH with this variable header and payload.
    #[inline]
    #[must_use]
    pub const fn of_publish(dup: bool, qos: QoS, retain: bool, body: &'a [u8]) -> Self {
        let flags = (dup as u8) << 3 | (qos as u8) << 1 | retain as u8;
        Self { first: PUBLISH << 4 | flags, body }
    }

    /// Bytes of the whole packet.
    ///
    /// # Panics
    /// More than Remaining Length can say: 268,435,455 bytes after the fixed header.
    #[inline]
    #[must_use]
    pub fn encoded_len(self) -> usize {
        packet_len(self.body.len())
    }

    /// Appends it to `out`.
    ///
    /// # Panics
    /// Where [`Frame::encoded_len`] does.
    #[inline]
    pub fn encode(self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        put_header(self.first, self.body.len(), out);
        out.extend_from_slice(self.body);
    }

    /// Bits 7 to 4 of the first byte: 0 to 15.
    #[inline]
    #[must_use]
    pub const fn packet_type(self) -> u8 {
        self.first >> 4
    }
}
