//! TCP and TLS connections, opened and split into a half that is read and a half that is written.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Address, tls};

/// The half that is read.
pub(crate) type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// The half that is written.
pub(crate) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// How to open one.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) address: Address,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Dialler {
    /// Opens one, or says why not in words.
    pub(crate) async fn dial(self) -> Result<(Reading, Writing), String> {
        let target = (self.address.host.as_str(), self.address.port);
        let stream = TcpStream::connect(target).await.map_err(|error| self.reason(&error))?;
        // A packet is complete when it is written; waiting for more would only delay it.
        stream.set_nodelay(true).map_err(|error| self.reason(&error))?;
        let Some((config, name)) = &self.tls else {
            let (reading, writing) = stream.into_split();
            return Ok((Box::new(reading), Box::new(writing)));
        };
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name.clone(), stream).await.map_err(|error| tls::explain(&error))?;
        let (reading, writing) = tokio::io::split(stream);
        Ok((Box::new(reading), Box::new(writing)))
    }

    fn reason(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.address)
    }
}
