//! Failed log-ins: counted by address and by name, and answered with bans that double.
//!
//! In:    whether an attempt failed, from which address, for which name.
//! Out:   who is banned for how long.
//! Never: more memory than it begins with: two tables of fixed size. Where a table is full, what matters least is
//!        forgotten.
//!
//! An address is an IPv4 address or an IPv6 network of 64 bits, since a host has a whole one to itself. A ban of a name
//! does not hold where that name has logged in from the same address lately: else whoever knows a name could lock its
//! owner out.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Places in a row of a table: what competes for room.
const WAYS: usize = 8;

/// How many failures lead to which ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// Failures from one address within `window` that lead to a ban; 0: none does. 10: a fleet behind one address has
    /// typos.
    pub address_failures: u16,
    /// Failures for one name within `window` that lead to a ban; 0: none does. 5: a person mistypes thrice.
    pub name_failures: u16,
    /// How long a failure counts.
    pub window: Duration,
    /// The first ban; each further one is twice as long as the one before.
    pub ban: Duration,
    /// The longest ban. A day without failures after a ban forgets it.
    pub ban_maximum: Duration,
    /// Addresses that are never banned: a proxy in front of many Clients.
    pub exempt: Vec<IpAddr>,
    /// Entries of each table, rounded up to a power of two; 48 bytes each, 1.5 MiB with both tables.
    pub entries: usize,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            address_failures: 10,
            name_failures: 5,
            window: Duration::from_secs(5 * 60),
            ban: Duration::from_secs(30),
            ban_maximum: Duration::from_secs(60 * 60),
            exempt: Vec::new(),
            entries: 16_384,
        }
    }
}

/// Counts failures and bans.
#[derive(Debug)]
pub struct Guard {
    limits: GuardLimits,
    hasher: RandomState,
    failures: Mutex<Table>,
    /// Name and address together, where a log-in succeeded.
    trusted: Mutex<Table>,
}

/// What is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Banned {
    /// The address.
    Address {
        /// How much longer.
        left: Duration,
    },
    /// The name.
    Name {
        /// How much longer.
        left: Duration,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// A hash with a secret key, of what the entry is about: 64 bits, so that nobody can aim for another's entry.
    key: u64,
    failures: u16,
    bans: u16,
    /// When the failures began to count.
    since: Instant,
    banned_until: Option<Instant>,
}

#[derive(Debug)]
struct Table {
    /// Each made when the first of it comes: many servers never see a failure.
    rows: Vec<Option<Box<Row>>>,
}

type Row = [Option<Entry>; WAYS];

impl Guard {
    /// With these limits.
    #[must_use]
    pub fn new(limits: GuardLimits) -> Self {
        let table = || Mutex::new(Table::new(limits.entries));
        let (failures, trusted) = (table(), table());
        Self { limits, hasher: RandomState::new(), failures, trusted }
    }

    /// Whether the address or the name is banned.
    #[must_use]
    pub fn check(&self, address: Option<IpAddr>, name: Option<&str>, now: Instant) -> Option<Banned> {
        let mut failures = lock(&self.failures);
        if let Some(address) = self.countable(address)
            && let Some(left) = failures.ban_left(self.address_key(address), now)
        {
            return Some(Banned::Address { left });
        }
        let name = name?;
        let left = failures.ban_left(self.name_key(name), now)?;
        drop(failures);
        let trusted = lock(&self.trusted).find(self.pair_key(address, name)).is_some();
        if trusted { None } else { Some(Banned::Name { left }) }
    }

    /// Counts a failure. Gives the ban that it led to.
    pub fn failed(&self, address: Option<IpAddr>, name: Option<&str>, now: Instant) -> Option<Banned> {
        let mut failures = lock(&self.failures);
        let name = name.and_then(|name| {
            failures.count(self.name_key(name), self.limits.name_failures, &self.limits, now)
        });
        let address = self.countable(address).and_then(|address| {
            let key = self.address_key(address);
            failures.count(key, self.limits.address_failures, &self.limits, now)
        });
        match (address, name) {
            (Some(left), _) => Some(Banned::Address { left }),
            (None, Some(left)) => Some(Banned::Name { left }),
            (None, None) => None,
        }
    }

    /// Counts a success: the name's failures are forgotten, the address's are not, or an attacker with one account could
    /// try others for ever.
    pub fn succeeded(&self, address: Option<IpAddr>, name: &str, now: Instant) {
        lock(&self.failures).forget(self.name_key(name));
        lock(&self.trusted).insert(self.pair_key(address, name), now).since = now;
    }

    /// Lifts the ban of an address and forgets its failures.
    pub fn pardon_address(&self, address: IpAddr) {
        lock(&self.failures).forget(self.address_key(address));
    }

