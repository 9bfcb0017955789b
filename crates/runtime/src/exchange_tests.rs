//! Shards that exchange bags as [`crate::shard`] does, with threads and polls, but without engines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dunlin_engine::{ShardId, ShardMap};
use mio::{Events, Poll, Token, Waker};
use proptest::prelude::*;

use crate::credit::Credits;
use crate::inbox::Inbox;

struct Bag {
    from: ShardId,
    number: u64,
    weight: usize,
}

struct Post {
    map: ShardMap,
    inboxes: Vec<Inbox<Bag>>,
    credits: Credits,
}

/// One shard that has `weights.len()` bags for each other shard, sends as credit allows, and handles a few bags a tick.
struct Shard {
    id: ShardId,
    poll: Poll,
    post: Arc<Post>,
    weights: Vec<usize>,
    /// How many bags were sent to, and received from, each shard.
    sent: Vec<usize>,
    received: Vec<u64>,
    items: VecDeque<Bag>,
}

impl Shard {
    fn others(&self) -> Vec<ShardId> {
        self.post.map.iter().filter(|shard| *shard != self.id).collect()
    }

    fn may_send_more(&self) -> bool {
        self.others()
            .iter()
            .any(|to| self.sent[to.index()] < self.weights.len() && self.post.credits.may_send(self.id, *to))
    }

    fn is_done(&self) -> bool {
        let count = self.weights.len();
        self.others()
            .iter()
            .all(|other| self.sent[other.index()] == count && self.received[other.index()] == count as u64)
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        while !self.is_done() {
            let inbox = &self.post.inboxes[self.id.index()];
            let awake = self.may_send_more() || !self.items.is_empty() || !inbox.fall_asleep();
            let timeout = if awake { Duration::ZERO } else { Duration::from_secs(20) };
            self.poll.poll(&mut events, Some(timeout)).unwrap();
            assert!(awake || !events.is_empty(), "slept for ever: {:?} {:?}", self.sent, self.received);
            inbox.wake_up();
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.post.inboxes[self.id.index()].drain(&mut self.items);
        for _ in 0..3 {
            let Some(Bag { from, number, weight }) = self.items.pop_front() else { break };
            assert_eq!(number, self.received[from.index()], "a bag of {from:?} was lost or overtaken");
            self.received[from.index()] += 1;
            if self.post.credits.handled(from, self.id, weight) {
                self.post.inboxes[from.index()].nudge();
            }
        }
        for to in self.others() {
            let next = self.sent[to.index()];
            if next < self.weights.len() && self.post.credits.may_send(self.id, to) {
                let weight = self.weights[next];
                self.post.credits.sent(self.id, to, weight);
                self.post.inboxes[to.index()].push(Bag { from: self.id, number: next as u64, weight });
                self.sent[to.index()] += 1;
            }
        }
    }
}

fn exchange(shards: usize, weights: &[usize], credit: usize) {
    let map = ShardMap::new(shards).unwrap();
    let polls: Vec<Poll> = map.iter().map(|_| Poll::new().unwrap()).collect();
    let inboxes =
        polls.iter().map(|poll| Inbox::new(Waker::new(poll.registry(), Token(0)).unwrap())).collect();
    let post = Arc::new(Post { map, inboxes, credits: Credits::new(map, credit) });
    let threads: Vec<_> = map
        .iter()
        .zip(polls)
        .map(|(id, poll)| {
            let shard = Shard {
                id,
                poll,
                post: Arc::clone(&post),
                weights: weights.to_vec(),
                sent: vec![0; map.count()],
                received: vec![0; map.count()],
                items: VecDeque::new(),
            };
            std::thread::spawn(move || shard.run())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every bag arrives once and in order, and nobody sleeps for ever, with credit for a fraction of a bag or for many.
    #[test]
    fn shards_exchange_all_bags_in_order_with_any_credit(
        shards in 2..4_usize,
        weights in prop::collection::vec(1..100_usize, 100..400),
        credit in 1..500_usize,
    ) {
        exchange(shards, &weights, credit);
    }
}
