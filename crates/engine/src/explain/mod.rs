//! Why a message did, or did not, come to a Client: the ledger of decisions, and questions about it.
//!
//! In:    decisions of the engine where they are made; questions, between two events.
//! Out:   what this shard knows about a Client and a topic. Whoever asks puts together what all shards say.
//! Never: a clock, or a cost worth naming for a message that nobody asks about.

mod entry;
mod ledger;
mod near;
mod note;
mod question;
mod ring;
mod text;

pub use entry::{Decision, SessionEnd, What};
pub use ledger::Watch;
pub(crate) use ledger::{Ledger, Seen};
pub use near::{Difference, Gap, gap};
pub use question::{
    Findings, GroupFound, Question, Reach, RetainedFound, SessionFound, SubscriptionFound, TopicFound,
    WillFound,
};
