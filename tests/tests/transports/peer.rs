//! A TLS client by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use dunlin_tests::DEADLINE;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::certificates::Identity;

/// An open TLS connection.
pub(crate) type Peer = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts the authorities in a file, and asks for MQTT.
pub(crate) fn config(
    authorities: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    config_of(authorities, versions, b"mqtt")
}

/// A client that asks for another protocol.
pub(crate) fn config_of(
    authorities: &Path,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[u8],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

/// A client that shows a certificate.
pub(crate) fn with_identity(
    authorities: &Path,
    versions: &[&'static SupportedProtocolVersion],
    identity: &Identity,
) -> Arc<ClientConfig> {
    let plain = config(authorities, versions);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_file_iter(authorities).unwrap().map(Result::unwrap));
    let chain = CertificateDer::pem_file_iter(&identity.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::clone(plain.crypto_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = plain.alpn_protocols.clone();
    Arc::new(config)
}

/// Is a client let in?
pub(crate) fn comes_in(port: u16, config: &Arc<ClientConfig>) -> bool {
    let mut peer = open(port, config);
    let said = peer.write_all(&connect_packet("whoever"));
    said.is_ok() && peer.read_exact(&mut [0; 4]).is_ok()
}

/// The same over a connection that is there already.
pub(crate) fn over(socket: TcpStream, config: &Arc<ClientConfig>) -> Peer {
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket)
}

/// A connection whose handshake is not done yet.
pub(crate) fn open(port: u16, config: &Arc<ClientConfig>) -> Peer {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    over(socket, config)
}

/// A 3.1.1 client with Clean Session and no Keep Alive, connected.
#[track_caller]
pub(crate) fn connect(port: u16, config: &Arc<ClientConfig>, client_id: &str) -> Peer {
    let mut peer = open(port, config);
    peer.write_all(&connect_packet(client_id)).unwrap();
    assert_eq!(take(&mut peer, 4), [0x20, 2, 0, 0]);
    peer
}

pub(crate) fn connect_packet(client_id: &str) -> Vec<u8> {
    let mut packet = vec![0x10, 12 + u8::try_from(client_id.len()).unwrap()];
    packet.extend(*b"\x00\x04MQTT\x04\x02\x00\x00\x00");
    packet.push(u8::try_from(client_id.len()).unwrap());
    packet.extend(client_id.as_bytes());
    packet
}

/// So many bytes.
#[track_caller]
pub(crate) fn take(peer: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    peer.read_exact(&mut bytes).unwrap();
    bytes
}

/// PINGREQ and PINGRESP.
#[track_caller]
pub(crate) fn ping(peer: &mut (impl Read + Write)) {
    peer.write_all(&[0xc0, 0]).unwrap();
    assert_eq!(take(peer, 2), [0xd0, 0]);
}
