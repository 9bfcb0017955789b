//! What a Client did on its connection, and what it lost: counted where it happens, without a look at a clock.

use crate::counters::Drop;

const PUBLISH: u8 = 3;
const PINGREQ: u8 = 12;

/// Of one connection; 16 bytes, and 24 more once its Client has published. A count that is full stays so.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    published: Option<Box<Published>>,
    /// PUBLISH packets for the Client.
    pub(super) delivered: u32,
    pub(super) pings: u32,
}

/// What a Client published on one connection.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// PUBLISH packets of the Client.
    pub(super) messages: u32,
    pub(super) at_least_once: u32,
    pub(super) exactly_once: u32,
    /// With RETAIN.
    pub(super) retained: u32,
    /// Bytes of them all, whole packets.
    pub(super) bytes: u64,
}

/// Of a Client that has published nothing.
const NOTHING: Published =
    Published { messages: 0, at_least_once: 0, exactly_once: 0, retained: 0, bytes: 0 };

/// QoS 0 messages that a Session had a claim to and did not get. A count that is full stays so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// While its Client was away.
    pub away: u32,
    /// Because its Client did not take its output.
    pub slow: u32,
    /// Those of both that were published with QoS 1 or 2: the Subscription asked for less.
    pub by_subscription: u32,
}

impl Tally {
    /// A packet with this first byte, of `len` bytes, came from the Client. True where it is a PUBLISH to be looked at: the
    /// first, the second, the fourth, the eighth...
    #[inline]
    pub(crate) fn received(&mut self, first: u8, len: usize) -> bool {
        if first >> 4 != PUBLISH {
            self.pings = self.pings.saturating_add(u32::from(first >> 4 == PINGREQ));
            return false;
        }
        let qos = first >> 1 & 0b11;
        let published = &mut **self.published.get_or_insert_default();
        published.messages = published.messages.saturating_add(1);
        published.at_least_once = published.at_least_once.saturating_add(u32::from(qos == 1));
        published.exactly_once = published.exactly_once.saturating_add(u32::from(qos == 2));
        published.retained = published.retained.saturating_add(u32::from(first & 1));
        published.bytes += len as u64;
        published.messages.is_power_of_two()
    }

    pub(super) fn published(&self) -> &Published {
        self.published.as_deref().unwrap_or(&NOTHING)
    }

    /// A PUBLISH was written for the Client.
    #[inline]
    pub(crate) fn delivered(&mut self) {
        self.delivered = self.delivered.saturating_add(1);
    }
}

impl Losses {
    /// A QoS 0 message was not delivered. `asked_less`: it was published with more than QoS 0.
    pub(crate) fn add(&mut self, why: Drop, asked_less: bool) {
        let count = match why {
            Drop::Offline => &mut self.away,
            Drop::OutputFull => &mut self.slow,
            _ => return,
        };
        *count = count.saturating_add(1);
        self.by_subscription = self.by_subscription.saturating_add(u32::from(asked_less));
    }

    pub(super) fn join(&mut self, other: Self) {
        self.away = self.away.saturating_add(other.away);
        self.slow = self.slow.saturating_add(other.slow);
        self.by_subscription = self.by_subscription.saturating_add(other.by_subscription);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart_by_their_first_byte_and_looked_at_ever_more_rarely() {
        let mut tally = Tally::default();
        let due: Vec<u32> = (1..=20).filter(|_| tally.received(0x30, 10)).collect();
        assert_eq!(due, [1, 2, 4, 8, 16]);
        for (first, times) in [(0x33, 3), (0x34, 2), (0xc0, 5), (0x40, 7)] {
            for _ in 0..times {
                tally.received(first, 4);
            }
        }
        let published = tally.published();
        assert_eq!((published.messages, published.at_least_once, published.exactly_once), (25, 3, 2));
        assert_eq!((published.retained, published.bytes, tally.pings), (3, 220, 5));
    }

    #[test]
    fn what_is_lost_of_another_qos_is_no_loss_here() {
        let mut losses = Losses::default();
        for (why, asked_less) in [(Drop::Offline, true), (Drop::OutputFull, false), (Drop::QueueFull, true)] {
            losses.add(why, asked_less);
        }
        assert_eq!(losses, Losses { away: 1, slow: 1, by_subscription: 1 });
    }

    /// Millions of Sessions have one.
    #[test]
    fn a_client_costs_little() {
        assert_eq!(size_of::<Tally>(), 16);
        assert_eq!(size_of::<Published>(), 24);
        assert_eq!(size_of::<Losses>(), 12);
    }
}
