//! How much mail may be under way from each shard to each other.
//!
//! In:    weights of bags that are sent and of bags that were handled.
//! Out:   whether another bag may go; whether a sender that ran dry is to be woken.
//! Never: a lock. Each pair's account is written by its two shards only.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dunlin_engine::{ShardId, ShardMap};

/// Weight under way from one shard to another beyond which no bag is added. 16 MiB are some ten milliseconds of work
/// for the receiver: enough to keep it busy, little enough that publishers feel it soon.
pub(crate) const UNDER_WAY_MAX: usize = 16 * 1024 * 1024;

/// The same while memory is not ample.
const UNDER_WAY_TIGHT: usize = 1024 * 1024;

/// The accounts of all pairs of shards.
#[derive(Debug)]
pub(crate) struct Credits {
    accounts: Box<[Account]>,
    shards: usize,
    maximum: AtomicUsize,
}

/// Of one sender with one receiver; a cache line of its own, as other pairs belong to other threads.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Account {
    under_way: AtomicUsize,
    /// The sender has mail that waits for credit.
    dry: AtomicBool,
}

impl Credits {
    pub(crate) fn new(map: ShardMap, maximum: usize) -> Self {
        let shards = map.count();
        Self {
            accounts: (0..shards * shards).map(|_| Account::default()).collect(),
            shards,
            maximum: AtomicUsize::new(maximum),
        }
    }

    /// Changes what may be under way. Where it becomes more, the shards are to be woken.
    pub(crate) fn set_tight(&self, tight: bool) {
        self.maximum.store(if tight { UNDER_WAY_TIGHT } else { UNDER_WAY_MAX }, Ordering::SeqCst);
    }

    fn maximum(&self) -> usize {
        self.maximum.load(Ordering::SeqCst)
    }

    fn account(&self, from: ShardId, to: ShardId) -> &Account {
        &self.accounts[from.index() * self.shards + to.index()]
    }

    /// May another bag go? One of any weight may while less than the maximum is under way: a bag cannot be split, and one
    /// that had to wait for enough room could wait for ever.
    ///
    /// Where it may not, the sender is woken as soon as it may.
    pub(crate) fn may_send(&self, from: ShardId, to: ShardId) -> bool {
        let account = self.account(from, to);
        if account.under_way.load(Ordering::SeqCst) < self.maximum() {
            return true;
        }
        account.dry.store(true, Ordering::SeqCst);
        // The receiver may have taken the last bag between the two lines above and found nobody to wake. Either it sees
        // `dry`, or this load sees what it took.
        if account.under_way.load(Ordering::SeqCst) < self.maximum() {
            account.dry.store(false, Ordering::SeqCst);
            return true;
        }
        false
    }

    /// A bag went.
    pub(crate) fn sent(&self, from: ShardId, to: ShardId, weight: usize) {
        self.account(from, to).under_way.fetch_add(weight, Ordering::SeqCst);
    }

    /// A bag was handled. True where its sender had run dry and may send again: it must be woken.
    pub(crate) fn handled(&self, from: ShardId, to: ShardId, weight: usize) -> bool {
        let account = self.account(from, to);
        let before = account.under_way.fetch_sub(weight, Ordering::SeqCst);
        assert!(before >= weight, "more mail was handled than was sent");
        before - weight < self.maximum()
            && account.dry.load(Ordering::SeqCst)
            && account.dry.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(maximum: usize) -> (Credits, ShardId, ShardId) {
        let map = ShardMap::new(2).unwrap();
        let mut shards = map.iter();
        (Credits::new(map, maximum), shards.next().unwrap(), shards.next().unwrap())
    }

    #[test]
    fn a_sender_without_credit_waits_and_is_woken_once() {
        let (credits, from, to) = pair(100);
        assert!(credits.may_send(from, to));
        credits.sent(from, to, 60);
        assert!(credits.may_send(from, to));
        credits.sent(from, to, 60);
        assert!(!credits.may_send(from, to));

        assert!(credits.handled(from, to, 60));
        assert!(!credits.handled(from, to, 60));
        assert!(credits.may_send(from, to));
    }

    #[test]
    fn a_bag_heavier_than_all_credit_goes_when_nothing_is_under_way() {
        let (credits, from, to) = pair(100);
        assert!(credits.may_send(from, to));
        credits.sent(from, to, 1000);
        assert!(!credits.may_send(from, to));
        assert!(credits.handled(from, to, 1000));
        assert!(credits.may_send(from, to));
    }

    #[test]
    fn a_sender_is_not_woken_before_it_may_send() {
        let (credits, from, to) = pair(100);
        credits.sent(from, to, 300);
        credits.sent(from, to, 10);
        assert!(!credits.may_send(from, to));
        assert!(!credits.handled(from, to, 10));
        assert!(credits.handled(from, to, 300));
    }

    #[test]
    fn the_two_directions_of_a_pair_have_credit_of_their_own() {
        let (credits, from, to) = pair(100);
        credits.sent(from, to, 100);
        assert!(!credits.may_send(from, to));
        assert!(credits.may_send(to, from));
    }
}
