//! The directory of the data.
//!
//! In:    where it is, and how large it may get.
//! Out:   the opened log.
//! Never: a log that is too small for the largest packet that is let in.

use std::path::Path;
use std::sync::Arc;

use dunlin_engine::JOURNAL_PARTITIONS;
use dunlin_store::{DirDisk, Options, Store, SyncPolicy};

use crate::config::Config;
use crate::failure::Failure;
use crate::journal;

/// Bytes of a record beside its packet: names, numbers, a thousand targets.
const BESIDE_PACKET: u64 = 256 * 1024;

/// Opens or makes it. `syncs`: something has to survive the end of the machine.
///
/// # Errors
/// When the directory cannot be used, is in use, was written by a newer version, or cannot hold what is configured.
pub(crate) fn open(directory: &Path, config: &Config, syncs: bool) -> Result<Arc<Store<DirDisk>>, Failure> {
    let quota = if config.storage.quota_bytes == 0 { u64::MAX } else { config.storage.quota_bytes };
    let options = Options {
        partitions: JOURNAL_PARTITIONS,
        segment_size: config.storage.segment_bytes,
        quota,
        sync: if syncs { SyncPolicy::Always } else { SyncPolicy::Never },
        keys: journal::keys(config.storage.key_file.as_deref())?,
        ..Options::default()
    };
    let packet = u64::from(config.limits.maximum_packet_size.get());
    let most = options.append_max().saturating_sub(BESIDE_PACKET);
    if packet > most {
        return Err(Failure::Segment { packet, segment: options.segment_size, most });
    }
    let path = journal::home(directory);
    let failed = |why: String| Failure::Data { path: path.clone(), why };
    let disk = DirDisk::new(&path).map_err(|error| failed(error.to_string()))?;
    let store = Store::open(disk, options).map_err(|error| {
        let source =
            std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
        failed(format!("{error}{source}"))
    })?;
    Ok(Arc::new(store))
}
