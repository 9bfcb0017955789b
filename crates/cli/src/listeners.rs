//! The listeners of a server: from what was asked for to what is bound.
//!
//! In:    `--listen`, or the listeners of the file.
//! Out:   every place that they stand for, with what is spoken there.
//! Never: with `--dev`, a place that other machines can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

#[cfg(feature = "api")]
use dunlin_admin::doctor::Wire;
use dunlin_engine::ListenerRules;
use dunlin_runtime::{Listener, Place, StartError, TlsListener, UnixSocket, Wrapping};
use tracing::info;

use crate::certificates::Certificates;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::listen::{self, ListenUrl, Scheme};
use crate::quic::QuicPorts;
use crate::start::Doorplate;

/// Loopback, port 1883.
const DEFAULT: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1883),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 1883),
];

/// The user and the group of the process.
const MODE: u32 = 0o660;

/// Who may reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Processes of this machine.
    Loopback,
    /// Whoever the network lets through.
    Everybody,
}

/// Where a server listens.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    places: Vec<(Scheme, Listener)>,
    /// Of each place.
    rules: Vec<ListenerRules>,
    /// Of each place: what was asked for, and the number of that.
    wanted: Vec<(usize, config::Listener)>,
    /// Nobody is let in unasked: who is not of this machine must say who it is.
    asks: bool,
    certificates: Certificates,
    quic: QuicPorts,
}

impl Listeners {
    /// The listeners of the command line, or else those of the file.
    ///
    /// # Errors
    /// Where the command line has one that is none.
    pub(crate) fn wanted(given: &[String], config: &Config) -> Result<Vec<config::Listener>, Failure> {
        if given.is_empty() {
            return Ok(config.listener.clone());
        }
        let parse = |text: &String| {
            let url = text.parse().map_err(|error| Failure::Listen { text: text.clone(), error })?;
            Ok(config::Listener::new(url))
        };
        given.iter().map(parse).collect()
    }

    /// What to bind: every place that the listeners stand for, none of which is reached from farther than allowed.
    ///
    /// # Errors
    /// Where a name is nobody's, or somebody's on another machine.
    pub(crate) fn resolve(wanted: &[config::Listener], reach: Reach) -> Result<Self, Failure> {
        let mut listeners = Self { asks: reach == Reach::Everybody, ..Self::default() };
        if wanted.is_empty() {
            let addresses = available(&DEFAULT).ok_or_else(|| Failure::NoAddress {
                urls: DEFAULT.map(|address| Scheme::Tcp.at(&Place::Tcp(address))).join(", "),
            })?;
            let wanted = config::Listener::new(ListenUrl::loopback());
            listeners.add(0, &wanted, addresses.into_iter().map(Place::Tcp), &Wrapping::default());
        }
        for (number, listener) in wanted.iter().enumerate() {
            let url = &listener.url;
            if let Some(path) = url.file() {
                let mode = listener.permissions.as_deref().and_then(config::mode).unwrap_or(MODE);
                let place = Place::Unix(UnixSocket { path: path.to_owned(), mode });
                listeners.add(number, listener, [place], &Wrapping::default());
            } else if url.scheme() == Scheme::Quic {
                listeners.add_quic(number, listener, addresses(url, reach)?)?;
            } else {
                let addresses = addresses(url, reach)?;
                let wrapping = listeners.wrapping(listener)?;
                listeners.add(number, listener, addresses.into_iter().map(Place::Tcp), &wrapping);
            }
        }
        Ok(listeners)
    }

    fn wrapping(&mut self, listener: &config::Listener) -> Result<Wrapping, Failure> {
        let mut wrapping = Wrapping::default();
        let scheme = listener.url.scheme();
        if scheme.has_tls() {
            let files = listener.tls_files().ok_or_else(|| Failure::NoFiles { url: listener.url.clone() })?;
            let tls = Arc::new(TlsListener::load(files, listener.alpn())?);
            self.certificates.add(Arc::clone(&tls));
            wrapping.tls = Some(tls);
        }
        wrapping.proxies = listener.proxies();
        wrapping.websocket = scheme.has_frames().then(|| Arc::new(listener.websocket_rules()));
        Ok(wrapping)
    }

