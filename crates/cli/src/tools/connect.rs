//! The flags that all tools share: where the broker is, who one is, whom one trusts, the Will.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use dunlin_client::{
    Address, AddressError, Client, Connection, Host, Keep, Message, Options, Prepared, QoS, ScramSha256,
    Settings, Tls, Version, Will, random_seed,
};
use tokio::sync::watch;

use super::ToolError;
use super::properties::Given;
use crate::say;

/// Where, who, and with which trust.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    /// Host of the broker
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost", conflicts_with = "url")]
    pub(crate) host: String,
    /// Port; 1883, with TLS 8883
    #[arg(short = 'p', long, value_name = "PORT", conflicts_with = "url")]
    pub(crate) port: Option<u16>,
    /// All in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, ws[s]://[USER[:PASSWORD]@]HOST[:PORT]/PATH or unix:PATH
    #[arg(short = 'L', long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Unix socket of the broker
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "ws"])]
    pub(crate) unix: Option<PathBuf>,
    /// WebSocket at this path of the host; port 80, with TLS 443
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "/mqtt",
          conflicts_with = "url")]
    pub(crate) ws: Option<String>,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) username: Option<String>,
    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true)]
    pub(crate) password: Option<String>,
    /// Prove the password by SCRAM-SHA-256, without sending it (MQTT 5)
    #[arg(long)]
    pub(crate) scram: bool,
    /// Client identifier; without it, one for this run
    #[arg(short = 'i', long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) id: Option<String>,
    /// Client identifier of this and the process id
    #[arg(short = 'I', long, value_name = "PREFIX", conflicts_with = "id", allow_hyphen_values = true)]
    pub(crate) id_prefix: Option<String>,
    /// Keep alive in seconds
    #[arg(short = 'k', long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) keepalive: u16,
    /// Version: 5, 311, mqttv5 or mqttv311
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "5", value_parser = version)]
    pub(crate) protocol_version: Version,
    /// Keep the session with the broker; needs -i
    #[arg(short = 'c', long)]
    pub(crate) disable_clean_session: bool,
    /// How long the broker keeps the session, in seconds (MQTT 5, with -c)
    #[arg(short = 'x', long, value_name = "SECONDS")]
    pub(crate) session_expiry_interval: Option<u32>,
    /// Messages in flight at once
    #[arg(short = 'M', long, value_name = "N")]
    pub(crate) max_inflight: Option<NonZeroU16>,
    /// Say on standard error what happens
    #[arg(short = 'd', long)]
    pub(crate) debug: bool,
    /// Say nothing of faults
    #[arg(long)]
    pub(crate) quiet: bool,
    /// TLS, trusting the system's authorities
    #[arg(long, visible_alias = "tls-use-os-certs")]
    pub(crate) tls: bool,
    /// TLS, trusting the authorities in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) cafile: Vec<PathBuf>,
    /// This client's certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Take any certificate: whoever answers can read everything
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Topic of the Will
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true)]
    pub(crate) will_topic: Option<String>,
    /// Payload of the Will
    #[arg(long, value_name = "TEXT", requires = "will_topic", allow_hyphen_values = true)]
    pub(crate) will_payload: Option<String>,
    /// QoS of the Will
    #[arg(long, value_name = "QOS", default_value = "0", requires = "will_topic", value_parser = qos)]
    pub(crate) will_qos: QoS,
    /// The Will is retained
    #[arg(long, requires = "will_topic")]
    pub(crate) will_retain: bool,
    /// A property: COMMAND NAME VALUE, or COMMAND user-property NAME VALUE (MQTT 5)
    #[arg(short = 'D', long = "property", value_names = ["COMMAND", "NAME", "VALUE"], num_args = 3..=4,
          allow_hyphen_values = false)]
    pub(crate) property: Vec<String>,
    /// Show this
    #[arg(long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
}

/// 5 or 3.1.1, as mosquitto's tools or Dunlin's write it.
pub(crate) fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "mqttv5" => Ok(Version::V5),
        "311" | "4" | "mqttv311" => Ok(Version::V311),
        _ => Err("known are 5 (mqttv5) and 311 (mqttv311)".to_owned()),
    }
}

