//! Questions about who somebody is, while they wait for a thread: each address has its turn.
//!
//! In:    questions, each with the address that it comes from.
//! Out:   one of each address after the other, in the order in which they came from it.
//! Never: more than the bound. Where it is met, the address that has the most waiting loses its newest, so that a flood from
//!        one keeps nobody else out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Where a question comes from: an IPv4 address, the first 64 bits of an IPv6 one, or no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin(Option<u128>);

impl Origin {
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> 64 << 64 | 1 << 63,
        }))
    }
}

/// What waits. No address in `waiting` is without a question.
#[derive(Debug)]
pub(crate) struct Questions<T> {
    waiting: BTreeMap<Origin, VecDeque<T>>,
    turns: VecDeque<Origin>,
    len: usize,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> Questions<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one; the one that there is no room for, this or another.
    #[must_use]
    pub(crate) fn push(&mut self, origin: Origin, question: T, most: usize) -> Option<T> {
        let mut out = None;
        if self.len >= most {
            // At most so many addresses, and only while there are too many questions.
            let (longest, count) = self.longest()?;
            let own = self.waiting.get(&origin).map_or(0, VecDeque::len);
            if own + 1 >= count {
                return Some(question);
            }
            out = self.waiting.get_mut(&longest).and_then(VecDeque::pop_back);
            self.len -= 1;
        }
        let of_address = self.waiting.entry(origin).or_default();
        if of_address.is_empty() {
            self.turns.push_back(origin);
        }
        of_address.push_back(question);
        self.len += 1;
        out
    }

    fn longest(&self) -> Option<(Origin, usize)> {
        let longest = self.waiting.iter().max_by_key(|(_, questions)| questions.len());
        longest.map(|(origin, questions)| (*origin, questions.len()))
    }

    /// The oldest of the address whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let origin = self.turns.pop_front()?;
        let questions = self.waiting.get_mut(&origin)?;
        let question = questions.pop_front();
        if questions.is_empty() {
            self.waiting.remove(&origin);
        } else {
            self.turns.push_back(origin);
        }
        self.len -= usize::from(question.is_some());
        question
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Origin {
        Origin::of(Some(IpAddr::from([192, 0, 2, last])))
    }

    fn all(questions: &mut Questions<u32>) -> Vec<u32> {
        std::iter::from_fn(|| questions.pop()).collect()
    }

    #[test]
    fn each_address_has_its_turn() {
        let mut questions = Questions::default();
        for question in 0..5 {
            assert_eq!(questions.push(address(1), question, 100), None);
        }
        assert_eq!(questions.push(address(2), 10, 100), None);
        assert_eq!(questions.push(Origin::of(None), 20, 100), None);
        assert_eq!(questions.push(address(2), 11, 100), None);

        assert_eq!(all(&mut questions), [0, 10, 20, 1, 11, 2, 3, 4]);
        assert!(questions.is_empty() && questions.waiting.is_empty() && questions.turns.is_empty());
    }

    #[test]
    fn a_flood_of_one_address_leaves_room_for_others() {
        let mut questions = Questions::default();
        for question in 0..4 {
            assert_eq!(questions.push(address(1), question, 4), None);
        }
        assert_eq!(questions.push(address(1), 4, 4), Some(4), "it has enough");
        assert_eq!(questions.push(address(2), 10, 4), Some(3), "its newest makes room");
        assert_eq!(questions.push(address(2), 11, 4), Some(2));
        assert_eq!(questions.push(address(2), 12, 4), Some(12), "that would be no better");
        assert_eq!(questions.push(address(3), 20, 4), Some(11));
        assert_eq!(questions.push(address(4), 30, 4), Some(1));
        assert_eq!(questions.push(address(5), 40, 4), Some(40), "all have one");

        assert_eq!(all(&mut questions), [0, 10, 20, 30]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| Origin::of(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
