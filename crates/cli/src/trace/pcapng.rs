//! A capture file that Wireshark opens.
//!
//! In:    packets as the API describes them.
//! Out:   pcapng: a section, an interface, an enhanced packet block for each frame.
//! Spec:  PCAP Next Generation (draft-ietf-opsawg-pcapng); times in microseconds.

use std::collections::HashMap;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_codec::{Connect, Packet, Properties, ProtocolVersion};
use serde_json::Value;

use super::frames::Conversation;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const ETHERNET: u16 = 1;
const COMMENT: u16 = 1;
const USER_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;

const MADE_UP: &str = "not captured: this connection was open already; made up so that its version is known";

/// A file that is being written.
pub(super) struct Capture {
    out: Box<dyn Write>,
    conversations: HashMap<String, Conversation>,
}

impl Capture {
    /// # Errors
    /// Where nothing can be written.
    pub(super) fn begin(mut out: Box<dyn Write>) -> io::Result<Self> {
        let mut section = Vec::new();
        // Byte order, version 1.0, a length that nobody knows yet.
        section.extend(0x1a2b_3c4d_u32.to_le_bytes());
        section.extend(1_u16.to_le_bytes());
        section.extend(0_u16.to_le_bytes());
        section.extend(u64::MAX.to_le_bytes());
        option(USER_APPLICATION, concat!("dunlin ", env!("CARGO_PKG_VERSION")), &mut section);
        end_of_options(&mut section);
        block(SECTION, &section, &mut *out)?;
        let mut interface = Vec::new();
        interface.extend(ETHERNET.to_le_bytes());
        interface.extend([0, 0]);
        // No limit.
        interface.extend(0_u32.to_le_bytes());
        option(INTERFACE_NAME, "above TLS, WebSocket and QUIC", &mut interface);
        end_of_options(&mut interface);
        block(INTERFACE, &interface, &mut *out)?;
        out.flush()?;
        Ok(Self { out, conversations: HashMap::new() })
    }

    /// # Errors
    /// Where it cannot be written.
    pub(super) fn packet(&mut self, event: &Value) -> io::Result<()> {
        let bytes =
            event["packet"].as_str().and_then(|packet| STANDARD.decode(packet).ok()).unwrap_or_default();
        let len = event["bytes"].as_u64().and_then(|len| usize::try_from(len).ok()).unwrap_or(bytes.len());
        let micros = micros(event["time"].as_str().unwrap_or_default());
        let name = event["connection"].as_str().unwrap_or_default();
        let is_sent = event["direction"] == "sent";
        if !self.conversations.contains_key(name) {
            let number = u32::try_from(self.conversations.len()).unwrap_or_default() + 1;
            let address = event["address"].as_str().and_then(|address| address.parse().ok());
            let mut conversation = Conversation::new(address, number);
            for frame in conversation.open() {
                put(&mut *self.out, micros, &frame, frame.len(), "")?;
            }
            if event["type"] != "CONNECT" {
                let connect = connect(event);
                for (frame, len) in conversation.packet(false, &connect, connect.len()) {
                    put(&mut *self.out, micros, &frame, len, MADE_UP)?;
                }
            }
            self.conversations.insert(name.to_owned(), conversation);
        }
        if let Some(conversation) = self.conversations.get_mut(name) {
            for (frame, len) in conversation.packet(is_sent, &bytes, len) {
                put(&mut *self.out, micros, &frame, len, "")?;
            }
        }
        if event["type"] == "DISCONNECT" {
            self.conversations.remove(name);
        }
        self.out.flush()
    }
}

/// What a Client may have sent: dissectors learn from it which version a connection speaks.
fn connect(event: &Value) -> Vec<u8> {
    let version = match event["version"].as_str() {
        Some("3.1") => ProtocolVersion::V31,
        Some("5.0") => ProtocolVersion::V5,
        _ => ProtocolVersion::V311,
    };
    let connect = Connect {
        version,
        clean_start: false,
        keep_alive: 0,
        properties: Properties::EMPTY,
        client_id: event["client"].as_str().unwrap_or_default(),
        will: None,
        user_name: None,
        password: None,
    };
    let mut bytes = Vec::new();
    Packet::Connect(connect).encode(version, &mut bytes);
    bytes
}

fn put(out: &mut dyn Write, micros: u64, frame: &[u8], original: usize, comment: &str) -> io::Result<()> {
    let length = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = Vec::with_capacity(frame.len() + 32);
    body.extend(0_u32.to_le_bytes());
    body.extend(u32::try_from(micros >> 32).unwrap_or_default().to_le_bytes());
    body.extend(u32::try_from(micros & 0xffff_ffff).unwrap_or_default().to_le_bytes());
    body.extend(length(frame.len()));
    body.extend(length(original));
    body.extend(frame);
    pad(&mut body);
    if !comment.is_empty() {
        option(COMMENT, comment, &mut body);
        end_of_options(&mut body);
    }
    block(ENHANCED_PACKET, &body, out)
}

fn block(kind: u32, body: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let len = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    out.write_all(&[&kind.to_le_bytes()[..], &len, body, &len].concat())
}

fn option(code: u16, text: &str, body: &mut Vec<u8>) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(text.len()).unwrap_or_default().to_le_bytes());
    body.extend(text.as_bytes());
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// To four bytes.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Microseconds since 1970 of a time as the API writes it, `2026-11-21T16:39:17.123456Z`.
fn micros(time: &str) -> u64 {
    let number = |from: usize, to: usize| time.get(from..to).and_then(|part| part.parse::<u64>().ok());
    let parts = || {
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        // Years begin in March, so that the leap day is the last.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
        let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
        let days = days.checked_sub(719_468)?;
        let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
        Some(seconds * 1_000_000 + number(20, 26)?)
    };
    parts().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(micros("1970-01-01T00:00:00.000000Z"), 0);
        assert_eq!(micros("2000-02-29T12:00:01.000002Z"), 951_825_601_000_002);
        assert_eq!(micros("2026-11-21T16:39:17.123456Z"), 1_795_279_157_123_456);
        assert_eq!(micros("yesterday"), 0);
    }
}
