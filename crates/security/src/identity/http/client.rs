//! A blocking HTTP client that waits no longer and reads no more than it is told.
//!
//! In:    a URL; a body.
//! Out:   the status and the body of the answer.
//! Never: follows a redirect, asks a proxy of the environment, unpacks a compressed body, speaks plain HTTP to another
//!        machine unless told to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How a service is asked.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// From the connection attempt to the last byte of the answer. 3 s: a Client waits meanwhile, and holds a worker.
    pub timeout: Duration,
    /// For the connection and its TLS handshake alone. 1 s.
    pub connect_timeout: Duration,
    /// Longest body of an answer, in bytes.
    pub body_maximum: u64,
    /// Whom to trust.
    pub roots: Roots,
    /// Whether plain HTTP may leave this machine. Passwords would be seen by everybody between.
    pub insecure: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(1),
            body_maximum: 256 * 1024,
            roots: Roots::System,
            insecure: false,
        }
    }
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// Asks one service.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    url: Box<str>,
    body_maximum: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Neither `http://` nor `https://`, or without a host.
    #[error("{url} is no http or https url")]
    Url {
        /// What it is.
        url: Box<str>,
    },
    /// Plain HTTP to another machine.
    #[error("{url} would send secrets in clear text to another machine")]
    Insecure {
        /// Where to.
        url: Box<str>,
    },
    /// The certificates to trust cannot be read, or are none.
    #[error("{path}: no certificates to trust can be read", path = path.display())]
    Roots {
        /// Of which file.
        path: PathBuf,
    },
    /// The service cannot be reached, is too slow, or does not speak HTTP.
    #[error("no answer: {0}")]
    NoAnswer(#[from] ureq::Error),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// For one URL.
    ///
    /// # Errors
    /// The URL or the certificates to trust cannot be used.
    pub fn new(url: &str, settings: &ClientSettings) -> Result<Self, ClientError> {
        check_url(url, settings.insecure)?;
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(roots(&settings.roots)?)
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .max_response_header_size(16 * 1024)
            .user_agent("dunlin")
            .build()
            .new_agent();
        Ok(Self { agent, url: url.into(), body_maximum: settings.body_maximum })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn get(&self) -> Result<Answer, ClientError> {
        let response = self.agent.get(&*self.url).header("accept", "application/json").call()?;
        self.read(response)
    }

    pub(crate) fn post_json(&self, body: &[u8], authorization: Option<&str>) -> Result<Answer, ClientError> {
        let mut request = self.agent.post(&*self.url).header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.read(request.header("accept", "application/json").send(body)?)
    }

    /// Posts JSON, and says with which status it was answered.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn post(&self, body: &[u8], authorization: Option<&str>) -> Result<u16, ClientError> {
        self.post_json(body, authorization).map(|answer| answer.status)
    }

    fn read(&self, mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ClientError> {
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(self.body_maximum).read_to_vec()?;
        Ok(Answer { status, body })
    }
}

/// May a service at this URL be told secrets?
///
/// # Errors
/// It is no URL of HTTP, or would have them cross the network in clear text.
pub fn check_url(url: &str, insecure: bool) -> Result<(), ClientError> {
    let parsed: Uri = url.parse().map_err(|_| ClientError::Url { url: url.into() })?;
    match (parsed.scheme_str(), parsed.host()) {
        (Some("https"), Some(_)) => Ok(()),
        (Some("http"), Some(host)) if insecure || is_loopback(host) => Ok(()),
        (Some("http"), Some(_)) => Err(ClientError::Insecure { url: url.into() }),
        _ => Err(ClientError::Url { url: url.into() }),
    }
}

/// Whether a host of a URL is this machine, whatever name services say.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn roots(roots: &Roots) -> Result<RootCerts, ClientError> {
    let certificates = match roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        }
        Roots::File(path) => read_roots(path).ok_or_else(|| ClientError::Roots { path: path.clone() })?,
    };
    Ok(RootCerts::new_with_certs(&certificates))
}

fn read_roots(path: &Path) -> Option<Vec<Certificate<'static>>> {
    let pem = std::fs::read(path).ok()?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.ok()? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { None } else { Some(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in ["https://auth.example/x", "http://127.0.0.1:80/", "http://[::1]:80/", "http://localhost/"]
        {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
        for url in ["http://auth.example/", "http://localhost.example/", "http://127.0.0.1.example/"] {
            assert!(matches!(check_url(url, false), Err(ClientError::Insecure { .. })), "{url}");
            assert!(check_url(url, true).is_ok(), "{url}");
        }
        for url in ["", "auth.example", "/path", "ftp://auth.example/", "https://"] {
            assert!(matches!(check_url(url, true), Err(ClientError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let folder = crate::identity::scratch::Scratch::new("roots");
        let roots = Roots::File(folder.file("ca.pem", "nothing"));
        let settings = ClientSettings { roots, ..ClientSettings::default() };

        let error = Client::new("https://auth.example/", &settings).unwrap_err();

        assert!(matches!(error, ClientError::Roots { .. }));
    }
}
