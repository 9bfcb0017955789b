//! A running server: where it listens, what it tells the service manager, how it ends.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::process::Signal;

use crate::client::Subscriber;
use crate::process::{Broker, TemporaryFile, command, fails};

#[test]
fn each_address_is_printed_once_it_is_bound() {
    let broker =
        Broker::start(&["--listen", "127.0.0.1:0", "--listen", "tcp://127.0.0.2:0", "--shards", "1"]);
    let addresses = broker.addresses();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0].ip().to_string(), "127.0.0.1");
    assert_eq!(addresses[1].ip().to_string(), "127.0.0.2");
    for address in addresses {
        assert_ne!(address.port(), 0);
        TcpStream::connect(address).unwrap();
    }
}

#[test]
fn ipv6_and_names_are_served_where_the_machine_has_them() {
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let broker = Broker::start(&["--listen", "localhost:0"]);
    assert!(!broker.addresses().is_empty());
    if has_ipv6 {
        let broker = Broker::start(&["--listen", "[::1]:0"]);
        assert!(broker.addresses()[0].is_ipv6());
        TcpStream::connect(broker.addresses()[0]).unwrap();
    } else {
        fails(4, &["serve", "--dev", "--listen", "[::1]:0"]);
    }
}

#[test]
fn listeners_of_the_file_are_used_unless_the_command_line_names_some() {
    let file = TemporaryFile::new("[[listener]]\nurl = \"127.0.0.3:0\"");
    let ip = |arguments: &[&str]| Broker::start(arguments).addresses()[0].ip().to_string();
    assert_eq!(ip(&["--config", file.path()]), "127.0.0.3");
    assert_eq!(ip(&["--config", file.path(), "--listen", "127.0.0.1:0"]), "127.0.0.1");

    file.write("[[listener]]\nurl = \"0.0.0.0:0\"");
    assert!(fails(5, &["serve", "--dev", "--config", file.path()]).contains("is not a loopback address"));
}

#[test]
fn a_port_in_use_is_4() {
    let broker = Broker::start(&["--listen", "127.0.0.1:0"]);
    let taken = broker.addresses()[0].to_string();
    let error = fails(4, &["serve", "--dev", "--listen", &taken]);
    let expected = format!("dunlin: error: cannot listen on tcp://{taken}: the port is in use");
    assert!(error.contains(&expected), "{error}");

    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = elsewhere.local_addr().unwrap().to_string();
    fails(4, &["serve", "--dev", "--listen", "127.0.0.1:0", "--listen", &taken]);
}

#[test]
fn a_name_of_nobody_is_4() {
    let error = fails(4, &["serve", "--dev", "--listen", "nobody.invalid:1883"]);
    assert!(error.contains("dunlin: error: cannot resolve tcp://nobody.invalid:1883: "), "{error}");
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut broker = Broker::start(&["--listen", "127.0.0.1:0"]);
        broker.signal(signal);
        assert_eq!(broker.ends().code(), Some(0));
        assert!(TcpStream::connect(broker.addresses()[0]).is_err());
    }
}

/// A client that does not read holds up the end; whoever is in a hurry says so again.
#[test]
fn a_second_signal_ends_it_at_once() {
    for (second, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut broker = Broker::start(&["--listen", "127.0.0.1:0"]);
        let address = broker.addresses()[0];
        let (stalled, mut reading) = (Subscriber::connect(address, "a"), Subscriber::connect(address, "b"));
        for _ in 0..14 {
            reading.publish_a_mebibyte();
            reading.receive_a_mebibyte();
        }
        broker.signal(Signal::TERM);
        broker.logged("ending");
        broker.signal(second);
        assert_eq!(broker.ends().code(), Some(code));
        drop(stalled);
    }
}

#[test]
fn the_service_manager_is_told() {
    let name = format!("dunlin-cli-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let notice = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let file = TemporaryFile::new("");
    let mut serve = command(&["serve", "--dev", "--listen", "127.0.0.1:0", "--config", file.path()]);
    serve.env("NOTIFY_SOCKET", format!("@{name}"));

    let mut broker = Broker::spawn(serve);
    assert_eq!(notice(), "READY=1");
    broker.signal(Signal::HUP);
    assert_eq!(notice(), "RELOADING=1");
    assert_eq!(notice(), "READY=1");
    broker.signal(Signal::TERM);
    assert_eq!(notice(), "STOPPING=1");
    assert_eq!(broker.ends().code(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_does_not_end_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut serve = command(&["serve", "--dev", "--listen", "127.0.0.1:0"]);
    serve.stderr(writer);
    let mut broker = Broker::spawn_logging_elsewhere(serve);
    broker.signal(Signal::HUP);
    TcpStream::connect(broker.addresses()[0]).unwrap();
    broker.signal(Signal::TERM);
    assert_eq!(broker.ends().code(), Some(0));
}

#[test]
fn a_log_for_programs_is_json() {
    let file = TemporaryFile::new("[log]\nformat = \"json\"");
    let broker = Broker::start(&["--listen", "127.0.0.1:0", "--config", file.path()]);
    let line = broker.logged("accepting connections");
    assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    assert!(line.contains("\"level\":\"INFO\"") && line.contains("\"target\":\"dunlin::process\""), "{line}");
}

#[test]
fn a_log_for_people_has_rfc_3339_times_and_no_colours_in_a_pipe() {
    let broker = Broker::start(&["--listen", "127.0.0.1:0"]);
    let line = broker.logged("accepting connections");
    let time = line.split(' ').next().unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{line}");
    assert!(!line.contains('\u{1b}'), "{line}");
}
