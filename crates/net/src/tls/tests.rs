//! Peers that break off, or show what is refused, wherever they do.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// Certificates in a directory, removed at the end.
struct Fixture(PathBuf);

impl Fixture {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dunlin-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let fixture = Self(path);
        for name in ["authority", "stranger"] {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            fixture.write(&format!("{name}.crt"), &params.self_signed(&key).unwrap().pem());
            let issuer = Issuer::new(params, key);
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            fixture.write(&format!("{name}-leaf.crt"), &params.signed_by(&key, &issuer).unwrap().pem());
            fixture.write(&format!("{name}-leaf.key"), &key.serialize_pem());
        }
        fixture
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A server that asks for certificates of the authority.
    fn server(&self) -> TlsListener {
        let files = TlsFiles {
            identities: vec![IdentityFiles {
                certificate: self.file("authority-leaf.crt"),
                key: self.file("authority-leaf.key"),
                ocsp: None,
            }],
            client_ca: Some(self.file("authority.crt")),
            client_crl: None,
            client_certificate: ClientCertificate::Required,
        };
        TlsListener::load(files, Vec::new()).unwrap()
    }

    /// A client that shows the certificate of `name`, in records of so many bytes.
    fn client(&self, name: &str, fragment: Option<usize>) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(first(&self.file("authority.crt"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}-leaf.key"))).unwrap();
        let chain = vec![first(&self.file(&format!("{name}-leaf.crt")))];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        config.max_fragment_size = fragment;
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn first(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}

/// A server, and the other end of its socket.
fn pair(listener: &TlsListener) -> (Tls, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    for end in [&ours, &theirs] {
        end.set_nonblocking(true).unwrap();
    }
    let stream = Stream::from(mio::net::UnixStream::from_std(ours));
    (Tls::new(stream, listener.config()).unwrap(), theirs)
}

/// What the client has to say, moved to the server up to `most` bytes in all.
fn converse(
    client: &mut ClientConnection,
    server: &mut Tls,
    socket: &mut UnixStream,
    most: usize,
) -> (Incoming, usize) {
    let (mut work, mut into) = (Workspace::default(), vec![0; 64 * 1024]);
    let (mut sent, mut got) = (0, Incoming::Nothing);
    loop {
        let mut records = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut records).unwrap();
        }
        let count = records.len().min(most - sent);
        socket.write_all(&records[..count]).unwrap();
        sent += count;
        let (mut answer, before) = ([0; 16 * 1024], sent);
        got = match server.read(&mut into, &mut work) {
            Incoming::Nothing => got,
            other => other,
        };
        match socket.read(&mut answer) {
            Ok(length @ 1..) => {
                client.read_tls(&mut &answer[..length]).unwrap();
                // It may be refused.
                let _ = client.process_new_packets();
            }
            _ if client.wants_write() && sent < most && before <= sent && count > 0 => {}
            _ => return (got, sent),
        }
    }
}

#[test]
fn a_certificate_that_is_refused_closes_the_connection_with_an_alert() {
    let fixture = Fixture::new("refused");
    let listener = fixture.server();
    for fragment in [None, Some(100)] {
        let (mut server, mut socket) = pair(&listener);
        let mut client = fixture.client("stranger", fragment);
        let (got, _) = converse(&mut client, &mut server, &mut socket, usize::MAX);
        assert_eq!(got, Incoming::Failed);
        assert!(matches!(server.take_fault(), Some(Fault::Tls(rustls::Error::InvalidCertificate(_)))));
        server.close();
        let said = client.process_new_packets().unwrap_err();
        assert!(matches!(said, rustls::Error::AlertReceived(_)), "{said}");
    }
}

/// The library remembers places in the bytes that it was given, whole handshake messages and pieces.
#[test]
fn a_peer_may_break_off_anywhere() {
    let fixture = Fixture::new("broken-off");
    let listener = fixture.server();
    for fragment in [None, Some(64)] {
        let (mut server, mut socket) = pair(&listener);
        let (_, whole) =
            converse(&mut fixture.client("authority", fragment), &mut server, &mut socket, usize::MAX);
        assert!(server.is_established());
        server.close();
        // Signatures differ in length by a few bytes.
        for most in (0..whole - 16).step_by(7) {
            let (mut server, mut socket) = pair(&listener);
            converse(&mut fixture.client("authority", fragment), &mut server, &mut socket, most);
            assert!(!server.is_established());
            assert!(server.write(&[b"too early"], &mut Workspace::default()).is_err());
            server.close();
        }
    }
}

#[test]
fn bytes_that_are_no_handshake_are_refused() {
    let fixture = Fixture::new("hostile");
    let listener = fixture.server();
    let hello = [22, 3, 1, 0, 9, 1, 0, 1, 0, 3, 3, 1, 2, 3];
    for bytes in [
        &hello[..],
        &[&hello[..], &[22, 3, 1, 0, 5, 1, 2, 3, 4, 5]].concat(),
        &[&hello[..], &[23, 3, 3, 0, 1, 0]].concat(),
        &[&hello[..], &[21, 3, 3, 0, 2, 2, 40]].concat(),
        &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
        &[22, 3, 1, 0xff, 0xff, 0],
        &[22, 3, 1, 0, 0],
        &[22; 20_000],
    ] {
        let (mut server, mut socket) = pair(&listener);
        socket.write_all(bytes).unwrap();
        let got = server.read(&mut vec![0; 64 * 1024], &mut Workspace::default());
        assert!(matches!(got, Incoming::Nothing | Incoming::Failed), "{got:?}");
        server.close();
    }
}
