//! `dunlin request`

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use dunlin_client::{Bytes, Message, Prepared, QoS, RequestError, Requests, Version};

use super::ToolError;
use super::connect::{Connect, qos, signalled};
use super::decode::{self, Decode};
use super::input::Input;
use super::properties::Given;

/// How long the last acknowledgements may take.
const DRAIN: Duration = Duration::from_secs(2);

/// Publish a request and print the answer (MQTT 5)
#[derive(Debug, Args)]
pub(crate) struct Request {
    #[command(flatten)]
    connect: Connect,
    /// Topic of the request
    #[arg(short = 't', long, value_name = "TOPIC", allow_hyphen_values = true)]
    topic: String,
    /// Topic of the answer; without it, dunlin/reply/CLIENT-ID
    #[arg(short = 'e', long, value_name = "TOPIC", allow_hyphen_values = true)]
    response_topic: Option<String>,
    #[command(flatten)]
    input: Input,
    /// Quality of service: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", default_value = "1", value_parser = qos)]
    qos: QoS,
    /// Wait that many seconds for the answer; exit code 27 if it does not come
    #[arg(short = 'W', long, value_name = "SECONDS", default_value_t = 30.0)]
    timeout: f64,
    /// Decode the answer first, in these steps; without a value, what it seems to be
    #[arg(long, value_enum, value_name = "STEP,..", num_args = 0..=1, require_equals = true, value_delimiter = ',',
          default_missing_value = "auto")]
    decode: Vec<Decode>,
    /// An answer that is JSON on several lines
    #[arg(long)]
    pretty: bool,
    /// No line end after the answer
    #[arg(short = 'N')]
    no_line_end: bool,
}

impl Request {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        super::run(self.connect.quiet, async {
            let within = Duration::try_from_secs_f64(self.timeout)
                .map_err(|error| ToolError::Usage(format!("-W: {error}")))?;
            tokio::select! {
                result = self.ask(within) => result,
                () = tokio::time::sleep(within) => Err(ToolError::TimedOut),
                signal = signalled() => Err(signal),
            }
        })
    }

    async fn ask(&self, within: Duration) -> Result<(), ToolError> {
        if self.connect.protocol_version != Version::V5 {
            return Err(ToolError::Usage("requests are of MQTT 5; see -V".to_owned()));
        }
        if self.input.stdin_line {
            return Err(ToolError::Usage("-l: a request is one message".to_owned()));
        }
        let given = Given::parse(&self.connect.property, self.connect.protocol_version)?;
        let (options, _) = self.connect.options("request", &given)?;
        let payload = self.input.whole()?.unwrap_or_default();
        let mut question = Message::new(&self.topic, payload)
            .map_err(|error| ToolError::Usage(format!("-t: {error}")))?
            .qos(self.qos);
        *question.about_mut() = given.publish;
        let reply = self.response_topic.clone();
        let reply = reply.unwrap_or_else(|| format!("dunlin/reply/{}", options.settings.client_id));
        let client = self.connect.begin(Prepared::new(options).map_err(ToolError::failed)?).await?;
        let requests = Requests::new(&client, &reply).await.map_err(ToolError::failed)?;
        let requests = requests.map_err(|error| ToolError::Usage(format!("-e: {error}")))?;
        let answer = requests.ask(question, within).await.map_err(|error| match error {
            RequestError::Timeout(_) => ToolError::TimedOut,
            other => ToolError::failed(other),
        })?;
        client.disconnect(DRAIN).await;
        let answer = decode::shown(&answer, &self.decode, self.pretty, self.connect.quiet);
        self.write(answer.payload())
    }

    fn write(&self, payload: &Bytes) -> Result<(), ToolError> {
        let mut out = io::stdout().lock();
        let end: &[u8] = if self.no_line_end { b"" } else { b"\n" };
        out.write_all(payload)
            .and_then(|()| out.write_all(end))
            .and_then(|()| out.flush())
            .map_err(|source| ToolError::Io { what: "standard output".to_owned(), source })
    }
}
