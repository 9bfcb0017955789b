//! What an operator asks an engine, and has it do: beside the events, from [`crate::Engine`]'s runtime between two of them.
//!
//! In:    questions with a bound and a place to go on from.
//! Out:   plain data that borrows nothing; the effects of what is to be done.
//! Never: a look at more than some thousand Sessions, Subscriptions or messages at once, however many there are: an answer
//!        may end before it is full, and says where the next begins. Of one Session all Subscriptions are looked at, which
//!        `limits.subscriptions_per_client` bounds.

mod clients;
mod messages;
mod publish;
mod retained;
mod routes;
mod subscriptions;

pub use clients::{ClientFilter, ClientPage, ClientRow, ConnectionRow};
pub use messages::{MessageRow, Standing};
pub use publish::{NotPublished, OperatorMessage};
pub use retained::{LevelRow, RetainedPage, RetainedRow};
pub use routes::RouteRow;
pub use subscriptions::{GroupRow, SubscriberPage, SubscriptionPage, SubscriptionRow};

/// Sessions, Subscriptions or messages that one question looks at: some hundred microseconds.
const STEPS: usize = 4096;
