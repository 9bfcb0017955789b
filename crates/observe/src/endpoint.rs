//! An HTTP/1.1 server for one page: `GET /metrics`.
//!
//! In:    requests, one a connection.
//! Out:   the page, or a status that says why not.
//! Never: more than two requests at a time; a request that takes longer than five seconds; anything but reading.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::exposition::Format;

/// Longest head of a request.
const HEAD_MAXIMUM: usize = 8 * 1024;
/// For a whole request: a scraper has long given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between attempts when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// Requests at a time: a second one must not wait for the first, whose peer may be slow.
const THREADS: usize = 2;

/// What makes the page.
type Page = dyn Fn(Format) -> String + Send + Sync;

/// Bound, and not served yet.
#[derive(Debug)]
pub struct Endpoint(TcpListener);

impl Endpoint {
    /// Binds; port 0 takes any free one.
    ///
    /// # Errors
    /// Where the address is in use, not of this machine, or not allowed.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self)
    }

    /// Where it is.
    ///
    /// # Errors
    /// Never for a socket that is bound.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers with what `page` makes, on threads of its own, until the process ends.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn serve(self, page: impl Fn(Format) -> String + Send + Sync + 'static) -> io::Result<()> {
        let page: Arc<Page> = Arc::new(page);
        for _ in 0..THREADS {
            let (listener, page) = (self.0.try_clone()?, Arc::clone(&page));
            thread::Builder::new().name("dunlin-metrics".to_owned()).spawn(move || {
                loop {
                    match listener.accept() {
                        // A peer that does not listen to the end is not waited for.
                        Ok((stream, _)) => drop(answer(stream, &*page)),
                        Err(_) => thread::park_timeout(PAUSE),
                    }
                }
            })?;
        }
        Ok(())
    }
}

/// Why a request does not get the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Malformed,
    NotFound,
    Method,
    TooLarge,
}

impl Refusal {
    const fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::TooLarge => "431 Request Header Fields Too Large",
        }
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    format: Format,
    /// `HEAD`: not the page itself.
    head_only: bool,
}

fn answer(mut stream: TcpStream, page: &Page) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let head = read_head(&mut stream, until)?;
    let answer = match head.ok_or(Refusal::TooLarge).and_then(|head| parse(&head)) {
        Ok(Request { format, head_only }) => {
            let body = page(format);
            let head = head_of("200 OK", format.content_type(), body.len());
            if head_only { head } else { head + &body }
        }
        Err(refusal) => {
            let body = format!("{}; the metrics are at /metrics\n", refusal.status());
            head_of(refusal.status(), "text/plain; charset=utf-8", body.len()) + &body
        }
    };
    write_all(&mut stream, answer.as_bytes(), until)?;
    stream.shutdown(Shutdown::Write)
}

fn head_of(status: &str, content_type: &str, length: usize) -> String {
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{allow}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
}

/// What is left of the patience.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// To the empty line; `None` where it is too long.
fn read_head(stream: &mut TcpStream, until: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_MAXIMUM {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(Some(head))
}

fn write_all(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

fn parse(head: &[u8]) -> Result<Request, Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal::Malformed);
    }
    if target.split('?').next() != Some("/metrics") {
        return Err(Refusal::NotFound);
    }
    if method != "GET" && method != "HEAD" {
        return Err(Refusal::Method);
    }
    let accept =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let format = Format::accepted(accept.map_or("", |(_, value)| value));
    Ok(Request { format, head_only: method == "HEAD" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &str) -> String {
        let endpoint = Endpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = endpoint.address().unwrap();
        endpoint.serve(|format| format!("{format:?}\n")).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_page_comes_in_the_format_that_is_accepted() {
        let answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Content-Length: 12\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nOpenMetrics\n"), "{answer}");
        assert!(ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nPrometheus\n"));
    }

    #[test]
    fn head_gets_the_head_alone() {
        let answer = ask("HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(answer.contains("Content-Length: 11\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn everything_else_is_refused_with_its_status() {
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("\r\n\r\n", "400"),
            ("GET /metrics SMTP\r\n\r\n", "400"),
            (&format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(9 * 1024)), "431"),
        ] {
            let answer = ask(request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.40}: {answer}");
        }
    }

    #[test]
    fn a_silent_peer_does_not_keep_the_next_one_waiting() {
        let endpoint = Endpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = endpoint.address().unwrap();
        endpoint.serve(|_| String::new()).unwrap();
        let _silent = TcpStream::connect(address).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE / 2)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
