//! The header of a proxy: a stream cut in two names the same client, and nothing behind the header matters.

#![no_main]

use dunlin_net::ProxyHeader;
use libfuzzer_sys::fuzz_target;

/// Signature, fixed part, and the most that may follow.
const LONGEST: usize = 16 + 4096;

fuzz_target!(|input: &[u8]| {
    let [high, low, stream @ ..] = input else { return };
    let cut = usize::from(u16::from_be_bytes([*high, *low])).min(stream.len());

    let whole = ProxyHeader::parse(stream);
    match ProxyHeader::parse(&stream[..cut]) {
        // More bytes are wanted; there is an end to that.
        Ok(None) => assert!(cut < LONGEST),
        front => assert_eq!(front, whole),
    }
    if let Ok(Some(header)) = whole {
        assert!((8..=stream.len().min(LONGEST)).contains(&header.len));
        assert_eq!(ProxyHeader::parse(&stream[..header.len]), whole);
        if let Some(source) = header.source {
            assert_eq!(source.ip(), source.ip().to_canonical());
        }
    }
});
