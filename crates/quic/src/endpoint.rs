//! A port of QUIC: who may come in, and the handshake.
//!
//! In:    attempts to connect.
//! Out:   connections with one stream, admitted as those of every other listener.
//! Never: state for an address that nobody has proved to have, while many are in their handshakes.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dunlin_net::TlsListener;
use dunlin_runtime::{Doorway, Refusal, Visitor};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, Incoming, ServerConfig, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::QuicListener;
use crate::carry::{LAST_BYTES, carry};

/// Handshakes under way beyond which an address must be proved first, at the cost of a round trip: one that is not its
/// sender's costs nothing then.
const UNPROVED_MAX: usize = 64;
/// What a peer may send before the shard has taken it, and what may be sent to it before it has.
const WINDOW: u32 = 256 * 1024;
/// Longer than one and a half times the longest Keep Alive: who falls silent is the engine's to close, and this is for
/// those without one.
const IDLE_MAX: Duration = Duration::from_secs(65_535 * 3 / 2 + 60);
/// For peers to hear of the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(crate) struct Endpoint {
    quinn: quinn::Endpoint,
    number: u16,
    tls: Arc<TlsListener>,
    doorway: Doorway,
    /// What newcomers get, and of which certificates it was made.
    config: RefCell<(Arc<rustls::ServerConfig>, Arc<ServerConfig>)>,
    handshakes: Cell<usize>,
}

/// Serves until it is told to end.
pub(crate) async fn serve(endpoints: Vec<Endpoint>, mut ended: watch::Receiver<bool>) {
    let tasks = LocalSet::new();
    let endpoints: Vec<Rc<Endpoint>> = endpoints.into_iter().map(Rc::new).collect();
    for endpoint in &endpoints {
        tasks.spawn_local(Rc::clone(endpoint).accept());
    }
    // It fails only where nobody is left who could say so.
    let _ = tasks.run_until(ended.wait_for(|ended| *ended)).await;
    for endpoint in &endpoints {
        endpoint.quinn.set_server_config(None);
    }
    let idle = async || {
        for endpoint in &endpoints {
            endpoint.quinn.wait_idle().await;
        }
    };
    // What the shards have said last is on its way; then the rest is cut, and told so.
    let _ = timeout(LAST_BYTES, tasks.run_until(idle())).await;
    for endpoint in &endpoints {
        endpoint.quinn.close(VarInt::from_u32(0), b"the server ends");
    }
    let _ = timeout(LAST_WORDS, tasks.run_until(idle())).await;
}

impl Endpoint {
    /// To be called inside the runtime.
    pub(crate) fn new(listener: QuicListener, doorway: Doorway) -> io::Result<Self> {
        let QuicListener { socket, number, tls } = listener;
        let certificates = tls.config();
        let mut config = ServerConfig::with_crypto(crypto(&certificates)?);
        config.transport_config(Arc::new(transport()));
        let runtime = Arc::new(quinn::TokioRuntime);
        let quinn = quinn::Endpoint::new(EndpointConfig::default(), Some(config.clone()), socket, runtime)?;
        let config = RefCell::new((certificates, Arc::new(config)));
        Ok(Self { quinn, number, tls, doorway, config, handshakes: Cell::new(0) })
    }

    async fn accept(self: Rc<Self>) {
        while let Some(incoming) = self.quinn.accept().await {
            if !incoming.remote_address_validated() && self.handshakes.get() >= UNPROVED_MAX {
                // It fails only for an address that is proved.
                let _ = incoming.retry();
                continue;
            }
            tokio::task::spawn_local(Rc::clone(&self).welcome(incoming));
        }
    }

    /// A newcomer, from its first packet to its end.
    async fn welcome(self: Rc<Self>, incoming: Incoming) {
        let address = incoming.remote_address();
        // An address that is proved is held to its bounds before it costs a handshake; another could be anybody's.
        let early = if incoming.remote_address_validated() {
            match self.admit(address) {
                Some(visitor) => Some(visitor),
                None => return incoming.refuse(),
            }
        } else {
            None
        };
        self.handshakes.set(self.handshakes.get() + 1);
        let opened = timeout(self.doorway.handshake_timeout(), self.open(incoming)).await;
        self.handshakes.set(self.handshakes.get() - 1);
        let (connection, stream) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(reason)) => return self.doorway.failed(address, &reason),
            Err(_) => return self.doorway.turned_away(address, Refusal::HandshakeTimeout),
        };
        let Some(visitor) = early.or_else(|| self.admit(address)) else {
            return connection.close(VarInt::from_u32(0), b"too many connections");
        };
        let certificates = certificates_of(&connection);
        let pair = std::os::unix::net::UnixStream::pair();
        let (ours, theirs) = match pair.and_then(|(ours, theirs)| Ok((nonblocking(ours)?, theirs))) {
            Ok(pair) => pair,
            Err(_) => return self.doorway.turned_away(address, Refusal::Resources),
        };
        if visitor.enter(theirs, certificates).is_ok() {
            carry(connection, stream, ours).await;
        }
    }

    fn admit(&self, address: SocketAddr) -> Option<Visitor> {
        let admitted = self.doorway.admit(self.number, address);
        admitted.map_err(|refusal| self.doorway.turned_away(address, refusal)).ok()
    }

    /// The handshake, and the stream, which the client opens by sending.
    async fn open(
        &self,
        incoming: Incoming,
    ) -> Result<(quinn::Connection, (quinn::SendStream, quinn::RecvStream)), quinn::ConnectionError> {
        let connection = incoming.accept_with(self.config())?.await?;
        let stream = connection.accept_bi().await?;
        Ok((connection, stream))
    }

    /// Of the certificates that the files have now.
    fn config(&self) -> Arc<ServerConfig> {
        let now = self.tls.config();
        let mut config = self.config.borrow_mut();
        if !Arc::ptr_eq(&config.0, &now)
            && let Ok(crypto) = crypto(&now)
        {
            let mut next = ServerConfig::clone(&config.1);
            next.crypto = crypto;
            *config = (now, Arc::new(next));
        }
        Arc::clone(&config.1)
    }
}

fn crypto(config: &Arc<rustls::ServerConfig>) -> io::Result<Arc<QuicServerConfig>> {
    QuicServerConfig::try_from(Arc::clone(config)).map(Arc::new).map_err(io::Error::other)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(IDLE_MAX).ok());
    transport
}

fn certificates_of(connection: &quinn::Connection) -> Vec<CertificateDer<'static>> {
    let identity = connection.peer_identity().and_then(|identity| identity.downcast().ok());
    identity.map_or_else(Vec::new, |certificates: Box<Vec<CertificateDer<'static>>>| *certificates)
}

fn nonblocking(stream: std::os::unix::net::UnixStream) -> io::Result<tokio::net::UnixStream> {
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}
