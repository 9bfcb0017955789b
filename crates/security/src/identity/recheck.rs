//! Whether those whom a service let in may stay: it is asked about each of them again, now and then.
//!
//! In:    who logged in, who is still there, the time; what the service says.
//! Out:   about whom to ask next; who may no longer stay.
//! Never: a password kept for it; anybody ended because the service did not answer; more than one question at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::{Equivalent, HashMap};
use tracing::{info, warn};

use super::attempt::Known;

/// The most that are asked about, of some 200 bytes each; whoever comes then is asked about when there is room again.
const PEOPLE_MAXIMUM: usize = 1_000_000;
/// How long somebody about whom there was no answer is left alone, at most.
const WITHOUT_ANSWER: Duration = Duration::from_secs(10);
/// How long it is known of somebody that it is gone, at least: the review that ends its connections takes its time.
const GONE: Duration = Duration::from_secs(60);

/// Something that lets Clients in and can be asked later whether they may stay. For a thread of its own: it waits.
pub trait Recheck: Send + Sync {
    /// Asks about whoever is due, if somebody is.
    fn recheck(&self, now: Instant) -> Rechecked;
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rechecked {
    /// Nobody is due.
    Idle,
    /// Somebody was asked about, who may stay or about whom there was no answer.
    Asked,
    /// Everybody is to be reviewed: somebody may no longer stay, or who is still there has to be known again.
    Review,
}

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Person {
    pub(super) username: Option<Box<str>>,
    /// Empty where it does not matter.
    pub(super) client_id: Box<str>,
}

/// The same without an allocation.
#[derive(Hash)]
struct Borrowed<'a> {
    username: Option<&'a str>,
    client_id: &'a str,
}

impl Equivalent<Arc<Person>> for Borrowed<'_> {
    fn equivalent(&self, key: &Arc<Person>) -> bool {
        self.username == key.username.as_deref() && *self.client_id == *key.client_id
    }
}

/// Attributes that a question needs, such as those of the certificate.
pub(super) type Attributes = BTreeMap<Box<str>, Box<str>>;

#[derive(Debug)]
struct Entry {
    due: Instant,
    /// When it logged in or was reviewed last.
    seen: Instant,
    gone: bool,
    attributes: Attributes,
}

/// Whom a service let in.
#[derive(Debug)]
pub(super) struct Rechecks {
    every: Duration,
    random: RandomState,
    people: Mutex<People>,
}

#[derive(Debug)]
struct People {
    entries: HashMap<Arc<Person>, Entry, RandomState>,
    /// The same, but those who are just asked about, by when they are due, or, if they are gone, forgotten.
    due: BTreeSet<(Instant, Arc<Person>)>,
    /// When those who are still there were last counted.
    reviewed: Instant,
    draws: u64,
}

