//! What a stranger does on a connection: asks, and looks at the answer.
//!
//! In:    a broker of any kind, which may answer anything, slowly or not at all.
//! Out:   whether it is TLS, which certificate it shows, what CONNECT and SUBSCRIBE get.
//! Never: trust. The certificate is looked at, not verified; nothing secret is sent.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_codec::{
    Connect, Frame, Framing, Packet, PacketId, Properties, ProtocolVersion, QoS, Subscribe, SubscribeBuf,
    SubscriptionOptions, TopicFilter,
};
use dunlin_security::authority::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::target::Target;

/// CONNACK and SUBACK are small; who sends more is no broker.
const LARGEST: u32 = 64 * 1024;

const V311: ProtocolVersion = ProtocolVersion::V311;

/// A connection to be asked on.
pub(super) enum Line {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What a server showed in a TLS handshake: its certificate first.
pub(super) struct Shown(pub(super) Vec<CertificateDer<'static>>);

impl Shown {
    /// The server's own certificate.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        self.0.first().and_then(|der| Certificate::from_der(der).ok())
    }
}

/// TLS, if it is spoken there.
pub(super) fn tls(target: &Target) -> io::Result<Option<(Line, Shown)>> {
    let seen = Arc::new(Seen { provider: Arc::new(ring::default_provider()), chain: Mutex::default() });
    let config = ClientConfig::builder_with_provider(Arc::clone(&seen.provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Seen>::clone(&seen))
        .with_no_client_auth();
    let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = target.connect()?;
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            break;
        }
    }
    let chain = std::mem::take(&mut *seen.chain.lock().unwrap_or_else(PoisonError::into_inner));
    // Who shows a certificate speaks TLS, even where it then refuses a client without one.
    Ok((!chain.is_empty()).then(|| (Line::Tls(Box::new(StreamOwned::new(connection, stream))), Shown(chain))))
}

/// Does it still speak TLS 1.0 or 1.1? A hello of that time, as bytes: rustls has none.
pub(super) fn speaks_old_tls(target: &Target) -> io::Result<bool> {
    // The record and the handshake; at most TLS 1.1; 32 bytes instead of random ones; no session.
    const HEAD: &[u8] = b"\x16\x03\x01\0\x49\x01\0\0\x45\x03\x02Dunlin doctor looks for old TLS.\0";
    // Seven suites with CBC, no compression, P-256 with points as they are.
    const TAIL: &[u8] = b"\0\x0e\xc0\x13\xc0\x14\xc0\x09\xc0\x0a\0\x2f\0\x35\0\x0a\x01\0\
        \0\x0e\0\x0a\0\x04\0\x02\0\x17\0\x0b\0\x02\x01\0";
    let mut stream = target.connect()?;
    stream.write_all(&[HEAD, TAIL].concat())?;
    let mut answer = [0; 11];
    if stream.read_exact(&mut answer).is_err() {
        return Ok(false);
    }
    // A ServerHello (handshake type 2) of 3.1 or 3.2; else an alert.
    Ok(answer[0] == 0x16 && answer[5] == 2 && answer[9] == 3 && (1..=2).contains(&answer[10]))
}

impl Line {
    /// Without TLS.
    pub(super) fn plain(target: &Target) -> io::Result<Self> {
        target.connect().map(Self::Plain)
    }

    /// CONNECT of 3.1.1, which all brokers speak. Was it accepted? An end or a wrong answer is a no.
    pub(super) fn is_admitted(&mut self, credentials: Option<(&str, &str)>) -> bool {
        let connect = Connect {
            version: V311,
            clean_start: true,
            keep_alive: 30,
            properties: Properties::EMPTY,
            client_id: "",
            will: None,
            user_name: credentials.map(|(name, _)| name),
            password: credentials.map(|(_, password)| password.as_bytes()),
        };
        let answer = self.ask(Packet::Connect(connect), 2);
        // Session Present is of no interest; 0 is Connection Accepted.
        matches!(answer.as_deref(), Some([_, 0]))
    }

    /// SUBSCRIBE to this filter. Was it granted?
    pub(super) fn is_granted(&mut self, filter: &str) -> bool {
        let Ok(filter) = TopicFilter::parse(filter) else { return false };
        let mut filters = SubscribeBuf::new(V311);
        filters.push(filter, SubscriptionOptions { qos: QoS::AtMostOnce, ..Default::default() });
        let packet_id = PacketId::MIN;
        let subscribe = Subscribe { packet_id, properties: Properties::EMPTY, filters: filters.as_list() };
        let answer = self.ask(Packet::Subscribe(subscribe), 9);
        answer.and_then(|body| body.last().copied()).is_some_and(|code| code < 0x80)
    }

    /// Says goodbye, so that the broker has nothing to wonder about.
    pub(super) fn leave(mut self) {
        let _ = self.write_all(&[0xe0, 0]);
        let _ = self.flush();
    }

    /// Sends a packet; the body of the first answer of this type. Retained messages may come before a SUBACK.
    fn ask(&mut self, packet: Packet<'_>, answer: u8) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        packet.encode(V311, &mut out);
        self.write_all(&out).ok()?;
        self.flush().ok()?;
        let mut bytes = Vec::new();
        // A broker with many retained messages sends as many; some are enough to know.
        for _ in 0..64 {
            while let Framing::Complete { frame, len } = Frame::split(&bytes, LARGEST).ok()? {
                if frame.packet_type() == answer {
                    return Some(bytes[2..len].to_vec());
                }
                bytes.drain(..len);
            }
            let mut more = [0; 16 * 1024];
            match self.read(&mut more) {
                Ok(count) if count > 0 => bytes.extend_from_slice(&more[..count]),
                _ => return None,
            }
        }
        None
    }
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Takes any certificate and keeps it: it is to be looked at.
#[derive(Debug)]
struct Seen {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = shown.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
