//! WebSocket frames (RFC 6455, section 5), as a client sees them.
//!
//! In:    bytes of the Server, in any pieces; what the client sends.
//! Out:   the payload of binary messages; answers to control frames; masked frames.
//! Never: a buffer for a message: payload is handed on as it comes, however it is cut into frames.

use ring::rand::{SecureRandom, SystemRandom};

/// The longest header of a Server: two bytes and a length of eight.
const HEADER_MAX: usize = 10;
/// Payload of a control frame.
const CONTROL_MAX: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The connection ends as intended (section 7.4.1).
pub(super) const NORMAL: u16 = 1000;

/// A frame that no Server may send here, in words.
pub(super) type Fault = &'static str;

/// A control frame that wants an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// To be sent back.
    Ping(Vec<u8>),
    /// The Server sends nothing more.
    Close(u16),
}

/// What is known of the Server's frames.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    header: [u8; HEADER_MAX],
    /// Bytes of the header that were seen.
    seen: usize,
    /// The rest of the frame that the header is of.
    left: u64,
    opcode: u8,
    /// A message has begun and not ended.
    within_message: bool,
    /// Payload of a control frame.
    control: Vec<u8>,
}

impl Decoder {
    /// Takes bytes and appends the payload of binary frames; a control frame ends it early. How many bytes it took.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<(usize, Option<Control>), Fault> {
        let mut from = 0;
        while from < bytes.len() {
            if self.left == 0 {
                let (used, complete) = self.take_header(&bytes[from..])?;
                from += used;
                if !complete || self.left > 0 {
                    continue;
                }
            } else {
                let rest = bytes.len() - from;
                let count = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                let to = if self.opcode < CLOSE { &mut *payload } else { &mut self.control };
                to.extend_from_slice(&bytes[from..from + count]);
                from += count;
                self.left -= count as u64;
            }
            if self.left == 0
                && let Some(control) = self.end_of_frame()
            {
                return Ok((from, Some(control)));
            }
        }
        Ok((from, None))
    }

    /// Takes the next bytes of a header: how many, and whether it is complete.
    fn take_header(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        for (at, byte) in bytes.iter().enumerate() {
            self.header[self.seen] = *byte;
            self.seen += 1;
            if self.seen == 2 {
                self.check()?;
            }
            if self.seen >= 2 && self.seen == 2 + self.length_len() {
                self.begin()?;
                return Ok((at + 1, true));
            }
        }
        Ok((bytes.len(), false))
    }

    const fn length_len(&self) -> usize {
        match self.header[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    /// Is the frame that begins with these two bytes allowed here?
    fn check(&self) -> Result<(), Fault> {
        let [first, second, ..] = self.header;
        if first & RESERVED != 0 {
            return Err("a frame with reserved bits");
        }
        if second & MASKED != 0 {
            return Err("a masked frame");
        }
        match first & 0x0f {
            CONTINUATION if !self.within_message => Err("a continuation of nothing"),
            BINARY if self.within_message => Err("a message within another"),
            CONTINUATION | BINARY => Ok(()),
            CLOSE | PING | PONG if first & FINAL == 0 || usize::from(second) > CONTROL_MAX => {
                Err("a control frame in pieces, or too long")
            }
            CLOSE | PING | PONG => Ok(()),
            // [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
            _ => Err("a frame that is not binary"),
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let length = &self.header[2..2 + self.length_len()];
        let number = length.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        self.left = match length.len() {
            0 => u64::from(self.header[1]),
            8 if number >> 63 != 0 => return Err("a length beyond 2^63"),
            _ => number,
        };
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
            CLOSE => {
                let status = payload.first_chunk().map(|status| u16::from_be_bytes(*status));
                Some(Control::Close(status.unwrap_or(NORMAL)))
            }
            _ => None,
        }
    }
}

/// Makes frames, each with a mask that a page in between cannot foresee (section 5.3).
#[derive(Debug, Default)]
pub(super) struct Encoder {
    masks: Vec<u8>,
}

impl Encoder {
    /// Four bytes of the system's randomness, of which many are fetched at once.
    fn mask(&mut self) -> Result<[u8; 4], Fault> {
        if let Some((rest, mask)) = self.masks.split_last_chunk() {
            let (length, mask) = (rest.len(), *mask);
            self.masks.truncate(length);
            return Ok(mask);
        }
        let mut masks = vec![0; 256];
        SystemRandom::new().fill(&mut masks).map_err(|_| "no randomness for a mask")?;
        self.masks = masks;
        self.mask()
    }

    /// Appends a binary message in one frame.
    pub(super) fn binary(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.frame(BINARY, payload, out)
    }

    /// Appends the answer to a Ping.
    pub(super) fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.frame(PONG, payload, out)
    }

    /// Appends a Close.
    pub(super) fn close(&mut self, status: u16, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.frame(CLOSE, &status.to_be_bytes(), out)
    }

    fn frame(&mut self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mask = self.mask()?;
        out.push(FINAL | opcode);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ ..=125), _) => out.push(MASKED | short),
            (_, Ok(medium)) => {
                out.push(MASKED | 126);
                out.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                out.push(MASKED | 127);
                out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        let start = out.len();
        out.extend_from_slice(payload);
        apply(&mut out[start..], mask);
        Ok(())
    }
}

fn apply(bytes: &mut [u8], mask: [u8; 4]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All payload and all control frames of these bytes, given in pieces of that length.
    fn decoded(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Control>), Fault> {
        let (mut decoder, mut payload, mut controls) = (Decoder::default(), Vec::new(), Vec::new());
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let (used, control) = decoder.decode(piece, &mut payload)?;
                controls.extend(control);
                piece = &piece[used..];
            }
        }
        Ok((payload, controls))
    }

    #[test]
    fn payload_is_the_same_however_it_is_cut() {
        let mut bytes = vec![0x02, 2, b'a', b'b', 0x89, 1, b'!', 0x00, 0, 0x80, 126, 1, 0];
        bytes.extend([b'c'; 256]);
        bytes.extend([0x88, 2, 0x03, 0xe9, 0x82, 0]);
        for piece in [1, 2, 3, 7, 1000] {
            let (payload, controls) = decoded(&bytes, piece).unwrap();
            assert_eq!((payload.len(), &payload[..3]), (258, &b"abc"[..]));
            assert_eq!(controls, [Control::Ping(vec![b'!']), Control::Close(1001)]);
        }
    }

    #[test]
    fn what_a_server_may_not_send() {
        for bytes in [
            &[0x81, 1, b'a'][..],
            &[0x82, 0x81, 0, 0, 0, 0, b'a'],
            &[0xc2, 0],
            &[0x80, 0],
            &[0x02, 0, 0x82, 0],
            &[0x09, 0],
            &[0x89, 126, 0, 126],
            &[0x83, 0],
            &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(decoded(bytes, 3).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_masked_can_be_unmasked() {
        let mut encoder = Encoder::default();
        let mut last = Vec::new();
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|at: usize| at.to_le_bytes()[0]).collect();
            let mut out = Vec::new();
            encoder.binary(&payload, &mut out).unwrap();
            let head = out.len() - length;
            let (head, body) = out.split_at_mut(head);
            let mask = *head.last_chunk().unwrap();
            apply(body, mask);
            assert_eq!(body, payload);
            assert_ne!(mask.to_vec(), last, "a mask is used once");
            last = mask.to_vec();
        }
    }
}
