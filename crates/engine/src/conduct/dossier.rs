//! What is remembered of a Client Identifier across connections and Sessions.

use std::net::SocketAddr;
use std::time::Duration;

use super::table::Kept;
use super::tally::{Losses, Tally};
use super::window::Window;
use crate::time::Time;

/// Connections beyond so many do not make a Client worth more.
const WORTH_MAXIMUM: u64 = 64;
/// Who was not heard of for so long is worth nothing.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// DISCONNECT of the Client.
    Left,
    /// Without a word, or after a silence.
    Lost,
    /// By the Server, for a fault.
    Closed,
    /// By another connection with the same Client Identifier.
    TakenOver,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Dossier {
    pub(super) client_id: Box<str>,
    pub(super) hash: u64,
    pub(super) last: Time,
    pub(super) listener: u16,
    /// Of its last connection.
    pub(super) address: Option<SocketAddr>,
    /// Of the connection that was taken over last.
    pub(super) rival: Option<SocketAddr>,
    pub(super) history: History,
    /// How the last connection ended, if it did.
    parting: Option<Parting>,
    takeovers: Window,
    reconnects: Window,
    pub(super) past: Past,
    /// Of Sessions that ended with their connections.
    pub(super) losses: Losses,
}

/// What a Client Identifier went through, as far as the Server remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Connections that were accepted.
    pub connects: u32,
    /// Those that found their Session.
    pub resumed: u32,
    /// Sessions that were kept for the Client and that it began anew without (Clean Start).
    pub discarded: u32,
    /// Connections that ended with DISCONNECT.
    pub left: u32,
    /// Those that ended without, or for want of a sign of life.
    pub lost: u32,
    /// Those that the Server closed for a fault.
    pub closed: u32,
    /// Those that another connection with the same Client Identifier took over.
    pub taken_over: u32,
    /// The most of these within a minute of the last hour.
    pub taken_over_in_a_minute: u32,
    /// Connections within a minute of the last hour, at most, that followed one that was lost or closed.
    pub reconnects_in_a_minute: u32,
    /// How long the Client waited the last time it did so, in milliseconds.
    pub last_pause_ms: u32,
    /// Did the last connection bring a Will?
    pub had_will: bool,
}

/// The sum of the connections that ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    pub(super) published: [u64; 3],
    pub(super) retained: u64,
    pub(super) bytes: u64,
    pub(super) delivered: u64,
    pub(super) pings: u64,
    pub(super) connected: Duration,
}

impl Past {
    pub(super) fn add(&mut self, tally: &Tally, connected: Duration) {
        let published = tally.published();
        let acknowledged = published.at_least_once.saturating_add(published.exactly_once);
        self.published[0] += u64::from(published.messages.saturating_sub(acknowledged));
        self.published[1] += u64::from(published.at_least_once);
        self.published[2] += u64::from(published.exactly_once);
        self.retained += u64::from(published.retained);
        self.bytes += published.bytes;
        self.delivered += u64::from(tally.delivered);
        self.pings += u64::from(tally.pings);
        self.connected = self.connected.saturating_add(connected);
    }
}

impl Kept for Dossier {
    fn hash(&self) -> u64 {
        self.hash
    }

    /// Whoever comes often is looked for; among others those of late.
    fn worth(&self, now: Time) -> u64 {
        if now.since(self.last) > FORGOTTEN {
            return self.last.as_micros() >> 16;
        }
        (u64::from(self.history.connects).min(WORTH_MAXIMUM) << 56) + self.last.as_micros()
    }
}

impl Dossier {
    pub(super) fn new(client_id: &str, hash: u64, now: Time) -> Self {
        Self {
            client_id: client_id.into(),
            hash,
            last: now,
            listener: 0,
            address: None,
            rival: None,
            history: History::default(),
            parting: None,
            takeovers: Window::default(),
            reconnects: Window::default(),
            past: Past::default(),
            losses: Losses::default(),
        }
    }

    pub(super) fn connected(&mut self, now: Time, resumed: bool, has_will: bool) {
        self.history.connects = self.history.connects.saturating_add(1);
        self.history.resumed = self.history.resumed.saturating_add(u32::from(resumed));
        self.history.had_will = has_will;
        if matches!(self.parting.take(), Some(Parting::Lost | Parting::Closed)) {
            self.reconnects.add(now);
            let pause = now.since(self.last).as_millis();
            self.history.last_pause_ms = u32::try_from(pause).unwrap_or(u32::MAX);
        }
        self.last = now;
    }

    pub(super) fn discarded(&mut self) {
        self.history.discarded = self.history.discarded.saturating_add(1);
    }

    pub(super) fn ended(&mut self, now: Time, parting: Parting, address: Option<SocketAddr>) {
        let history = &mut self.history;
        let count = match parting {
            Parting::Left => &mut history.left,
            Parting::Lost => &mut history.lost,
            Parting::Closed => &mut history.closed,
            Parting::TakenOver => &mut history.taken_over,
        };
        *count = count.saturating_add(1);
        if parting == Parting::TakenOver {
            self.takeovers.add(now);
            self.rival = address;
        }
        self.parting = Some(parting);
        self.last = now;
    }

    /// As it is to be shown.
    pub(super) fn history(&self, now: Time) -> History {
        History {
            taken_over_in_a_minute: self.takeovers.most(now),
            reconnects_in_a_minute: self.reconnects.most(now),
            ..self.history
        }
    }
}
