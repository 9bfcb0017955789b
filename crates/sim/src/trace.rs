//! What happened in a run: a hash that tells two runs apart, and, when asked for, the last events as text.

use std::collections::VecDeque;

use dunlin_engine::Time;

/// The record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    pub(crate) now: Time,
    lines: Option<VecDeque<String>>,
    kept: usize,
}

impl Trace {
    /// Keeps the last `kept` events as text; none for 0.
    pub(crate) fn new(kept: usize) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, now: Time::ZERO, lines: (kept > 0).then(VecDeque::new), kept }
    }

    /// An event: numbers that tell it from others, and how it reads.
    pub(crate) fn note(&mut self, numbers: &[usize], text: impl FnOnce() -> String) {
        for number in numbers {
            self.mix(*number as u64);
        }
        if let Some(lines) = &mut self.lines {
            if lines.len() == self.kept {
                lines.pop_front();
            }
            let micros = self.now.as_micros();
            lines.push_back(format!("{:4}.{:06} {}", micros / 1_000_000, micros % 1_000_000, text()));
        }
    }

    /// Bytes that went over the wire.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_be_bytes(*word));
        }
        for byte in rest {
            self.mix(u64::from(*byte));
        }
    }

    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().map(Vec::from).unwrap_or_default()
    }
}
