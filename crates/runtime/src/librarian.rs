//! The thread that reads from the log for all shards, and listens to what the log has to say.
//!
//! In:    requests of shards.
//! Out:   records, in their inboxes; checkpoints that are safe; lines of the log.
//! Never: a shard that waits for a disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use dunlin_engine::{ReadToken, ShardId};
use dunlin_store::{Journal, Notice, PartitionId, ReadError, RecordNumber};
use tracing::{error, warn};

use crate::post::Item;
use crate::shard::Shared;

/// How often the log is asked for notices.
const LISTEN: Duration = Duration::from_millis(100);
/// How often a device that does not answer is asked again, and how long in between.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

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
    loop {
        match requests.recv_timeout(LISTEN) {
            Ok(Request { shard, token, partition, records }) => {
                let read = |(seq, number): (u32, u64)| (seq, read(&*log.journal, partition, number));
                let records = records.into_iter().map(read).collect();
                shared.post.push(shard, Item::Read { token, records });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for notice in log.journal.notices() {
            tell(shared, notice);
        }
    }
}

fn read(journal: &dyn Journal, partition: u16, number: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for _ in 0..TRIES {
        match journal.read(PartitionId(partition), RecordNumber(number), &mut bytes) {
            Ok(()) => return Some(bytes),
            Err(ReadError::Io(_)) => std::thread::park_timeout(PAUSE),
            Err(error) => {
                error!(target: "dunlin::journal", partition, number, %error, "a message cannot be read back");
                return None;
            }
        }
    }
    error!(target: "dunlin::journal", partition, number, "the disk does not give back a message");
    None
}

fn tell(shared: &Shared, notice: Notice) {
    match notice {
        Notice::Checkpointed { partition, upto } => {
            let home = shared.post.map().home_of_log(partition.0);
            shared.post.push(home, Item::Checkpointed { partition: partition.0, upto: upto.0 });
        }
        Notice::Damage { .. } | Notice::Missing { .. } | Notice::ManifestRebuilt => {
            error!(target: "dunlin::journal", ?notice, "the log is damaged");
        }
        notice => warn!(target: "dunlin::journal", ?notice, "the log says"),
    }
}
