//! The side that asks: what commands use to talk to a running broker.
//!
//! In:    a data directory, or a URL with credentials; requests.
//! Out:   answers, or why there are none.
//! Never: credentials to a broker that has not shown a certificate that is trusted, but on this machine.

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::problem::Problem;
use crate::server::socket;

/// For a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer that is taken whole, in bytes: a page, a retained message.
const ANSWER_MAXIMUM: usize = 512 << 20;
/// Longest line of a stream, in bytes.
const LINE_MAXIMUM: usize = 512 << 20;

/// Where a broker is.
#[derive(Clone, Debug)]
pub enum Place {
    /// The socket of a data directory.
    Directory(PathBuf),
    /// `http://HOST:PORT`
    Plain {
        /// A name or an address.
        host: String,
        /// A port.
        port: u16,
    },
    /// `https://HOST:PORT`
    Tls {
        /// A name or an address, which the certificate must have.
        host: String,
        /// A port.
        port: u16,
        /// Whom to trust.
        config: Arc<ClientConfig>,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No broker runs on this directory.
    #[error("no broker is running on {0}")]
    NotRunning(String),
    /// The broker says no.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// The broker was asked and did not answer, or cannot be reached.
    #[error("{0}")]
    Failed(String),
}

/// Asks one broker.
#[derive(Debug)]
pub struct Asker {
    place: Place,
    authorization: Option<String>,
    runtime: Runtime,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Asker {
    /// Of a broker at a place.
    ///
    /// # Errors
    /// Where the system gives no means to wait.
    pub fn new(place: Place) -> Result<Self, AskError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| AskError::Failed(format!("nothing can be asked: {error}")))?;
        Ok(Self { place, authorization: None, runtime })
    }

    /// Shows a token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self }
    }

    /// Shows a user name and password.
    #[must_use]
    pub fn with_password(self, user: &str, password: &str) -> Self {
        Self {
            authorization: Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))),
            ..self
        }
    }

    /// Reads what is at a target, `/api/v1/...`.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, AskError> {
        let bytes = self.send(Method::GET, target, None)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| AskError::Failed(format!("the answer cannot be read: {error}")))
    }

    /// Takes away what is at a target.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn delete(&self, target: &str) -> Result<(), AskError> {
        self.send(Method::DELETE, target, None).map(drop)
    }

    /// Posts JSON to a target; the answer's JSON, `null` where it has none.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn post(&self, target: &str, body: &Value) -> Result<Value, AskError> {
        let bytes = self.send(Method::POST, target, Some(body))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| AskError::Failed(format!("the answer cannot be read: {error}")))
    }

    /// Reads a stream of events, each with its kind and its data, until it ends or `each` has enough.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn follow(
        &self,
        target: &str,
        mut each: impl FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), AskError> {
        self.runtime.block_on(async {
            let mut response = checked(self.request(Method::GET, target, None).await?).await?;
            let mut lines = Lines::default();
            while let Some(frame) = response.frame().await {
                let frame =
                    frame.map_err(|error| AskError::Failed(format!("the stream broke off: {error}")))?;
                let Some(data) = frame.data_ref() else { continue };
                if lines.take(data, &mut each)?.is_break() {
                    return Ok(());
                }
            }
            Ok(())
        })
    }

    fn send(&self, method: Method, target: &str, body: Option<&Value>) -> Result<Bytes, AskError> {
        self.runtime.block_on(async {
            let response = checked(self.request(method, target, body).await?).await?;
            whole(response).await
        })
    }

    async fn request(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, AskError> {
        let failed =
            |error: &dyn std::fmt::Display| AskError::Failed(format!("the broker does not answer: {error}"));
        let stream = match timeout(PATIENCE, self.connect()).await {
            Ok(stream) => stream?,
            Err(_) => return Err(failed(&format_args!("no connection in {} seconds", PATIENCE.as_secs()))),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        // It ends with the sender, or the body.
        tokio::spawn(async { drop(connection.await) });
        let mut request = Request::builder().method(method).uri(target).header(HOST, self.host());
        request = request.header(ACCEPT, "application/json, application/problem+json, text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request: Request<Full<Bytes>> = request.body(Full::new(bytes)).map_err(|error| failed(&error))?;
        sender.send_request(request).await.map_err(|error| failed(&error))
    }

    fn host(&self) -> String {
        match &self.place {
            Place::Directory(_) => "localhost".to_owned(),
            Place::Plain { host, port } | Place::Tls { host, port, .. } => format!("{host}:{port}"),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, AskError> {
        match &self.place {
            Place::Directory(data) => match UnixStream::connect(socket(data)).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(no_socket(data, &error)),
            },
            Place::Plain { host, port } => Ok(Box::new(tcp(host, *port).await?)),
            Place::Tls { host, port, config } => {
                let failed = |error: &dyn std::fmt::Display| {
                    AskError::Failed(format!("https://{host}:{port}: {error}"))
                };
                let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name).map_err(|error| failed(&error))?;
                let stream = tcp(host, *port).await?;
                let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
                Ok(Box::new(stream.map_err(|error| failed(&error))?))
            }
        }
    }
}

fn no_socket(data: &Path, error: &io::Error) -> AskError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            AskError::NotRunning(data.display().to_string())
        }
        _ => AskError::Failed(format!("{}: {error}", socket(data).display())),
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, AskError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let failed = |error| AskError::Failed(format!("cannot connect to {host}:{port}: {error}"));
    TcpStream::connect((host, port)).await.map_err(failed)
}

/// An answer that is none becomes an error.
async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, AskError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = whole(response).await?;
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem::new(status, status));
    Err(AskError::Refused(problem))
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, AskError> {
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_MAXIMUM).collect().await;
    Ok(body.map_err(|error| AskError::Failed(format!("the answer broke off: {error}")))?.to_bytes())
}

/// The lines of a stream of events.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    kind: String,
}

impl Lines {
    fn take(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, AskError> {
        let mut from = self.rest.len();
        self.rest.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(end) = self.rest[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at) {
            let line = String::from_utf8_lossy(&self.rest[begin..end]);
            if let Some(kind) = line.strip_prefix("event: ") {
                kind.clone_into(&mut self.kind);
            } else if let Some(data) = line.strip_prefix("data: ")
                && each(&self.kind, data).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            begin = end + 1;
            from = begin;
        }
        self.rest.drain(..begin);
        if self.rest.len() > LINE_MAXIMUM {
            return Err(AskError::Failed(format!("an event of more than {LINE_MAXIMUM} bytes")));
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A part of a target: whatever it is made of, it stays one part.
#[must_use]
pub fn quoted(part: &str) -> String {
    let mut quoted = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = b"event: packet\ndata: {\"a\":1}\n\n: still here\n\nevent: end\ndata: 2\n\n";
        for size in 1..text.len() {
            let (mut lines, mut events) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                let mut each = |kind: &str, data: &str| {
                    events.push(format!("{kind} {data}"));
                    ControlFlow::Continue(())
                };
                assert!(lines.take(chunk, &mut each).unwrap().is_continue());
            }
            assert_eq!(events, ["packet {\"a\":1}", "end 2"], "chunks of {size}");
        }
    }

    #[test]
    fn a_part_stays_one_part() {
        assert_eq!(quoted("a/b ?#.%ü"), "a%2Fb%20%3F%23%2E%25%C3%BC");
    }
}
