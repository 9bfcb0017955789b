//! A bounded table: rows of eight places, each row for the keys whose hash says so; whoever comes new takes the place of the
//! one in its row that is worth least.
//!
//! In:    hashes with a seed that nobody outside knows.
//! Out:   what is kept under them.
//! Never: more places than it began with; a look at more than eight of them.

use crate::time::Time;

const WAYS: usize = 8;

/// What can be kept.
pub(super) trait Kept {
    /// Of its key.
    fn hash(&self) -> u64;
    /// What has less gives way first.
    fn worth(&self, now: Time) -> u64;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// Made when the first comes.
    places: Vec<Option<Box<T>>>,
    rows: usize,
}

impl<T: Kept> Table<T> {
    /// For eight times as many as `rows`.
    pub(super) const fn new(rows: usize) -> Self {
        Self { places: Vec::new(), rows }
    }

    fn row(&self, hash: u64) -> std::ops::Range<usize> {
        // The high bits: hash tables that use the same hash take the low ones.
        let row = usize::try_from(hash >> 32).unwrap_or_default() % self.rows * WAYS;
        if self.places.is_empty() { 0..0 } else { row..row + WAYS }
    }

    pub(super) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        let is_it = |kept: &&T| kept.hash() == hash && is_it(kept);
        self.places[self.row(hash)].iter().flatten().map(|kept| &**kept).find(is_it)
    }

    pub(super) fn find_mut(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        let row = self.row(hash);
        let is_it = |kept: &&mut T| kept.hash() == hash && is_it(kept);
        self.places[row].iter_mut().flatten().map(|kept| &mut **kept).find(is_it)
    }

    /// Where to put what is not there: an empty place of its row, or the one that is worth least.
    pub(super) fn place(&mut self, hash: u64, now: Time) -> &mut Option<Box<T>> {
        if self.places.is_empty() {
            self.places.resize_with(self.rows * WAYS, || None);
        }
        let row = self.row(hash);
        let worth = |at: &usize| self.places[*at].as_ref().map(|kept| kept.worth(now));
        let least = row.clone().min_by_key(worth).unwrap_or(row.start);
        &mut self.places[least]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten().map(|kept| &**kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Number(u64);

    impl Kept for Number {
        fn hash(&self) -> u64 {
            self.0 << 32
        }

        fn worth(&self, _: Time) -> u64 {
            self.0
        }
    }

    #[test]
    fn the_least_of_a_full_row_gives_way() {
        let mut table = Table::new(2);
        for number in 1..=20 {
            let place = table.place(number << 32, Time::ZERO);
            let gone = place.replace(Box::new(Number(number)));
            // Rows of odd and of even numbers.
            assert_eq!(gone.map(|gone| gone.0), number.checked_sub(16).filter(|gone| *gone > 0));
        }
        assert_eq!(table.iter().count(), 16);
        assert!(table.find(4 << 32, |_| true).is_none());
        assert!(table.find(5 << 32, |_| true).is_some());
        assert!(table.find_mut(5 << 32, |_| false).is_none());
    }
}
