//! Serves the API: on a TCP port, and on the Unix socket of the data directory.
//!
//! In:    connections.
//! Out:   each with where it comes from, to the router.
//! Never: more than [`CONNECTIONS`] at a time to either; a peer that takes longer than [`PATIENCE`] for the head of a request; on a
//!        thread of the shards.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use dunlin_runtime::Observer;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::access::{Gate, Origin};
use crate::audit::Audit;
use crate::broker::Broker;
use crate::router::{Api, Host, router};

/// Connections at a time: an operator's tools, dashboards, streams. The socket has as many of its own, so that nobody from elsewhere
/// keeps its owner out.
const CONNECTIONS: usize = 256;
/// For a TLS handshake, and for the head of each request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// Threads that check credentials and copy files.
const BLOCKING_THREADS: usize = 4;
/// Bytes of the head of a request.
const HEAD_MAXIMUM: usize = 64 * 1024;
/// The socket in a data directory.
const SOCKET: &str = "api.sock";

/// What newcomers are shown: asked for each, because certificates are renewed.
pub type Tls = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// The socket of a data directory.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join(SOCKET)
}

/// Ports that are taken, and not served yet.
#[derive(Default)]
pub struct Ports {
    tcp: Option<(TcpListener, Option<Tls>)>,
    unix: Option<(std::os::unix::net::UnixListener, PathBuf)>,
}

impl Ports {
    /// Takes a TCP port; 0 takes any free one. Without `tls` it is not encrypted.
    ///
    /// # Errors
    /// What the system says.
    pub fn add_address(&mut self, address: SocketAddr, tls: Option<Tls>) -> io::Result<()> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        self.tcp = Some((listener, tls));
        Ok(())
    }

    /// Takes the socket of a data directory, which this process has locked: one that is there is a remain of another.
    ///
    /// # Errors
    /// What the system says; a path that is too long among it.
    pub fn add_socket(&mut self, data: &Path) -> io::Result<()> {
        let (path, new) = (socket(data), data.join("api.new"));
        drop(fs::remove_file(&new));
        let listener = std::os::unix::net::UnixListener::bind(&new)?;
        // Nobody knows the name before the owner alone may open it.
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        listener.set_nonblocking(true)?;
        self.unix = Some((listener, path));
        Ok(())
    }

    /// The URL of the TCP port.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let (listener, tls) = self.tcp.as_ref()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{}", listener.local_addr().ok()?))
    }

    /// Serves them on a thread of its own.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn serve(
        self,
        observer: Observer,
        gate: Arc<dyn Gate>,
        host: Arc<dyn Host>,
        audit: Option<Audit>,
    ) -> io::Result<Server> {
        let api = Arc::new(Api { broker: Broker::new(observer), gate, host, audit });
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("dunlin-api-work")
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let socket = self.unix.as_ref().map(|(_, path)| path.clone());
        let work = move || run(runtime, self, Routes::of(api), stopped);
        let thread = thread::Builder::new().name("dunlin-api".to_owned()).spawn(work)?;
        Ok(Server { stop: Some(stop), thread: Some(thread), socket })
    }
}

/// The API while it is served; dropping it ends it, whatever is being answered.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    socket: Option<PathBuf>,
}

impl Server {
    /// Nobody asks it any more when this returns; the same as dropping it.
    pub fn end(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(path) = &self.socket {
            drop(fs::remove_file(path));
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// All routes, made when the first connection comes: most brokers are not asked for days.
#[derive(Clone)]
struct Routes {
    api: Arc<Api>,
    made: Arc<OnceLock<Router>>,
}

impl Routes {
    fn of(api: Arc<Api>) -> Self {
        Self { api, made: Arc::default() }
    }

    fn router(&self) -> Router {
        self.made.get_or_init(|| router(&self.api)).clone()
    }
}

fn run(runtime: Runtime, ports: Ports, routes: Routes, stopped: oneshot::Receiver<()>) {
    let Ports { tcp, unix } = ports;
    runtime.block_on(async move {
        let room = || Arc::new(Semaphore::new(CONNECTIONS));
        if let Some((listener, tls)) = tcp
            && let Ok(listener) = tokio::net::TcpListener::from_std(listener)
        {
            tokio::spawn(accept_tcp(listener, tls, routes.clone(), room()));
        }
        if let Some((listener, _)) = unix
            && let Ok(listener) = UnixListener::from_std(listener)
        {
            tokio::spawn(accept_unix(listener, routes, room()));
        }
        // The sender says nothing; it goes.
        let _ = stopped.await;
    });
    // Streams would go on for ever.
    runtime.shutdown_background();
}

async fn accept_tcp(
    listener: tokio::net::TcpListener,
    tls: Option<Tls>,
    routes: Routes,
    room: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let (router, config) = (routes.router(), tls.as_ref().map(|tls| tls()));
        let origin = Origin::Address(peer.ip().to_canonical());
        // Answers are small, and streams want each event at once.
        drop(stream.set_nodelay(true));
        tokio::spawn(async move {
            match config {
                None => serve(stream, origin, router, permit).await,
                Some(config) => {
                    if let Ok(Ok(stream)) = timeout(PATIENCE, TlsAcceptor::from(config).accept(stream)).await
                    {
                        serve(stream, origin, router, permit).await;
                    }
                }
            }
        });
    }
}

async fn accept_unix(listener: UnixListener, routes: Routes, room: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(peer) = stream.peer_cred() else { continue };
                tokio::spawn(serve(stream, Origin::Local(peer.uid()), routes.router(), permit));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Requests of one connection, until it ends.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    origin: Origin,
    router: Router,
    permit: OwnedSemaphorePermit,
) {
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(origin);
        router.call(request)
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_MAXIMUM);
    // Whoever asked may have gone; that is no concern of the broker.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
    drop(permit);
}
