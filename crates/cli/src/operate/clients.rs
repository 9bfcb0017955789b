//! `dunlin clients`

use std::net::IpAddr;

use clap::{Args, Subcommand};
use dunlin_admin::{self as admin, Asker, Client, quoted};

use super::page::Extent;
use super::place::Where;
use super::subscriptions;
use super::table::{plain, span};
use crate::failure::Failure;
use crate::say;

/// `dunlin clients`
#[derive(Debug, Subcommand)]
pub(crate) enum Clients {
    /// List clients with a connection or a session
    List(List),
    /// What the broker knows of one client
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
    /// What a client has subscribed to
    Subscriptions {
        /// Client identifier
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        broker: Where,
    },
    /// What is in flight to a client, and what waits for it
    Messages {
        /// Client identifier
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        broker: Where,
    },
    /// Close the connection of a client; it may come again at once
    Disconnect {
        /// Client identifier
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        broker: Where,
    },
}

/// `dunlin clients list`
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those whose client identifier begins so
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prefix: Option<String>,
    /// Only those connected from this address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Only those let in by this user name
    #[arg(long, value_name = "NAME")]
    of_user: Option<String>,
    /// Only those with a connection
    #[arg(long, conflicts_with = "disconnected")]
    connected: bool,
    /// Only those without one
    #[arg(long)]
    disconnected: bool,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    broker: Where,
}

impl Clients {
    /// Does it.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::Show { id, json, broker } => show(&broker.asker()?, id, *json),
            Self::Subscriptions { id, extent, broker } => {
                let path = format!("clients/{}/subscriptions", quoted(id));
                subscriptions::print(extent, &broker.asker()?, &path, &[])
            }
            Self::Messages { id, extent, broker } => messages(extent, &broker.asker()?, id),
            Self::Disconnect { id, broker } => {
                broker.asker()?.delete(&format!("/api/v1/clients/{}/connection", quoted(id)))?;
                say::line(&format!("dunlin: {} disconnected\n", plain(id)));
                Ok(())
            }
        }
    }
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let address = self.address.map(|address| address.to_string());
        let connected = if self.connected { Some("true") } else { self.disconnected.then_some("false") };
        let parameters = [
            ("prefix", self.prefix.as_deref()),
            ("address", address.as_deref()),
            ("user", self.of_user.as_deref()),
            ("connected", connected),
        ];
        let heads =
            ["CLIENT", "USER", "ADDRESS", "VERSION", "CONNECTED", "SUBSCRIPTIONS", "QUEUED", "IN FLIGHT"];
        let asker = self.broker.asker()?;
        self.extent.print::<Client>(&asker, "clients", &parameters, &heads, cells)
    }
}

fn cells(client: &Client) -> Vec<String> {
    let connection = client.connection.as_ref();
    let dash = || "-".to_owned();
    vec![
        client.client_id.clone(),
        client.user.clone().unwrap_or_else(dash),
        connection
            .map_or_else(dash, |connection| connection.address.clone().unwrap_or_else(|| "unix".to_owned())),
        connection.map_or_else(dash, |connection| connection.version.clone()),
        connection.map_or_else(|| "no".to_owned(), |connection| span(connection.connected_seconds)),
        client.subscriptions.to_string(),
        client.queued_messages.to_string(),
        client.in_flight.to_string(),
    ]
}

fn messages(extent: &Extent, asker: &Asker, id: &str) -> Result<(), Failure> {
    let heads = ["STATE", "QOS", "BYTES", "ON DISK", "TOPIC"];
    let path = format!("clients/{}/messages", quoted(id));
    extent.print::<admin::Waiting>(asker, &path, &[], &heads, |message| {
        vec![
            message.standing.clone(),
            message.qos.to_string(),
            message.payload_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            if message.durable { "yes" } else { "no" }.to_owned(),
            message.topic.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    })
}

fn show(asker: &Asker, id: &str, is_json: bool) -> Result<(), Failure> {
    let client: Client = asker.get(&format!("/api/v1/clients/{}", quoted(id)))?;
    if is_json {
        say::line(&format!("{}\n", serde_json::to_string_pretty(&client).unwrap_or_default()));
        return Ok(());
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<20}  {}\n", plain(&value)));
    line("client", client.client_id);
    line("user", client.user.unwrap_or_else(|| "-".to_owned()));
    match &client.connection {
        Some(connection) => {
            line("connected", format!("for {}", span(connection.connected_seconds)));
            line("address", connection.address.clone().unwrap_or_else(|| "unix".to_owned()));
            line("listener", connection.listener.clone());
            line("version", connection.version.clone());
            line("last packet", format!("{} ago", span(connection.silent_seconds)));
            line("keep alive", format!("{} s", connection.keep_alive_seconds));
            line("receive maximum", connection.receive_maximum.to_string());
            line("maximum packet size", format!("{} bytes", connection.maximum_packet_size));
            line("read", if connection.paused { "not at the moment" } else { "yes" }.to_owned());
        }
        None => line("connected", format!("no, since {}", span(client.disconnected_seconds.unwrap_or(0)))),
    }
    let expiry = client.session_expiry_seconds.map_or_else(|| "never".to_owned(), span);
    line("session expiry", if expiry == "0s" { "with the connection".to_owned() } else { expiry });
    line("session on disk", if client.durable { "yes" } else { "no" }.to_owned());
    line("will", if client.will { "yes" } else { "no" }.to_owned());
    line("subscriptions", client.subscriptions.to_string());
    line("queued", format!("{} messages, {} bytes", client.queued_messages, client.queued_bytes));
    line("in flight", client.in_flight.to_string());
    line("receiving", client.receiving.to_string());
    line("rules broken", client.rules_broken.to_string());
    say::line(&text);
    Ok(())
}
