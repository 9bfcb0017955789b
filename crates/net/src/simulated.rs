//! Peers that are played within the process: for measurements with more of them than it may open files.
//!
//! In:    what a peer says at its next turn; what it is told.
//! Out:   the bytes of the one, the number of the bytes of the other.
//! Never: in a build without the feature `simulated`.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the peer of that number says at that turn, written to the buffer (16 KiB at least): how many bytes. None, where it says
/// nothing more.
pub type Script = fn(number: u32, turn: u8, into: &mut [u8]) -> usize;

static SCRIPT: OnceLock<Script> = OnceLock::new();
static HEARD: AtomicU64 = AtomicU64::new(0);

/// Says what all of them say; only once.
pub fn play(script: Script) {
    // Whoever was first stays.
    let _ = SCRIPT.set(script);
}

/// Bytes that they were told, all of them together.
#[must_use]
pub fn heard() -> u64 {
    HEARD.load(Ordering::Relaxed)
}

/// Its next turn; the last one again and again.
pub(crate) fn read(number: u32, turn: &mut u8, into: &mut [u8]) -> io::Result<usize> {
    let count = SCRIPT.get().map_or(0, |script| script(number, *turn, into));
    *turn = turn.saturating_add(1);
    if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
}

pub(crate) fn write(slices: &[&[u8]]) -> usize {
    let count = slices.iter().map(|slice| slice.len()).sum();
    HEARD.fetch_add(count as u64, Ordering::Relaxed);
    count
}
