//! Notices of engines and of the loop, as lines of the log.
//!
//! In:    what is worth a line.
//! Out:   `tracing` events; of each kind of warning a few a second, and how many were left out.
//! Never: a line for each of a million misbehaving clients; a payload.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_engine::{DisconnectCause, Notice, Time};
use tracing::{debug, warn};

use crate::admissions::Refusal;

/// Lines of a kind in a second that somebody can still read.
const LINES: u32 = 10;
/// The window that they are counted in.
const WINDOW: Duration = Duration::from_secs(1);

/// What is limited on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    RuleBroken,
    Dropped,
    Denied,
    TooFast,
    Rivals,
    TurnedAway,
    OutOfDescriptors,
    Transport,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Refused,
        Self::RuleBroken,
        Self::Dropped,
        Self::Denied,
        Self::TooFast,
        Self::Rivals,
        Self::TurnedAway,
        Self::OutOfDescriptors,
        Self::Transport,
    ];
}

/// The warnings of the current window.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    rates: [Rate; Kind::ALL.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    began: Time,
    lines: u32,
    suppressed: u64,
}

impl Rate {
    fn admits(&mut self, now: Time, most: u32) -> bool {
        if self.lines == 0 {
            self.began = now;
        }
        if self.lines < most {
            self.lines += 1;
            return true;
        }
        self.suppressed += 1;
        false
    }

    /// How many were left out in a window that is over; a new one begins.
    fn end_window(&mut self, now: Time) -> u64 {
        if self.lines == 0 || now.since(self.began) < WINDOW {
            return 0;
        }
        std::mem::take(self).suppressed
    }
}

impl Notices {
    fn admits(&mut self, now: Time, kind: Kind) -> bool {
        self.end_window(now, kind);
        // One line says it all.
        let most = if kind == Kind::OutOfDescriptors { 1 } else { LINES };
        self.rates[kind as usize].admits(now, most)
    }

    fn end_window(&mut self, now: Time, kind: Kind) {
        let suppressed = self.rates[kind as usize].end_window(now);
        if suppressed > 0 {
            warn!(target: "dunlin::log", ?kind, suppressed, "warnings of a kind were left out");
        }
    }

    /// Says what was left out in windows that are over.
    pub(crate) fn end_windows(&mut self, now: Time) {
        for kind in Kind::ALL {
            self.end_window(now, kind);
        }
    }

    /// Was something left out that nobody was told of yet?
    pub(crate) fn owes(&self) -> bool {
        self.rates.iter().any(|rate| rate.suppressed > 0)
    }

    /// A newcomer was closed, as a bound says.
    pub(crate) fn turned_away(&mut self, now: Time, address: Option<SocketAddr>, refusal: Refusal) {
        if self.admits(now, Kind::TurnedAway) {
            let address = address.map(tracing::field::display);
            warn!(target: "dunlin::connection", address, limit = refusal.limit(), "connection turned away");
        }
    }

    /// A newcomer was closed, as the process may not open more files.
    pub(crate) fn out_of_descriptors(&mut self, now: Time) {
        if self.admits(now, Kind::OutOfDescriptors) {
            warn!(target: "dunlin::connection", "connections turned away for want of file descriptors");
        }
    }

    /// A connection was closed, as its peer did what its transport does not allow.
    pub(crate) fn transport_failed(
        &mut self,
        now: Time,
        address: Option<SocketAddr>,
        fault: &dyn fmt::Display,
    ) {
        if self.admits(now, Kind::Transport) {
            let address = address.map(tracing::field::display);
            warn!(target: "dunlin::connection", address, reason = %fault, "connection closed by its transport");
        }
    }

    /// A notice of the engine.
    pub(crate) fn notice(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::Connected { client_id, address, version, resumed } => {
                let address = address.map(tracing::field::display);
                debug!(target: "dunlin::connection", %client_id, address, version, resumed, "client connected");
            }
            Notice::Disconnected { client_id, cause, rules_broken } => {
                disconnected(client_id, cause);
                if !rules_broken.is_empty() {
                    debug!(target: "dunlin::protocol", %client_id, ?rules_broken, "rules that the client broke");
                }
            }
            Notice::Refused { client_id, address, reason, detail } => {
                if self.admits(now, Kind::Refused) {
                    let address = address.map(tracing::field::display);
                    warn!(target: "dunlin::connection", %client_id, address, ?reason, %detail, "connection refused");
                }
            }
            Notice::RuleBroken { client_id, rule, count } => {
                if self.admits(now, Kind::RuleBroken) {
                    warn!(target: "dunlin::protocol", %client_id, ?rule, count, "client broke a rule that is tolerated");
                }
            }
            Notice::Denied { client_id, wanted, topic, count } => {
                if self.admits(now, Kind::Denied) {
                    warn!(target: "dunlin::access", %client_id, ?wanted, %topic, count, "not allowed");
                }
            }
            Notice::TooFast { client_id, address, rate, allowed, action, count } => {
                if self.admits(now, Kind::TooFast) {
                    let address = address.map(tracing::field::display);
                    warn!(
                        target: "dunlin::connection",
                        %client_id, address, ?rate, allowed, ?action, count, "client sends faster than it may"
                    );
                }
            }
            Notice::Rivals { client_id, incumbent, newcomer, takeovers, delay } => {
                if self.admits(now, Kind::Rivals) {
                    let (incumbent, newcomer) =
                        (incumbent.map(tracing::field::display), newcomer.map(tracing::field::display));
                    warn!(
                        target: "dunlin::connection",
                        %client_id, incumbent, newcomer, takeovers, ?delay,
                        "two clients fight over one client identifier: the next newcomer waits"
                    );
                }
            }
            Notice::Dropped { client_id, bound, count } => {
                if self.admits(now, Kind::Dropped) {
                    warn!(target: "dunlin::session", %client_id, ?bound, count, "messages dropped at a bound");
                }
            }
        }
    }
}

fn disconnected(client_id: &str, cause: &DisconnectCause) {
    match cause {
        DisconnectCause::ByClient(reason) => {
            debug!(target: "dunlin::connection", %client_id, ?reason, "client disconnected");
        }
        DisconnectCause::ByServer { reason, detail } => {
            debug!(target: "dunlin::connection", %client_id, ?reason, %detail, "client was disconnected");
        }
        DisconnectCause::Lost => {
            debug!(target: "dunlin::connection", %client_id, "connection lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_leaves_other_kinds_alone() {
        let start = Time::from_micros(1_000_000);
        let mut notices = Notices::default();
        let passed = (0..100).filter(|_| notices.admits(start, Kind::Refused)).count();
        assert_eq!(passed, LINES as usize);
        assert!(notices.admits(start, Kind::Dropped));
        assert!(notices.owes());

        assert!(!notices.admits(start.after(WINDOW / 2), Kind::Refused));
        assert_eq!(notices.rates[Kind::Refused as usize].end_window(start.after(WINDOW)), 91);
        assert!(notices.admits(start.after(WINDOW), Kind::Refused));
        assert!(!notices.owes());
    }
}
