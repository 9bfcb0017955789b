//! The operator's API of a server: its ports, who may use it, and what the engines do not know.
//!
//! In:    `[api]`, the data directory.
//! Out:   a served API until it is dropped; lines that say where.
//! Never: a port that other machines reach without TLS.

mod gate;
mod host;
mod tokens;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use dunlin_admin::{Audit, Ports, Server, Tls};
use dunlin_runtime::{ClientCertificate, IdentityFiles, Observer, StartError, TlsFiles, TlsListener};
use dunlin_security::authority::Files;
use tracing::{info, warn};

use crate::certificates::Certificates;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::listen;
pub(crate) use gate::Doorman;
pub(crate) use host::Process;
pub(crate) use tokens::Token;

/// Beside those of MQTT over TLS and WebSocket.
const PORT: u16 = 8885;
/// What HTTP is called in TLS.
const ALPN: &[u8] = b"http/1.1";

/// Where the API will be.
pub(crate) struct Api {
    ports: Ports,
    tls: Option<Arc<TlsListener>>,
}

impl Api {
    /// Takes its ports. `directory` is the data directory, if there is one; `dev`: anybody of this machine is let in.
    ///
    /// # Errors
    /// Where what is configured cannot be.
    pub(crate) fn bind(config: &config::Api, directory: Option<&Path>, dev: bool) -> Result<Self, Failure> {
        let mut api = Self { ports: Ports::default(), tls: None };
        if let Some(directory) = directory
            && let Err(error) = api.ports.add_socket(directory)
        {
            warn!(target: "dunlin::process", %error, "no socket for the API in the data directory");
        }
        match config.listen {
            _ if !config.network => {}
            Some(address) => api.bind_port(config, address, directory, dev)?,
            None if dev => {}
            None => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
                if let Err(Failure::Api { error, .. }) = api.bind_port(config, address, directory, dev) {
                    info!(target: "dunlin::process", %address, %error, "the usual port of the API is not to be had; its socket is served");
                }
            }
        }
        Ok(api)
    }

    fn bind_port(
        &mut self,
        config: &config::Api,
        address: SocketAddr,
        directory: Option<&Path>,
        dev: bool,
    ) -> Result<(), Failure> {
        let is_near = listen::is_loopback(address);
        if dev && !is_near {
            let why = "not a loopback address, and --dev lets anybody in";
            return Err(Failure::ApiAddress { address, why });
        }
        let named = config.certificate.clone().zip(config.key.clone());
        let built_in = directory.filter(|_| !is_near).map(Files::of);
        let files = named.or_else(|| built_in.map(|files| (files.server, files.server_key)));
        if files.is_none() && !is_near {
            let why =
                "other machines could reach it, and there is no certificate: set api.certificate and api.key";
            return Err(Failure::ApiAddress { address, why });
        }
        let tls = files
            .map(|(certificate, key)| load(IdentityFiles { certificate, key, ocsp: None }))
            .transpose()?;
        self.tls = tls.clone();
        let tls = tls.map(|tls| Arc::new(move || tls.config()) as Tls);
        self.ports.add_address(address, tls).map_err(|error| Failure::Api { address, error })
    }

    /// The URL of the port.
    pub(crate) fn url(&self) -> Option<String> {
        self.ports.url()
    }

    /// Has its certificate read again when it changes.
    pub(crate) fn add_to(&self, certificates: &mut Certificates) {
        if let Some(tls) = &self.tls {
            certificates.add(Arc::clone(tls));
        }
    }

    /// Serves it.
    ///
    /// # Errors
    /// When there is no thread to be had, or no audit log.
    pub(crate) fn serve(
        self,
        observer: Observer,
        doorman: Doorman,
        process: Process,
        directory: Option<&Path>,
    ) -> Result<Server, Failure> {
        let open = |directory: &Path| {
            let path = directory.join("audit.log");
            Audit::open(&path).map_err(|error| Failure::write(&path, error))
        };
        let audit = directory.map(open).transpose()?;
        let served = self.ports.serve(observer, Arc::new(doorman), Arc::new(process), audit);
        served.map_err(|error| Failure::Start(StartError::Io(error)))
    }
}

fn load(files: IdentityFiles) -> Result<Arc<TlsListener>, Failure> {
    let files = TlsFiles {
        identities: vec![files],
        client_ca: None,
        client_crl: None,
        client_certificate: ClientCertificate::Optional,
    };
    Ok(Arc::new(TlsListener::load(files, vec![ALPN.to_vec()])?))
}

/// What of the configuration anybody who may look at it may know.
fn shown(config: &Config) -> serde_json::Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    hide(&mut value);
    value
}

/// Words in the names of keys whose values nobody else may know. The name of a file is none.
const SECRETS: [&str; 4] = ["password", "secret", "token", "credential"];

fn hide(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, inner) in object {
                let is_secret = SECRETS.iter().any(|word| name.contains(word)) && !name.ends_with("_file");
                if is_secret && inner.is_string() {
                    *inner = "(hidden)".into();
                } else {
                    hide(inner);
                }
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_however_deep_they_lie() {
        let mut value = json!({"listener": [{"password": "x", "key_file": "/k"}], "http": {"bearer_token": "y", "password_file": "/p"}});
        hide(&mut value);
        let hidden = json!({"listener": [{"password": "(hidden)", "key_file": "/k"}], "http": {"bearer_token": "(hidden)", "password_file": "/p"}});
        assert_eq!(value, hidden);
    }
}
