//! The thread that reads from the log for all shards, and listens to what the log has to say.
//!
//! In:    requests of shards.
//! Out:   records, in their inboxes; checkpoints that are safe; lines of the log.
//! Never: a shard that waits for a disk; a message given up, or a Session held up behind another's, because the disk does not answer.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use dunlin_engine::{ReadToken, ShardId};
use dunlin_store::{Notice, PartitionId, ReadError, RecordNumber};
use tracing::{debug, error, warn};

use crate::post::Item;
use crate::shard::Shared;

/// How often the log is asked for notices.
const LISTEN: Duration = Duration::from_millis(100);
/// When a device that did not answer is asked again; each time twice as long, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Between two lines that say the same.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What a shard wants to have read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) shard: ShardId,
    pub(crate) token: ReadToken,
    pub(crate) partition: u16,
    pub(crate) records: Vec<(u32, u64)>,
}

/// Makes the channel to the thread.
pub(crate) fn desk() -> (Sender<Request>, Receiver<Request>) {
    channel()
}

/// Works until the last shard has gone.
pub(crate) fn work(shared: &Arc<Shared>, requests: &Receiver<Request>) {
    let Some(log) = shared.log.get() else { return };
    let read = |partition: u16, number: u64, into: &mut Vec<u8>| {
        log.journal.read(PartitionId(partition), RecordNumber(number), into)
    };
    let mut held = Held(Vec::new());
    let mut said = Said::default();
    loop {
        let job = match requests.recv_timeout(held.due().map_or(LISTEN, |due| due.min(LISTEN))) {
            Ok(Request { shard, token, partition, records }) => {
                Some(Job::new((shard, token), partition, records))
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for ((shard, token), records) in held.go_on(job, Instant::now(), &read) {
            shared.post.push(shard, Item::Read { token, records });
        }
        for notice in log.journal.notices() {
            tell(shared, &mut said, notice);
        }
    }
}

/// Records as they were asked for, each `None` where it is lost.
type Records = Vec<(u32, Option<Vec<u8>>)>;

/// What is to be read for somebody, and what was.
#[derive(Debug)]
struct Job<T> {
    whom: T,
    partition: u16,
    numbers: Vec<(u32, u64)>,
    read: Records,
    /// When it is tried again, and how long after that.
    again: Option<(Instant, Duration)>,
}

/// Requests that the device did not answer, each of one Session.
#[derive(Debug)]
struct Held<T>(Vec<Job<T>>);

impl<T> Held<T> {
    /// How long until one is to be tried again.
    fn due(&self) -> Option<Duration> {
        let next = self.0.iter().filter_map(|job| job.again).map(|(at, _)| at).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Reads for a new request and for those whose time has come. Those that have all they asked for.
    fn go_on(
        &mut self,
        new: Option<Job<T>>,
        now: Instant,
        read: &impl Fn(u16, u64, &mut Vec<u8>) -> Result<(), ReadError>,
    ) -> Vec<(T, Records)> {
        let is_due = |job: &mut Job<T>| job.again.is_none_or(|(at, _)| at <= now);
        let due: Vec<Job<T>> = new.into_iter().chain(self.0.extract_if(.., is_due)).collect();
        let mut done = Vec::new();
        for mut job in due {
            match job.go_on(read) {
                Ok(()) => done.push((job.whom, job.read)),
                Err(cause) => {
                    job.put_off(now, cause);
                    self.0.push(job);
                }
            }
        }
        done
    }
}

impl<T> Job<T> {
    const fn new(whom: T, partition: u16, numbers: Vec<(u32, u64)>) -> Self {
        Self { whom, partition, numbers, read: Vec::new(), again: None }
    }

    /// Reads what it does not have, as far as the device answers.
    fn go_on(
        &mut self,
        read: &impl Fn(u16, u64, &mut Vec<u8>) -> Result<(), ReadError>,
    ) -> Result<(), io::ErrorKind> {
        let partition = self.partition;
        while let Some((seq, number)) = self.numbers.get(self.read.len()).copied() {
            let mut bytes = Vec::new();
            let found = match read(partition, number, &mut bytes) {
                Ok(()) => Some(bytes),
                Err(ReadError::Io(cause)) => return Err(cause),
                // Mostly acknowledged meanwhile, and released; or not taken by a full log yet. The engine knows, and counts what it misses.
                Err(ReadError::Absent) => {
                    debug!(target: "dunlin::journal", partition, number, "a message that was to be read back is not there");
                    None
                }
                Err(error) => {
                    error!(target: "dunlin::journal", partition, number, %error, "a message cannot be read back");
                    None
                }
            };
            self.read.push((seq, found));
        }
        Ok(())
    }

    /// The device did not answer: it may do so later, and until then the Session waits.
    fn put_off(&mut self, now: Instant, cause: io::ErrorKind) {
        let (least, most) = PAUSE;
        let pause = self.again.map_or(least, |(_, pause)| (pause * 2).min(most));
        if self.again.is_none() {
            let partition = self.partition;
            error!(target: "dunlin::journal", partition, ?cause, "the disk does not give back messages: their session waits");
        }
        self.again = Some((now + pause, pause));
    }
}

/// What was said last of housekeeping that fails again and again.
#[derive(Debug, Default)]
struct Said(Option<(&'static str, io::ErrorKind, Instant)>);

impl Said {
    /// Is it something new, or was it long ago?
    fn is_news(&mut self, chore: &'static str, cause: io::ErrorKind, now: Instant) -> bool {
        let is_same = |(of, why, at): (&str, io::ErrorKind, Instant)| {
            of == chore && why == cause && now.saturating_duration_since(at) < SAY_EVERY
        };
        let is_news = !self.0.is_some_and(is_same);
        if is_news {
            self.0 = Some((chore, cause, now));
        }
        is_news
    }
}

fn tell(shared: &Shared, said: &mut Said, notice: Notice) {
    match notice {
        Notice::Checkpointed { partition, upto } => {
            let home = shared.post.map().home_of_log(partition.0);
            shared.post.push(home, Item::Checkpointed { partition: partition.0, upto: upto.0 });
        }
        Notice::Damage { .. } | Notice::Missing { .. } | Notice::ManifestRebuilt => {
            error!(target: "dunlin::journal", ?notice, "the log is damaged");
        }
        // A full disk is tried ten times a second.
        Notice::ChoreFailed { chore, cause } if !said.is_news(chore, cause, Instant::now()) => {}
        notice => warn!(target: "dunlin::journal", ?notice, "the log says"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(partition: u16, numbers: &[u64]) -> Job<u16> {
        Job::new(partition, partition, (0..).zip(numbers.iter().copied()).collect())
    }

    fn found(done: Vec<(u16, Records)>) -> Vec<(u16, Vec<Option<Vec<u8>>>)> {
        let bytes = |read: Records| read.into_iter().map(|(_, bytes)| bytes).collect();
        done.into_iter().map(|(whom, read)| (whom, bytes(read))).collect()
    }

    /// A device that fails in one place, however long, holds up one Session, and nothing is taken for damaged.
    #[test]
    fn a_device_that_does_not_answer_holds_up_one_request_and_loses_nothing() {
        let failing = std::cell::Cell::new(true);
        let read = |partition: u16, number: u64, into: &mut Vec<u8>| match (partition, number) {
            (1, 2) if failing.get() => Err(ReadError::Io(io::ErrorKind::TimedOut)),
            (_, 3) => Err(ReadError::Lost),
            (_, number) => {
                into.push(u8::try_from(number).unwrap());
                Ok(())
            }
        };
        let (mut held, mut now) = (Held(Vec::new()), Instant::now());
        assert!(held.go_on(Some(job(1, &[1, 2, 3])), now, &read).is_empty());
        assert_eq!(found(held.go_on(Some(job(2, &[2])), now, &read)), [(2, vec![Some(vec![2])])]);
        for _ in 0..100 {
            now += PAUSE.1;
            assert!(held.go_on(None, now, &read).is_empty());
        }
        failing.set(false);
        assert!(held.go_on(None, now, &read).is_empty(), "its time has not come");
        let done = held.go_on(None, now + PAUSE.1, &read);
        assert_eq!(found(done), [(1, vec![Some(vec![1]), Some(vec![2]), None])]);
        assert!(held.due().is_none());
    }

    #[test]
    fn what_fails_ten_times_a_second_is_said_once_a_minute() {
        let (mut said, now) = (Said::default(), Instant::now());
        assert!(said.is_news("a", io::ErrorKind::StorageFull, now));
        assert!(!said.is_news("a", io::ErrorKind::StorageFull, now + Duration::from_secs(59)));
        assert!(said.is_news("a", io::ErrorKind::TimedOut, now + Duration::from_secs(59)));
        assert!(said.is_news("a", io::ErrorKind::TimedOut, now + Duration::from_secs(120)));
    }
}
