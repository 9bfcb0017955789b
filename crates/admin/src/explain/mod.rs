//! Why did this Client get, or not get, a message: asked of every shard, answered once, in words.
//!
//! In:    a Client Identifier and a topic; what the shards' ledgers say; the access rules, where there are any.
//! Out:   one verdict: what happened, by which rule or setting and its value, and what to change.
//! Never: a guess told as a fact: where nothing was recorded, the answer says what it concludes from.

mod answer;
mod lost;
mod matching;
mod picture;
mod verdict;
mod when;
mod words;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dunlin_engine::{Identity, Question, Time, Watch};
use dunlin_runtime::Observer;

pub use answer::{Answer, Cause, Evidence, Outcome};
pub use when::{parse, show};

use picture::Picture;
use verdict::Judge;

/// A shard answers at once, but for one that is busy with a long piece of work.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Client Identifier.
    pub client: String,
    /// Topic Name.
    pub topic: String,
    /// About when it was published; `None`: the last message.
    pub at: Option<SystemTime>,
}

/// What a Client needs a right for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To publish to the topic.
    Publish,
    /// To subscribe to the filter.
    Subscribe,
    /// To be sent messages of the topic.
    Receive,
}

/// Whoever knows the access rules as they are now.
pub trait Rules: Send + Sync {
    /// Which rule decides, with its file and line; `None` where nobody knows. The first is: is it allowed?
    fn decide(&self, identity: &Identity, right: Right, topic: &str) -> Option<(bool, String)>;
}

/// There are no rules.
#[derive(Clone, Copy, Debug)]
pub struct NoRules;

impl Rules for NoRules {
    fn decide(&self, _: &Identity, _: Right, _: &str) -> Option<(bool, String)> {
        None
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No Topic Name: empty, or with a wildcard.
    #[error("a topic name is asked about, which has no wildcard and is not empty")]
    Topic,
    /// The Server is ending, or a shard did not answer in time.
    #[error("the broker does not answer")]
    Silent,
    /// Sixty-four at a time.
    #[error("too many watches are going on: wait until one ends")]
    Watches,
}

/// Asks all shards, and puts together what they say.
///
/// # Errors
/// [`ExplainError`].
pub fn explain(observer: &Observer, asked: &Asked, rules: &dyn Rules) -> Result<Answer, ExplainError> {
    if asked.topic.is_empty() || asked.topic.contains(['+', '#', '\0']) {
        return Err(ExplainError::Topic);
    }
    let question = Question { client: asked.client.as_str().into(), topic: asked.topic.as_str().into() };
    let receivers: Vec<_> = (0..observer.shards())
        .map(|shard| {
            let question = question.clone();
            observer.visit(shard, move |engine, now, _| engine.explain(now, &question))
        })
        .collect();
    let findings: Result<Vec<_>, _> =
        receivers.into_iter().map(|receiver| receiver.recv_timeout(PATIENCE)).collect();
    let findings = findings.map_err(|_| ExplainError::Silent)?;
    let mut picture = Picture::new(findings, SystemTime::now(), asked).ok_or(ExplainError::Silent)?;
    let publisher = picture.published().first().map(|told| told.client.clone());
    if let Some(publisher) = publisher.filter(|name| **name != *asked.client) {
        picture.publisher = identity(observer, &publisher);
    }
    Ok(Judge { picture: &picture, rules }.judge())
}

/// Whom a Client was recognised as.
fn identity(observer: &Observer, client: &str) -> Option<Arc<Identity>> {
    let receivers: Vec<_> = (0..observer.shards())
        .map(|shard| {
            let client = Box::<str>::from(client);
            observer.visit(shard, move |engine, _, _| engine.identity_of(&client))
        })
        .collect();
    receivers.into_iter().find_map(|receiver| receiver.recv_timeout(PATIENCE).ok().flatten())
}

/// Has every shard keep everything about a Client (what it publishes and is sent) and the topics of a filter, for some time.
///
/// # Errors
/// [`ExplainError`].
pub fn watch(
    observer: &Observer,
    client: Option<&str>,
    filter: Option<&str>,
    duration: Duration,
) -> Result<(), ExplainError> {
    let receivers: Vec<_> = (0..observer.shards())
        .map(|shard| {
            let (client, filter) = (client.map(Box::from), filter.map(Box::from));
            observer.visit(shard, move |engine, now: Time, _| {
                engine.watch(now, Watch { client, filter, until: now.after(duration) })
            })
        })
        .collect();
    for receiver in receivers {
        if !receiver.recv_timeout(PATIENCE).map_err(|_| ExplainError::Silent)? {
            return Err(ExplainError::Watches);
        }
    }
    Ok(())
}
