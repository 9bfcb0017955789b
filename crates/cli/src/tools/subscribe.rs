//! `dunlin sub`

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use dunlin_client::session::Filter;
use dunlin_client::{
    Bytes, Client, Message, Prepared, QoS, Received, RetainHandling, Subscription, SubscriptionOptions,
};

use super::ToolError;
use super::connect::{Connect, qos, signalled};
use super::decode::{self, Decode};
use super::format::{Format, Moment, Shape};
use super::properties::Given;
use crate::say;

/// How long the last acknowledgements may take.
const DRAIN: Duration = Duration::from_secs(2);

/// Subscribe to topics and print messages
#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    #[command(flatten)]
    connect: Connect,
    /// Topic filter; may be repeated
    #[arg(short = 't', long, value_name = "FILTER", allow_hyphen_values = true)]
    topic: Vec<String>,
    /// Leave out messages that match this filter; may be repeated
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// Unsubscribe first, from a session that -c kept; may be repeated
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true)]
    unsubscribe: Vec<String>,
    /// Quality of service: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", default_value = "0", value_parser = qos)]
    qos: QoS,
    /// End after that many messages
    #[arg(short = 'C', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after that many seconds, with exit code 27
    #[arg(short = 'W', long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// End when the broker has acknowledged the subscription
    #[arg(short = 'E', long)]
    exit_after_suback: bool,
    /// The topic before the payload
    #[arg(short = 'v', long)]
    verbose: bool,
    /// No line end after a message
    #[arg(short = 'N')]
    no_line_end: bool,
    /// Leave out retained messages of before
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,
    /// Only retained messages; end when there are no more
    #[arg(long)]
    retained_only: bool,
    /// Remove the retained messages that come
    #[arg(long)]
    remove_retained: bool,
    /// Keep the retain flag as published (MQTT 5)
    #[arg(long)]
    retain_as_published: bool,
    /// How to print a message
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Decode payloads first, in these steps; without a value, what they seem to be
    #[arg(long, value_enum, value_name = "STEP,..", num_args = 0..=1, require_equals = true, value_delimiter = ',',
          default_missing_value = "auto")]
    decode: Vec<Decode>,
    /// A payload that is JSON on several lines
    #[arg(long)]
    pretty: bool,
    /// Template: %t topic, %p payload, %q QoS, %r retain, %l length, %x hex, %j and %J JSON, %I time, %U seconds,
    /// %C %D %E %F %P %R %S properties
    #[arg(short = 'F', value_name = "TEMPLATE", conflicts_with_all = ["verbose", "format"], allow_hyphen_values = true)]
    template: Option<String>,
}

