//! How much of a Topic Filter the rules permit: all of it, some of it, nothing.
//!
//! Exact, by walking all Topic Names that match the filter at once: where it has a wildcard, every name that some rule
//! mentions is tried, and one that none does. The question is as hard as asking whether a formula always holds, so the walk
//! has a bound; beyond it the answer is "some of it", which is always safe: then each message is asked about.

use dunlin_engine::Subscribing;

use super::action::{Cases, Marks};
use super::trie::{Trie, cut};

/// Places that one question may visit: below a millisecond.
const STEPS_MAXIMUM: usize = 16_384;

/// What to find out.
pub(super) struct Question<'a> {
    /// Which rules.
    pub(super) tries: [&'a Trie; 2],
    /// The case of the subscription.
    pub(super) case: Cases,
    /// Do any rules permit to subscribe at some QoS only?
    pub(super) by_qos: bool,
}

struct Walk<'a> {
    tries: [&'a Trie; 2],
    case: Cases,
    by_qos: bool,
    steps: usize,
    allows: bool,
    denies: bool,
    /// A topic that is not permitted at this QoS, but at another: at delivery nobody would see the difference.
    leaks: bool,
}

/// Places in both trees that a prefix has led to.
type Places = Vec<(usize, u32)>;

impl Question<'_> {
    /// How much of a filter is permitted.
    pub(super) fn answer(&self, filter: &str) -> Subscribing {
        let mut walk = Walk {
            tries: self.tries,
            case: self.case,
            by_qos: self.by_qos,
            steps: 0,
            allows: false,
            denies: false,
            leaks: false,
        };
        let roots: Places =
            walk.tries.iter().enumerate().filter_map(|(at, trie)| Some((at, trie.root()?))).collect();
        walk.start(&roots, filter);
        match (walk.allows, walk.denies, walk.is_exhausted()) {
            (true, false, false) => Subscribing::Granted,
            (false, _, false) => Subscribing::Refused,
            _ if walk.leaks || (walk.by_qos && walk.is_exhausted()) => Subscribing::Refused,
            _ => Subscribing::Filtered,
        }
    }
}

impl<'a> Walk<'a> {
    /// The first level is apart: wildcards there do not match names that begin with `$` [MQTT-4.7.2-1].
    fn start(&mut self, roots: &Places, filter: &str) {
        let (level, rest) = cut(filter);
        if level == "#" || level == "+" {
            let rest = if level == "#" { Some("#") } else { rest };
            self.names(roots, self.hashes(roots), rest, true);
        } else if level.starts_with('$') {
            let next =
                roots.iter().filter_map(|(trie, at)| Some((*trie, self.tries[*trie].child(*at, level)?)));
            self.go(&next.collect(), Marks::default(), rest);
        } else {
            self.go(&self.step(roots, level), self.hashes(roots), rest);
        }
    }

    /// At `places`, with `above` from filters that ended in `#` before; `filter` is what is left of the subscription's.
    fn go(&mut self, places: &Places, above: Marks, filter: Option<&str>) {
        self.steps += 1 + places.len();
        if self.is_done() {
            return;
        }
        let below =
            places.iter().fold(above, |marks, (trie, at)| marks.with(self.tries[*trie].node(*at).below));
        if !self.by_qos {
            if above.deny.meets(self.case) || !below.allow.meets(self.case) {
                self.denies = true;
                return;
            }
            if above.allow.meets(self.case) && !below.deny.meets(self.case) {
                self.allows = true;
                return;
            }
        }
        if places.is_empty() {
            return self.judge(above);
        }
        let marks = above.with(self.hashes(places));
        let Some(filter) = filter else { return self.judge(self.ends(places, marks)) };
        match cut(filter) {
            ("#", _) => {
                self.judge(self.ends(places, marks));
                self.names(places, marks, Some("#"), false);
            }
            ("+", rest) => self.names(places, marks, rest, false),
            (level, rest) => self.go(&self.step(places, level), marks, rest),
        }
    }

    /// Every name that a rule has for the next level, and one that none has.
    fn names(&mut self, places: &Places, marks: Marks, rest: Option<&str>, is_first: bool) {
        for (nth, (trie, at)) in places.iter().enumerate() {
            let tree = self.tries[*trie];
            for name in tree.names(*at).filter(|name| !(is_first && name.starts_with('$'))) {
                self.steps += nth;
                let is_seen =
                    places[..nth].iter().any(|(trie, at)| self.tries[*trie].child(*at, name).is_some());
                if !is_seen {
                    self.go(&self.step(places, name), marks, rest);
                }
                if self.is_done() {
                    return;
                }
            }
        }
        let others: Places =
            places.iter().filter_map(|(trie, at)| Some((*trie, self.tries[*trie].plus(*at)?))).collect();
        self.go(&others, marks, rest);
    }

    fn step(&self, places: &Places, level: &str) -> Places {
        let mut next = Places::new();
        for (trie, at) in places {
            let tree = self.tries[*trie];
            next.extend(tree.child(*at, level).map(|child| (*trie, child)));
            next.extend(tree.plus(*at).map(|child| (*trie, child)));
        }
        next
    }

    fn hashes(&self, places: &Places) -> Marks {
        places.iter().fold(Marks::default(), |marks, (trie, at)| marks.with(self.tries[*trie].node(*at).hash))
    }

    fn ends(&self, places: &Places, marks: Marks) -> Marks {
        places.iter().fold(marks, |marks, (trie, at)| marks.with(self.tries[*trie].node(*at).end))
    }

    /// Topics with exactly these marks match the filter.
    fn judge(&mut self, marks: Marks) {
        if marks.permit(self.case) {
            self.allows = true;
            return;
        }
        self.denies = true;
        if self.by_qos && marks.permit(Cases::RECEIVE) {
            let other = Cases::each_subscribe().into_iter().any(|case| marks.permit(case));
            self.leaks |= other;
        }
    }

    fn is_exhausted(&self) -> bool {
        self.steps > STEPS_MAXIMUM
    }

    fn is_done(&self) -> bool {
        self.is_exhausted() || (self.allows && self.denies && (self.leaks || !self.by_qos))
    }
}
