//! The log: that its reader holds up nobody, and what the server says it counted.

use std::io::PipeReader;

use rustix::process::Signal;

use crate::client::Client;
use crate::process::{Broker, TemporaryFile, command};

/// Clients with names so long that the lines about them are more than can wait: 1 MiB that is being written, and 1 MiB
/// behind that.
const CLIENTS: usize = 40;
const NAME_LENGTH: usize = 60_000;

/// A broker whose log is not read, after more lines than can wait: two for each client.
fn unread() -> (Broker, PipeReader) {
    let file = TemporaryFile::new("log.level = \"debug\"\nlimits.client_id_length_maximum = 65535");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut serve = command(&["serve", "--dev", "--listen", "127.0.0.1:0", "--config", file.path()]);
    serve.stderr(writer);
    let broker = Broker::spawn_logging_elsewhere(serve);
    for number in 0..CLIENTS {
        Client::connect(broker.addresses()[0], &format!("{number:x>NAME_LENGTH$}")).disconnect();
    }
    (broker, reader)
}

#[test]
fn a_log_that_is_not_read_holds_up_nobody_and_says_what_it_lost() {
    const LOSS: &str = "lines were left out";
    let (mut broker, reader) = unread();
    Client::connect(broker.addresses()[0], "next").disconnect();

    broker.read_log(reader);
    let mut log = broker.logged_until(LOSS);
    broker.signal(Signal::TERM);
    log.extend(broker.logged_until("ended"));
    assert_eq!(broker.ends().code(), Some(0));

    let losses: Vec<&String> = log.iter().filter(|line| line.contains(LOSS)).collect();
    assert!(losses[0].contains(" WARN dunlin::log: "), "{}", losses[0]);
    let lost: usize = losses.iter().map(|line| field(line, "lost")).sum();
    let there = log.iter().filter(|line| line.contains("client_id=")).count();
    assert_eq!(there + lost, 2 * (CLIENTS + 1));
}

#[test]
fn the_end_does_not_wait_for_a_reader() {
    let (mut broker, reader) = unread();
    broker.signal(Signal::TERM);
    assert_eq!(broker.ends().code(), Some(0));
    drop(reader);
}

/// A client that is away misses a message, and another acknowledges a message that it never got.
#[test]
fn a_signal_and_the_end_log_what_was_counted() {
    let mut broker = Broker::start(&["--listen", "127.0.0.1:0", "--shards", "1"]);
    let mut away = Client::connect_to_stay(broker.addresses()[0], "away");
    away.subscribe();
    away.disconnect();
    let mut present = Client::connect(broker.addresses()[0], "present");
    present.exchange(&[0x30, 3, 0, 1, b't', 0x40, 2, 0, 9, 0xc0, 0], &[0xd0, 0]);

    // The numbers are up to a second old.
    let counters = loop {
        broker.signal(Signal::USR1);
        let line = broker.logged("counters");
        if line.contains(" publish_received=1") {
            break line;
        }
    };
    assert_eq!([field(&counters, "connects"), field(&counters, "sessions")], [2, 2], "{counters}");
    assert!(!counters.contains("turned_away"), "what is zero is left out: {counters}");
    present.disconnect();
    for end in [false, true] {
        if end {
            broker.signal(Signal::TERM);
            assert_eq!(field(&broker.logged("counters"), "connects"), 2);
        }
        let dropped = broker.logged("messages dropped");
        assert!(dropped.contains("reason=Offline messages=1"), "{dropped}");
        let broken = broker.logged("rule broken");
        assert!(broken.contains("rule=UnknownPacketId times=1"), "{broken}");
    }
    broker.logged("ended");
    assert_eq!(broker.ends().code(), Some(0));
}

/// A number of a line.
#[track_caller]
fn field(line: &str, name: &str) -> usize {
    let (_, value) = line.split_once(&format!(" {name}=")).expect(line);
    value.split(' ').next().unwrap().parse().expect(line)
}
