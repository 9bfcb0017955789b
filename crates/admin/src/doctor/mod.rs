//! The doctor of Clients: from how they behave to what should be changed, and what that would save.
//!
//! In:    facts that the engines count; how listeners are reached.
//! Out:   findings, each with its evidence.
//! Never: the time of a shard but for looking facts up; a payload in what it says.

mod examine;
mod finding;
mod judge;
mod report;
mod route;
mod shrink;
mod topics;

pub use examine::{Doorway, Unanswered, Wanted, examine};
pub use finding::{Check, Finding, Saving, Severity};
pub use judge::Wire;
pub use report::Report;
pub(crate) use route::routes;
