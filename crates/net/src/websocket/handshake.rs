//! How a WebSocket connection begins (RFC 6455, section 4): a request of HTTP and its answer.
//!
//! In:    the head of a request; the rules of the listener.
//! Out:   the answer, which says in words what is wrong.
//! Never: a connection without the subprotocol `mqtt`.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What a listener asks of the requests that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRules {
    /// The path that a request must name.
    pub path: String,
    /// Origins that pages may come from, `https://example.org`; `*` is any. A page from the host that it connects to may
    /// connect always, and so may what is no page and names no origin.
    pub origins: Vec<String>,
}

/// A request that was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}")]
pub struct Refusal {
    /// Of HTTP.
    pub status: u16,
    /// In words.
    pub reason: String,
}

/// The longest head of a request. Browsers send cookies along.
pub(crate) const HEAD_MAX: usize = 8 * 1024;
/// Section 1.3.
const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to a request, which is granted.
pub(crate) fn answer(head: &[u8], rules: &WebSocketRules) -> Result<Vec<u8>, Refusal> {
    let request = Request::parse(head)?;
    request.check(rules)?;
    let accept = accept(request.key()?);
    // The subprotocol is the one that the Client must offer [MQTT-6.0.0-4] [MQTT311-6.0.0-4].
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    Ok(answer.into_bytes())
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        let head = std::str::from_utf8(head).map_err(|_| refusal(400, "the request is not UTF-8"))?;
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (first.next(), first.next(), first.next(), first.next())
        else {
            return Err(refusal(400, "the first line is not that of an HTTP/1.1 request"));
        };
        let header = |line: &'a str| {
            let (name, value) =
                line.split_once(':').filter(|(name, _)| !name.is_empty() && !name.contains(' '))?;
            Some((name, value.trim()))
        };
        let headers: Option<Vec<_>> = lines.map(header).collect();
        let headers = headers.ok_or_else(|| refusal(400, "a line of the head is no header"))?;
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        Ok(Self { method, path, headers })
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Is the word among those of a header that is a list?
    fn lists(&self, name: &str, word: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
    }

    fn check(&self, rules: &WebSocketRules) -> Result<(), Refusal> {
        if self.method != "GET" {
            return Err(refusal(405, "only GET begins a WebSocket connection"));
        }
        if self.path != rules.path {
            return Err(refusal(
                404,
                &format!("nothing is here; WebSocket connections begin at {}", rules.path),
            ));
        }
        if !self.lists("Upgrade", "websocket") || !self.lists("Connection", "Upgrade") {
            return Err(refusal(426, "this port serves MQTT over WebSocket, not pages"));
        }
        if !self.all("Sec-WebSocket-Version").eq(["13"]) {
            return Err(refusal(426, "only version 13 of WebSocket is spoken here"));
        }
        // Names of subprotocols are case-sensitive.
        let offers = |value: &str| value.split(',').any(|offered| offered.trim() == "mqtt");
        if !self.all("Sec-WebSocket-Protocol").any(offers) {
            return Err(refusal(400, "the client must offer the WebSocket subprotocol mqtt"));
        }
        self.check_origin(rules)
    }

    fn check_origin(&self, rules: &WebSocketRules) -> Result<(), Refusal> {
        let mut hosts = self.all("Host");
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(refusal(400, "the request names no host, or several"));
        };
        let own =
            |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host));
        let listed = |origin: &str| {
            rules.origins.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
        };
        match self.all("Origin").find(|origin| !own(origin) && !listed(origin)) {
            None => Ok(()),
            Some(_) => {
                let reason = "pages of this origin may not connect; listener.origins says which may";
                Err(refusal(403, reason))
            }
        }
    }

    fn key(&self) -> Result<&'a str, Refusal> {
        let mut keys = self.all("Sec-WebSocket-Key");
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        match (keys.next(), keys.next()) {
            (Some(key), None)
                if key.len() == 24 && key.ends_with("==") && key[..22].bytes().all(is_base64) =>
            {
                Ok(key)
            }
            _ => Err(refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")),
        }
    }
}

pub(crate) fn refusal(status: u16, reason: &str) -> Refusal {
    Refusal { status, reason: reason.to_owned() }
}

impl Refusal {
    /// The answer that says so.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let Self { status, reason } = self;
        let (name, more) = match status {
            403 => ("Forbidden", ""),
            404 => ("Not Found", ""),
            405 => ("Method Not Allowed", "Allow: GET\r\n"),
            426 => ("Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
            431 => ("Request Header Fields Too Large", ""),
            _ => ("Bad Request", ""),
        };
        let length = reason.len() + 1;
        let answer = format!(
            "HTTP/1.1 {status} {name}\r\n{more}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{reason}\n"
        );
        answer.into_bytes()
    }
}

/// Section 4.2.2, number 5.4.
fn accept(key: &str) -> String {
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{SUFFIX}").as_bytes()).as_ref())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3)
            .fold(0_usize, |bits, index| bits << 8 | group.get(index).map_or(0, |byte| usize::from(*byte)));
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            text.push(if place > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt?x=1 HTTP/1.1\r\nHost: here:80\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";

    fn rules() -> WebSocketRules {
        WebSocketRules { path: "/mqtt".to_owned(), origins: vec!["https://friend.example".to_owned()] }
    }

    fn status(request: &str) -> u16 {
        answer(request.as_bytes(), &rules()).unwrap_err().status
    }

    /// [MQTT-6.0.0-4] [MQTT311-6.0.0-4]; the key and its answer are those of RFC 6455, section 1.3.
    #[test]
    fn a_request_is_granted_with_the_subprotocol() {
        let answer = String::from_utf8(answer(GOOD.as_bytes(), &rules()).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "));
        assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert!(answer.ends_with("\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"), "{answer}");
    }

    #[test]
    fn a_request_that_is_not_granted_gets_its_status() {
        for (from, to, expected) in [
            ("GET", "POST", 405),
            ("/mqtt?", "/?", 404),
            ("HTTP/1.1", "HTTP/1.0", 400),
            ("Upgrade: WebSocket", "Upgrade: h2c", 426),
            ("Version: 13", "Version: 8", 426),
            ("mqttv3.1, mqtt", "MQTT", 400),
            ("nonce", "n", 400),
            ("dGhl", "dGh", 400),
            ("Host: here:80\r\n", "", 400),
            ("Host: here:80", "Host here", 400),
        ] {
            if GOOD.contains(from) {
                assert_eq!(status(&GOOD.replace(from, to)), expected, "{to}");
            }
        }
    }

    #[test]
    fn pages_connect_to_where_they_come_from_and_from_where_they_may() {
        let from = |origin: &str| GOOD.replace("Upgrade: W", &format!("Origin: {origin}\r\nUpgrade: W"));
        for origin in ["http://here:80", "https://friend.example"] {
            assert!(answer(from(origin).as_bytes(), &rules()).is_ok(), "{origin}");
        }
        for origin in ["http://elsewhere", "null", "http://here", "https://friend.example.evil"] {
            assert_eq!(status(&from(origin)), 403, "{origin}");
        }
        let any = WebSocketRules { origins: vec!["*".to_owned()], ..rules() };
        assert!(answer(from("http://elsewhere").as_bytes(), &any).is_ok());
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