    /// The files that TLS needs.
    pub(crate) const fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    fn add(
        &mut self,
        number: usize,
        wanted: &config::Listener,
        places: impl IntoIterator<Item = Place>,
        wrapping: &Wrapping,
    ) {
        for place in places {
            let listener = Listener {
                place,
                wrapping: wrapping.clone(),
                limits: wanted.limits(),
                authenticate: self.asks,
            };
            self.places.push((wanted.url.scheme(), listener));
            self.rules.push(wanted.rules());
            self.wanted.push((number, wanted.clone()));
        }
    }

    /// Takes the ports of QUIC, which the server is brought connections from.
    fn add_quic(
        &mut self,
        number: usize,
        wanted: &config::Listener,
        addresses: Vec<SocketAddr>,
    ) -> Result<(), Failure> {
        let Wrapping { tls: Some(tls), .. } = self.wrapping(wanted)? else {
            return Err(Failure::NoFiles { url: wanted.url.clone() });
        };
        for address in addresses {
            let port = self.quic.bind(address, self.places.len(), &tls);
            let port = port.map_err(|error| Failure::Bind { url: wanted.url.to_string(), error })?;
            self.add(number, wanted, [Place::Carried(port)], &Wrapping::default());
        }
        Ok(())
    }

    /// The ports of QUIC.
    pub(crate) fn take_quic(&mut self) -> QuicPorts {
        std::mem::take(&mut self.quic)
    }

    /// For the engines, in the order of [`Self::options`].
    pub(crate) fn rules(&self) -> Vec<ListenerRules> {
        self.rules.clone()
    }

    /// Each place, by name.
    pub(crate) fn doors(&self) -> Vec<Doorplate> {
        let names = self.places.iter().map(|(scheme, listener)| scheme.at(&listener.place));
        let doors = names.zip(&self.wanted);
        doors
            .map(|(name, (index, listener))| Doorplate { name, index: *index, listener: listener.clone() })
            .collect()
    }

    /// For the runtime.
    pub(crate) fn options(&self) -> Vec<Listener> {
        self.places.iter().map(|(_, listener)| listener.clone()).collect()
    }

    /// The URLs of what was bound.
    pub(crate) fn bound(&self, places: &[Place]) -> impl Iterator<Item = String> {
        self.places.iter().zip(places).map(|((scheme, _), place)| scheme.at(place))
    }

    /// What lies between each place and its Clients.
    #[cfg(feature = "api")]
    pub(crate) fn wires(&self) -> Vec<Wire> {
        let wire = |(scheme, listener): &(Scheme, Listener)| match listener.place {
            Place::Unix(_) => Wire::Private,
            _ if scheme.has_tls() => Wire::Private,
            _ if listener.wrapping.proxies.is_some() => Wire::Proxied,
            _ => Wire::Plain,
        };
        self.places.iter().map(wire).collect()
    }

    /// Why the server did not start.
    pub(crate) fn failure(&self, error: StartError) -> Failure {
        match error {
            StartError::Bind { place, source } => {
                let found = self.places.iter().find(|(_, listener)| listener.place == place);
                let scheme = found.map_or(Scheme::Tcp, |(scheme, _)| *scheme);
                Failure::Bind { url: scheme.at(&place), error: source }
            }
            other => Failure::Start(other),
        }
    }
}

/// The addresses of a URL, all of them within reach.
fn addresses(url: &ListenUrl, reach: Reach) -> Result<Vec<SocketAddr>, Failure> {
    let resolved = url.resolve().map_err(|error| Failure::Resolve { url: url.clone(), error })?;
    let is_too_far = |address: &&SocketAddr| reach == Reach::Loopback && !listen::is_loopback(**address);
    if let Some(address) = resolved.iter().find(is_too_far) {
        return Err(Failure::NotLoopback { url: url.clone(), address: *address });
    }
    // A name may have an address that this machine lacks; an address that was written must be there.
    let usable = if url.names_an_address() { Some(resolved) } else { available(&resolved) };
    usable.ok_or_else(|| Failure::NoAddress { urls: url.to_string() })
}

/// Those whose family this machine has; `None` where it has none.
fn available(addresses: &[SocketAddr]) -> Option<Vec<SocketAddr>> {
    let (here, lacking): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| listen::is_available(*address));
    for address in lacking {
        info!(target: "dunlin::listener", %address, "this machine has no such address; not listening there");
    }
    (!here.is_empty()).then_some(here)
}
