//! How many connections each address has, and how fast it makes them.
//!
//! In:    addresses of newcomers and of connections that are gone.
//! Out:   whether a newcomer is within the bounds of its address.
//! Never: more memory than a fixed table for how fast, and an entry for each address that has a connection for how many.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dunlin_engine::Time;
use dunlin_net::origin;

use crate::pace::Pace;

/// Locks: of newcomers of one moment on all shards, few meet.
const STRIPES: usize = 64;
/// Sets of the table.
const SETS: usize = 2048;
/// Addresses in a set. 16,384 in all, which are 256 KiB; beyond, those that have been quiet the longest are forgotten.
const WAYS: usize = 8;
/// What an address may make at once: as much as in ten seconds. A plant behind one router comes back in a moment.
const BURST: Duration = Duration::from_secs(10);

/// The addresses of newcomers.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Nobody can choose addresses that meet in one set.
    hasher: RandomState,
    open: Box<[Mutex<Open>]>,
    /// Made when the first comes whose pace is bounded.
    paces: OnceLock<Box<[Mutex<[Seen; WAYS]>]>>,
}

/// Connections of some addresses. A million clients may come from as many: those of IPv4 take 8 bytes each.
#[derive(Debug, Default)]
struct Open {
    four: HashMap<Ipv4Addr, u32>,
    /// By the first 64 bits.
    six: HashMap<u64, u32>,
}

/// An address that was seen, by its hash: two of the same hash share a pace, which in 2^64 does not happen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hash: u64,
    pace: Pace,
}

impl Addresses {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            open: (0..STRIPES).map(|_| Mutex::default()).collect(),
            paces: OnceLock::new(),
        }
    }

    /// Is a newcomer within `a_second`? 0 is any number.
    pub(crate) fn keeps_pace(&self, now: Time, address: IpAddr, a_second: u32) -> bool {
        if a_second == 0 {
            return true;
        }
        let hash = self.hasher.hash_one(origin(address));
        let paces = self.paces.get_or_init(|| (0..SETS).map(|_| Mutex::default()).collect());
        let mut set = paces[place(hash, SETS)].lock().unwrap_or_else(PoisonError::into_inner);
        let way = set.iter().position(|seen| seen.hash == hash).unwrap_or_else(|| {
            let quiet = (0..WAYS).min_by_key(|way| set[*way].pace).unwrap_or_default();
            set[quiet] = Seen { hash, pace: Pace::default() };
            quiet
        });
        set[way].pace.admits(now, a_second, BURST)
    }

    /// Takes a place of the address, where it has fewer than `maximum`; 0 is any number.
    pub(crate) fn take_place(&self, address: IpAddr, maximum: u32) -> bool {
        let mut stripe = self.stripe(address);
        let open = match origin(address) {
            IpAddr::V4(four) => stripe.four.entry(four).or_default(),
            IpAddr::V6(six) => stripe.six.entry(prefix(six)).or_default(),
        };
        if maximum > 0 && *open >= maximum {
            return false;
        }
        *open += 1;
        true
    }

    /// Gives a place back that was taken.
    pub(crate) fn free_place(&self, address: IpAddr) {
        let mut stripe = self.stripe(address);
        match origin(address) {
            IpAddr::V4(four) => leave(&mut stripe.four, four),
            IpAddr::V6(six) => leave(&mut stripe.six, prefix(six)),
        }
    }

    fn stripe(&self, address: IpAddr) -> std::sync::MutexGuard<'_, Open> {
        let hash = self.hasher.hash_one(origin(address));
        self.open[place(hash, STRIPES)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of the address less.
fn leave<A: Eq + Hash>(open: &mut HashMap<A, u32>, address: A) {
    let Entry::Occupied(mut entry) = open.entry(address) else {
        unreachable!("a connection's address is counted while it lasts")
    };
    *entry.get_mut() -= 1;
    if *entry.get() == 0 {
        entry.remove();
    }
}

/// What an origin of IPv6 has that is not zero.
fn prefix(origin: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = origin.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn place(hash: u64, count: usize) -> usize {
    usize::try_from(hash % count as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn an_address_has_as_many_places_as_it_may_and_another_its_own() {
        let addresses = Addresses::new();
        assert!(addresses.take_place(HERE, 2));
        assert!(addresses.take_place(HERE, 2));
        assert!(!addresses.take_place(HERE, 2));
        assert!(addresses.take_place(THERE, 2));
        assert!(addresses.take_place(HERE, 0), "no bound");

        addresses.free_place(HERE);
        addresses.free_place(HERE);
        assert!(addresses.take_place(HERE, 2));
        for _ in 0..2 {
            addresses.free_place(HERE);
        }
        addresses.free_place(THERE);
        assert!(
            addresses.open.iter().all(|stripe| {
                let stripe = stripe.lock().unwrap();
                stripe.four.is_empty() && stripe.six.is_empty()
            }),
            "none is kept for nothing"
        );
    }

    #[test]
    fn one_customer_of_ipv6_has_one_bound() {
        let addresses = Addresses::new();
        let at = |host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
        assert!(addresses.take_place(at(1), 1));
        assert!(!addresses.take_place(at(2), 1));
        addresses.free_place(at(2));
        assert!(addresses.take_place(at(3), 1));
    }

    #[test]
    fn an_address_that_is_too_fast_waits_and_another_does_not() {
        let start = Time::from_micros(1_000_000);
        let addresses = Addresses::new();
        let passed = (0..100).filter(|_| addresses.keeps_pace(start, HERE, 2)).count();
        assert_eq!(passed, 20, "ten seconds at once");
        assert!(addresses.keeps_pace(start, THERE, 2));
        assert!(!addresses.keeps_pace(start.after(Duration::from_millis(499)), HERE, 2));
        assert!(addresses.keeps_pace(start.after(Duration::from_millis(500)), HERE, 2));
    }

    #[test]
    fn a_flood_of_addresses_finds_the_table_no_larger() {
        let addresses = Addresses::new();
        for number in 0..100_000_u32 {
            assert!(addresses.keeps_pace(Time::from_micros(1), IpAddr::V4(Ipv4Addr::from(number)), 1));
        }
        assert_eq!(addresses.paces.get().map(|paces| paces.len() * WAYS), Some(16_384));
    }
}
