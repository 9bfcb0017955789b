//! Ports of QUIC, where this build has it.
//!
//! In:    addresses, certificates; the server that connections are brought to.
//! Out:   bound ports, then running ones.
//! Never: a URL of QUIC in a build without it: that is refused when it is parsed.

#[cfg(feature = "quic")]
pub(crate) use with::{QuicPorts, QuicThread, end};
#[cfg(not(feature = "quic"))]
pub(crate) use without::{QuicPorts, QuicThread, end};

#[cfg(feature = "quic")]
mod with {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use dunlin_quic::{Quic, QuicListener, bind};
    use dunlin_runtime::{Server, TlsListener};

    /// Ports that are bound.
    #[derive(Debug, Default)]
    pub(crate) struct QuicPorts(Vec<QuicListener>);

    /// What serves them; it ends when this is dropped.
    pub(crate) type QuicThread = Option<Quic>;

    /// Ends it, with what is on its way said.
    pub(crate) fn end(thread: QuicThread) {
        drop(thread);
    }

    impl QuicPorts {
        /// Takes a port for the listener of that number; which one it is.
        pub(crate) fn bind(
            &mut self,
            address: SocketAddr,
            number: usize,
            tls: &Arc<TlsListener>,
        ) -> io::Result<SocketAddr> {
            let number = u16::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
            let socket = bind(address)?;
            let bound = socket.local_addr()?;
            self.0.push(QuicListener { socket, number, tls: Arc::clone(tls) });
            Ok(bound)
        }

        /// Serves them.
        pub(crate) fn start(self, server: &Server) -> io::Result<QuicThread> {
            if self.0.is_empty() { Ok(None) } else { Quic::start(self.0, &server.doorway()).map(Some) }
        }
    }
}

#[cfg(not(feature = "quic"))]
mod without {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use dunlin_runtime::{Server, TlsListener};

    /// There are none.
    #[derive(Debug, Default)]
    pub(crate) struct QuicPorts;

    /// There is none.
    #[derive(Debug)]
    pub(crate) struct QuicThread;

    /// There is nothing to end.
    pub(crate) fn end(_: QuicThread) {}

    impl QuicPorts {
        pub(crate) fn bind(
            &mut self,
            _: SocketAddr,
            _: usize,
            _: &Arc<TlsListener>,
        ) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn start(self, _: &Server) -> io::Result<QuicThread> {
            Ok(QuicThread)
        }
    }
}
