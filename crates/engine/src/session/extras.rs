//! What few deliveries of a Session have beside their entries, by sequence number.
//!
//! In:    extras, nearly always of the newest delivery.
//! Out:   the same, nearly always of the oldest.
//! Never: a hash: the deliveries of a shared group all have one, so that most are found where they are expected.

use std::collections::VecDeque;

use super::outgoing::Extra;

/// Ascending by sequence number, which may wrap around. What was taken out of the middle leaves its place empty until all before
/// it is gone.
#[derive(Debug, Default)]
pub(crate) struct Extras(VecDeque<(u32, Option<Extra>)>);

impl Extras {
    pub(crate) fn insert(&mut self, seq: u32, extra: Extra) {
        let is_newest = self.0.back().is_none_or(|(last, _)| seq.wrapping_sub(*last).cast_signed() > 0);
        if is_newest {
            return self.0.push_back((seq, Some(extra)));
        }
        match self.find(seq) {
            Ok(at) => self.0[at].1 = Some(extra),
            Err(at) => self.0.insert(at, (seq, Some(extra))),
        }
    }

    pub(crate) fn get(&self, seq: u32) -> Option<&Extra> {
        self.0[self.find(seq).ok()?].1.as_ref()
    }

    pub(crate) fn remove(&mut self, seq: u32) -> Option<Extra> {
        let is_oldest = self.0.front().is_some_and(|(first, _)| *first == seq);
        let extra = if is_oldest {
            self.0.pop_front()?.1
        } else {
            let at = self.find(seq).ok()?;
            self.0[at].1.take()
        };
        while self.0.front().is_some_and(|(_, extra)| extra.is_none()) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            // A Session that once had many is not to be larger for it.
            self.0.shrink_to(32);
        }
        extra
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where it is, or where it would be.
    fn find(&self, seq: u32) -> Result<usize, usize> {
        let Some((first, _)) = self.0.front() else { return Err(0) };
        let distance = |other: u32| other.wrapping_sub(*first).cast_signed();
        let expected = usize::try_from(distance(seq)).unwrap_or(0);
        if self.0.get(expected).is_some_and(|(other, _)| *other == seq) {
            return Ok(expected);
        }
        if self.0.back().is_some_and(|(last, _)| distance(*last) < distance(seq)) {
            return Err(self.0.len());
        }
        self.0.binary_search_by_key(&distance(seq), |(other, _)| distance(*other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Identifiers;

    fn extra(identifier: u32) -> Extra {
        Extra { identifiers: Identifiers::One(identifier), deal: None }
    }

    fn identifier(extra: Option<&Extra>) -> Option<u32> {
        extra.map(|extra| extra.identifiers.as_slice()[0])
    }

    #[test]
    fn what_is_put_in_is_found_whatever_the_order_and_across_the_end_of_the_numbers() {
        let mut extras = Extras::default();
        let seqs = [u32::MAX - 2, u32::MAX, 1, 7, 3, 0, u32::MAX - 1];
        seqs.iter().for_each(|seq| extras.insert(*seq, extra(*seq)));
        for seq in seqs {
            assert_eq!(identifier(extras.get(seq)), Some(seq));
        }
        assert_eq!(identifier(extras.get(2)), None);
        for (at, seq) in seqs.iter().enumerate() {
            assert_eq!(identifier(extras.remove(*seq).as_ref()), Some(*seq));
            assert_eq!(identifier(extras.remove(*seq).as_ref()), None);
            assert_eq!(extras.is_empty(), at + 1 == seqs.len());
        }
    }

    #[test]
    fn one_that_is_older_than_the_oldest_goes_before_it() {
        let mut extras = Extras::default();
        extras.insert(5, extra(5));
        extras.insert(4, extra(4));
        assert_eq!((identifier(extras.get(4)), identifier(extras.get(5))), (Some(4), Some(5)));
    }
}
