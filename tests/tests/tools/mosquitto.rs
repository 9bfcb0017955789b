//! The mosquitto broker of the distribution, on a free loopback port.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::PATIENCE;
use crate::folder::Folder;

pub(crate) struct Mosquitto {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Mosquitto {
    /// Anonymous, without bounds on queues.
    pub(crate) fn start() -> Self {
        Self::with("allow_anonymous true\n")
    }

    /// With these lines after its `listener`.
    pub(crate) fn with(lines: &str) -> Self {
        for _ in 0..5 {
            let address = free_address();
            let folder = Folder::new();
            let text = format!(
                "max_queued_messages 0\nset_tcp_nodelay true\nuser root\nlistener {} 127.0.0.1\n{lines}",
                address.port()
            );
            let file = folder.file("mosquitto.conf", text);
            let child = Command::new(program()).arg("-c").arg(file).stderr(Stdio::null()).spawn();
            let child = child.unwrap_or_else(|error| {
                panic!("mosquitto cannot be started ({error}); it is the Debian package mosquitto")
            });
            let mut broker = Self { child, address, _folder: folder };
            // Somebody else may have taken the port in the meantime.
            if broker.accepts() {
                return broker;
            }
        }
        panic!("mosquitto does not start");
    }

    fn accepts(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// mosquitto cannot say which free port it took, and one of the system's choice goes to the next who asks. So each process
/// and each broker in it begins to look at a place of its own, below the system's choices.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 37;
        let port = u16::try_from(20_000 + number % 12_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Debian keeps daemons where the path of a user does not look.
fn program() -> &'static str {
    if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
