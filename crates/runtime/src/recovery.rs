//! From the log to engines, at the start.
//!
//! In:    an opened log.
//! Out:   engines that know everything that was safe when the last process ended.
//! Never: a start that fails for damage: what cannot be read is left out and said.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use dunlin_engine::{Effects, Engine, Event, JOURNAL_PARTITIONS, JournalLive, Settings, ShardId, ShardMap};
use dunlin_store::{Entry, Journal, PartitionId, ReadError, RecordNumber};
use tracing::{info, warn};

use crate::clock;
use crate::journal::{Log, claim_all};
use crate::server::StartError;

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
    let (mut records, mut lost) = (0_u64, 0_u64);
    let home = |partition: u16| map.home_of_log(partition).index();
    for partition in Engine::RESTORED_FIRST..JOURNAL_PARTITIONS {
        let engine = &mut shards[home(partition)].engine;
        let read = journal.replay(PartitionId(partition), RecordNumber(0), &mut |entry| {
            restore(engine, partition, entry, &mut records, &mut lost);
            ControlFlow::Continue(())
        });
        read.map_err(unreadable)?;
    }
    for partition in 0..Engine::RESTORED_FIRST {
        match journal.load(PartitionId(partition)) {
            Ok(None) => {}
            Ok(Some(checkpoint)) => {
                let engine = &mut shards[home(partition)].engine;
                engine.restore_checkpoint(partition, checkpoint.upto.0, &checkpoint.state);
            }
            Err(error) => {
                warn!(target: "dunlin::journal", partition, %error, "a checkpoint cannot be read; what only it knew is lost");
            }
        }
    }
    let from = |PartitionId(partition): PartitionId| {
        RecordNumber(if partition < Engine::RESTORED_FIRST { 0 } else { u64::MAX })
    };
    let read = journal.replay_all(&from, &mut |PartitionId(partition), entry| {
        if partition < Engine::RESTORED_FIRST {
            restore(&mut shards[home(partition)].engine, partition, entry, &mut records, &mut lost);
        }
    });
    read.map_err(unreadable)?;
    let unreadable = finish(map, &mut shards, &**journal, &writers)?;
    exchange_mail(map, &mut shards);
    // What was replayed may have been in the page cache only.
    journal.sync().map_err(|shortage| StartError::Journal(format!("it cannot be written ({shortage:?})")))?;
    if lost + unreadable > 0 {
        warn!(target: "dunlin::journal", lost, unreadable, "records of the log are damaged");
    }
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(target: "dunlin::journal", records, millis, "the log was read");
    Ok((shards, Some(Log::new(Arc::clone(journal), writers, map.count(), settings.writes()))))
}

fn restore(engine: &mut Engine, partition: u16, entry: Entry<'_>, records: &mut u64, lost: &mut u64) {
    match entry {
        Entry::Record { number, bytes } => {
            *records += 1;
            engine.restore_record(partition, number.0, bytes);
        }
        Entry::Lost { from, to } => *lost += to.0 - from.0,
    }
}

/// Tells every engine that it has seen all, and the log what counts.
fn finish(
    map: ShardMap,
    shards: &mut [Prepared],
    journal: &dyn Journal,
    writers: &[dunlin_store::Writer],
) -> Result<u64, StartError> {
    let mut unreadable = 0;
    for (shard, Prepared { engine, effects }) in map.iter().zip(shards) {
        let mine = (0..JOURNAL_PARTITIONS).filter(|partition| map.home_of_log(*partition) == shard);
        let next: Vec<(u16, u64)> =
            mine.map(|partition| (partition, journal.bounds(PartitionId(partition)).next.0)).collect();
        let (live, damaged) = engine.restored(clock::now(), &next, effects);
        unreadable += damaged;
        for (JournalLive { partition, records }, (_, next)) in live.into_iter().zip(next) {
            let writer = writers[usize::from(partition)];
            let mut records = records.into_iter().map(RecordNumber);
            journal
                .retain(writer, RecordNumber(next), &mut records)
                .map_err(|error| StartError::Journal(error.to_string()))?;
        }
    }
    Ok(unreadable)
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

fn unreadable(error: ReadError) -> StartError {
    StartError::Journal(error.to_string())
}