impl Rechecks {
    /// Asks about everybody that often; `None` for never.
    pub(super) fn new(every: Duration, now: Instant) -> Option<Self> {
        let random = RandomState::new();
        let entries = HashMap::with_hasher(random.clone());
        let people = People { entries, due: BTreeSet::new(), reviewed: now, draws: 0 };
        (!every.is_zero()).then(|| Self { every, random, people: Mutex::new(people) })
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody logged in: what was said before no longer holds.
    pub(super) fn logged_in(&self, person: Person, attributes: Attributes, now: Instant) {
        let mut people = self.people();
        let due = now + self.draw(&mut people, 0.75);
        people.remove(&person);
        people.insert(Arc::new(person), Entry { due, seen: now, gone: false, attributes });
    }

    /// At a review: may this one stay? `client_id` as in [`Person`].
    pub(super) fn may_stay(
        &self,
        known: &Known<'_>,
        client_id: &str,
        attributes: impl FnOnce() -> Attributes,
        now: Instant,
    ) -> bool {
        let mut people = self.people();
        if let Some(entry) = people.entries.get_mut(&Borrowed { username: known.username, client_id }) {
            entry.seen = now;
            return !entry.gone;
        }
        // From before a reload or a restart: those are asked about one after the other, not all at once.
        let due = now + self.draw(&mut people, 0.0);
        let person = Person { username: known.username.map(Box::from), client_id: client_id.into() };
        people.insert(Arc::new(person), Entry { due, seen: now, gone: false, attributes: attributes() });
        true
    }

    /// A time between that part of the interval and all of it.
    fn draw(&self, people: &mut People, least: f64) -> Duration {
        people.draws += 1;
        let drawn = self.random.hash_one(people.draws) >> 32;
        let share = f64::from(u32::try_from(drawn).unwrap_or(0)) / f64::from(u32::MAX);
        self.every.mul_f64(least + (1.0 - least) * share)
    }

    /// Asks about one of those who are due. `ask` gives whether it may stay, where there is an answer.
    pub(super) fn ask_one(
        &self,
        now: Instant,
        ask: impl FnOnce(&Person, &Attributes) -> Option<bool>,
    ) -> Rechecked {
        let mut people = self.people();
        if now >= people.reviewed + self.every {
            people.reviewed = now;
            if people.entries.len() >= PEOPLE_MAXIMUM {
                warn!(target: "dunlin::authentication", people = PEOPLE_MAXIMUM, "too many to ask again about all of them");
            }
            return Rechecked::Review;
        }
        // Whoever is still there was seen at one of the last two reviews.
        let Some((person, attributes)) = people.next(now, 3 * self.every) else { return Rechecked::Idle };
        drop(people);
        let said = ask(&person, &attributes);
        self.answered(&person, said, Instant::now().max(now))
    }

    fn answered(&self, person: &Arc<Person>, said: Option<bool>, now: Instant) -> Rechecked {
        let mut people = self.people();
        let wait = self.draw(&mut people, 0.75);
        let People { entries, due, .. } = &mut *people;
        // It may have logged in meanwhile: then it is due some other time already, and was told apart from before.
        let Some(entry) =
            entries.get_mut(person).filter(|entry| !due.contains(&(entry.due, Arc::clone(person))))
        else {
            return Rechecked::Asked;
        };
        entry.gone = said == Some(false);
        entry.due = now
            + match said {
                Some(true) => wait,
                Some(false) => wait.max(GONE),
                None => wait.min(WITHOUT_ANSWER),
            };
        due.insert((entry.due, Arc::clone(person)));
        if !entry.gone {
            return Rechecked::Asked;
        }
        info!(
            target: "dunlin::authentication",
            username = person.username.as_deref(), client_id = &*person.client_id,
            "the service that let it in does so no more: its connection ends"
        );
        Rechecked::Review
    }
}

impl People {
    fn insert(&mut self, person: Arc<Person>, entry: Entry) {
        if self.entries.len() < PEOPLE_MAXIMUM {
            self.due.insert((entry.due, Arc::clone(&person)));
            self.entries.insert(person, entry);
        }
    }

    fn remove(&mut self, person: &Person) {
        let borrowed = Borrowed { username: person.username.as_deref(), client_id: &person.client_id };
        if let Some((person, entry)) = self.entries.remove_entry(&borrowed) {
            self.due.remove(&(entry.due, person));
        }
    }

    /// Who is due; those who are gone or were not seen for so long are forgotten.
    fn next(&mut self, now: Instant, unseen: Duration) -> Option<(Arc<Person>, Attributes)> {
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let (_, person) = self.due.pop_first()?;
            let entry = self.entries.get(&person)?;
            if !entry.gone && entry.seen + unseen > now {
                let attributes = entry.attributes.clone();
                return Some((person, attributes));
            }
            self.entries.remove(&person);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(100);
    const SECOND: Duration = Duration::from_secs(1);

    fn person(name: &str) -> Person {
        Person { username: Some(name.into()), client_id: "c".into() }
    }

    fn stays(rechecks: &Rechecks, name: &str, now: Instant) -> bool {
        let attributes = Attributes::new();
        let known = Known { username: Some(name), client_id: "c", groups: &[], attributes: &attributes };
        rechecks.may_stay(&known, "c", Attributes::new, now)
    }

    /// Asks about all who are due, which say this; who they were.
    fn asked(rechecks: &Rechecks, now: Instant, said: Option<bool>) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let result = rechecks.ask_one(now, |person, _| {
                names.push(person.username.as_deref().unwrap().to_owned());
                said
            });
            if result == Rechecked::Idle {
                return names;
            }
        }
    }

