//! `dunlin sessions`

use clap::{Args, Subcommand};
use dunlin_admin::{Asker, Session, quoted};

use super::page::Extent;
use super::place::Where;
use super::table::{plain, span};
use crate::failure::Failure;
use crate::say;

/// `dunlin sessions`
#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List sessions
    List(List),
    /// The session of one client
    Show {
        /// Client identifier
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Where,
    },
    /// End the session of a client, and its connection: what waits for it is dropped
    End {
        /// Client identifier
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        broker: Where,
    },
}

/// `dunlin sessions list`
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those whose client identifier begins so
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prefix: Option<String>,
    /// Only those begun by this user name
    #[arg(long, value_name = "NAME")]
    of_user: Option<String>,
    /// Only those whose client is connected
    #[arg(long, conflicts_with = "disconnected")]
    connected: bool,
    /// Only those whose client is not
    #[arg(long)]
    disconnected: bool,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    broker: Where,
}

impl Sessions {
    /// Does it.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::Show { id, json, broker } => show(&broker.asker()?, id, *json),
            Self::End { id, broker } => {
                broker.asker()?.delete(&format!("/api/v1/sessions/{}", quoted(id)))?;
                say::line(&format!("dunlin: the session of {} has ended\n", plain(id)));
                Ok(())
            }
        }
    }
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let connected = if self.connected { Some("true") } else { self.disconnected.then_some("false") };
        let parameters =
            [("prefix", self.prefix.as_deref()), ("user", self.of_user.as_deref()), ("connected", connected)];
        let heads =
            ["CLIENT", "CONNECTED", "ENDS IN", "ON DISK", "SUBSCRIPTIONS", "QUEUED", "BYTES", "IN FLIGHT"];
        self.extent.print::<Session>(&self.broker.asker()?, "sessions", &parameters, &heads, cells)
    }
}

fn cells(session: &Session) -> Vec<String> {
    vec![
        session.client_id.clone(),
        connected(session),
        ends(session),
        if session.durable { "yes" } else { "no" }.to_owned(),
        session.subscriptions.to_string(),
        session.queued_messages.to_string(),
        session.queued_bytes.to_string(),
        session.in_flight.to_string(),
    ]
}

fn connected(session: &Session) -> String {
    session.disconnected_seconds.map_or_else(|| "yes".to_owned(), |since| format!("{} ago", span(since)))
}

fn ends(session: &Session) -> String {
    match session.ends_in_seconds {
        Some(seconds) => span(seconds),
        None if session.connected => "-".to_owned(),
        None => "never".to_owned(),
    }
}

fn show(asker: &Asker, id: &str, is_json: bool) -> Result<(), Failure> {
    let session: Session = asker.get(&format!("/api/v1/sessions/{}", quoted(id)))?;
    if is_json {
        say::line(&format!("{}\n", serde_json::to_string_pretty(&session).unwrap_or_default()));
        return Ok(());
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}  {}\n", plain(&value)));
    line("client", session.client_id.clone());
    line("user", session.user.clone().unwrap_or_else(|| "-".to_owned()));
    line("connected", connected(&session));
    line("ends in", ends(&session));
    line("on disk", if session.durable { "yes" } else { "no" }.to_owned());
    line("will", if session.will { "yes" } else { "no" }.to_owned());
    line("subscriptions", session.subscriptions.to_string());
    line("queued", format!("{} messages, {} bytes", session.queued_messages, session.queued_bytes));
    line("in flight", session.in_flight.to_string());
    line("receiving", session.receiving.to_string());
    say::line(&text);
    Ok(())
}
