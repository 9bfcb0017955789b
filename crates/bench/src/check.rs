//! Which messages of each stream arrived: lost, doubled and out of order, exactly.
//!
//! In:    sequence numbers as they arrive; at the end how many were sent.
//! Out:   [`Faults`].
//! Never: remembers more than [`GAPS`] gaps of a stream: beyond, the oldest counts as lost for good.

use std::collections::BTreeMap;
use std::ops::Range;

/// Gaps remembered for each stream: a stretch of messages that did not arrive is one, however long it is.
const GAPS: usize = 65_536;

/// What went wrong with messages, of a whole run with its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Faults {
    /// Published, and not delivered to somebody who had subscribed.
    pub lost: u64,
    /// Delivered again.
    pub duplicated: u64,
    /// Delivered after one that was published later, by the same publisher to the same topic.
    pub out_of_order: u64,
    /// Delivered to somebody who had not subscribed, or not a message of this run.
    pub misrouted: u64,
}

impl Faults {
    /// Adds another's.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.misrouted += other.misrouted;
    }

    /// Nothing went wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a message is to whoever receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first time; perhaps late.
    New,
    /// Not the first time.
    Again,
    /// It should not have come here.
    Misrouted,
}

/// One stream, as far as it arrived.
#[derive(Debug, Default)]
struct Track {
    /// One more than the highest that arrived.
    next: u64,
    /// Those below that did not arrive: first to one after the last.
    gaps: BTreeMap<u64, u64>,
    /// Lost for good, to keep the number of gaps bounded.
    forgotten: u64,
    /// Nothing below is remembered.
    floor: u64,
}

impl Track {
    fn arrive(&mut self, sequence: u64, is_ordered: bool, faults: &mut Faults) -> Arrival {
        if sequence == self.next {
            self.next += 1;
            return Arrival::New;
        }
        if sequence > self.next {
            self.gaps.insert(self.next, sequence);
            self.next = sequence + 1;
            if self.gaps.len() > GAPS {
                self.forget();
            }
            return Arrival::New;
        }
        let gap = self.gaps.range(..=sequence).next_back().map(|(start, end)| (*start, *end));
        let Some((start, end)) = gap.filter(|(_, end)| sequence < *end) else {
            if sequence < self.floor {
                // It was given up, or is a duplicate: nobody knows any more.
                faults.out_of_order += 1;
            } else {
                faults.duplicated += 1;
            }
            return Arrival::Again;
        };
        self.gaps.remove(&start);
        if start < sequence {
            self.gaps.insert(start, sequence);
        }
        if sequence + 1 < end {
            self.gaps.insert(sequence + 1, end);
        }
        faults.out_of_order += u64::from(is_ordered);
        Arrival::New
    }

    fn forget(&mut self) {
        if let Some((start, end)) = self.gaps.pop_first() {
            self.forgotten += end - start;
            self.floor = end;
        }
    }

    /// How many of `sent` did not arrive.
    fn lost(&self, sent: u64) -> u64 {
        let gaps: u64 = self.gaps.iter().map(|(start, end)| end - start).sum();
        self.forgotten + gaps + sent.saturating_sub(self.next)
    }
}

/// What one receiver, or one shared group, must get: every message of some streams.
#[derive(Debug)]
pub(crate) struct Checker {
    first: u32,
    tracks: Vec<Track>,
    is_ordered: bool,
    faults: Faults,
}

impl Checker {
    /// For the streams of a range. `is_ordered` is false where several receivers take turns.
    pub(crate) fn new(streams: Range<u32>, is_ordered: bool) -> Self {
        let tracks = streams.clone().map(|_| Track::default()).collect();
        Self { first: streams.start, tracks, is_ordered, faults: Faults::default() }
    }

    /// A message came; `None` is one that is not of this run.
    #[inline]
    pub(crate) fn arrive(&mut self, message: Option<(u32, u64)>) -> Arrival {
        let track = message.and_then(|(stream, sequence)| {
            let at = usize::try_from(stream.checked_sub(self.first)?).ok()?;
            Some((self.tracks.get_mut(at)?, sequence))
        });
        let Some((track, sequence)) = track else {
            self.faults.misrouted += 1;
            return Arrival::Misrouted;
        };
        track.arrive(sequence, self.is_ordered, &mut self.faults)
    }