/// 0, 1 or 2.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_u8).ok_or_else(|| "0, 1 or 2".to_owned())
}

impl Connect {
    /// What the flags say, and the topic of the URL, if it has one.
    pub(crate) fn options(&self, tool: &str, given: &Given) -> Result<(Options, Option<String>), ToolError> {
        let mut settings = Settings::new(self.client_id(tool)?);
        settings.version = self.protocol_version;
        settings.keep_alive = Duration::from_secs(self.keepalive.into());
        settings.keep = self.keep(given);
        settings.inflight_maximum = self.max_inflight;
        settings.retry.stop_when_refused = true;
        // A tool that waits between attempts as long as a fleet has to would seem dead.
        settings.retry.cap = Duration::from_secs(10);
        given.apply(&mut settings);
        settings.will = self.will(given)?;
        let (mut user, mut password) = (self.username.clone(), self.password.clone());
        let mut topic = None;
        let address = match &self.url {
            Some(url) => {
                let parts = Url::parse(url)?;
                user = parts.user.or(user);
                password = parts.password.or(password);
                topic = parts.topic;
                parts.address
            }
            None => self.address()?,
        };
        // The name stays in CONNECT, a password that is proved does not.
        if self.scram {
            settings.authentication = Some(scram(user.as_deref(), password.take())?);
        }
        settings.user_name = user;
        settings.password = password.map(Into::into);
        let mut options = Options::new(address, settings);
        options.tls = Tls {
            authorities: self.cafile.clone(),
            identity: self.cert.clone().zip(self.key.clone()),
            server_name: None,
            insecure: self.insecure,
        };
        Ok((options, topic))
    }

    fn address(&self) -> Result<Address, ToolError> {
        if let Some(path) = &self.unix {
            return Ok(Address::Unix(path.clone()));
        }
        let encrypted = self.tls || !self.cafile.is_empty() || self.cert.is_some() || self.insecure;
        let port = self.port.unwrap_or(match (encrypted, &self.ws) {
            (false, None) => 1883,
            (true, None) => 8883,
            (false, Some(_)) => 80,
            (true, Some(_)) => 443,
        });
        let host = Host { name: self.host.clone(), port, encrypted };
        let Some(path) = &self.ws else { return Ok(Address::Tcp(host)) };
        let is_path = path.starts_with('/') && path.chars().all(|character| character.is_ascii_graphic());
        if !is_path {
            return Err(ToolError::Usage(format!("--ws={path}: a path begins with / and has no spaces")));
        }
        Ok(Address::WebSocket { host, path: path.clone() })
    }

