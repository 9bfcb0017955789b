//! The framer on a stream cut in two: wherever the cut is, the same packets come out.

#![no_main]

use dunlin_codec::{Frame, Framing};
use libfuzzer_sys::fuzz_target;

/// Small enough that inputs exceed it.
const MAXIMUM_PACKET_SIZE: u32 = 1_000;

fuzz_target!(|input: &[u8]| {
    let [cut, stream @ ..] = input else { return };
    let cut = usize::from(*cut).min(stream.len());

    let whole = Frame::split(stream, MAXIMUM_PACKET_SIZE);
    let front = Frame::split(&stream[..cut], MAXIMUM_PACKET_SIZE);

    match front {
        Ok(Framing::Incomplete { needed }) => {
            assert!(needed > cut, "{needed} bytes needed, {cut} given");
            if let Ok(Framing::Complete { len, .. }) = whole {
                assert!(needed <= len, "{needed} bytes needed of a packet of {len}");
            }
        }
        // What the front says, more bytes do not change.
        Ok(Framing::Complete { .. }) | Err(_) => assert_eq!(front, whole),
    }
    if let Ok(Framing::Complete { frame, len }) = whole {
        assert!(len <= stream.len() && len <= MAXIMUM_PACKET_SIZE as usize);
        assert_eq!(frame.body, &stream[len - frame.body.len()..len]);
        assert_eq!(frame.packet_type(), stream[0] >> 4);
    }
});
