//! Which newcomers may stay: bounds of the process, of listeners and of addresses, over all shards.
//!
//! In:    newcomers, connections that are gone.
//! Out:   whether a newcomer may stay, and which bound says no.
//! Never: counts a connection twice: one that moves to another shard, or lingers, keeps its place.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dunlin_engine::Time;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::addresses::Addresses;
use crate::pace::Pace;

/// Descriptors for everything that is no connection: logs, listeners, the store; and for each shard its poll, its
/// waker, its spare one and its listeners.
const RESERVE: u64 = 64;
const RESERVE_PER_SHARD: u64 = 16;
/// What a listener may take at once: as much as in a second.
const BURST: Duration = Duration::from_secs(1);

/// What newcomers are held to, wherever they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// From the connection to the end of the handshakes that come before MQTT.
    pub handshake_timeout: Duration,
    /// Connections that an address may have; 0: any number.
    pub connections_per_address: u32,
    /// Connections that an address may make in a second, in the long run; 0: any number.
    pub connections_per_second_per_address: u32,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            connections_per_address: 0,
            connections_per_second_per_address: 100,
        }
    }
}

/// What newcomers of a listener are held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections that it may have; 0: any number.
    pub connections_maximum: u32,
    /// Connections that it takes in a second, in the long run; 0: any number.
    pub connections_per_second: u32,
}

/// Why a newcomer was closed before it could say a word of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// No descriptor is left, or no memory.
    Resources,
    /// `limits.connections_maximum`
    Process,
    /// `listener.connections_maximum`
    Listener,
    /// `listener.connections_per_second`
    ListenerRate,
    /// `admission.connections_per_address`
    Address,
    /// `admission.connections_per_second_per_address`
    AddressRate,
    /// `listener.proxies`
    NoProxy,
    /// `admission.handshake_timeout_ms`
    HandshakeTimeout,
    /// Its header, TLS or its request was not as it must be, or it left in the middle.
    Handshake,
}

impl Refusal {
    /// All of them, in the order of [`crate::Traffic::refused`].
    pub const ALL: [Self; 9] = [
        Self::Resources,
        Self::Process,
        Self::Listener,
        Self::ListenerRate,
        Self::Address,
        Self::AddressRate,
        Self::NoProxy,
        Self::HandshakeTimeout,
        Self::Handshake,
    ];

    /// The key of the configuration that says so, or what else does.
    #[must_use]
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Resources => "file descriptors or memory",
            Self::Process => "limits.connections_maximum",
            Self::Listener => "listener.connections_maximum",
            Self::ListenerRate => "listener.connections_per_second",
            Self::Address => "admission.connections_per_address",
            Self::AddressRate => "admission.connections_per_second_per_address",
            Self::NoProxy => "listener.proxies",
            Self::HandshakeTimeout => "admission.handshake_timeout_ms",
            Self::Handshake => "handshake",
        }
    }
}

/// The counts and their bounds.
#[derive(Debug)]
pub(crate) struct Admissions {
    open: AtomicUsize,
    maximum: AtomicUsize,
    accepted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    /// What the open-file limit leaves for connections.
    ceiling: usize,
    listeners: Box<[Gate]>,
    addresses: Addresses,
    handshake_timeout: AtomicU64,
    per_address: AtomicU32,
    per_second_per_address: AtomicU32,
}

/// The connections of one listener.
#[derive(Debug)]
struct Gate {
    limits: ListenerLimits,
    open: AtomicUsize,
    pace: AtomicU64,
}

