//! Tells systemd (or whoever set NOTIFY_SOCKET) how far the process is.
//!
//! In:    what happens to the process.
//! Out:   datagrams as sd_notify(3) describes them.
//! Never: a failure; where nobody listens, nothing is sent.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// Where the notices go.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// Takes the socket that NOTIFY_SOCKET names, if any.
    pub(crate) fn from_environment() -> Self {
        match env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Self::to(&name),
            _ => Self { socket: None },
        }
    }

    /// Listening, and every setting applies.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// The configuration is being read again; ends with [`Self::ready`].
    pub(crate) fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn to(name: &OsStr) -> Self {
        let socket = address(name).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        if let Err(error) = &socket {
            warn!(target: "dunlin::process", %error, "NOTIFY_SOCKET cannot be used");
        }
        Self { socket: socket.ok() }
    }

    fn send(&self, state: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            warn!(target: "dunlin::process", %error, state, "NOTIFY_SOCKET did not take a notice");
        }
    }
}

/// A path, or a name in the abstract namespace, which begins with '@'.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_arrive_at_a_socket_in_the_abstract_namespace() {
        let name = format!("dunlin-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();

        let notify = Notify::to(OsStr::new(&format!("@{name}")));
        notify.ready();
        notify.reloading();
        notify.stopping();

        for expected in ["READY=1", "RELOADING=1", "STOPPING=1"] {
            let mut notice = [0; 64];
            let length = listener.recv(&mut notice).unwrap();
            assert_eq!(&notice[..length], expected.as_bytes());
        }
    }

    #[test]
    fn without_a_socket_nothing_happens() {
        Notify { socket: None }.ready();
        Notify::to(OsStr::new("/nonexistent/notify")).ready();
    }
}
