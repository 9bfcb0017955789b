//! Between an engine and the log: what happened goes there, and comes back at the next start.
//!
//! In:    batches of an engine; how far the log has come.
//! Out:   records in order; what the engine is to be told.
//! Never: a wait, a clock. The runtime and the simulator both do it with this.

mod reader;
mod scribe;

pub use reader::{Reader, RestoreError, claim_all};
pub use scribe::{Desk, News, Scribe};
