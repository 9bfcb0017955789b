//! From the log to engines, at the start.
//!
//! In:    an opened log.
//! Out:   engines that know everything that was safe when the last process ended.
//! Never: a start that fails for damage, or for want of room: what cannot be read is left out and said.

use std::sync::Arc;
use std::time::Instant;

use dunlin_engine::{Effects, Engine, Event, Settings, ShardId, ShardMap};
use dunlin_scribe::{Desk, Reader, claim_all};
use dunlin_store::{Journal, Shortage, Writer};
use tracing::{info, warn};

use crate::clock;
use crate::journal::Log;
use crate::server::StartError;

/// Threads that read the log at most: each goes through all of it.
const READERS_MAXIMUM: usize = 8;

/// An engine, and what it wanted done before it was given to its shard.
pub(crate) struct Prepared {
    pub(crate) engine: Engine,
    pub(crate) effects: Effects,
}

/// New engines, with all that the log has.
pub(crate) fn prepare(
    map: ShardMap,
    settings: &Arc<Settings>,
    seed: u64,
    journal: Option<&Arc<dyn Journal>>,
) -> Result<(Vec<Prepared>, Option<Log>), StartError> {
    let engine = |shard| Engine::new(shard, map, Arc::clone(settings), seed, journal.is_some());
    let mut shards: Vec<Prepared> =
        map.iter().map(|shard| Prepared { engine: engine(shard), effects: Effects::new(map) }).collect();
    let Some(journal) = journal else { return Ok((shards, None)) };
    let began = Instant::now();
    let writers = claim_all(&**journal).map_err(|error| StartError::Journal(error.to_string()))?;
    let read = read(&mut shards, &**journal, &writers)?;
    exchange_mail(map, &mut shards);
    make_safe(&**journal)?;
    let Figures { records, lost, unreadable } = read;
    if lost + unreadable > 0 {
        warn!(target: "dunlin::journal", lost, unreadable, "records of the log are damaged");
    }
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(target: "dunlin::journal", records, millis, "the log was read");
    Ok((shards, Some(Log::new(Arc::clone(journal), writers, map.count(), settings.writes()))))
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    records: u64,
    lost: u64,
    unreadable: u64,
}

impl Figures {
    const fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            lost: self.lost + other.lost,
            unreadable: self.unreadable + other.unreadable,
        }
    }
}

/// Each shard reads what is at home there, several at a time.
fn read(shards: &mut [Prepared], journal: &dyn Journal, writers: &[Writer]) -> Result<Figures, StartError> {
    let share = shards.len().div_ceil(READERS_MAXIMUM.min(shards.len()).max(1)).max(1);
    let read_share = |shards: &mut [Prepared]| -> Result<Figures, StartError> {
        shards.iter_mut().try_fold(Figures::default(), |sum, Prepared { engine, effects }| {
            let mut reader = Reader::new(Desk { journal, writers });
            let restored = engine.restore_from(clock::now(), &mut reader, effects);
            let unreadable = restored.map_err(|error| StartError::Journal(error.to_string()))?;
            for (partition, error) in reader.checkpoints_lost {
                warn!(target: "dunlin::journal", partition, %error, "a checkpoint cannot be read; what only it knew is lost");
            }
            Ok(sum.plus(Figures { records: reader.records, lost: reader.lost, unreadable }))
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            shards.chunks_mut(share).map(|shards| scope.spawn(|| read_share(shards))).collect();
        threads.into_iter().try_fold(Figures::default(), |sum, thread| match thread.join() {
            Ok(figures) => Ok(sum.plus(figures?)),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// What was replayed may have been in the page cache only.
fn make_safe(journal: &dyn Journal) -> Result<(), StartError> {
    match journal.sync() {
        Ok(_) => Ok(()),
        Err(shortage @ (Shortage::NoSpace | Shortage::Quota)) => {
            // Whoever comes to fetch what fills it makes room. What nobody was told of may go with the power until then.
            warn!(target: "dunlin::journal", ?shortage, "the log has no room: what would need it is refused");
            Ok(())
        }
        Err(shortage) => Err(StartError::Journal(format!("it cannot be written ({shortage:?})"))),
    }
}

/// Carries the letters of all engines until there are none: before a Client is let in, every shard must know what the Sessions of the
/// others want.
fn exchange_mail(map: ShardMap, shards: &mut [Prepared]) {
    let mut is_quiet = false;
    while !is_quiet {
        is_quiet = true;
        for from in map.iter() {
            let receivers: Vec<ShardId> = shards[from.index()].effects.mail.receivers().collect();
            for to in receivers {
                is_quiet = false;
                let mut bag = shards[from.index()].effects.mail.take(to);
                handle(&mut shards[from.index()], Event::MailTaken { to });
                handle(&mut shards[to.index()], Event::Mail { from, bag: &mut bag });
            }
        }
    }
}

fn handle(shard: &mut Prepared, event: Event<'_>) {
    shard.engine.handle(clock::now(), event, &mut shard.effects);
}
