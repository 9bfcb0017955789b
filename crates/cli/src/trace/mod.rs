//! `dunlin trace`: packets of a running broker while they pass.
//!
//! In:    which packets; the stream of the operator's API.
//! Out:   a line for each, JSON for programs, or a file for Wireshark.
//! Never: a control character of a Client on the terminal; a secret that was not asked for.

mod frames;
mod line;
mod pcapng;

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use dunlin_admin::quoted;
use serde_json::Value;

use crate::failure::Failure;
use crate::operate::Where;
use crate::say;
use pcapng::Capture;

pub(crate) const HELP: &str = "\
Examples:
  dunlin trace --client pump-7
      Everything between one client and the broker.
  dunlin trace --topic 'site/+/alarm' --packet-type PUBLISH --json
      Messages of some topics, a JSON object each.
  dunlin trace --address 192.0.2.0/24 --for 60 --pcapng trace.pcapng
      A minute of a network, for Wireshark.

Passwords, authentication data and what looks like a token are written over with asterisks.";

/// `dunlin trace`
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Only of clients with this identifier, in which * stands for any characters; may be repeated
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    client: Vec<String>,
    /// Only messages of topics that match, with what acknowledges them, and subscriptions to them; may be repeated
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    topic: Vec<String>,
    /// Only of clients at this address, or of this network (10.0.0.0/8); may be repeated
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Only packets of this type (CONNECT, PUBLISH, ...); may be repeated
    #[arg(long, value_name = "TYPE")]
    packet_type: Vec<String>,
    /// End after so many packets
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u32>,
    /// Show as many bytes of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    payload_bytes: u32,
    /// Leave passwords, authentication data and tokens readable; for administrators
    #[arg(long)]
    secrets: bool,
    /// A JSON object on a line for each packet
    #[arg(long)]
    json: bool,
    /// Write a capture for Wireshark instead; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pcapng: Option<PathBuf>,
    #[command(flatten)]
    broker: Where,
}

impl Trace {
    /// Does it.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no; where the capture cannot be written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut sink = self.sink()?;
        let asker = self.broker.asker()?;
        let mut left = self.count.unwrap_or(u64::MAX);
        let mut failed = None;
        let followed = asker.follow(&self.target(), |kind, data| {
            let Ok(event) = serde_json::from_str::<Value>(data) else { return ControlFlow::Continue(()) };
            let taken = match kind {
                "packet" => sink.packet(&event, data),
                "lost" => {
                    let count = &event["lost"];
                    say::complaint(&format!("dunlin: {count} packets came faster than they were read\n"));
                    Ok(())
                }
                "begin" => {
                    say::complaint("dunlin: tracing\n");
                    Ok(())
                }
                "end" => return ControlFlow::Break(()),
                _ => Ok(()),
            };
            left = left.saturating_sub(u64::from(kind == "packet"));
            if let Err(error) = taken {
                failed = Some(error);
            }
            if left == 0 || failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        followed?;
        match failed {
            // Whoever reads has had enough.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Ask(format!("the trace cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn sink(&self) -> Result<Sink, Failure> {
        let Some(path) = &self.pcapng else {
            return Ok(if self.json { Sink::Json } else { Sink::Lines });
        };
        let failed = |error: io::Error| Failure::Ask(format!("{}: {error}", path.display()));
        let out: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(io::stdout())
        } else {
            Box::new(File::create(path).map_err(failed)?)
        };
        Ok(Sink::Capture(Box::new(Capture::begin(out).map_err(failed)?)))
    }

    fn target(&self) -> String {
        let mut target = format!("/api/v1/trace?payload_bytes={}", self.payload_bytes);
        for (name, values) in [
            ("client", &self.client),
            ("topic", &self.topic),
            ("address", &self.address),
            ("packet_type", &self.packet_type),
        ] {
            for value in values {
                target.push_str(&format!("&{name}={}", quoted(value)));
            }
        }
        if self.secrets {
            target.push_str("&secrets=true");
        }
        if self.pcapng.is_some() {
            target.push_str("&packets=true");
        }
        if let Some(seconds) = self.seconds {
            target.push_str(&format!("&seconds={}", Duration::from_secs(seconds.into()).as_secs()));
        }
        target
    }
}

/// Where packets go.
enum Sink {
    Lines,
    Json,
    Capture(Box<Capture>),
}

impl Sink {
    fn packet(&mut self, event: &Value, text: &str) -> io::Result<()> {
        match self {
            Self::Lines => put(&line::line(event)),
            Self::Json => put(text),
            Self::Capture(capture) => capture.packet(event),
        }
    }
}

fn put(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