    /// A member of the group got one that is older than one it had.
    pub(crate) const fn out_of_order(&mut self) {
        self.faults.out_of_order += 1;
    }

    /// What went wrong, given how many were sent in each stream of the run.
    pub(crate) fn finish(&self, sent: &[u64]) -> Faults {
        let first = usize::try_from(self.first).unwrap_or(usize::MAX);
        let sent = sent.iter().skip(first);
        let lost = self.tracks.iter().zip(sent).map(|(track, sent)| track.lost(*sent)).sum();
        Faults { lost, ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn after(arrivals: &[u64], sent: u64) -> Faults {
        let mut checker = Checker::new(5..6, true);
        for sequence in arrivals {
            checker.arrive(Some((5, *sequence)));
        }
        checker.finish(&[0, 0, 0, 0, 0, sent])
    }

    #[test]
    fn everything_in_order_is_no_fault() {
        assert!(after(&[0, 1, 2], 3).is_none());
    }

    #[test]
    fn a_hole_and_a_missing_end_are_lost() {
        assert_eq!(after(&[0, 3], 6), Faults { lost: 4, ..Faults::default() });
        assert_eq!(after(&[], 6), Faults { lost: 6, ..Faults::default() });
    }

    #[test]
    fn late_is_out_of_order_and_not_lost() {
        assert_eq!(after(&[0, 2, 1], 3), Faults { out_of_order: 1, ..Faults::default() });
    }

    #[test]
    fn twice_is_a_duplicate_even_when_late() {
        let expected = Faults { duplicated: 2, out_of_order: 1, ..Faults::default() };
        assert_eq!(after(&[0, 0, 2, 1, 1], 3), expected);
    }

    #[test]
    fn a_stream_of_somebody_else_is_misrouted() {
        let mut checker = Checker::new(5..6, true);
        for message in [Some((4, 0)), Some((6, 0)), None] {
            assert_eq!(checker.arrive(message), Arrival::Misrouted);
        }
        assert_eq!(checker.finish(&[9, 9, 9, 9, 9, 0, 9]), Faults { misrouted: 3, ..Faults::default() });
    }

    #[test]
    fn whoever_takes_turns_needs_no_order() {
        let mut checker = Checker::new(0..1, false);
        for sequence in [1, 0, 3, 2] {
            assert_eq!(checker.arrive(Some((0, sequence))), Arrival::New);
        }
        assert!(checker.finish(&[4]).is_none());
    }

    #[test]
    fn gaps_beyond_the_bound_are_lost_for_good() {
        let mut checker = Checker::new(0..1, true);
        let count = GAPS as u64 + 10;
        for odd in 0..count {
            checker.arrive(Some((0, odd * 2 + 1)));
        }
        assert_eq!(checker.tracks[0].gaps.len(), GAPS);
        assert_eq!(checker.finish(&[count * 2]).lost, count);
        assert_eq!(checker.arrive(Some((0, 0))), Arrival::Again, "given up, so not new again");
        assert_eq!(checker.finish(&[count * 2]).lost, count);
    }

    proptest! {
        /// Against a set of all that came.
        #[test]
        fn the_numbers_add_up(arrivals in prop::collection::vec(0_u64..60, 0..200), sent in 60_u64..70) {
            let mut seen = HashSet::new();
            let mut highest = None;
            let (mut duplicated, mut late) = (0, 0);
            for sequence in &arrivals {
                if !seen.insert(*sequence) {
                    duplicated += 1;
                } else if highest.is_some_and(|highest| *sequence < highest) {
                    late += 1;
                }
                highest = highest.max(Some(*sequence));
            }
            let expected =
                Faults { lost: sent - seen.len() as u64, duplicated, out_of_order: late, misrouted: 0 };
            prop_assert_eq!(after(&arrivals, sent), expected);
        }
    }
}