    fn client_id(&self, tool: &str) -> Result<String, ToolError> {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => Ok(id.clone()),
            (None, Some(prefix)) => Ok(format!("{prefix}{}", std::process::id())),
            // The broker would keep a session that nobody comes back to.
            (None, None) if self.disable_clean_session => Err(ToolError::Usage(
                "-c keeps the session of a client identifier: give one with -i".to_owned(),
            )),
            (None, None) => Ok(format!("dunlin-{tool}-{:08x}", random_seed() >> 32)),
        }
    }

    fn keep(&self, given: &Given) -> Keep {
        let expiry = self.session_expiry_interval.or(given.session_expiry);
        if self.disable_clean_session || expiry.is_some() {
            // As mosquitto_sub: without a time, for ever.
            Keep::Resume { expiry: Duration::from_secs(expiry.unwrap_or(u32::MAX).into()) }
        } else {
            Keep::Fresh
        }
    }

    fn will(&self, given: &Given) -> Result<Option<Will>, ToolError> {
        let Some(topic) = &self.will_topic else { return Ok(None) };
        let payload = self.will_payload.clone().unwrap_or_default();
        let message = Message::new(topic, payload)
            .map_err(|error| ToolError::Usage(format!("--will-topic: {error}")))?;
        let mut message = message.qos(self.will_qos).retain(self.will_retain);
        if given.will != dunlin_client::About::default() {
            *message.about_mut() = given.will.clone();
        }
        Ok(Some(Will { message, delay: Duration::from_secs(given.will_delay.into()) }))
    }

    /// Says something, with -d.
    pub(crate) fn debug(&self, text: impl FnOnce() -> String) {
        if self.debug {
            say::complaint(&format!("dunlin: {}\n", text()));
        }
    }

    /// Begins, and waits for the first connection: a tool whose first attempt fails says so and ends.
    pub(crate) async fn begin(&self, prepared: Prepared) -> Result<Client, ToolError> {
        let client = prepared.connect();
        let mut status = client.status();
        let state = status.wait_for(|state| *state != Connection::Connecting).await;
        match state.map(|state| state.clone()) {
            Ok(Connection::Connected { session_present }) => {
                self.debug(|| format!("connected, session present: {session_present}"));
            }
            Ok(Connection::Waiting { why, .. } | Connection::Stopped(why)) => {
                return Err(ToolError::failed(why));
            }
            other => return Err(ToolError::Failed(format!("no connection: {other:?}"))),
        }
        self.watch(status.clone());
        Ok(client)
    }

    /// Tells of connections that are lost and come back.
    fn watch(&self, mut status: watch::Receiver<Connection>) {
        let quiet = self.quiet;
        let debug = self.debug;
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                match &*status.borrow_and_update() {
                    Connection::Waiting { why, .. } if !quiet => say::warning(&why.to_string()),
                    Connection::Connected { .. } if debug => say::complaint("dunlin: connected again\n"),
                    _ => {}
                }
            }
        });
    }
}

fn scram(user: Option<&str>, password: Option<String>) -> Result<Arc<ScramSha256>, ToolError> {
    let (Some(user), Some(password)) = (user, password) else {
        return Err(ToolError::Usage("--scram needs a user name and a password: -u and -P".to_owned()));
    };
    let method = ScramSha256::new(user, &password);
    method.map(Arc::new).map_err(|_| ToolError::Failed("the system gives no random bytes".to_owned()))
}

/// The parts of -L.
struct Url {
    address: Address,
    user: Option<String>,
    password: Option<String>,
    topic: Option<String>,
}

impl Url {
    fn parse(text: &str) -> Result<Self, ToolError> {
        let fault = |reason: String| ToolError::Usage(format!("-L {text}: {reason}"));
        let parsed = |text: &str| text.parse().map_err(|error: AddressError| fault(error.to_string()));
        if text.starts_with("unix:") {
            return Ok(Self { address: parsed(text)?, user: None, password: None, topic: None });
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| fault("it begins with mqtt://, mqtts://, ws://, wss:// or unix:".to_owned()))?;
        // What follows the host of a WebSocket address is its own path, not a topic.
        let web = scheme.starts_with("ws");
        let (server, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (path, topic) = if web { (rest, None) } else { ("", rest.strip_prefix('/')) };
        let (who, server) = match server.rsplit_once('@') {
            Some((who, server)) => (Some(who), server),
            None => (None, server),
        };
        let (user, password) =
            match who.map(|who| who.split_once(':').map_or((who, None), |(u, p)| (u, Some(p)))) {
                Some((user, password)) => (Some(user.to_owned()), password.map(str::to_owned)),
                None => (None, None),
            };
        let address = parsed(&format!("{scheme}://{server}{path}"))?;
        let topic = topic.filter(|topic| !topic.is_empty()).map(str::to_owned);
        Ok(Self { address, user, password, topic })
    }
}

/// Returns when a signal asks the tool to end.
pub(crate) async fn signalled() -> ToolError {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let registered =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]);
    let Ok(mut signals) = registered else { return std::future::pending().await };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // The tool may have ended by itself.
            let _ = sender.send(signal);
        }
    });
    match receiver.await {
        Ok(signal) => ToolError::Signal(u8::try_from(signal).unwrap_or(0)),
        Err(_) => std::future::pending().await,
    }
}
