//! `dunlin subscriptions`

use clap::Args;
use dunlin_admin::{Asker, Subscriber, Subscription};

use super::page::Extent;
use super::place::Where;
use crate::failure::Failure;

/// `dunlin subscriptions`
#[derive(Debug, Args)]
pub(crate) struct Subscriptions {
    /// Only those to this topic filter, byte for byte
    #[arg(long, value_name = "FILTER", conflicts_with = "topic")]
    filter: Option<String>,
    /// Only those that a message of this topic is for; shared groups with it
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    broker: Where,
}

impl Subscriptions {
    /// Does it.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let parameters = [("filter", self.filter.as_deref()), ("topic", self.topic.as_deref())];
        print(&self.extent, &self.broker.asker()?, "subscriptions", &parameters)
    }
}

/// Prints the Subscriptions of a target.
///
/// # Errors
/// As [`Extent::print`].
pub(super) fn print(
    extent: &Extent,
    asker: &Asker,
    path: &str,
    parameters: &[(&str, Option<&str>)],
) -> Result<(), Failure> {
    let heads = ["CLIENT", "FILTER", "QOS", "OPTIONS"];
    extent.print::<Subscriber>(asker, path, parameters, &heads, cells)
}

fn cells(row: &Subscriber) -> Vec<String> {
    match row {
        Subscriber::One(subscription) => vec![
            subscription.client_id.clone(),
            subscription.filter.clone(),
            subscription.qos.to_string(),
            options(subscription),
        ],
        Subscriber::Group(group) => {
            let members = format!(
                "{} of {} members connected, {} messages wait",
                group.connected, group.members, group.waiting_messages
            );
            vec!["(group)".to_owned(), group.filter.clone(), "-".to_owned(), members]
        }
    }
}

fn options(subscription: &Subscription) -> String {
    let identifier = subscription.identifier.map(|identifier| format!("identifier {identifier}"));
    let words = [
        subscription.no_local.then(|| "no local".to_owned()),
        subscription.retain_as_published.then(|| "retain as published".to_owned()),
        (subscription.retain_handling != "send").then(|| subscription.retain_handling.replace('_', " ")),
        subscription.filtered.then(|| "filtered by rules".to_owned()),
        identifier,
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}
