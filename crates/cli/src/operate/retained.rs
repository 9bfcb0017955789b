//! `dunlin retained`

use std::io::{self, Write};

use clap::Subcommand;
use dunlin_admin::{self as admin, Asker, quoted};

use super::page::Extent;
use super::place::Where;
use super::table::{plain, span};
use crate::failure::Failure;
use crate::say;

/// Characters of a payload in a table.
const SHOWN: usize = 48;

/// `dunlin retained`
#[derive(Debug, Subcommand)]
pub(crate) enum Retained {
    /// List retained messages, in the order of their topics
    List {
        /// Only those of topics that this filter matches
        #[arg(value_name = "FILTER", default_value = "#")]
        filter: String,
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        broker: Where,
    },
    /// Print the payload of one
    Show {
        /// Topic name
        #[arg(value_name = "TOPIC")]
        topic: String,
        /// All of the message, as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Where,
    },
    /// Take one away; whoever has subscribed is told
    Delete {
        /// Topic name
        #[arg(value_name = "TOPIC")]
        topic: String,
        #[command(flatten)]
        broker: Where,
    },
}

impl Retained {
    /// Does it.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List { filter, extent, broker } => {
                let heads = ["TOPIC", "QOS", "BYTES", "EXPIRES IN", "PAYLOAD"];
                let parameters = [("filter", Some(filter.as_str()))];
                extent.print::<admin::Retained>(&broker.asker()?, "retained", &parameters, &heads, cells)
            }
            Self::Show { topic, json, broker } => show(&broker.asker()?, topic, *json),
            Self::Delete { topic, broker } => {
                broker.asker()?.delete(&target(topic))?;
                say::line(&format!("dunlin: {} has no retained message any more\n", plain(topic)));
                Ok(())
            }
        }
    }
}

fn target(topic: &str) -> String {
    format!("/api/v1/retained/message?topic={}", quoted(topic))
}

fn cells(message: &admin::Retained) -> Vec<String> {
    let payload = message.payload.as_deref().or(message.payload_base64.as_deref()).unwrap_or_default();
    let mut shown: String = payload.chars().take(SHOWN).collect();
    if shown.len() < payload.len() || message.shortened {
        shown.push_str("...");
    }
    vec![
        message.topic.clone(),
        message.qos.to_string(),
        message.payload_bytes.to_string(),
        message.expires_in_seconds.map_or_else(|| "-".to_owned(), span),
        shown,
    ]
}

fn show(asker: &Asker, topic: &str, is_json: bool) -> Result<(), Failure> {
    let message: admin::Retained = asker.get(&target(topic))?;
    if is_json {
        say::line(&format!("{}\n", serde_json::to_string_pretty(&message).unwrap_or_default()));
        return Ok(());
    }
    // As it is, so that it can be piped on.
    io::stdout().lock().write_all(&message.bytes()).map_err(Failure::Output)
}
