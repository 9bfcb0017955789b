//! `[[listener]]`: what a block of the file says, and which keys each scheme has.
//!
//! In:    a block; a scheme, the names of keys.
//! Out:   what the server needs of it; whose keys they are, and what is missing.
//! Never: a key that is silently without effect.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use dunlin_codec::{ProtocolVersion, TopicName};
use dunlin_engine::{Durability, ListenerRules, RateExceeded, Versions};
use dunlin_runtime::{IdentityFiles, ListenerLimits, Network, TlsFiles, WebSocketRules};
use serde::{Deserialize, Serialize};

use crate::listen::{ListenUrl, Scheme};

/// The names that TLS clients may ask for.
const MQTT: &[u8] = b"mqtt";
const HTTP: &[u8] = b"http/1.1";

/// One address that Clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Where.
    pub(crate) url: ListenUrl,
    /// PEM files: the server's certificate and those that lead to its authority.
    #[serde(default)]
    pub(crate) certificate: Option<Files>,
    /// PEM files: the keys of the certificates.
    #[serde(default)]
    pub(crate) key: Option<Files>,
    /// DER files: what the authorities say of the certificates.
    #[serde(default)]
    pub(crate) ocsp: Option<Files>,
    /// What peers may ask for by name.
    #[serde(default)]
    pub(crate) alpn: Option<Vec<String>>,
    /// PEM file: the authorities of clients.
    #[serde(default)]
    pub(crate) client_ca: Option<PathBuf>,
    /// PEM file: what those authorities have revoked.
    #[serde(default)]
    pub(crate) client_crl: Option<PathBuf>,
    /// Must a Client have a certificate, where there is `client_ca`?
    #[serde(default)]
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// What Clients are let in by; the first that knows a Client decides.
    #[serde(default)]
    pub(crate) authentication: Option<Vec<Proof>>,
    /// Where WebSocket connections begin.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Where pages may come from that begin WebSocket connections.
    #[serde(default)]
    pub(crate) origins: Option<Vec<String>>,
    /// Who may connect to a Unix socket: the mode of its file, in octal digits.
    #[serde(default)]
    pub(crate) permissions: Option<String>,
    /// Who may connect, with a header that says for whom.
    #[serde(default)]
    pub(crate) proxies: Option<Vec<String>>,
    /// What comes before every topic of its Clients.
    #[serde(default)]
    pub(crate) mount_point: Option<String>,
    /// Versions of MQTT that are let in.
    #[serde(default)]
    pub(crate) versions: Option<Vec<Version>>,
    /// Largest packet, in bytes.
    #[serde(default)]
    pub(crate) maximum_packet_size: Option<NonZeroU32>,
    /// Connections; 0: any number.
    #[serde(default)]
    pub(crate) connections_maximum: Option<u32>,
    /// Connections in a second; 0: any number.
    #[serde(default)]
    pub(crate) connections_per_second: Option<u32>,
    /// Packets a second of one Client; 0: any number.
    #[serde(default)]
    pub(crate) messages_per_second: Option<u32>,
    /// Bytes a second of one Client; 0: any number.
    #[serde(default)]
    pub(crate) bytes_per_second: Option<u32>,
    /// What becomes of what comes faster.
    #[serde(default)]
    pub(crate) rate_exceeded: Option<RateExceeded>,
    /// What survives of what its Clients publish, and of their Sessions.
    #[serde(default)]
    pub(crate) durability: Option<Durability>,
}

/// A file, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Files {
    /// `"server.crt"`
    One(PathBuf),
    /// `["a.crt", "b.crt"]`
    Many(Vec<PathBuf>),
}

/// A version of MQTT, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Version {
    #[serde(rename = "3.1")]
    V31,
    #[serde(rename = "3.1.1")]
    V311,
    #[serde(rename = "5.0")]
    V5,
}

/// What a Client without a certificate gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientCertificate {
    /// Its handshake fails.
    Required,
    /// It is let in.
    Optional,
}

/// What a Client shows that it is somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// A certificate of `client_ca`.
    Certificate,
    /// The password of a user.
    Password,
    /// SCRAM-SHA-256, with the password of a user.
    Scram,
    /// A token of an issuer.
    Jwt,
    /// What a service says.
    Http,
    /// A bind to a directory.
    Ldap,
    /// None: anybody who shows nothing is nobody.
    Anonymous,
}

impl Files {
    /// Each of them.
    pub(crate) fn list(&self) -> &[PathBuf] {
        match self {
            Self::One(file) => std::slice::from_ref(file),
            Self::Many(files) => files,
        }
    }
}

impl Listener {
    /// One whose every key but the URL has its default.
    pub(crate) const fn new(url: ListenUrl) -> Self {
        Self {
            url,
            certificate: None,
            key: None,
            ocsp: None,
            alpn: None,
            client_ca: None,
            client_crl: None,
            client_certificate: None,
            authentication: None,
            path: None,
            origins: None,
            permissions: None,
            proxies: None,
            mount_point: None,
            versions: None,
            maximum_packet_size: None,
            connections_maximum: None,
            connections_per_second: None,
            messages_per_second: None,
            bytes_per_second: None,
            rate_exceeded: None,
            durability: None,
        }
    }

