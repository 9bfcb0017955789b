//! A broker of 3.1.1, QoS 0 and 1, for one subscriber, which does with every message what a test wants.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const DISCONNECT: u8 = 14;

/// What to send to the subscriber for the message of this number; an error ends the publisher's connection.
pub(crate) type Lie = Box<dyn FnMut(u64, Vec<u8>) -> io::Result<Vec<Vec<u8>>> + Send>;

struct State {
    lie: Lie,
    messages: u64,
    subscriber: Option<TcpStream>,
}

/// Starts one; it ends with the test.
pub(crate) fn start(
    lie: impl FnMut(u64, Vec<u8>) -> io::Result<Vec<Vec<u8>>> + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(Mutex::new(State { lie: Box::new(lie), messages: 0, subscriber: None }));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = state.clone();
            thread::spawn(move || drop(converse(stream, &state)));
        }
    });
    address
}

/// Fixed header and body of the next packet.
fn packet(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let first = byte[0];
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}

/// A PUBLISH with this body, of less than 128 bytes.
fn publish(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 0x80, "the payload is too long for this broker");
    [&[first, length], body].concat()
}

fn converse(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let (first, body) = packet(&mut stream)?;
        match first >> 4 {
            CONNECT => stream.write_all(&[0x20, 2, 0, 0])?,
            SUBSCRIBE => {
                state.lock().unwrap().subscriber = Some(stream.try_clone()?);
                // What was asked for.
                let qos = body[body.len() - 1];
                stream.write_all(&[0x90, 3, body[0], body[1], qos])?;
            }
            PUBLISH => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let (qos, id) = (first >> 1 & 0b11, [body[2 + topic], body[3 + topic]]);
                let mut state = state.lock().unwrap();
                let number = state.messages;
                state.messages += 1;
                let copies = (state.lie)(number, body)?;
                for copy in copies {
                    // Where nobody has subscribed, messages end here.
                    let Some(subscriber) = &mut state.subscriber else { break };
                    subscriber.write_all(&publish(first, &copy))?;
                }
                if qos == 1 {
                    stream.write_all(&[0x40, 2, id[0], id[1]])?;
                }
            }
            // A clone of the socket would keep the connection open.
            DISCONNECT => return stream.shutdown(Shutdown::Both),
            _ => {}
        }
    }
}
