//! The durable log: a port, and segments in files behind it.
//!
//! In:    records of up to 256 logical partitions that share one log, so that one sync covers them all.
//! Out:   record numbers, tickets of durability, records; notices of damage.
//! Never: MQTT. What the records mean is the owner's business.
//!
//! [`Journal`] is the port. [`Store`] is the log with its threads, [`Log`] the state machine inside, which a
//! simulation drives step by step over a [`SimDisk`](sim_disk::SimDisk). [`conformance`] is what any
//! implementation of the port has to pass. The bytes are in docs/journal-format.md.

mod backup;
mod batch;
mod checkpoint;
mod chore;
mod chunk;
mod commit;
mod compact;
pub mod conformance;
mod crypt;
mod dir_disk;
mod disk;
mod index;
mod log;
mod manifest;
mod offline;
mod open;
mod overlay;
mod port;
mod read;
mod recover;
mod replay;
mod scan;
mod segment;
mod sheet;
pub mod sim_disk;
mod store;
mod wire;

pub use backup::{Backup, BackupError, Restored, restore};
pub use chore::{Chore, Finished};
pub use commit::{Commit, Committed, Unsynced};
pub use crypt::{Keyring, MasterKey, random_bytes};
pub use dir_disk::DirDisk;
pub use disk::{Disk, DiskFile};
pub use log::{Log, OpenError, Options, Stat, SyncPolicy};
pub use offline::{CheckpointFigures, Finding, Offline, Repaired, SegmentFigures, repair};
pub use overlay::{Overlay, OverlayFile};
pub use port::{
    AppendError, Appended, Bounds, Checkpoint, Entry, Epoch, Journal, Notice, PartitionId, Progress, Purpose,
    ReadError, RecordNumber, Shortage, Ticket, Watch, Writer,
};
pub use sheet::FORMAT;
pub use store::Store;
