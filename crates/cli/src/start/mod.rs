//! What `dunlin serve` does without `--dev`: everything encrypted, nobody anonymous, from an empty directory on.
//!
//! In:    the data directory, the listeners that were asked for.
//! Out:   an authority and certificates, made where there are none and renewed before they end; listeners that use them.
//! Never: a listener that lets somebody in unasked; files, where the listeners cannot be served anyway.

pub(crate) mod administrator;
mod admission;
mod devices;
mod entrance;
mod keeping;
mod lists;
mod proofs;
mod welcome;

pub(crate) use entrance::{Doorplate, Entrance, RULES};

use std::path::{Path, PathBuf};

use dunlin_security::authority::{Authority, Files, Machine, Moment, make_directory};
use tracing::info;

use crate::config::{self, ClientCertificate, Listener};
use crate::data::Data;
use crate::failure::Failure;
use crate::listen::{self, ListenUrl};

/// All addresses of the machine: TLS and secure WebSocket.
const DEFAULT: [&str; 4] = ["tls://0.0.0.0:8883", "tls://[::]:8883", "wss://0.0.0.0:8884", "wss://[::]:8884"];

/// A server that knows its clients.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The data directory.
    pub(crate) directory: PathBuf,
    /// As it was named.
    data: Data,
    /// Where to listen, each with its certificate.
    pub(crate) listeners: Vec<Listener>,
    /// Has no device been added yet?
    is_new: bool,
}

impl Secured {
    /// Makes what is missing and renews what is old.
    ///
    /// # Errors
    /// Where a listener would let anybody in, or the data directory cannot be used.
    pub(crate) fn prepare(data: Option<PathBuf>, wanted: &[Listener]) -> Result<Self, Failure> {
        let data = Data { data };
        let directory = data.directory()?;
        let files = Files::of(&directory);
        let wanted = if wanted.is_empty() { default_listeners() } else { wanted.to_vec() };
        let listeners: Vec<_> = wanted.into_iter().map(|listener| with_files(listener, &files)).collect();
        admission::check(&listeners)?;
        make_directory(&directory)?;
        let machine = Machine::here();
        let now = Moment::now();
        let authority = if files.exist() {
            let authority = Authority::open(&directory)?;
            keeping::report(authority.renew(&machine, now)?);
            authority
        } else {
            info!(target: "dunlin::process", directory = %directory.display(), "first start: making certificates");
            Authority::create(&directory, &machine, &[], now)?
        };
        administrator::make(&directory)?;
        let is_new = !authority.issued()?.iter().any(|issued| issued.certificate.for_clients);
        Ok(Self { directory, data, listeners, is_new })
    }

    /// What to say once connections are accepted: how to go on, until there is a device.
    pub(crate) fn welcome(&self, urls: &[String]) -> Option<String> {
        self.is_new.then(|| welcome::text(&self.directory, &self.data, urls))
    }

    /// Renews certificates from now on, while the process runs.
    pub(crate) fn keep(&self) {
        keeping::start(self.directory.clone());
    }
}

fn default_listeners() -> Vec<Listener> {
    let urls = DEFAULT.iter().filter_map(|text| text.parse::<ListenUrl>().ok());
    // A machine without IPv6 is served without it.
    let is_here = |url: &ListenUrl| {
        url.resolve().is_ok_and(|addresses| addresses.iter().all(|address| listen::is_available(*address)))
    };
    urls.filter(is_here).map(Listener::new).collect()
}

/// A TLS listener without files of its own has those of the built-in authority, and its clients.
fn with_files(mut listener: Listener, files: &Files) -> Listener {
    if !listener.url.scheme().has_tls() || listener.certificate.is_some() {
        return listener;
    }
    let set = |path: &Path| Some(path.to_owned());
    listener.certificate = Some(config::Files::One(files.server.clone()));
    listener.key = Some(config::Files::One(files.server_key.clone()));
    if listener.client_ca.is_none() {
        listener.client_ca = set(&files.authority);
        listener.client_crl = set(&files.revoked);
        listener.client_certificate = listener.client_certificate.or(Some(ClientCertificate::Optional));
    }
    listener
}
