//! `dunlin journal stat`

use std::collections::BTreeMap;
use std::fmt::Write;

use dunlin_store::SegmentFigures;
use serde_json::json;

use super::{JournalError, Place};
use crate::say;

/// Always well.
pub(crate) fn run(place: &Place) -> Result<bool, JournalError> {
    let offline = place.open()?;
    let (segments, checkpoints) = (offline.segments(), offline.checkpoints());
    let partitions = offline.partitions();
    let sum = |figure: fn(&SegmentFigures) -> u64| segments.iter().map(figure).sum::<u64>();
    let (length, used) = (sum(|s| s.length), sum(|s| s.used));
    let (records, bytes) = (sum(|s| s.live_records), sum(|s| s.live_bytes));
    let mut keys: BTreeMap<Option<u32>, u64> = BTreeMap::new();
    for key in segments.iter().map(|s| s.key).chain(checkpoints.iter().map(|c| c.key)) {
        *keys.entry(key).or_default() += 1;
    }
    let states: u64 = checkpoints.iter().filter_map(|checkpoint| checkpoint.bytes).sum();
    if place.json {
        let files: Vec<_> = segments.iter().map(segment).collect();
        let keys: Vec<_> = keys.iter().map(|(key, files)| json!({"key": key, "files": files})).collect();
        let value = json!({
            "segments": files, "bytes": length, "used_bytes": used, "records": records, "record_bytes": bytes,
            "partitions": partitions.len(), "checkpoints": checkpoints.len(), "checkpoint_bytes": states,
            "quarantined_bytes": offline.quarantined(), "keys": keys,
        });
        say::line(&format!("{value}\n"));
        return Ok(true);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "segments      {} of {length} bytes, {used} used", segments.len());
    let _ = writeln!(out, "records       {records} that may be alive, about {bytes} bytes");
    let _ = writeln!(out, "partitions    {} with records", partitions.len());
    let _ = writeln!(out, "checkpoints   {} of {states} bytes", checkpoints.len());
    let _ = writeln!(out, "quarantine    {} bytes", offline.quarantined());
    for (key, files) in keys {
        let _ = match key {
            Some(key) => writeln!(out, "key {key:<9} seals {files} files"),
            None => writeln!(out, "no key        {files} files are not encrypted"),
        };
    }
    for checkpoint in checkpoints.iter().filter(|checkpoint| checkpoint.bytes.is_none()) {
        let _ = writeln!(out, "DAMAGE: the checkpoint of partition {}", checkpoint.partition.0);
    }
    for segment in &segments {
        let SegmentFigures { file, id, used, live_records, live_bytes, .. } = segment;
        let kind = if segment.copied { "copied" } else { "fresh" };
        let _ = writeln!(
            out,
            "  {file} life {id}, {kind}: {used} bytes used, {live_records} records of about {live_bytes} bytes"
        );
    }
    say::line(&out);
    Ok(true)
}

fn segment(segment: &SegmentFigures) -> serde_json::Value {
    json!({
        "file": segment.file, "life": segment.id, "copied": segment.copied, "key": segment.key,
        "bytes": segment.length, "used_bytes": segment.used, "records": segment.live_records,
        "record_bytes": segment.live_bytes,
    })
}
