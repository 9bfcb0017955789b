//! What no broker can beat: a relay that gives packets of publishers to subscribers without looking into them, with the reads and
//! writes that a broker needs at least.
//!
//! In:    connections of `dunlin bench` with MQTT 3.1.1 and QoS 0.
//! Out:   answers to CONNECT and SUBSCRIBE; then every byte of a publisher, to all subscribers, or to the one of its number.
//! Never: a look at a PUBLISH. One buffer for each subscriber, written once when all that was ready has been read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const PINGREQ: u8 = 0xc0;
const DISCONNECT: [u8; 2] = [0xe0, 0];
/// Waiting for a subscriber beyond this, its publishers are not read.
const WAITING_MAXIMUM: usize = 4 << 20;

struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    /// What its client identifier ends with: publishers and subscribers are counted each.
    number: usize,
    publishes: bool,
    /// The beginning of a packet whose rest has not come.
    tail: Vec<u8>,
    readable: bool,
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    /// Their numbers and places.
    subscribers: Vec<(usize, usize)>,
    pairs: bool,
    scratch: Vec<u8>,
}

/// Relays at an address until it is killed.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [address, rest @ ..] = arguments else {
        return Err("relay: where? ADDRESS:PORT is missing".to_owned());
    };
    let address: SocketAddr = address.parse().map_err(|error| format!("relay {address}: {error}"))?;
    let said = |error: io::Error| format!("relay {address}: {error}");
    let mut listener = TcpListener::bind(address).map_err(said)?;
    let poll = Poll::new().map_err(said)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(said)?;
    let pairs = rest.iter().any(|word| word == "pairs");
    let (connections, subscribers) = (Vec::new(), Vec::new());
    let scratch = vec![0; 64 << 10];
    Relay { poll, listener, connections, subscribers, pairs, scratch }.work().map_err(said)
}

impl Relay {
    fn work(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let has_more = self.connections.iter().flatten().any(|connection| connection.readable);
            self.poll.poll(&mut events, has_more.then_some(Duration::ZERO))?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => self.look_at(index, event.is_readable() || event.is_read_closed()),
                }
            }
            for index in 0..self.connections.len() {
                if self.connections[index].as_ref().is_some_and(|connection| connection.readable) {
                    self.read(index);
                }
            }
            (0..self.connections.len()).for_each(|index| self.flush(index));
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            let connection = Connection {
                stream,
                out: Vec::new(),
                number: 0,
                publishes: false,
                tail: Vec::new(),
                readable: false,
            };
            self.connections.push(Some(connection));
        }
    }

    fn look_at(&mut self, index: usize, readable: bool) {
        if let Some(connection) = &mut self.connections[index] {
            connection.readable |= readable;
        }
    }

    /// One read, as a broker does that is fair.
    fn read(&mut self, index: usize) {
        let full = |at: usize| {
            self.connections[at].as_ref().is_some_and(|subscriber| subscriber.out.len() > WAITING_MAXIMUM)
        };
        let Some(connection) = &self.connections[index] else { return };
        if connection.publishes && self.receivers(connection.number).any(full) {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(connection) = &mut self.connections[index] else { return };
        match connection.stream.read(&mut scratch) {
            Ok(0) => self.connections[index] = None,
            Ok(length) => {
                // More may be there: the socket speaks up once only.
                connection.readable = length == scratch.len();
                self.take(index, &scratch[..length]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => connection.readable = false,
            Err(_) => self.connections[index] = None,
        }
        self.scratch = scratch;
    }

    fn receivers(&self, publisher: usize) -> impl Iterator<Item = usize> {
        let wanted = move |(number, _): &&(usize, usize)| !self.pairs || *number == publisher;
        self.subscribers.iter().filter(wanted).map(|(_, at)| *at)
    }

    fn take(&mut self, index: usize, bytes: &[u8]) {
        let Some(connection) = &mut self.connections[index] else { return };
        match bytes.first() {
            _ if connection.publishes => {}
            Some(&CONNECT) => {
                connection.number = number(bytes);
                return connection.out.extend([0x20, 2, 0, 0]);
            }
            Some(&PINGREQ) => return connection.out.extend([0xd0, 0]),
            Some(&SUBSCRIBE) => {
                connection.out.extend([0x90, 3, bytes[2], bytes[3], 0]);
                return self.subscribers.push((connection.number, index));
            }
            Some(first) if first & 0xf0 == PUBLISH => connection.publishes = true,
            _ => return,
        }
        // It comes alone, when all else has been written long ago.
        if bytes == DISCONNECT {
            return;
        }
        let publisher = connection.number;
        let mut tail = std::mem::take(&mut connection.tail);
        let bytes = if tail.is_empty() {
            bytes
        } else {
            tail.extend_from_slice(bytes);
            &tail
        };
        let (bytes, rest) = bytes.split_at(whole(bytes));
        connection.tail = rest.to_vec();
        for at in self.receivers(publisher).collect::<Vec<_>>() {
            if let Some(subscriber) = &mut self.connections[at] {
                subscriber.out.extend_from_slice(bytes);
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        if connection.out.is_empty() {
            return;
        }
        match connection.stream.write(&connection.out) {
            Ok(length) => drop(connection.out.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.connections[index] = None,
        }
    }
}

/// How many bytes are whole packets: those of two publishers must not get into each other.
fn whole(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = packet(&bytes[at..]).filter(|length| at + length <= bytes.len()) {
        at += length;
    }
    at
}

/// Bytes of the first packet, where its length is there.
fn packet(bytes: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (place, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(remaining + place + 2);
        }
    }
    None
}

/// The digits at the end of the client identifier of a CONNECT that has nothing behind it.
fn number(connect: &[u8]) -> usize {
    let digits = connect.iter().rev().take_while(|byte| byte.is_ascii_digit());
    digits.zip(0..).map(|(byte, place)| usize::from(byte - b'0') * 10_usize.pow(place)).sum()
}

#[cfg(test)]
mod tests {
    use super::{number, whole};

    #[test]
    fn the_number_of_a_client_is_at_the_end_of_its_identifier() {
        assert_eq!(number(b"\x10\x14\0\x04MQTT\x04\x02\0\0\0\x08benchp42"), 42);
        assert_eq!(number(b"\x10\x0dbenchp"), 0);
    }

    #[test]
    fn only_whole_packets_go_on() {
        let long = [&[0x30, 0x80, 1][..], &[0; 128]].concat();
        assert_eq!(whole(&[&long[..], &[0x30, 5, 1]].concat()), long.len());
        assert_eq!(whole(&long[..130]), 0);
        assert_eq!(whole(&[0x30]), 0);
    }
}
