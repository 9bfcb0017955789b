//! WebSocket frames (RFC 6455, section 5), as a server sees them.
//!
//! In:    bytes of a peer, in any pieces.
//! Out:   the payload of its binary messages, in place; its control frames; headers for frames of our own.
//! Never: a buffer for a message: payload is handed on as it comes, however a peer cuts it into frames.

/// The longest header: two bytes, a length of eight, a mask.
const HEADER_MAX: usize = 14;
/// Payload of a control frame.
const CONTROL_MAX: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame that no client may send here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
    #[error("a text frame; MQTT travels in binary ones")]
    Text,
    /// Section 5.1.
    #[error("a frame without a mask")]
    NotMasked,
    /// Section 5.2: no extension was agreed upon.
    #[error("a frame with reserved bits")]
    Reserved,
    /// Section 5.2.
    #[error("a frame of the unknown kind {0}")]
    Opcode(u8),
    /// Section 5.5.
    #[error("a control frame in pieces, or of more than 125 bytes")]
    Control,
    /// Section 5.4.
    #[error("a message that begins within another, or goes on without having begun")]
    Fragment,
    /// Section 5.2.
    #[error("a length that is not written in the shortest way, or beyond 2^63")]
    Length,
}

impl FrameError {
    /// The status that the connection is closed with (section 7.4.1).
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Text => 1003,
            _ => 1002,
        }
    }
}

/// A control frame that wants an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// To be sent back.
    Ping(Vec<u8>),
    /// The peer sends nothing more; its status, where it gave one.
    Close(Option<u16>),
}

/// What is known about the frames of one peer.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER_MAX],
    /// Bytes of the header that were seen.
    seen: usize,
    /// The rest of the frame that the header is of.
    left: u64,
    mask: [u8; 4],
    opcode: u8,
    /// A message has begun and not ended.
    within_message: bool,
    /// Payload of a control frame.
    control: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes and leaves the payload of binary frames at their front; how much that is. Messages may be cut
    /// into frames anywhere, and frames into pieces [MQTT-6.0.0-2] [MQTT311-6.0.0-2].
    ///
    /// After a Close, what follows is ignored.
    ///
    /// # Errors
    /// At the first frame that no client may send.
    pub(crate) fn decode(
        &mut self,
        bytes: &mut [u8],
        mut control: impl FnMut(Control),
    ) -> Result<usize, FrameError> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            if self.left == 0 {
                from += self.take_header(&bytes[from..])?;
                if self.left > 0 || self.seen > 0 {
                    continue;
                }
            } else {
                let count =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len() - from));
                let count = count.min(bytes.len() - from);
                unmask(&mut bytes[from..from + count], self.mask);
                self.mask.rotate_left(count % 4);
                if self.opcode < CLOSE {
                    bytes.copy_within(from..from + count, to);
                    to += count;
                } else {
                    self.control.extend_from_slice(&bytes[from..from + count]);
                }
                from += count;
                self.left -= count as u64;
            }
            if self.left == 0
                && let Some(frame) = self.end_of_frame()
            {
                let closes = matches!(frame, Control::Close(_));
                control(frame);
                if closes {
                    break;
                }
            }
        }
        Ok(to)
    }

    /// Takes the next bytes of a header; how many. When it is complete, `seen` is 0 again.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, FrameError> {
        let mut used = 0;
        for byte in bytes {
            self.header[self.seen] = *byte;
            self.seen += 1;
            used += 1;
            if self.seen == 2 {
                self.check()?;
            }
            if self.seen >= 2 && self.seen == self.header_len() {
                self.begin()?;
                break;
            }
        }
        Ok(used)
    }

    const fn header_len(&self) -> usize {
        2 + self.length_len() + 4
    }

    const fn length_len(&self) -> usize {
        match self.header[1] & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    /// Is the frame that begins with these two bytes allowed here?
    fn check(&self) -> Result<(), FrameError> {
        let [first, second, ..] = self.header;
        if first & RESERVED != 0 {
            return Err(FrameError::Reserved);
        }
        if second & MASKED == 0 {
            return Err(FrameError::NotMasked);
        }
        match first & 0x0f {
            CONTINUATION if !self.within_message => Err(FrameError::Fragment),
            BINARY if self.within_message => Err(FrameError::Fragment),
            CONTINUATION | BINARY => Ok(()),
            TEXT => Err(FrameError::Text),
            CLOSE | PING | PONG if first & FINAL == 0 || usize::from(second & !MASKED) > CONTROL_MAX => {
                Err(FrameError::Control)
            }
            CLOSE | PING | PONG => Ok(()),
            opcode => Err(FrameError::Opcode(opcode)),
        }
    }

    /// The header is complete.
    fn begin(&mut self) -> Result<(), FrameError> {
        let length = &self.header[2..2 + self.length_len()];
        let number = length.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        self.left = match length.len() {
            0 => u64::from(self.header[1] & !MASKED),
            2 if number > 125 => number,
            8 if number > u64::from(u16::MAX) && number < 1 << 63 => number,
            _ => return Err(FrameError::Length),
        };
        let mask = self.seen - 4;
        self.mask.copy_from_slice(&self.header[mask..mask + 4]);
        self.opcode = self.header[0] & 0x0f;
        if self.opcode < CLOSE {
            self.within_message = self.header[0] & FINAL == 0;
        }
        self.seen = 0;
        Ok(())
    }

    fn end_of_frame(&mut self) -> Option<Control> {
        let payload = std::mem::take(&mut self.control);
        match self.opcode {
            PING => Some(Control::Ping(payload)),
            CLOSE => Some(Control::Close(payload.first_chunk().map(|status| u16::from_be_bytes(*status)))),
            _ => None,
        }
    }
}

/// The same mask again gives back what was masked.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The header of a frame of the server, which has no mask.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    bytes: [u8; 10],
    len: u8,
}

impl Header {
    /// Of a binary message in one frame [MQTT-6.0.0-1] [MQTT311-6.0.0-1].
    pub(crate) fn binary(payload: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = FINAL | BINARY;
        let len = match (u8::try_from(payload), u16::try_from(payload)) {
            (Ok(short @ ..=125), _) => {
                bytes[1] = short;
                2
            }
            (_, Ok(medium)) => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&medium.to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A Pong with the payload of a Ping.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    control(PONG, payload, out);
}

/// A Close with a status.
pub(crate) fn close(status: u16, out: &mut Vec<u8>) {
    control(CLOSE, &status.to_be_bytes(), out);
}

fn control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let len = u8::try_from(payload.len().min(CONTROL_MAX)).unwrap_or_default();
    out.extend([FINAL | opcode, len]);
    out.extend_from_slice(&payload[..usize::from(len)]);
}

#[cfg(test)]
mod tests;