    /// Lifts the ban of a name and forgets its failures.
    pub fn pardon_name(&self, name: &str) {
        lock(&self.failures).forget(self.name_key(name));
    }

    fn countable(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        address.filter(|address| !self.limits.exempt.contains(&address.to_canonical()))
    }

    fn address_key(&self, address: IpAddr) -> u64 {
        self.hasher.hash_one((0_u8, network(address)))
    }

    fn name_key(&self, name: &str) -> u64 {
        self.hasher.hash_one((1_u8, name))
    }

    fn pair_key(&self, address: Option<IpAddr>, name: &str) -> u64 {
        self.hasher.hash_one((2_u8, address.map(network), name))
    }
}

impl Table {
    fn new(entries: usize) -> Self {
        let rows = entries.div_ceil(WAYS).next_power_of_two();
        Self { rows: vec![None; rows] }
    }

    fn row(&mut self, key: u64) -> &mut Option<Box<Row>> {
        let rows = self.rows.len() as u64;
        let at = usize::try_from(key % rows).unwrap_or(0);
        &mut self.rows[at]
    }

    fn find(&mut self, key: u64) -> Option<&mut Entry> {
        self.row(key).as_mut()?.iter_mut().flatten().find(|entry| entry.key == key)
    }

    fn forget(&mut self, key: u64) {
        for place in self.row(key).iter_mut().flat_map(|row| row.iter_mut()) {
            if place.is_some_and(|entry| entry.key == key) {
                *place = None;
            }
        }
    }

    fn ban_left(&mut self, key: u64, now: Instant) -> Option<Duration> {
        let until = self.find(key)?.banned_until?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// The entry of a key, made in place of the one that matters least: not banned, then fewest failures, then oldest.
    fn insert(&mut self, key: u64, now: Instant) -> &mut Entry {
        let row = self.row(key).get_or_insert_default();
        let found = row.iter().position(|place| place.is_some_and(|entry| entry.key == key));
        let at = found.or_else(|| row.iter().position(Option::is_none)).unwrap_or_else(|| {
            let weight = |place: &Option<Entry>| {
                place.map(|entry| {
                    let banned = entry.banned_until.filter(|until| *until > now);
                    (banned, entry.failures, entry.since)
                })
            };
            (0..WAYS).min_by_key(|&at| weight(&row[at])).unwrap_or(0)
        });
        if found.is_none() {
            row[at] = None;
        }
        row[at].get_or_insert(Entry { key, failures: 0, bans: 0, since: now, banned_until: None })
    }

    /// Counts a failure; gives the ban, where it is one too many.
    fn count(&mut self, key: u64, most: u16, limits: &GuardLimits, now: Instant) -> Option<Duration> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        if most == 0 {
            return None;
        }
        let entry = self.insert(key, now);
        if entry.banned_until.is_some_and(|until| now.saturating_duration_since(until) > DAY) {
            entry.bans = 0;
        }
        if now.saturating_duration_since(entry.since) > limits.window {
            (entry.failures, entry.since) = (0, now);
        }
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < most {
            return None;
        }
        let factor = 1_u32.checked_shl(u32::from(entry.bans)).unwrap_or(u32::MAX);
        let ban =
            limits.ban.checked_mul(factor).map_or(limits.ban_maximum, |ban| ban.min(limits.ban_maximum));
        entry.bans = entry.bans.saturating_add(1);
        (entry.failures, entry.since) = (0, now);
        entry.banned_until = now.checked_add(ban);
        Some(ban)
    }
}

