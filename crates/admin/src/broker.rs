//! The running Server, asked shard by shard.
//!
//! In:    questions for the engine of a shard.
//! Out:   their answers, or that there is none.
//! Never: a wait that keeps other requests from being served; one that lasts longer than five seconds.

use std::time::Duration;

use dunlin_engine::{Effects, Engine, Partition, ShardId, ShardMap, Time};
use dunlin_runtime::Observer;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::problem::Problem;

/// A shard answers between two events: if it takes this long, the Server is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The engines behind an [`Observer`].
#[derive(Clone, Debug)]
pub(crate) struct Broker(Observer);

impl Broker {
    pub(crate) const fn new(observer: Observer) -> Self {
        Self(observer)
    }

    /// For whoever may block.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.0
    }

    /// Where its shards are.
    ///
    /// # Errors
    /// When the Server has ended: 503.
    pub(crate) fn map(&self) -> Result<ShardMap, Problem> {
        ShardMap::new(self.0.shards()).ok_or_else(ended)
    }

    /// The shard that a Client's Session lives in.
    ///
    /// # Errors
    /// When the Server has ended: 503.
    pub(crate) fn home_of_client(&self, client_id: &str) -> Result<ShardId, Problem> {
        Ok(self.map()?.home(Partition::of_client(client_id)))
    }

    /// Has the shard's engine answer between two events. It looks at some thousand things at most; whoever wants more asks again.
    ///
    /// # Errors
    /// When the Server has ended, or the shard does not answer: 503.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        shard: ShardId,
        question: impl FnOnce(&mut Engine, Time, &mut Effects) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        waited(shard, self.put(shard, question)).await
    }

    /// The same of every shard at once; the answers in the order of the shards.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn ask_all<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine, Time, &mut Effects) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Problem> {
        let asked: Vec<_> =
            self.map()?.iter().map(|shard| (shard, self.put(shard, question.clone()))).collect();
        let mut answers = Vec::with_capacity(asked.len());
        for (shard, answered) in asked {
            answers.push(waited(shard, answered).await?);
        }
        Ok(answers)
    }

    fn put<T: Send + 'static>(
        &self,
        shard: ShardId,
        question: impl FnOnce(&mut Engine, Time, &mut Effects) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        // What the Observer gives back is of use to who may block.
        drop(self.0.visit(shard.index(), move |engine, now, effects| {
            // Whoever asked may have gone.
            let _ = answer.send(question(engine, now, effects));
        }));
        answered
    }
}

async fn waited<T>(shard: ShardId, answered: oneshot::Receiver<T>) -> Result<T, Problem> {
    match timeout(PATIENCE, answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(ended()),
        Err(_) => {
            let (shard, patience) = (shard.index(), PATIENCE.as_secs());
            Err(Problem::unavailable(format!("shard {shard} has not answered for {patience} seconds")))
        }
    }
}

fn ended() -> Problem {
    Problem::unavailable("the broker is ending")
}
