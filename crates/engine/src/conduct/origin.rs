//! Where connections come from: an address, or a user; and which Client Identifiers they bring.

use std::net::IpAddr;
use std::time::Duration;

use super::table::Kept;
use super::window::Window;
use crate::time::Time;

/// Client Identifiers that are remembered one by one.
const NAMED: usize = 4;
/// Who was not heard of for so long is worth nothing.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// Whom connections are counted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginKey {
    /// By the name that it was let in with.
    User(Box<str>),
    /// Of Clients that nobody asked.
    Address(IpAddr),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) key: OriginKey,
    pub(super) hash: u64,
    last: Time,
    open: u32,
    tried: [u64; NAMED],
    next: usize,
    refusals: Window,
    pub(super) conduct: OriginConduct,
}

/// What came from one address, or of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginConduct {
    /// Whom it is about.
    pub key: OriginKey,
    /// Connections that were accepted.
    pub connects: u32,
    /// Those whose Client Identifier had not been seen before.
    pub new_ids: u32,
    /// Those of these whose Session outlives the connection.
    pub kept: u32,
    /// The most connections at a time.
    pub most_open: u32,
    /// The last new Client Identifiers.
    pub examples: Vec<Box<str>>,
    /// CONNECTs that were refused.
    pub refused: u32,
    /// The most of these within a minute of the last hour.
    pub refused_in_a_minute: u32,
}

impl Kept for Origin {
    fn hash(&self) -> u64 {
        self.hash
    }

    /// Without those that are connected nobody would know later how many there were.
    fn worth(&self, now: Time) -> u64 {
        if self.open == 0 && now.since(self.last) > FORGOTTEN {
            return self.last.as_micros() >> 16;
        }
        (u64::from(self.open.min(64)) << 56) + self.last.as_micros()
    }
}

impl Origin {
    pub(super) fn new(key: OriginKey, hash: u64, now: Time) -> Self {
        let conduct = OriginConduct {
            key: key.clone(),
            connects: 0,
            new_ids: 0,
            kept: 0,
            most_open: 0,
            examples: Vec::new(),
            refused: 0,
            refused_in_a_minute: 0,
        };
        Self {
            key,
            hash,
            last: now,
            open: 0,
            tried: [0; NAMED],
            next: 0,
            refusals: Window::default(),
            conduct,
        }
    }

    /// A connection was accepted. `is_new`: its Client Identifier was not seen before; `is_kept`: its Session outlives it.
    pub(super) fn connected(
        &mut self,
        now: Time,
        client_id: &str,
        id_hash: u64,
        is_new: bool,
        is_kept: bool,
    ) {
        self.last = now;
        self.open = self.open.saturating_add(1);
        let conduct = &mut self.conduct;
        conduct.connects = conduct.connects.saturating_add(1);
        conduct.most_open = conduct.most_open.max(self.open);
        if !is_new || self.tried.contains(&id_hash) {
            return;
        }
        conduct.new_ids = conduct.new_ids.saturating_add(1);
        conduct.kept = conduct.kept.saturating_add(u32::from(is_kept));
        if conduct.examples.len() < NAMED {
            conduct.examples.push(client_id.into());
        } else {
            conduct.examples[self.next] = client_id.into();
        }
        self.tried[self.next] = id_hash;
        self.next = (self.next + 1) % NAMED;
    }

    pub(super) fn ended(&mut self, now: Time) {
        self.last = now;
        self.open = self.open.saturating_sub(1);
    }

    pub(super) fn refused(&mut self, now: Time) {
        self.last = now;
        self.refusals.add(now);
        self.conduct.refused = self.conduct.refused.saturating_add(1);
    }

    /// As it is to be shown.
    pub(super) fn conduct(&self, now: Time) -> OriginConduct {
        OriginConduct { refused_in_a_minute: self.refusals.most(now), ..self.conduct.clone() }
    }
}
