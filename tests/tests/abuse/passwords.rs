//! Guesses at passwords from one address: whoever comes from another is let in meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use dunlin_tests::{Broker, Connect, Version, Wire, binary};

/// A data directory that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("dunlin-abuse-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn add_user(data: &Folder, name: &str, password: &str) {
    let mut child = Command::new(binary())
        .args(["user", "add", name, "--password-file", "-", "--data", data.0.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    assert!(child.wait().unwrap().success());
}

/// An address for each, until it is banned; then the next one.
fn guess(address: SocketAddr, number: usize, failures: &AtomicU64, stop: &AtomicBool) {
    let mut round = 0_usize;
    while !stop.load(Ordering::Acquire) {
        round += 1;
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let header = format!("PROXY TCP4 192.0.2.{} 192.0.2.1 4711 1883\r\n", number + 1);
        let name = format!("victim-{}", round % 500);
        let connect =
            Connect::new(Version::V5, format!("g{number}-{round}")).user_name(name).password("guess");
        drop(stream.write_all(&[header.as_bytes(), &connect.bytes()].concat()));
        drop(stream.read(&mut [0; 64]));
        failures.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn a_flood_of_passwords_keeps_nobody_else_out() {
    let data = Folder::new("passwords");
    add_user(&data, "amy", "right");
    let broker = Broker::start_secured(
        &data.0,
        "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n\
         [[listener]]\nurl = 'tcp://127.0.0.1:0'\nproxies = ['127.0.0.1']\n",
    );
    let addresses: Vec<SocketAddr> =
        broker.urls("tcp").iter().map(|url| url.rsplit('/').next().unwrap().parse().unwrap()).collect();
    let (failures, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..8 {
            let (failures, stop) = (&failures, &stop);
            let address = addresses[1];
            scope.spawn(move || guess(address, number, failures, stop));
        }
        let end = std::time::Instant::now() + Duration::from_secs(60);
        let mut logins = 0;
        while (logins < 10 || failures.load(Ordering::Acquire) < 200) && std::time::Instant::now() < end {
            let mut wire = Wire::open(addresses[0], Version::V5);
            wire.send(Connect::new(Version::V5, "amy").user_name("amy").password("right").bytes());
            let code = wire.expect_connack().code;
            if code != 0 {
                stop.store(true, Ordering::Release);
                panic!("{code:#x} after {logins}");
            }
            wire.ping();
            wire.disconnect();
            logins += 1;
        }
        stop.store(true, Ordering::Release);
        assert!(logins >= 10 && failures.load(Ordering::Acquire) >= 200, "{logins} and {failures:?}");
    });
}
