//! The threads on which attempts are judged: few, with a queue that ends.
//!
//! In:    jobs, each with the address that it is for.
//! Out:   each is run once, in the order in which they came; or refused at once.
//! Never: more waiting jobs than the bound; nor more for one address than a quarter of it, so that one address cannot
//!        keep all others out.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

type Job = Box<dyn FnOnce() + Send>;

/// Worker threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// No room in the queue: for this address, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts wait for authentication")]
pub struct Busy;

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    waiting_maximum: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Option<IpAddr>, Job)>,
    /// How many wait for each address; no more entries than jobs.
    waiting: HashMap<IpAddr, usize>,
    closed: bool,
}

impl Pool {
    /// Starts `threads` workers (at least one), before whom `waiting_maximum` jobs may wait. An argon2id hash costs 33 ms:
    /// a thread gets through some 30 log-ins a second, and holds 19 MiB while it does.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(threads: usize, waiting_maximum: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), waiting_maximum });
        let mut pool = Self { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = pool.shared.clone();
            let name = format!("login-{number}");
            pool.threads.push(thread::Builder::new().name(name).spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// Has a job run. Jobs without an address have no share to exceed.
    ///
    /// # Errors
    /// [`Busy`]: the job is dropped.
    pub fn submit(&self, address: Option<IpAddr>, job: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let mut queue = self.shared.lock();
        if queue.jobs.len() >= self.shared.waiting_maximum {
            return Err(Busy);
        }
        if let Some(address) = address {
            let waiting = queue.waiting.entry(address).or_default();
            if *waiting >= self.shared.waiting_maximum.div_ceil(4) {
                return Err(Busy);
            }
            *waiting += 1;
        }
        queue.jobs.push_back((address, Box::new(job)));
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// How many jobs wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().jobs.len()
    }
}

impl Drop for Pool {
    /// Drops what waits, and ends when the jobs under way have.
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some((address, job)) = queue.jobs.pop_front() {
                if let Some(address) = address {
                    queue.leave(address);
                }
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn leave(&mut self, address: IpAddr) {
        if let Some(waiting) = self.waiting.get_mut(&address) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    fn address(host: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, host]))
    }

    /// A pool whose one worker is held until the sender sends.
    fn held(waiting: usize) -> (Pool, Sender<()>) {
        let pool = Pool::start(1, waiting).unwrap();
        let (release, held) = channel::<()>();
        let (started, has_started) = channel();
        pool.submit(None, move || {
            started.send(()).unwrap();
            let _ = held.recv();
        })
        .unwrap();
        has_started.recv().unwrap();
        (pool, release)
    }

    fn job(done: &Sender<u8>, number: u8) -> impl FnOnce() + Send + 'static {
        let done = done.clone();
        move || done.send(number).unwrap()
    }

    fn drain(done: Sender<u8>, ran: &Receiver<u8>) -> Vec<u8> {
        drop(done);
        ran.iter().collect()
    }

    #[test]
    fn jobs_run_in_order() {
        let (pool, release) = held(8);
        let (done, ran) = channel();
        for number in 0..4 {
            pool.submit(address(number), job(&done, number)).unwrap();
        }

        release.send(()).unwrap();

        assert_eq!(drain(done, &ran), [0, 1, 2, 3]);
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_at_once() {
        let (pool, release) = held(4);
        let (done, ran) = channel();
        for host in 0..4 {
            pool.submit(address(host), job(&done, host)).unwrap();
        }

        assert_eq!(pool.submit(address(9), job(&done, 9)), Err(Busy));
        assert_eq!(pool.submit(None, job(&done, 9)), Err(Busy));

        release.send(()).unwrap();
        assert_eq!(drain(done, &ran), [0, 1, 2, 3]);
    }

    #[test]
    fn one_address_fills_a_quarter_of_the_queue() {
        let (pool, release) = held(8);
        let (done, ran) = channel();
        pool.submit(address(1), job(&done, 1)).unwrap();
        pool.submit(address(1), job(&done, 2)).unwrap();

        assert_eq!(pool.submit(address(1), job(&done, 3)), Err(Busy));
        pool.submit(address(2), job(&done, 4)).unwrap();

        release.send(()).unwrap();
        assert_eq!(drain(done, &ran), [1, 2, 4]);
        assert!(pool.shared.lock().waiting.is_empty());
    }

    #[test]
    fn a_pool_that_ends_drops_what_waits() {
        let (pool, release) = held(8);
        let (done, ran) = channel();
        pool.submit(None, job(&done, 1)).unwrap();
        let shared = pool.shared.clone();
        let ending = thread::spawn(move || drop(pool));
        let mut queue = shared.lock();
        while !queue.closed {
            drop(queue);
            thread::yield_now();
            queue = shared.lock();
        }
        drop(queue);

        release.send(()).unwrap();

        ending.join().unwrap();
        assert!(drain(done, &ran).is_empty());
    }
}