impl Subscribe {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        super::run(self.connect.quiet, async {
            let limit = match self.timeout.map(Duration::try_from_secs_f64).transpose() {
                Ok(limit) => limit,
                Err(error) => return Err(ToolError::Usage(format!("-W: {error}"))),
            };
            let late = async {
                match limit {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            self.subscribe(late).await
        })
    }

    fn filters(&self, url_topic: Option<String>) -> Result<Vec<Filter>, ToolError> {
        let options = SubscriptionOptions {
            qos: self.qos,
            retain_as_published: self.retain_as_published,
            retain_handling: if self.no_retained { RetainHandling::DoNotSend } else { RetainHandling::Send },
            no_local: false,
        };
        let topics = self.topic.iter().cloned().chain(url_topic);
        let filters: Vec<Filter> = topics.map(|filter| Filter { filter, options }).collect();
        if filters.is_empty() && self.unsubscribe.is_empty() {
            return Err(ToolError::Usage("a topic filter is needed: -t FILTER".to_owned()));
        }
        for text in
            self.filter_out.iter().chain(&self.unsubscribe).chain(filters.iter().map(|one| &one.filter))
        {
            dunlin_codec::TopicFilter::parse(text)
                .map_err(|error| ToolError::Usage(format!("{text}: {error}")))?;
        }
        Ok(filters)
    }

    async fn subscribe(&self, late: impl Future<Output = ()>) -> Result<(), ToolError> {
        let given = Given::parse(&self.connect.property, self.connect.protocol_version)?;
        let (options, url_topic) = self.connect.options("sub", &given)?;
        let filters = self.filters(url_topic)?;
        let shape = match &self.template {
            Some(text) => Shape::template(text)?,
            None => Shape::Fixed { format: self.format, topic: self.verbose },
        };
        let prepared = Prepared::new(options).map_err(ToolError::failed)?;
        let messages = (!filters.is_empty()).then(|| prepared.subscribe(filters));
        let mut late = std::pin::pin!(late);
        let mut signal = std::pin::pin!(signalled());
        let client = tokio::select! {
            client = self.connect.begin(prepared) => client?,
            () = &mut late => return Err(ToolError::TimedOut),
            signal = &mut signal => return Err(signal),
        };
        let mut messages = messages;
        let result = tokio::select! {
            result = self.print(&client, messages.as_mut(), &shape) => result,
            () = &mut late => Err(ToolError::TimedOut),
            signal = &mut signal => Err(signal),
        };
        client.disconnect(DRAIN).await;
        result
    }

    async fn print(
        &self,
        client: &Client,
        messages: Option<&mut Subscription>,
        shape: &Shape,
    ) -> Result<(), ToolError> {
        if !self.unsubscribe.is_empty() {
            client.forget(self.unsubscribe.clone()).await;
        }
        let Some(messages) = messages else { return Ok(()) };
        let granted = messages.granted().await.map_err(ToolError::failed)?;
        for (reason, filter) in granted.iter().zip(&self.topic) {
            if reason.is_failure() {
                say::warning(&format!("{filter}: refused: {reason:?}"));
            }
        }
        self.connect.debug(|| format!("subscribed: {granted:?}"));
        if self.exit_after_suback {
            return Ok(());
        }
        let mut left = self.count;
        while left != Some(0) {
            let Some(received) = messages.recv().await else {
                let state = client.status().borrow().clone();
                return Err(ToolError::Failed(format!("the connection ended: {state:?}")));
            };
            if self.retained_only && !received.is_retained() {
                return Ok(());
            }
            if self.leaves_out(&received) {
                continue;
            }
            self.write(&received, shape)?;
            if self.remove_retained && received.is_retained() {
                remove(client, &received).await?;
            }
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    fn leaves_out(&self, received: &Received) -> bool {
        let out = |filter: &String| {
            let filter = dunlin_codec::TopicFilter::parse(filter);
            let topic = dunlin_codec::TopicName::parse(received.topic());
            filter.is_ok_and(|filter| topic.is_ok_and(|topic| dunlin_codec::matches(filter, topic)))
        };
        (self.no_retained && received.is_retained()) || self.filter_out.iter().any(out)
    }

    fn write(&self, received: &Received, shape: &Shape) -> Result<(), ToolError> {
        let decoded = decode::shown(received, &self.decode, self.pretty, self.connect.quiet);
        let mut line = Vec::with_capacity(decoded.payload().len() + 64);
        shape.put(&decoded, Moment::now(), &mut line);
        if line.is_empty() && self.template.is_none() {
            // As mosquitto_sub: a message without a payload is no empty line.
            return Ok(());
        }
        if !self.no_line_end {
            line.push(b'\n');
        }
        let mut out = io::stdout().lock();
        match out.write_all(&line).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ToolError::OutputClosed),
            Err(source) => Err(ToolError::Io { what: "standard output".to_owned(), source }),
        }
    }
}

async fn remove(client: &Client, received: &Received) -> Result<(), ToolError> {
    let empty = Message::new(received.topic(), Bytes::new()).map_err(ToolError::failed)?.retain(true);
    client.publish(empty).await.map_err(ToolError::failed)?.await.map_err(ToolError::failed)?;
    Ok(())
}