    fn rechecks(now: Instant) -> Rechecks {
        Rechecks::new(EVERY, now).unwrap()
    }

    #[test]
    fn everybody_is_asked_about_within_the_interval_and_not_all_at_once() {
        let now = Instant::now();
        let rechecks = rechecks(now);
        for number in 0..100 {
            rechecks.logged_in(person(&number.to_string()), Attributes::new(), now);
        }

        assert!(asked(&rechecks, now + 74 * SECOND, Some(true)).is_empty());
        let half = asked(&rechecks, now + 87 * SECOND, Some(true)).len();
        assert!((20..80).contains(&half), "{half}");
        assert_eq!(asked(&rechecks, now + 100 * SECOND, Some(true)).len() + half, 100);
        assert!(Rechecks::new(Duration::ZERO, now).is_none());
    }

    #[test]
    fn whoever_was_let_in_before_a_restart_is_asked_about_too() {
        let now = Instant::now();
        let rechecks = rechecks(now);

        assert!(stays(&rechecks, "amy", now));

        assert_eq!(asked(&rechecks, now + EVERY, Some(true)), ["amy"]);
    }

    #[test]
    fn a_denial_ends_and_a_silent_service_does_not() {
        let now = Instant::now();
        let rechecks = rechecks(now);
        rechecks.logged_in(person("amy"), Attributes::new(), now);

        assert_eq!(rechecks.ask_one(now + EVERY, |_, _| None), Rechecked::Review, "who is still there?");
        assert_eq!(rechecks.ask_one(now + EVERY, |_, _| None), Rechecked::Asked);
        assert!(stays(&rechecks, "amy", now + EVERY));
        assert_eq!(
            rechecks.ask_one(now + EVERY, |_, _| None),
            Rechecked::Idle,
            "it is left alone for a while"
        );
        let later = now + EVERY + WITHOUT_ANSWER;
        assert_eq!(rechecks.ask_one(later, |_, _| Some(false)), Rechecked::Review);
        assert!(!stays(&rechecks, "amy", later) && stays(&rechecks, "ben", later));

        rechecks.logged_in(person("amy"), Attributes::new(), later);
        assert!(stays(&rechecks, "amy", later), "it was let in again");
    }

    /// With a short interval, what a service said would be forgotten before the review that it led to.
    #[test]
    fn whoever_is_gone_stays_gone_until_everybody_was_reviewed() {
        let now = Instant::now();
        let rechecks = Rechecks::new(SECOND, now).unwrap();
        rechecks.logged_in(person("amy"), Attributes::new(), now);

        assert_eq!(asked(&rechecks, now + SECOND, Some(false)), ["amy"]);

        assert!(asked(&rechecks, now + 30 * SECOND, Some(true)).is_empty());
        assert!(!stays(&rechecks, "amy", now + 30 * SECOND));
        assert!(asked(&rechecks, now + 62 * SECOND, Some(true)).is_empty());
        assert!(rechecks.people().entries.is_empty(), "then it is forgotten");
    }

    #[test]
    fn who_logged_in_while_the_service_was_asked_is_not_ended_by_the_answer() {
        let now = Instant::now();
        let rechecks = rechecks(now);
        rechecks.logged_in(person("amy"), Attributes::new(), now);
        rechecks.people().reviewed = now + EVERY;

        let result = rechecks.ask_one(now + EVERY, |person, _| {
            rechecks.logged_in(person.clone(), Attributes::new(), now + EVERY);
            Some(false)
        });

        assert_eq!(result, Rechecked::Asked);
        assert!(stays(&rechecks, "amy", now + EVERY));
    }

    #[test]
    fn whoever_left_is_forgotten() {
        let now = Instant::now();
        let rechecks = rechecks(now);
        rechecks.logged_in(person("amy"), Attributes::new(), now);

        let mut times = 0;
        for round in 1..10 {
            times += asked(&rechecks, now + round * EVERY, Some(true)).len();
        }

        assert!((1..=3).contains(&times), "{times}");
        assert!(rechecks.people().entries.is_empty() && rechecks.people().due.is_empty());
    }
}
