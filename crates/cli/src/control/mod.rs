//! The control socket: how a command talks to the broker that runs on a data directory.
//!
//! In:    one line of JSON, `{"request": NAME, "arguments": ...}`, from whoever may open `control.sock`: the owner.
//! Out:   one line of JSON, `{"ok": ...}` or `{"error": TEXT}`.
//! Never: a request from another user or another machine.

mod client;
mod server;

use std::path::{Path, PathBuf};

pub(crate) use client::{Ask, ask};
pub(crate) use server::Control;

/// Bytes of a request at most.
const LINE_MAX: u64 = 64 << 10;
/// Bytes of an answer at most: what some hundred sessions with a thousand subscriptions each may come to.
const ANSWER_MAX: u64 = 64 << 20;

fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}
