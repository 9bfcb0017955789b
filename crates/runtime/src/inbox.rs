//! What reaches a shard from outside its thread.
//!
//! In:    items of other threads.
//! Out:   all of them, in the order of arrival; a wake-up of the shard where it sleeps.
//! Never: a wake-up of a shard that is awake: a batch costs one, a busy shard none; a lock where nothing came.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;

/// Goes through its tick, and nothing came since it last looked.
const AWAKE: u8 = 0;
/// Waits for sockets, a deadline or the waker.
const ASLEEP: u8 = 1;
/// Has something to look at; where it slept, the waker was told.
const NUDGED: u8 = 2;

/// The inbox of one shard.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    /// Held for a push or a swap only, never while an item is handled.
    items: Mutex<VecDeque<T>>,
    state: AtomicU8,
    waker: Waker,
}

impl<T> Inbox<T> {
    pub(crate) const fn new(waker: Waker) -> Self {
        Self { items: Mutex::new(VecDeque::new()), state: AtomicU8::new(AWAKE), waker }
    }

    /// Leaves an item for the shard, which will take it soon.
    pub(crate) fn push(&self, item: T) {
        self.items().push_back(item);
        self.nudge();
    }

    /// Makes the shard go through a tick that begins after this call.
    pub(crate) fn nudge(&self) {
        if self.state.swap(NUDGED, Ordering::SeqCst) == ASLEEP {
            // The eventfd of a shard that exists can be written; of one that has ended nobody waits for it.
            let _ = self.waker.wake();
        }
    }

    /// Moves everything to the end of `into`. For the owner, once a tick.
    pub(crate) fn drain(&self, into: &mut VecDeque<T>) {
        // An item that is pushed after this line nudges again.
        if self.state.swap(AWAKE, Ordering::SeqCst) != NUDGED {
            return;
        }
        let mut items = self.items();
        if into.is_empty() {
            std::mem::swap(&mut *items, into);
        } else {
            into.append(&mut items);
        }
    }

    /// To be called before the owner sleeps. False where it must not, as something came since it drained.
    ///
    /// A sender that pushed and has not nudged yet will find the owner asleep and use the waker, which is sticky: a poll
    /// that begins after it returns at once.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// To be called after the owner slept.
    pub(crate) fn wake_up(&self) {
        // Where it fails the owner was nudged, and `drain` must know.
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// A sender cannot panic in the middle of a push: the queue behind a poisoned lock is whole.
    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    fn inbox() -> (Poll, Inbox<u32>) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        (poll, Inbox::new(waker))
    }

    fn wakeups(poll: &mut Poll) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().count()
    }

    #[test]
    fn a_batch_for_a_sleeping_shard_costs_one_wake_up_and_one_for_a_busy_shard_none() {
        let (mut poll, inbox) = inbox();
        inbox.push(1);
        assert_eq!(wakeups(&mut poll), 0);

        let mut items = VecDeque::new();
        inbox.drain(&mut items);
        assert!(inbox.fall_asleep());
        inbox.push(2);
        inbox.push(3);
        assert_eq!(wakeups(&mut poll), 1);
        inbox.wake_up();
        inbox.drain(&mut items);
        assert_eq!(items, [1, 2, 3]);
        assert!(inbox.fall_asleep());
    }

    #[test]
    fn a_shard_does_not_sleep_over_what_came_after_it_looked() {
        let (_poll, inbox) = inbox();
        let mut items = VecDeque::new();
        inbox.drain(&mut items);
        inbox.push(1);
        assert!(!inbox.fall_asleep());
        inbox.drain(&mut items);
        inbox.nudge();
        assert!(!inbox.fall_asleep());
        inbox.drain(&mut items);
        assert!(inbox.fall_asleep());
    }
}
