//! `dunlin journal repair`

use clap::Args;
use dunlin_engine::JOURNAL_PARTITIONS;
use dunlin_store::{DirDisk, repair};
use serde_json::json;

use super::{JournalError, Place, keys, locate, notice};
use crate::say;

/// `dunlin journal repair`
#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    place: Place,
    /// Do it: what is damaged leaves the journal for quarantine/ in its directory
    #[arg(long)]
    yes: bool,
}

impl Repair {
    /// Whether no damage is left.
    pub(crate) fn run(&self) -> Result<bool, JournalError> {
        if !self.yes {
            let well = super::check::run(&self.place)?;
            if !well {
                say::complaint(
                    "dunlin: nothing was changed; --yes repairs. Make a copy of the directory before\n",
                );
            }
            return Ok(well);
        }
        let directory = locate(&self.place.directory);
        let keys = keys(self.place.keys.as_deref())?;
        let disk = DirDisk::existing(&directory)
            .map_err(|error| JournalError::Directory { directory: directory.clone(), error })?;
        let done = repair(&disk, keys, JOURNAL_PARTITIONS)
            .map_err(|error| JournalError::Open { directory: directory.clone(), error })?;
        for finding in &done.findings {
            say::line(&if self.place.json {
                format!("{}\n", notice::value(finding))
            } else {
                format!("{}\n", notice::text(finding))
            });
        }
        let repaired = done.findings.iter().filter(|finding| finding.is_damage()).count();
        say::line(&if self.place.json {
            format!("{}\n", json!({"kind": "total", "repaired": repaired, "left": done.left}))
        } else if done.left.is_empty() {
            format!(
                "{repaired} places repaired; the damaged bytes are in {}\n",
                directory.join("quarantine").display()
            )
        } else {
            format!("{} files are still damaged: {}\n", done.left.len(), done.left.join(", "))
        });
        Ok(done.left.is_empty())
    }
}
