//! What listeners may be like, where clients show who they are.
//!
//! In:    the listeners of a server that was not started with `--dev`.
//! Out:   nothing where what clients show and say is read by nobody else.
//! Never: a guess. Where it could be, the server does not start.

use crate::config::Listener;
use crate::failure::Failure;
use crate::listen;

/// Is every listener encrypted, or of this machine alone, or behind a proxy that is named?
///
/// # Errors
/// With the first that is not; names that cannot be resolved are found out about later.
pub(super) fn check(listeners: &[Listener]) -> Result<(), Failure> {
    match listeners.iter().find(|listener| is_plain(listener)) {
        None => Ok(()),
        Some(listener) => Err(Failure::Plain { url: listener.url.clone() }),
    }
}

fn is_plain(listener: &Listener) -> bool {
    let url = &listener.url;
    if url.scheme().has_tls() || url.file().is_some() || listener.proxies.is_some() {
        return false;
    }
    url.resolve().is_ok_and(|addresses| addresses.iter().any(|address| !listen::is_loopback(*address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(url: &str) -> Listener {
        Listener::new(url.parse().unwrap())
    }

    #[test]
    fn what_others_could_read_is_refused() {
        for url in [
            "tls://0.0.0.0:8883",
            "wss://0.0.0.0:8884",
            "tcp://127.0.0.1:1883",
            "ws://[::1]:1",
            "unix:/run/x",
        ] {
            assert!(check(&[listener(url)]).is_ok(), "{url}");
        }
        for url in ["tcp://0.0.0.0:1883", "ws://192.0.2.1:80"] {
            assert!(check(&[listener("tls://0.0.0.0:8883"), listener(url)]).is_err(), "{url}");
        }
        let mut proxied = listener("tcp://0.0.0.0:1883");
        proxied.proxies = Some(vec!["10.0.0.0/8".to_owned()]);
        assert!(check(&[proxied]).is_ok());
    }
}
