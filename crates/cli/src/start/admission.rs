//! Who gets in, listener by listener.
//!
//! In:    the listeners of a server that was not started with `--dev`.
//! Out:   nothing where each of them asks its clients who they are.
//! Never: a guess. Where a listener takes strangers, the server does not start.

use crate::config::{ClientCertificate, Listener};
use crate::failure::Failure;

/// Does every listener ask for a certificate?
///
/// # Errors
/// With the first that does not.
pub(super) fn check(listeners: &[Listener]) -> Result<(), Failure> {
    match listeners.iter().find(|listener| !asks_for_certificates(listener)) {
        None => Ok(()),
        Some(listener) => Err(Failure::Anonymous { url: listener.url.clone() }),
    }
}

fn asks_for_certificates(listener: &Listener) -> bool {
    listener.url.scheme().has_tls()
        && listener.client_ca.is_some()
        && listener.client_certificate != Some(ClientCertificate::Optional)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(url: &str) -> Listener {
        Listener::new(url.parse().unwrap())
    }

    #[test]
    fn only_those_that_ask_for_certificates_are_served() {
        let mut tls = listener("tls://0.0.0.0:8883");
        assert!(check(&[tls.clone()]).is_err());
        tls.client_ca = Some("authority.crt".into());
        assert!(check(&[tls.clone()]).is_ok());
        assert!(check(&[tls.clone(), listener("tcp://127.0.0.1:1883")]).is_err());
        assert!(check(&[tls.clone(), listener("unix:/run/x")]).is_err());
        tls.client_certificate = Some(ClientCertificate::Optional);
        assert!(check(&[tls]).is_err());
    }
}
