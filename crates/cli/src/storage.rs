//! The directory of the data.
//!
//! In:    where it is, and how large it may get; requests through its socket.
//! Out:   the opened log, and copies of it.
//! Never: a log that is too small for the largest packet that is let in.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use dunlin_engine::JOURNAL_PARTITIONS;
use dunlin_runtime::Observer;
use dunlin_store::{DirDisk, Options, Store, SyncPolicy};
use serde_json::Value;
use tracing::warn;

use crate::access::live;
use crate::config::Config;
use crate::control::Control;
use crate::failure::Failure;
use crate::start::Entrance;
use crate::{backup, identity, journal};

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

/// Answers whoever may open the directory's socket, until it is dropped; `None` where it cannot be made, as in a directory
/// whose name is too long for one. `running`: who answers about the server, once it runs.
pub(crate) fn listen(
    directory: &Path,
    store: &Arc<Store<DirDisk>>,
    entrance: Option<Arc<Entrance>>,
    running: &Arc<OnceLock<Observer>>,
) -> Option<Control> {
    let (store, running) = (Arc::clone(store), Arc::clone(running));
    let started = |running: &OnceLock<Observer>| {
        running.get().cloned().ok_or_else(|| "the broker is starting; try again".to_owned())
    };
    let answer = move |request: &str, arguments: &Value| match request {
        "backup" => backup::perform(&store, arguments),
        identity::READ_AGAIN | identity::PATHS => identity::answer(request, entrance.as_deref()),
        live::REQUEST => live::answer(&started(&running)?, arguments),
        other => Err(format!("there is no request {other:?}")),
    };
    let listening = Control::listen(directory, answer);
    if let Err(error) = &listening {
        warn!(target: "dunlin::journal", %error, "no control socket: backups can be made only after the end");
    }
    listening.ok()
}