impl Gate {
    fn keeps_pace(&self, now: Time) -> bool {
        let next = |nanos| {
            let mut pace = Pace::from_nanos(nanos);
            pace.admits(now, self.limits.connections_per_second, BURST).then(|| pace.nanos())
        };
        self.limits.connections_per_second == 0
            || self.pace.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// Takes a place where fewer than `maximum` are taken.
fn take(open: &AtomicUsize, maximum: usize) -> bool {
    let taken = open.fetch_add(1, Ordering::Relaxed) < maximum;
    if !taken {
        open.fetch_sub(1, Ordering::Relaxed);
    }
    taken
}

/// 0 stands for no bound.
const fn bound(setting: u32) -> usize {
    if setting == 0 { usize::MAX } else { setting as usize }
}

impl Admissions {
    /// Raises the limit of open files as far as the process may, and takes it as the ceiling.
    pub(crate) fn new(
        setting: u32,
        shards: usize,
        listeners: impl Iterator<Item = ListenerLimits>,
    ) -> io::Result<Self> {
        let reserve = RESERVE + RESERVE_PER_SHARD * shards as u64;
        let ceiling = raise_descriptor_limit()?.saturating_sub(reserve).max(1);
        let ceiling = usize::try_from(ceiling).unwrap_or(usize::MAX);
        // Who is played needs no file.
        let ceiling = if cfg!(feature = "simulated") { usize::MAX } else { ceiling };
        Ok(Self::with_ceiling(setting, ceiling, listeners))
    }

    fn with_ceiling(setting: u32, ceiling: usize, listeners: impl Iterator<Item = ListenerLimits>) -> Self {
        let gate = |limits| Gate { limits, open: AtomicUsize::new(0), pace: AtomicU64::new(0) };
        let admissions = Self {
            open: AtomicUsize::new(0),
            maximum: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: Default::default(),
            ceiling,
            listeners: listeners.map(gate).collect(),
            addresses: Addresses::new(),
            handshake_timeout: AtomicU64::new(0),
            per_address: AtomicU32::new(0),
            per_second_per_address: AtomicU32::new(0),
        };
        admissions.set_maximum(setting);
        admissions.set_limits(AdmissionLimits::default());
        admissions
    }

    /// `limits.connections_maximum`: 0 is as many as there can be.
    pub(crate) fn set_maximum(&self, setting: u32) {
        self.maximum.store(self.ceiling.min(bound(setting)), Ordering::Relaxed);
    }

    /// For those who come from now on.
    pub(crate) fn set_limits(&self, limits: AdmissionLimits) {
        let timeout = u64::try_from(limits.handshake_timeout.as_micros()).unwrap_or(u64::MAX);
        self.handshake_timeout.store(timeout, Ordering::Relaxed);
        self.per_address.store(limits.connections_per_address, Ordering::Relaxed);
        self.per_second_per_address.store(limits.connections_per_second_per_address, Ordering::Relaxed);
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_micros(self.handshake_timeout.load(Ordering::Relaxed))
    }

    /// Takes the places for a newcomer at a listener: of its address, which is `None` where it has none or it is not known
    /// yet, of the listener, of the process. Was the address counted? Where one has no place, it says which.
    pub(crate) fn admit(
        &self,
        now: Time,
        listener: u16,
        address: Option<SocketAddr>,
    ) -> Result<bool, Refusal> {
        // First, so that an address beyond its own bound takes nothing from the others.
        let counted = self.admit_address(now, address)?;
        let result = self.admit_at(now, listener);
        if result.is_err() {
            self.free_address(counted, address);
        }
        result.map(|()| counted)
    }

    /// Takes a place of the address; was it counted? Those of this machine are not: behind one stands a proxy, or nobody
    /// whom a bound would stop.
    pub(crate) fn admit_address(&self, now: Time, address: Option<SocketAddr>) -> Result<bool, Refusal> {
        let Some(ip) = address.map(|address| address.ip().to_canonical()).filter(|ip| !ip.is_loopback())
        else {
            return Ok(false);
        };
        if !self.addresses.keeps_pace(now, ip, self.per_second_per_address.load(Ordering::Relaxed)) {
            return Err(Refusal::AddressRate);
        }
        if !self.addresses.take_place(ip, self.per_address.load(Ordering::Relaxed)) {
            return Err(Refusal::Address);
        }
        Ok(true)
    }

    fn admit_at(&self, now: Time, listener: u16) -> Result<(), Refusal> {
        let gate = self.listeners.get(usize::from(listener));
        if gate.is_some_and(|gate| !gate.keeps_pace(now)) {
            return Err(Refusal::ListenerRate);
        }
        if gate.is_some_and(|gate| !take(&gate.open, bound(gate.limits.connections_maximum))) {
            return Err(Refusal::Listener);
        }
        if !take(&self.open, self.maximum.load(Ordering::Relaxed)) {
            if let Some(gate) = gate {
                gate.open.fetch_sub(1, Ordering::Relaxed);
            }
            return Err(Refusal::Process);
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn free_address(&self, counted: bool, address: Option<SocketAddr>) {
        if let Some(address) = address.filter(|_| counted) {
            self.addresses.free_place(address.ip());
        }
    }

    /// Counts a newcomer that was closed.
    pub(crate) fn count(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Frees the places of a connection that is closed; `counted` as [`Self::admit`] said.
    pub(crate) fn release(&self, listener: u16, address: Option<SocketAddr>, counted: bool) {
        self.free_address(counted, address);
        if let Some(gate) = self.listeners.get(usize::from(listener)) {
            gate.open.fetch_sub(1, Ordering::Relaxed);
        }
        let before = self.open.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a connection was released that was never admitted");
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// In the order of [`Refusal::ALL`].
    pub(crate) fn refused(&self) -> [u64; Refusal::ALL.len()] {
        std::array::from_fn(|reason| self.refused[reason].load(Ordering::Relaxed))
    }
}

/// The limit of open files, after raising the soft one to the hard one.
fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_000_000);

    fn admissions(setting: u32, ceiling: usize, listeners: &[ListenerLimits]) -> Admissions {
        Admissions::with_ceiling(setting, ceiling, listeners.iter().copied())
    }

    fn address(last: u8) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, last], 7)))
    }

    #[test]
    fn a_newcomer_beyond_the_maximum_is_turned_away_until_one_leaves() {
        let admissions = admissions(2, 100, &[]);
        assert_eq!(admissions.admit(NOW, 0, None), Ok(false));
        assert_eq!(admissions.admit(NOW, 0, None), Ok(false));
        assert_eq!(admissions.admit(NOW, 0, None), Err(Refusal::Process));
        assert_eq!((admissions.open(), admissions.accepted()), (2, 2));

        admissions.release(0, None, false);
        assert!(admissions.admit(NOW, 0, None).is_ok());
    }

    #[test]
    fn no_setting_exceeds_what_the_process_may_open() {
        let admissions = admissions(0, 1, &[]);
        assert!(admissions.admit(NOW, 0, None).is_ok());
        assert!(admissions.admit(NOW, 0, None).is_err());
        admissions.set_maximum(50);
        assert!(admissions.admit(NOW, 0, None).is_err());
    }

    #[test]
    fn a_listener_has_its_own_bounds() {
        let limits = ListenerLimits { connections_maximum: 2, connections_per_second: 3 };
        let admissions = admissions(0, 100, &[limits, ListenerLimits::default()]);
        assert!(admissions.admit(NOW, 0, None).is_ok());
        assert!(admissions.admit(NOW, 0, None).is_ok());
        assert_eq!(admissions.admit(NOW, 0, None), Err(Refusal::Listener));
        assert_eq!(admissions.admit(NOW, 0, None), Err(Refusal::ListenerRate));
        for _ in 0..10 {
            assert!(admissions.admit(NOW, 1, None).is_ok());
        }
        admissions.release(0, None, false);
        assert!(admissions.admit(NOW.after(Duration::from_secs(1)), 0, None).is_ok());
    }

    #[test]
    fn an_address_beyond_its_bounds_takes_nothing_from_the_others() {
        let limits = ListenerLimits { connections_maximum: 0, connections_per_second: 5 };
        let admissions = admissions(3, 100, &[limits]);
        admissions.set_limits(AdmissionLimits {
            connections_per_address: 1,
            connections_per_second_per_address: 1,
            ..AdmissionLimits::default()
        });
        assert_eq!(admissions.admit(NOW, 0, address(1)), Ok(true));
        for _ in 0..9 {
            assert_eq!(admissions.admit(NOW, 0, address(1)), Err(Refusal::Address));
        }
        assert_eq!(admissions.admit(NOW, 0, address(1)), Err(Refusal::AddressRate));
        assert_eq!(admissions.admit(NOW, 0, address(2)), Ok(true));
        assert_eq!(admissions.admit(NOW, 0, address(3)), Ok(true));

        // Refused by the process, it holds no place of its address.
        assert_eq!(admissions.admit(NOW, 0, address(4)), Err(Refusal::Process));
        admissions.release(0, address(1), true);
        assert_eq!(admissions.admit(NOW, 0, address(4)), Ok(true));
    }

    #[test]
    fn this_machine_is_no_address() {
        let admissions = admissions(0, 100, &[]);
        admissions.set_limits(AdmissionLimits { connections_per_address: 1, ..AdmissionLimits::default() });
        for _ in 0..10 {
            let here = SocketAddr::from(([127, 0, 0, 1], 7));
            assert_eq!(admissions.admit(NOW, 0, Some(here)), Ok(false));
        }
    }
}
