//! `dunlin journal dump`

use std::io::{self, BufWriter, Write};

use clap::Args;
use dunlin_store::{Entry, PartitionId};
use serde_json::json;

use super::escape::{escaped, hex};
use super::{Decoder, JournalError, Place};

/// `dunlin journal dump`
#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[command(flatten)]
    place: Place,
    /// Only the records of this partition, in their order
    #[arg(long, value_name = "N")]
    partition: Option<u16>,
    /// Only records from this number on
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Bytes of a record that are shown
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    bytes: usize,
}

impl Dump {
    /// Whether nothing was lost.
    pub(crate) fn run(&self, decode: Decoder) -> Result<bool, JournalError> {
        let offline = self.place.open()?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut lost = false;
        // A reader that has gone (`| head`) is no fault; there is nobody left to write for.
        let mut open = true;
        let mut print = |partition: PartitionId, entry: Entry<'_>| {
            lost |= matches!(entry, Entry::Lost { .. });
            if open && is_wanted(&entry, self.from) {
                let line = if self.place.json {
                    self.json(partition, &entry, decode)
                } else {
                    self.text(partition, &entry, decode)
                };
                open = writeln!(out, "{line}").is_ok();
            }
        };
        let read = offline.records(self.partition.map(PartitionId), &mut print);
        let _ = out.flush();
        read.map_err(|error| self.place.unreadable(error))?;
        Ok(!lost)
    }

    fn text(&self, partition: PartitionId, entry: &Entry<'_>, decode: Decoder) -> String {
        match entry {
            Entry::Record { number, bytes } => {
                let meaning = decode(bytes).unwrap_or_else(|| {
                    let more = if bytes.len() > self.bytes { "..." } else { "" };
                    format!("\"{}\"{more}", escaped(&bytes[..bytes.len().min(self.bytes)]))
                });
                format!("{}:{} {} bytes {meaning}", partition.0, number.0, bytes.len())
            }
            Entry::Lost { from, to } => format!("{}:{} to {} LOST", partition.0, from.0, to.0 - 1),
        }
    }

    fn json(&self, partition: PartitionId, entry: &Entry<'_>, decode: Decoder) -> String {
        match entry {
            Entry::Record { number, bytes } => json!({
                "partition": partition.0, "record": number.0, "length": bytes.len(),
                "bytes": hex(&bytes[..bytes.len().min(self.bytes)]), "meaning": decode(bytes),
            }),
            Entry::Lost { from, to } => {
                json!({"partition": partition.0, "lost_from": from.0, "lost_to": to.0})
            }
        }
        .to_string()
    }
}

fn is_wanted(entry: &Entry<'_>, from: u64) -> bool {
    match entry {
        Entry::Record { number, .. } => number.0 >= from,
        Entry::Lost { to, .. } => to.0 > from,
    }
}
