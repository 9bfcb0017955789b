//! A TCP proxy that fails as networks do: cuts, stalls, slow links, half-open connections.
//!
//! In:    connections, and what to do to them.
//! Out:   the same bytes, until the fault.
//! Never: a thread that outlives it for long: dropping it cuts everything.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Each is cut after as many bytes as a seeded die says, up to this, counted over both directions.
    CutWithin(u64),
    /// As [`Fault::CutWithin`], and what a connection begins with comes to the broker twice: on a second connection, now
    /// before the first and now after it, that ends without a word.
    DoubledWithin(u64),
    /// Bytes are held back until this changes.
    Stall,
    /// That many bytes a second, each way.
    Slow(u64),
    /// Accepted, and never answered.
    HalfOpen,
}

struct Shared {
    fault: Mutex<Fault>,
    changed: Condvar,
    open: Mutex<Vec<(TcpStream, TcpStream)>>,
    target: SocketAddr,
    cuts: AtomicUsize,
    accepted: AtomicUsize,
    doubled: AtomicUsize,
    dice: AtomicU64,
    ended: AtomicUsize,
}

/// How long a connection lives.
struct Life {
    dice: u64,
    /// The broker gets the beginning on a second connection too.
    doubled: AtomicBool,
    passed: AtomicU64,
    cut: AtomicBool,
}

impl Life {
    /// How many of these bytes may pass, and whether they are the last.
    fn spend(&self, length: usize, most: u64) -> (usize, bool) {
        let budget = self.dice % most + 1;
        let passed = self.passed.fetch_add(length as u64, Ordering::AcqRel);
        let left = usize::try_from(budget.saturating_sub(passed)).unwrap();
        (length.min(left), length >= left)
    }
}

pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            changed: Condvar::new(),
            open: Mutex::new(Vec::new()),
            target,
            cuts: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            doubled: AtomicUsize::new(0),
            dice: AtomicU64::new(1),
            ended: AtomicUsize::new(0),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::Acquire) > 0 {
                    return;
                }
                if let Ok(client) = client {
                    accepting.connect(client);
                }
            }
        });
        Self { shared, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for connections that are open too.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        self.shared.changed.notify_all();
    }

    /// Cuts what is open.
    pub(crate) fn cut(&self) {
        for (client, server) in self.shared.open.lock().unwrap().drain(..) {
            drop(client.shutdown(Shutdown::Both));
            drop(server.shutdown(Shutdown::Both));
            self.shared.cuts.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Connections that it has cut.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::Acquire)
    }

    /// Connections whose beginning came twice.
    pub(crate) fn doubled(&self) -> usize {
        self.shared.doubled.load(Ordering::Acquire)
    }

    /// Connections that it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Acquire)
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::AcqRel);
        let Ok(server) = TcpStream::connect(self.target) else { return };
        drop(client.set_nodelay(true));
        drop(server.set_nodelay(true));
        let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
        if let (Ok(client3), Ok(server3)) = (client.try_clone(), server.try_clone()) {
            let mut open = self.open.lock().unwrap();
            open.retain(|(client, _)| client.peer_addr().is_ok());
            open.push((client3, server3));
        }
        let doubled = AtomicBool::new(matches!(*self.fault.lock().unwrap(), Fault::DoubledWithin(_)));
        let cut = AtomicBool::new(false);
        let life = Arc::new(Life { dice: self.roll(), doubled, passed: AtomicU64::new(0), cut });
        for (from, to) in [(client, server2), (server, client2)] {
            let shared = self.clone();
            let life = life.clone();
            thread::spawn(move || shared.copy(from, to, &life));
        }
    }

    /// SplitMix64: how many bytes a connection is given.
    fn roll(&self) -> u64 {
        let mut z = self.dice.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::AcqRel);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, life: &Life) {
        let mut chunk = [0; 4096];
        while let Ok(mut length @ 1..) = from.read(&mut chunk) {
            let mut last = false;
            match self.patience(length) {
                Fault::HalfOpen => continue,
                Fault::CutWithin(most) | Fault::DoubledWithin(most) => {
                    (length, last) = life.spend(length, most);
                }
                Fault::None | Fault::Stall | Fault::Slow(_) => {}
            }
            // The client speaks first, so these are its first bytes.
            let double = life.doubled.swap(false, Ordering::AcqRel);
            if double && life.dice.is_multiple_of(2) {
                self.double(&chunk[..length]);
            }
            if to.write_all(&chunk[..length]).is_err() {
                break;
            }
            if double && !life.dice.is_multiple_of(2) {
                self.double(&chunk[..length]);
            }
            if last {
                let first = !life.cut.swap(true, Ordering::AcqRel);
                self.cuts.fetch_add(usize::from(first), Ordering::AcqRel);
                break;
            }
        }
        drop(from.shutdown(Shutdown::Both));
        drop(to.shutdown(Shutdown::Both));
    }

    /// The same beginning on a connection of its own, to the first answer.
    fn double(&self, bytes: &[u8]) {
        let Ok(mut ghost) = TcpStream::connect(self.target) else { return };
        self.doubled.fetch_add(1, Ordering::AcqRel);
        drop(ghost.write_all(bytes));
        drop(ghost.set_read_timeout(Some(Duration::from_millis(200))));
        drop(ghost.read(&mut [0; 4096]));
    }

    /// Waits as the fault says; the fault of now.
    fn patience(&self, bytes: usize) -> Fault {
        let fault = self.fault.lock().unwrap();
        match *fault {
            Fault::Stall => *self.changed.wait_while(fault, |fault| *fault == Fault::Stall).unwrap(),
            Fault::Slow(rate) => {
                let span = Duration::from_micros(bytes as u64 * 1_000_000 / rate);
                let slow = |now: &mut Fault| *now == Fault::Slow(rate);
                *self.changed.wait_timeout_while(fault, span, slow).unwrap().0
            }
            fault => fault,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(1, Ordering::Release);
        self.set(Fault::None);
        self.cut();
        drop(TcpStream::connect(self.address));
    }
}
