//! What a peer sends before and in MQTT: the header of a proxy, TLS, WebSocket, over each other, in pieces.

#![no_main]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use dunlin_net::{
    ClientCertificate, IdentityFiles, Incoming, Stream, TlsFiles, TlsListener, Transport, WebSocketRules, Workspace,
    Wrapping,
};
use libfuzzer_sys::fuzz_target;

/// What a read may bring, and more than what a socket pair takes is not sent.
const ROOM: usize = 64 * 1024;

/// A listener that asks for certificates of the authority that is its own.
fn tls() -> &'static Arc<TlsListener> {
    static LISTENER: OnceLock<Arc<TlsListener>> = OnceLock::new();
    LISTENER.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("dunlin-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (directory.join("crt"), directory.join("key"));
        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        let identities = vec![IdentityFiles { certificate: certificate.clone(), key, ocsp: None }];
        let client_certificate = ClientCertificate::Optional;
        let files = TlsFiles { identities, client_ca: Some(certificate), client_crl: None, client_certificate };
        let listener = TlsListener::load(files, vec![b"mqtt".to_vec()]).expect("a listener");
        std::fs::remove_dir_all(directory).expect("removed");
        Arc::new(listener)
    })
}

fn websocket() -> Arc<WebSocketRules> {
    Arc::new(WebSocketRules { path: "/mqtt".to_owned(), origins: Vec::new() })
}

fuzz_target!(|input: &[u8]| {
    let [kind, piece, bytes @ ..] = input else { return };
    let wrapping = Wrapping {
        tls: (kind & 1 != 0).then(|| Arc::clone(tls())),
        websocket: (kind & 2 != 0).then(websocket),
        proxies: (kind & 4 != 0).then(|| Arc::from([])),
    };
    let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
    ours.set_nonblocking(true).expect("it is a socket");
    let stream = Stream::from(mio::net::UnixStream::from_std(ours));
    let mut transport = Transport::new(stream, &wrapping).expect("the configuration is good");
    let (mut work, mut into) = (Workspace::default(), vec![0; ROOM]);

    'all: for piece in bytes.chunks(usize::from(*piece).max(1)) {
        theirs.write_all(piece).expect("there is room");
        loop {
            match transport.read(&mut into, &mut work) {
                Incoming::Bytes { count, more } => {
                    assert!(count == 0 || (count <= ROOM && transport.is_established()));
                    if count == 0 && !more {
                        break;
                    }
                }
                Incoming::Proxied(_) => assert!(kind & 4 != 0),
                Incoming::Nothing => break,
                Incoming::End | Incoming::Failed => break 'all,
            }
        }
        // Whoever is not there yet gets nothing; what is said is not looked at.
        let _ = transport.write(&[b"\x20\x02\0\0"], &mut work);
        let _ = transport.flush(&mut work);
    }
    transport.close(&mut work);
    let _ = transport.take_fault();
});
