//! What the shards' ledgers say.

use std::time::Duration;

use dunlin_engine::{Decision, Findings, Question, Watch, What};

use super::World;

impl World {
    /// What each shard knows.
    pub(crate) fn explain(&self, client: &str, topic: &str) -> Vec<Findings> {
        let question = Question { client: client.into(), topic: topic.into() };
        self.engines.iter().map(|engine| engine.explain(self.now, &question)).collect()
    }

    /// What became of messages of the topic for the Client, the oldest first.
    pub(crate) fn decisions(&self, client: &str, topic: &str) -> Vec<Decision> {
        let findings = self.explain(client, topic);
        let mut decisions: Vec<_> = findings.into_iter().flat_map(|found| found.decisions).collect();
        decisions.reverse();
        decisions.sort_by_key(|told| told.at);
        decisions
    }

    pub(crate) fn decided(&self, client: &str, topic: &str) -> Vec<What> {
        self.decisions(client, topic).into_iter().map(|told| told.what).collect()
    }

    pub(crate) fn watch(&mut self, client: Option<&str>, filter: Option<&str>, seconds: u64) {
        let until = self.now.after(Duration::from_secs(seconds));
        for engine in &mut self.engines {
            let watch = Watch { client: client.map(Box::from), filter: filter.map(Box::from), until };
            assert!(engine.watch(self.now, watch));
        }
    }
}
