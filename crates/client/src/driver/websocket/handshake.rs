//! How a WebSocket connection begins (RFC 6455, section 4): a request of HTTP and its answer.
//!
//! In:    where to; the answer's bytes.
//! Out:   the request; whether it was granted.
//! Never: a connection without the subprotocol `mqtt`.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::address::Host;
use crate::base64;

/// The longest head of an answer.
const HEAD_MAX: usize = 16 * 1024;
/// Section 1.3.
const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Asks, and waits for the answer; what followed it in the same read.
pub(super) async fn open<S>(stream: &mut S, host: &Host, path: &str) -> Result<Vec<u8>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut nonce = [0; 16];
    SystemRandom::new().fill(&mut nonce).map_err(|_| "no randomness for a key".to_owned())?;
    let key = base64::encode(&nonce);
    // The subprotocol must be offered [MQTT-6.0.0-3] [MQTT311-6.0.0-3].
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    let words = |error: std::io::Error| format!("websocket: {error}");
    stream.write_all(request.as_bytes()).await.map_err(words)?;
    stream.flush().await.map_err(words)?;
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await.map_err(words)? == 0 {
            return Err("websocket: the server closed it before it answered".to_owned());
        }
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            granted(&head, &key)?;
            return Ok(rest);
        }
        if head.len() > HEAD_MAX {
            return Err("websocket: the head of the answer is longer than 16 KiB".to_owned());
        }
    }
}

/// Is it the answer to the request with that key (section 4.1)?
fn granted(head: &[u8], key: &str) -> Result<(), String> {
    let head = std::str::from_utf8(head).map_err(|_| "websocket: the answer is not UTF-8".to_owned())?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101 ") && status != "HTTP/1.1 101" {
        return Err(format!("websocket: the server answered {status:?}"));
    }
    let headers: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect();
    let has = |name: &str, wanted: &dyn Fn(&str) -> bool| {
        headers.iter().any(|(found, value)| found.eq_ignore_ascii_case(name) && wanted(value))
    };
    let accept =
        base64::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{SUFFIX}").as_bytes()).as_ref());
    if !has("Sec-WebSocket-Accept", &|value| value == accept) {
        return Err("websocket: the answer is to another request".to_owned());
    }
    if !has("Upgrade", &|value| value.eq_ignore_ascii_case("websocket")) {
        return Err("websocket: the server does not upgrade".to_owned());
    }
    // [MQTT-6.0.0-4] [MQTT311-6.0.0-4]
    if !has("Sec-WebSocket-Protocol", &|value| value == "mqtt") {
        return Err("websocket: the server does not speak the subprotocol mqtt".to_owned());
    }
    if has("Sec-WebSocket-Extensions", &|value| !value.is_empty()) {
        return Err("websocket: the server uses an extension that nobody asked for".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and its answer are those of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

    #[test]
    fn an_answer_is_taken_when_all_of_it_is_right() {
        assert_eq!(granted(GOOD.as_bytes(), KEY), Ok(()));
        for (from, to) in [
            ("101", "200"),
            ("upgrade: WebSocket", "Upgrade: h2c"),
            ("s3pP", "S3pP"),
            ("Protocol: mqtt", "Protocol: mqttv3.1"),
            ("Sec-WebSocket-Protocol: mqtt", "X: y"),
            ("Connection: Upgrade", "Sec-WebSocket-Extensions: permessage-deflate"),
        ] {
            assert!(granted(GOOD.replace(from, to).as_bytes(), KEY).is_err(), "{to}");
        }
    }
}
