//! The ledger of a shard: what it decided about messages and Sessions, bounded in bytes.
//!
//! In:    decisions, where they are made; watches.
//! Out:   for each message, whether it is followed: then every step of it is kept, in every shard.
//! Never: a clock, an allocation after the first decisions, nor more than a comparison for a message that is not followed.
//!
//! There are three rings, so that none pushes out another: what became of Sessions and Subscriptions; what went wrong, which
//! is always kept; and messages that were followed. These are the first of each topic in every second, as far as there is
//! room in the budget, and all that a watch is about.

use std::time::Duration;

use dunlin_codec::{TopicFilter, TopicName, matches};

use super::entry::What;
use super::ring::Ring;
use crate::mail::SessionRef;
use crate::partition::ShardId;
use crate::session::Session;
use crate::time::Time;

/// A topic's messages are followed at least this far apart.
const INTERVAL: Duration = Duration::from_secs(1);
/// Steps of followed messages that are kept in a second, beside those under watch: the ring holds a minute or so of them.
const BUDGET: u32 = 256;
/// Watches at a time.
const WATCHES: usize = 64;
/// Bits of a message's number that count; the shard stands above.
const NUMBER_BITS: u32 = 24;

/// Somebody wants to see everything about a Client, or about the topics of a filter, for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Client Identifier: what it publishes and what it is sent.
    pub client: Option<Box<str>>,
    /// Topic Filter: what is published there.
    pub filter: Option<Box<str>>,
    /// Until then.
    pub until: Time,
}

/// What is known of a topic's messages that were published in this shard; part of its route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    pub(crate) last: Time,
    pub(crate) by: Option<SessionRef>,
    /// When the next one is followed.
    pub(super) due: Time,
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Is anything under watch?
    pub(crate) watching: bool,
    pub(super) sessions: Ring,
    pub(super) failures: Ring,
    pub(super) followed: Ring,
    pub(super) watches: Vec<Watch>,
    shard: u32,
    next: u32,
    left: u32,
    /// When the budget was filled.
    filled: Time,
    is_on: bool,
}

