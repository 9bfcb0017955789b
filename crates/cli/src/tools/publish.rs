//! `dunlin pub`

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use dunlin_client::{Bytes, Client, Compression, Message, Prepared, QoS, Receipt, Version};

use super::ToolError;
use super::connect::{Connect, qos, signalled};
use super::input::{self, Input};
use super::progress::{self, All, Progress};
use super::properties::Given;
use crate::say;

/// Messages whose acknowledgement is awaited at once; the client bounds those in flight.
const OPEN_MAXIMUM: usize = 1_000;
/// How long the last message may take to leave: as long as a slow link needs. Without a connection nothing is waited for.
const DRAIN: Duration = Duration::from_secs(86_400);

/// Publish a message
#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    connect: Connect,
    /// Topic
    #[arg(short = 't', long, value_name = "TOPIC", allow_hyphen_values = true)]
    topic: Option<String>,
    #[command(flatten)]
    input: Input,
    /// Quality of service: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", default_value = "0", value_parser = qos)]
    qos: QoS,
    /// The broker keeps the message for those who come later
    #[arg(short = 'r', long)]
    retain: bool,
    /// Compress payloads that become shorter by it, and say so in the user property content-encoding (MQTT 5)
    #[arg(long, value_name = "HOW", value_parser = compression)]
    compress: Option<Compression>,
    /// Show how far it is, also where standard error is no terminal
    #[arg(long)]
    progress: bool,
    /// Publish that many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with = "stdin_line")]
    repeat: u32,
    /// Between two of them, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, requires = "repeat")]
    repeat_delay: f64,
}

fn compression(name: &str) -> Result<Compression, String> {
    let known = [Compression::Gzip, Compression::Zstd].into_iter().find(|known| known.name() == name);
    known.ok_or_else(|| "known are gzip and zstd".to_owned())
}

impl Publish {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        super::run(self.connect.quiet, async {
            tokio::select! {
                result = self.publish() => result,
                signal = signalled() => Err(signal),
            }
        })
    }

    async fn publish(&self) -> Result<(), ToolError> {
        let given = Given::parse(&self.connect.property, self.connect.protocol_version)?;
        let delay = Duration::try_from_secs_f64(self.repeat_delay)
            .map_err(|error| ToolError::Usage(format!("--repeat-delay: {error}")))?;
        let (options, url_topic) = self.connect.options("pub", &given)?;
        let topic = self.topic.clone().or(url_topic);
        let topic = topic.ok_or_else(|| ToolError::Usage("a topic is needed: -t TOPIC".to_owned()))?;
        let mut template =
            Message::new(&topic, Bytes::new()).map_err(|error| ToolError::Usage(format!("-t: {error}")))?;
        template = template.qos(self.qos).retain(self.retain);
        if given.publish != dunlin_client::About::default() {
            *template.about_mut() = given.publish;
        }
        if self.compress.is_some() && self.connect.protocol_version != Version::V5 {
            return Err(ToolError::Usage(
                "--compress: only MQTT 5 can say that a payload is compressed; see -V".to_owned(),
            ));
        }
        let payload = self.input.whole()?;
        let prepared = Prepared::new(options).map_err(ToolError::failed)?;
        let client = self.connect.begin(prepared).await?;
        let all = if self.input.stdin_line {
            progress::of_stdin()
        } else {
            Some(All::Messages(self.repeat.into()))
        };
        let progress = Progress::new(self.progress, self.connect.quiet, all);
        let mut open = Open { compress: self.compress, progress, receipts: VecDeque::new(), refused: None };
        let result = match payload {
            Some(payload) => self.repeated(&client, &template, payload, delay, &mut open).await,
            None => lines(&client, &template, &mut open).await,
        };
        let result = match result {
            Ok(()) => open.finish().await,
            Err(error) => Err(error),
        };
        client.disconnect(DRAIN).await;
        result
    }

    async fn repeated(
        &self,
        client: &Client,
        template: &Message,
        payload: Bytes,
        delay: Duration,
        open: &mut Open,
    ) -> Result<(), ToolError> {
        for number in 0..self.repeat {
            if number > 0 && !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            open.publish(client, template.with_payload(payload.clone())).await?;
            self.connect.debug(|| format!("published to {} ({} bytes)", template.topic(), payload.len()));
        }
        Ok(())
    }
}

async fn lines(client: &Client, template: &Message, open: &mut Open) -> Result<(), ToolError> {
    let mut lines = input::lines();
    while let Some(line) = lines.recv().await {
        open.publish(client, template.with_payload(line?)).await?;
    }
    Ok(())
}

/// Messages that are not acknowledged yet, oldest first.
struct Open {
    compress: Option<Compression>,
    progress: Progress,
    receipts: VecDeque<Receipt>,
    refused: Option<String>,
}

impl Open {
    async fn publish(&mut self, client: &Client, message: Message) -> Result<(), ToolError> {
        if self.receipts.len() >= OPEN_MAXIMUM {
            self.oldest().await;
        }
        self.progress.message(message.payload().len());
        let message = match self.compress {
            Some(compression) => message.compressed(compression).map_err(ToolError::failed)?,
            None => message,
        };
        self.receipts.push_back(client.publish(message).await.map_err(ToolError::failed)?);
        Ok(())
    }

    async fn oldest(&mut self) {
        let Some(receipt) = self.receipts.pop_front() else { return };
        if let Err(error) = receipt.await {
            say::warning(&error.to_string());
            self.refused = Some(error.to_string());
        }
    }

    async fn finish(mut self) -> Result<(), ToolError> {
        while !self.receipts.is_empty() {
            self.oldest().await;
        }
        self.progress.end();
        self.refused
            .map_or(Ok(()), |error| Err(ToolError::Failed(format!("not everything was published: {error}"))))
    }
}
