//! `dunlin journal check`

use serde_json::json;

use super::{JournalError, Place, notice};
use crate::say;

/// Whether nothing is damaged.
pub(crate) fn run(place: &Place) -> Result<bool, JournalError> {
    let mut offline = place.open()?;
    let records = offline.check().map_err(|error| place.unreadable(error))?;
    let mut damaged = 0;
    for finding in offline.findings() {
        damaged += u64::from(finding.is_damage());
        say::line(&if place.json {
            format!("{}\n", notice::value(finding))
        } else {
            format!("{}\n", notice::text(finding))
        });
    }
    let segments = offline.segments().len();
    say::line(&if place.json {
        format!(
            "{}\n",
            json!({"kind": "total", "records": records, "segments": segments, "damaged": damaged})
        )
    } else if damaged == 0 {
        format!("{records} records in {segments} segments, all whole\n")
    } else {
        format!(
            "{records} records in {segments} segments are whole; {damaged} places are damaged.\n\
             The broker starts all the same, without what is lost; `dunlin journal repair` moves it out of the way\n"
        )
    });
    Ok(damaged == 0)
}
