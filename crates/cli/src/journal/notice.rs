//! What was found in a journal, in words and as JSON.

use dunlin_store::{Finding, Notice, PartitionId, RecordNumber};
use serde_json::{Value, json};

use super::escape::{escaped, hex};

/// Bytes of what is damaged that a line shows.
const SHOWN: usize = 64;

/// A line for people.
pub(crate) fn text(finding: &Finding) -> String {
    match &finding.notice {
        Notice::TornTail { file, offset, length } => format!(
            "note: {file} at {offset}: {length} bytes of a write that was not finished; nobody was told that it was"
        ),
        Notice::Damage { file, offset, length, quarantined, partition, number } => {
            let mut line =
                format!("DAMAGE: {file} at {offset}: {length} bytes, {}", whose(*partition, *number));
            if !finding.bytes.is_empty() {
                line += &format!(
                    ", starting with \"{}\"",
                    escaped(&finding.bytes[..finding.bytes.len().min(SHOWN)])
                );
            }
            if quarantined.is_none() {
                line += ", of which no copy could be made";
            }
            line
        }
        Notice::Missing { partition, from, to } => {
            format!("DAMAGE: records {} to {} of partition {} are missing", from.0, to.0 - 1, partition.0)
        }
        Notice::ManifestRebuilt => {
            "DAMAGE: both copies of the manifest; it can be made again from the segments".to_owned()
        }
        Notice::Foreign { file } => format!("note: {file} does not belong to this journal; it is left alone"),
        other => format!("note: {other:?}"),
    }
}

fn whose(partition: Option<PartitionId>, number: Option<RecordNumber>) -> String {
    match (partition, number) {
        (Some(partition), Some(number)) => format!("record {} of partition {}", number.0, partition.0),
        (Some(partition), None) => format!("of partition {}", partition.0),
        _ => "of which nothing can be told".to_owned(),
    }
}

/// For programs.
pub(crate) fn value(finding: &Finding) -> Value {
    let mut value = match &finding.notice {
        Notice::TornTail { file, offset, length } => {
            json!({"kind": "torn_tail", "file": file, "offset": offset, "length": length})
        }
        Notice::Damage { file, offset, length, quarantined, partition, number } => json!({
            "kind": "damage", "file": file, "offset": offset, "length": length, "quarantined": quarantined,
            "partition": partition.map(|partition| partition.0), "record": number.map(|number| number.0),
            "bytes": hex(&finding.bytes),
        }),
        Notice::Missing { partition, from, to } => {
            json!({"kind": "missing", "partition": partition.0, "from": from.0, "to": to.0})
        }
        Notice::ManifestRebuilt => json!({"kind": "manifest"}),
        Notice::Foreign { file } => json!({"kind": "foreign", "file": file}),
        other => json!({"kind": "other", "text": format!("{other:?}")}),
    };
    value["is_damage"] = json!(finding.is_damage());
    value
}
