//! `dunlin topics`

use clap::Subcommand;
use dunlin_admin::{self as admin};

use super::page::Extent;
use super::place::Where;
use crate::failure::Failure;

/// `dunlin topics`
#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// List the levels below a topic that lead to retained messages
    List {
        /// The topic; without it, the first levels
        #[arg(value_name = "TOPIC")]
        parent: Option<String>,
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        broker: Where,
    },
    /// List topics that were published to lately, and how many get their messages
    Published {
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        broker: Where,
    },
}

impl Topics {
    /// Does it.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List { parent, extent, broker } => {
                let heads = ["TOPIC", "RETAINED", "DEEPER"];
                let parameters = [("parent", parent.as_deref())];
                let word = |is: bool| if is { "yes" } else { "-" }.to_owned();
                let cells = |topic: &admin::Topic| {
                    vec![topic.topic.clone(), word(topic.retained), word(topic.deeper)]
                };
                extent.print::<admin::Topic>(&broker.asker()?, "topics", &parameters, &heads, cells)
            }
            Self::Published { extent, broker } => {
                let heads = ["TOPIC", "SHARD", "SESSIONS", "GROUPS", "OTHER SHARDS"];
                let cells = |topic: &admin::PublishedTopic| {
                    let numbers = [topic.shard, topic.sessions, topic.groups, topic.shards];
                    [topic.topic.clone()]
                        .into_iter()
                        .chain(numbers.map(|number| number.to_string()))
                        .collect()
                };
                extent.print::<admin::PublishedTopic>(
                    &broker.asker()?,
                    "topics/published",
                    &[],
                    &heads,
                    cells,
                )
            }
        }
    }
}