    /// What is asked of WebSocket connections.
    pub(crate) fn websocket_rules(&self) -> WebSocketRules {
        WebSocketRules {
            path: self.path.clone().unwrap_or_else(|| "/mqtt".to_owned()),
            origins: self.origins.clone().unwrap_or_default(),
        }
    }

    /// What TLS needs, where everything is there.
    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        let (certificates, keys) = (self.certificate.as_ref()?.list(), self.key.as_ref()?.list());
        let ocsp = self.ocsp.as_ref().map_or(&[][..], Files::list);
        let identity = |(index, (certificate, key)): (usize, (&PathBuf, &PathBuf))| IdentityFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            ocsp: ocsp.get(index).cloned(),
        };
        Some(TlsFiles {
            identities: certificates.iter().zip(keys).enumerate().map(identity).collect(),
            client_ca: self.client_ca.clone(),
            client_crl: self.client_crl.clone(),
            client_certificate: match self.client_certificate {
                Some(ClientCertificate::Optional) => dunlin_runtime::ClientCertificate::Optional,
                Some(ClientCertificate::Required) | None => dunlin_runtime::ClientCertificate::Required,
            },
        })
    }

    /// What peers may ask for by name.
    pub(crate) fn alpn(&self) -> Vec<Vec<u8>> {
        let default = if self.url.scheme().has_frames() { HTTP } else { MQTT };
        let given =
            self.alpn.as_ref().map(|names| names.iter().map(|name| name.clone().into_bytes()).collect());
        given.unwrap_or_else(|| vec![default.to_vec()])
    }

    /// The load balancers in front of it.
    pub(crate) fn proxies(&self) -> Option<Arc<[Network]>> {
        let proxies = self.proxies.as_ref()?;
        // The check has found none that is no network.
        Some(proxies.iter().filter_map(|network| network.parse().ok()).collect())
    }

    /// What its Clients are held to.
    pub(crate) fn rules(&self) -> ListenerRules {
        let version = |version: &Version| match version {
            Version::V31 => ProtocolVersion::V31,
            Version::V311 => ProtocolVersion::V311,
            Version::V5 => ProtocolVersion::V5,
        };
        let all =
            |versions: &Vec<Version>| versions.iter().map(version).fold(Versions::default(), Versions::with);
        ListenerRules {
            versions: self.versions.as_ref().map(all),
            maximum_packet_size: self.maximum_packet_size,
            messages_per_second: self.messages_per_second,
            bytes_per_second: self.bytes_per_second,
            rate_exceeded: self.rate_exceeded,
            durability: self.durability,
            mount_point: self.mount_point.as_deref().map(Arc::from),
        }
    }

    /// What its newcomers are held to.
    pub(crate) fn limits(&self) -> ListenerLimits {
        ListenerLimits {
            connections_maximum: self.connections_maximum.unwrap_or_default(),
            connections_per_second: self.connections_per_second.unwrap_or_default(),
        }
    }
}

/// The schemes that a key belongs to; empty where to all.
pub(super) const fn schemes_of(key: &str) -> &'static [Scheme] {
    match key.as_bytes() {
        b"certificate"
        | b"key"
        | b"ocsp"
        | b"alpn"
        | b"client_ca"
        | b"client_crl"
        | b"client_certificate" => &[Scheme::Tls, Scheme::Wss, Scheme::Quic],
        b"proxies" => &[Scheme::Tcp, Scheme::Tls, Scheme::Ws, Scheme::Wss],
        b"path" | b"origins" => &[Scheme::Ws, Scheme::Wss],
        b"permissions" => &[Scheme::Unix],
        _ => &[],
    }
}

/// The keys that a listener needs and lacks, each with what is expected.
pub(super) fn needs(scheme: Scheme, has: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    let mut needs = Vec::new();
    if scheme.has_tls() {
        if has("key") {
            needs.push((
                "certificate",
                "a PEM file with the server's certificate and those that lead to its authority",
            ));
        }
        if has("certificate") {
            needs.push(("key", "a PEM file with the private key of the certificate"));
        }
        if has("client_crl") || has("client_certificate") && has("certificate") {
            let why = "with client_certificate and client_crl, a PEM file with the authorities of clients";
            needs.push(("client_ca", why));
        }
    }
    needs.retain(|(name, _)| !has(name));
    needs
}

/// The mode of a file: three octal digits.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = text.len() == 3 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// Longest mount point, in bytes: it takes room from every topic.
pub(super) const MOUNT_MAXIMUM: usize = 1024;

/// The beginning of Topic Names: levels, each with a `/` behind it.
pub(super) fn is_mount_point(text: &str) -> bool {
    let is_topic = TopicName::parse(text).is_ok() && !text.starts_with('$');
    is_topic && text.ends_with('/') && text.len() <= MOUNT_MAXIMUM && !text.chars().any(char::is_control)
}

/// A path as a request names it.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
}
