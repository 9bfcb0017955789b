//! Connections: opened, and split into a half that is read and a half that is written.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::address::Host;
use super::websocket::WebSocket;
use super::{Address, Tls, tls};

/// The half that is read.
pub(crate) type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// The half that is written.
pub(crate) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How to open one.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) address: Address,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// For the name that the certificate must have.
    pub(crate) trust: Tls,
}

impl Dialler {
    /// Opens one, or says why not in words.
    pub(crate) async fn dial(self) -> Result<(Reading, Writing), String> {
        match &self.address {
            Address::Tcp(host) => match self.tcp(host).await? {
                Link::Plain(stream) => {
                    let (reading, writing) = stream.into_split();
                    Ok((Box::new(reading), Box::new(writing)))
                }
                Link::Other(stream) => Ok(split(stream)),
            },
            Address::WebSocket { host, path } => Ok(match self.tcp(host).await? {
                Link::Plain(stream) => split(WebSocket::open(stream, host, path).await?),
                Link::Other(stream) => split(WebSocket::open(stream, host, path).await?),
            }),
            #[cfg(unix)]
            Address::Unix(path) => {
                let stream =
                    tokio::net::UnixStream::connect(path).await.map_err(|error| self.reason(&error))?;
                let (reading, writing) = stream.into_split();
                Ok((Box::new(reading), Box::new(writing)))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(format!("{}: this system has no Unix sockets", self.address)),
        }
    }

    async fn tcp(&self, host: &Host) -> Result<Link, String> {
        let stream =
            TcpStream::connect((host.name.as_str(), host.port)).await.map_err(|error| self.reason(&error))?;
        // A packet is complete when it is written; waiting for more would only delay it.
        stream.set_nodelay(true).map_err(|error| self.reason(&error))?;
        let Some(config) = self.tls.as_ref().filter(|_| host.encrypted) else {
            return Ok(Link::Plain(stream));
        };
        let name = self.trust.name(&host.name).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name, stream).await.map_err(|error| tls::explain(&error))?;
        Ok(Link::Other(Box::new(stream)))
    }

    fn reason(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.address)
    }
}

/// What reaches the host.
enum Link {
    /// Its halves need no lock.
    Plain(TcpStream),
    Other(Box<dyn Stream>),
}

fn split(stream: impl Stream + 'static) -> (Reading, Writing) {
    let (reading, writing) = tokio::io::split(stream);
    (Box::new(reading), Box::new(writing))
}