/// The address, or the first 64 bits of an IPv6 one.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64 | 1 << 63,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn guard() -> Guard {
        Guard::new(GuardLimits {
            exempt: vec!["10.0.0.1".parse().unwrap()],
            entries: 1024,
            ..GuardLimits::default()
        })
    }

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn fail(guard: &Guard, times: usize, address: &str, name: impl Fn(usize) -> String, now: Instant) {
        for time in 0..times {
            guard.failed(at(address), Some(&name(time)), now);
        }
    }

    #[test]
    fn an_address_that_tries_many_names_is_banned() {
        let (guard, now) = (guard(), Instant::now());

        fail(&guard, 9, "192.0.2.1", |time| format!("user{time}"), now);
        assert_eq!(guard.check(at("192.0.2.1"), Some("fresh"), now), None);
        fail(&guard, 1, "192.0.2.1", |_| "user9".to_owned(), now);

        let left = 30 * SECOND;
        assert_eq!(guard.check(at("192.0.2.1"), Some("fresh"), now), Some(Banned::Address { left }));
        assert_eq!(guard.check(at("192.0.2.2"), Some("fresh"), now), None);
        assert_eq!(guard.check(at("192.0.2.1"), Some("fresh"), now + left), None);
    }

    #[test]
    fn a_name_tried_from_many_addresses_is_banned() {
        let (guard, now) = (guard(), Instant::now());

        for host in 1..=5 {
            guard.failed(at(&format!("192.0.2.{host}")), Some("amy"), now);
        }

        assert!(matches!(guard.check(at("192.0.2.9"), Some("amy"), now), Some(Banned::Name { .. })));
        assert_eq!(guard.check(at("192.0.2.9"), Some("bob"), now), None);
    }

    #[test]
    fn nobody_locks_the_owner_of_a_name_out() {
        let (guard, now) = (guard(), Instant::now());
        guard.succeeded(at("198.51.100.7"), "amy", now);

        fail(&guard, 5, "192.0.2.1", |_| "amy".to_owned(), now);

        assert!(guard.check(at("192.0.2.9"), Some("amy"), now).is_some());
        assert_eq!(guard.check(at("198.51.100.7"), Some("amy"), now), None);
    }

    #[test]
    fn each_ban_is_twice_as_long_up_to_the_longest() {
        let (guard, mut now) = (guard(), Instant::now());
        let mut bans = Vec::new();

        for _ in 0..9 {
            fail(&guard, 4, "192.0.2.1", |_| "amy".to_owned(), now);
            let Some(Banned::Name { left } | Banned::Address { left }) = guard.failed(None, Some("amy"), now)
            else {
                panic!("no ban")
            };
            bans.push(left.as_secs());
            now += left;
        }

        assert_eq!(bans, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn a_day_without_failures_forgets_former_bans() {
        let (guard, now) = (guard(), Instant::now());
        for _ in 0..10 {
            guard.failed(None, Some("amy"), now);
        }
        let later = now + 25 * 60 * 60 * SECOND;

        let bans: Vec<_> = (0..5).map(|_| guard.failed(None, Some("amy"), later)).collect();

        assert_eq!(bans[4], Some(Banned::Name { left: 30 * SECOND }));
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let (guard, start) = (guard(), Instant::now());

        let banned = (0..50_u32)
            .any(|time| guard.failed(at("192.0.2.1"), Some("amy"), start + 200 * SECOND * time).is_some());

        assert!(!banned);
    }

    #[test]
    fn success_clears_the_name_and_not_the_address() {
        let (guard, now) = (guard(), Instant::now());

        for _ in 0..4 {
            fail(&guard, 4, "192.0.2.1", |_| "amy".to_owned(), now);
            guard.succeeded(at("192.0.2.1"), "amy", now);
        }

        assert!(matches!(guard.check(at("192.0.2.1"), Some("amy"), now), Some(Banned::Address { .. })));
        assert_eq!(guard.check(at("192.0.2.2"), Some("amy"), now), None);
    }

    #[test]
    fn an_ipv6_host_is_its_network_and_a_mapped_address_is_ipv4() {
        let (guard, now) = (guard(), Instant::now());

        for host in 0..10 {
            guard.failed(at(&format!("2001:db8::{host}")), Some(&format!("user{host}")), now);
            guard.failed(at("::ffff:192.0.2.1"), Some(&format!("other{host}")), now);
        }

        assert!(guard.check(at("2001:db8::ffff"), Some("x"), now).is_some());
        assert!(guard.check(at("2001:db8:0:1::1"), Some("x"), now).is_none());
        assert!(guard.check(at("192.0.2.1"), Some("x"), now).is_some());
    }

    #[test]
    fn an_exempt_address_is_never_banned_but_names_are() {
        let (guard, now) = (guard(), Instant::now());

        fail(&guard, 100, "10.0.0.1", |time| format!("user{time}"), now);
        fail(&guard, 5, "10.0.0.1", |_| "amy".to_owned(), now);

        assert_eq!(guard.check(at("10.0.0.1"), Some("fresh"), now), None);
        assert!(guard.check(at("10.0.0.1"), Some("amy"), now).is_some());
    }

    #[test]
    fn a_flood_of_names_does_not_lift_a_ban() {
        let (guard, now) = (guard(), Instant::now());
        fail(&guard, 10, "192.0.2.1", |_| "amy".to_owned(), now);

        for number in 0..100_000 {
            guard.failed(None, Some(&format!("flood{number}")), now);
        }

        assert!(guard.check(at("192.0.2.1"), Some("x"), now).is_some());
        assert!(guard.check(None, Some("amy"), now).is_some());
        assert_eq!(lock(&guard.failures).rows.len() * WAYS, 1024);
    }

    #[test]
    fn a_pardon_lifts_a_ban() {
        let (guard, now) = (guard(), Instant::now());
        fail(&guard, 10, "192.0.2.1", |_| "amy".to_owned(), now);

        guard.pardon_address("192.0.2.1".parse().unwrap());
        guard.pardon_name("amy");

        assert_eq!(guard.check(at("192.0.2.1"), Some("amy"), now), None);
    }
}
