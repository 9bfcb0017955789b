//! Why did this Client get, or not get, a message: asked of every shard, answered once, in words.
//!
//! In:    a Client Identifier and a topic; what the shards' ledgers say; the access rules, where there are any.
//! Out:   one verdict: what happened, by which rule or setting and its value, and what to change.
//! Never: a guess told as a fact: where nothing was recorded, the answer says what it concludes from.

mod answer;
mod lost;
mod matching;
mod picture;
mod route;
mod verdict;
mod watch;
mod when;
mod words;

use std::sync::Arc;
use std::time::SystemTime;

use dunlin_engine::{Identity, Question};
use tokio::task::spawn_blocking;

use crate::broker::Broker;
use crate::problem::Problem;
use crate::router::Api;

pub use answer::{Answer, Cause, Evidence, Outcome};
pub(crate) use route::routes;
pub use when::{parse, show};

use picture::Picture;
use verdict::Judge;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    /// Client Identifier.
    client: String,
    /// Topic Name.
    topic: String,
    /// About when it was published; `None`: the last message.
    at: Option<SystemTime>,
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

/// Asks all shards, and puts together what they say.
///
/// # Errors
/// When the Server is ending, or a shard does not answer.
async fn explain(api: &Arc<Api>, asked: &Asked) -> Result<Answer, Problem> {
    let question = Question { client: asked.client.as_str().into(), topic: asked.topic.as_str().into() };
    let findings = api.broker.ask_all(move |engine, now, _| engine.explain(now, &question)).await?;
    let picture = Picture::new(findings, SystemTime::now(), asked);
    let mut picture = picture.ok_or_else(|| Problem::unavailable("the broker is ending"))?;
    let publisher = picture.published().first().map(|told| told.client.clone());
    if let Some(publisher) = publisher.filter(|name| **name != *asked.client) {
        picture.publisher = identity(&api.broker, publisher).await?;
    }
    let host = Arc::clone(&api.host);
    // The rules lie in a file.
    let judged = spawn_blocking(move || Judge { picture: &picture, rules: &*host }.judge()).await;
    judged.map_err(|_| Problem::unavailable("no verdict can be made"))
}

/// Whom a Client was recognised as.
async fn identity(broker: &Broker, client: Box<str>) -> Result<Option<Arc<Identity>>, Problem> {
    let known = broker.ask_all(move |engine, _, _| engine.identity_of(&client)).await?;
    Ok(known.into_iter().flatten().next())
}