impl Ledger {
    /// Of so many bytes, none of which is taken before something is decided; 0 keeps nothing.
    pub(crate) fn new(shard: ShardId, seed: u64, bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX / 8);
        Self {
            watching: false,
            sessions: Ring::new(bytes / 4, seed),
            failures: Ring::new(bytes * 3 / 8, seed),
            followed: Ring::new(bytes * 3 / 8, seed),
            watches: Vec::new(),
            shard: u32::try_from(shard.index()).unwrap_or_default(),
            next: 0,
            left: 0,
            filled: Time::ZERO,
            is_on: bytes > 0,
        }
    }

    /// A message of a topic was published here. True where it may have to be followed.
    #[inline]
    pub(crate) const fn see(&self, now: Time, seen: &mut Seen, by: Option<SessionRef>) -> bool {
        seen.count += 1;
        seen.last = now;
        seen.by = by;
        now.as_micros() >= seen.due.as_micros() || self.watching
    }

    /// The number of a message that is followed; 0 where it is not.
    pub(crate) fn follow(&mut self, now: Time, seen: &mut Seen, topic: &str, is_watched: bool) -> u32 {
        if !self.is_on {
            seen.due = Time::from_micros(u64::MAX);
            return 0;
        }
        if now.since(self.filled) >= INTERVAL {
            self.filled = now;
            self.left = BUDGET;
        }
        let is_watched = self.watching && (is_watched || self.watches_topic(now, topic));
        if !is_watched && (now < seen.due || self.left == 0) {
            seen.due = seen.due.max(self.filled.after(INTERVAL));
            return 0;
        }
        seen.due = now.after(INTERVAL);
        // Never 0.
        self.next = self.next % ((1 << NUMBER_BITS) - 1) + 1;
        self.shard << NUMBER_BITS | self.next
    }

    fn watches_topic(&self, now: Time, topic: &str) -> bool {
        let Ok(name) = TopicName::parse(topic) else { return false };
        self.watches.iter().filter(|watch| watch.until > now).any(|watch| {
            let filter = watch.filter.as_deref().map(TopicFilter::parse);
            filter.is_some_and(|filter| filter.is_ok_and(|filter| matches(filter, name)))
        })
    }

    pub(crate) fn watches_client(&self, client_id: &str) -> bool {
        self.watching && self.watches.iter().any(|watch| watch.client.as_deref() == Some(client_id))
    }

    /// Adds a watch; one that is about the same takes its place. False where there are too many.
    pub(super) fn watch(&mut self, now: Time, watch: Watch) -> bool {
        self.watches
            .retain(|old| old.until > now && (&old.client, &old.filter) != (&watch.client, &watch.filter));
        let has_room = self.watches.len() < WATCHES;
        if has_room {
            self.watches.push(watch);
        }
        self.watching = !self.watches.is_empty();
        has_room
    }

    /// When the first watch ends.
    pub(super) fn first_end(&self) -> Option<Time> {
        self.watches.iter().map(|watch| watch.until).min()
    }

    /// Takes away the watches that are over.
    pub(super) fn end_watches(&mut self, now: Time) -> Vec<Watch> {
        let (over, goes_on) =
            std::mem::take(&mut self.watches).into_iter().partition(|watch| watch.until <= now);
        self.watches = goes_on;
        self.watching = !self.watches.is_empty();
        over
    }

    /// What became of a Session or a Subscription.
    pub(crate) fn session(&mut self, now: Time, client: &str, text: &str, what: What) {
        let merges = matches!(what, What::Refused(_) | What::NotSubscribed(_));
        self.sessions.add(now, (client, text), what, 0, merges);
    }

    /// What became of a Session's Will, if it has one.
    pub(crate) fn will(&mut self, now: Time, session: &Session, what: What) {
        if let Some(will) = &session.will {
            self.session(now, &session.client_id, will.message.view().topic, what);
        }
    }

    /// What went wrong.
    pub(crate) fn failure(&mut self, now: Time, client: &str, topic: &str, what: What, message: u32) {
        self.failures.add(now, (client, topic), what, message, message == 0 && !self.watching);
    }

    /// A step of a followed message, or of one for a Client under watch.
    pub(crate) fn step(&mut self, now: Time, client: &str, topic: &str, what: What, message: u32) {
        self.left = self.left.saturating_sub(1);
        self.followed.add(now, (client, topic), what, message, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(ShardId::new(3).unwrap(), 1, 1 << 20)
    }

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn publish(ledger: &mut Ledger, now: Time, seen: &mut Seen, topic: &str) -> bool {
        ledger.see(now, seen, None) && ledger.follow(now, seen, topic, false) != 0
    }

    #[test]
    fn the_first_of_a_topic_in_a_second_is_followed() {
        let (mut ledger, mut seen) = (ledger(), Seen::default());
        let followed = [5000, 5001, 5999, 6000, 6500, 9000, 9999]
            .map(|millis| publish(&mut ledger, at(millis), &mut seen, "t"));
        assert_eq!(followed, [true, false, false, true, false, true, false]);
        assert_eq!((seen.count, seen.last), (7, at(9999)));
    }

    #[test]
    fn no_more_than_the_budget_is_followed_and_it_is_filled_again() {
        let mut ledger = ledger();
        let followed = |ledger: &mut Ledger, now| {
            (0..1000)
                .filter(|number| {
                    let followed = publish(ledger, now, &mut Seen::default(), &format!("t/{number}"));
                    if followed {
                        ledger.step(now, "c", "t", What::NoLocal, 1);
                    }
                    followed
                })
                .count()
        };
        assert_eq!(followed(&mut ledger, at(5000)), 256);
        assert_eq!(followed(&mut ledger, at(5500)), 0);
        assert_eq!(followed(&mut ledger, at(6000)), 256);
    }

    #[test]
    fn a_message_has_a_number_of_its_own_in_the_whole_server() {
        let mut ledger = ledger();
        let numbers =
            [0, 1, 2].map(|second| ledger.follow(at(5000 + second * 1000), &mut Seen::default(), "t", false));
        assert_eq!(numbers, [3 << 24 | 1, 3 << 24 | 2, 3 << 24 | 3]);
    }

    #[test]
    fn under_watch_every_message_is_followed_until_it_ends() {
        let (mut ledger, mut seen, mut other) = (ledger(), Seen::default(), Seen::default());
        let watch = Watch { client: None, filter: Some("a/#".into()), until: at(7000) };
        assert!(ledger.watch(at(5000), watch));
        for millis in [5000, 5001, 5002] {
            assert!(publish(&mut ledger, at(millis), &mut seen, "a/b"));
        }
        assert!(publish(&mut ledger, at(5000), &mut other, "b"));
        assert!(!publish(&mut ledger, at(5001), &mut other, "b"));
        assert!(ledger.end_watches(at(6999)).is_empty());
        assert_eq!(ledger.end_watches(at(7000)).len(), 1);
        assert!(!ledger.watching);
    }

    #[test]
    fn watches_are_bounded_and_those_that_end_make_room() {
        let mut ledger = ledger();
        let watch = |number: usize, end| Watch {
            client: Some(format!("c{number}").into()),
            filter: None,
            until: at(end),
        };
        assert!((0..64).all(|number| ledger.watch(at(0), watch(number, 1000))));
        assert!(!ledger.watch(at(999), watch(64, 2000)));
        assert!(ledger.watch(at(999), watch(63, 2000)), "takes the place of the old one");
        assert!(ledger.watch(at(1000), watch(64, 2000)));
        assert!(ledger.watches_client("c64") && !ledger.watches_client("c1"));
    }

    #[test]
    fn a_ledger_of_no_bytes_follows_nothing() {
        let mut ledger = Ledger::new(ShardId::new(0).unwrap(), 1, 0);
        assert!(!publish(&mut ledger, at(5000), &mut Seen::default(), "t"));
    }
}
