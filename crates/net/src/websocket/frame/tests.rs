//! Frames as clients send them, and as none may.

use proptest::prelude::*;

use super::*;

/// A frame of a client.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut header = Header::binary(payload.len());
    header.bytes[0] = first;
    header.bytes[1] |= MASKED;
    let mut frame = [header.bytes(), &mask].concat();
    let start = frame.len();
    frame.extend(payload);
    unmask(&mut frame[start..], mask);
    frame
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<(Vec<u8>, Vec<Control>), FrameError> {
    let (mut bytes, mut controls) = (bytes.to_vec(), Vec::new());
    let count = decoder.decode(&mut bytes, |control| controls.push(control))?;
    bytes.truncate(count);
    Ok((bytes, controls))
}

fn refused(bytes: &[u8]) -> FrameError {
    decode(&mut Decoder::default(), bytes).unwrap_err()
}

const MASK: [u8; 4] = [1, 2, 3, 4];

/// [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
#[test]
fn a_text_frame_is_refused_as_data_that_is_not_understood() {
    let error = refused(&frame(FINAL | TEXT, b"hello", MASK));
    assert_eq!((error, error.status()), (FrameError::Text, 1003));
}

#[test]
fn frames_that_no_client_may_send_are_protocol_errors() {
    for (bytes, error) in [
        (vec![FINAL | BINARY, 5], FrameError::NotMasked),
        (frame(FINAL | 0x40 | BINARY, b"", MASK), FrameError::Reserved),
        (frame(FINAL | 3, b"", MASK), FrameError::Opcode(3)),
        (frame(FINAL | 11, b"", MASK), FrameError::Opcode(11)),
        (frame(PING, b"", MASK), FrameError::Control),
        (frame(FINAL | PING, &[0; 126], MASK), FrameError::Control),
        (frame(FINAL | CONTINUATION, b"", MASK), FrameError::Fragment),
        ([frame(BINARY, b"a", MASK), frame(BINARY, b"b", MASK)].concat(), FrameError::Fragment),
        (vec![FINAL | BINARY, MASKED | 126, 0, 125, 0, 0, 0, 0], FrameError::Length),
        (vec![FINAL | BINARY, MASKED | 127, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0], FrameError::Length),
        (vec![FINAL | BINARY, MASKED | 127, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], FrameError::Length),
    ] {
        assert_eq!(refused(&bytes), error, "{bytes:?}");
        assert_eq!(error.status(), 1002);
    }
}

#[test]
fn control_frames_come_between_the_pieces_of_a_message() {
    let bytes = [
        frame(BINARY, b"ab", MASK),
        frame(FINAL | PING, b"there?", MASK),
        frame(FINAL | PONG, b"unasked", MASK),
        frame(FINAL, b"cd", MASK),
        frame(FINAL | BINARY, b"", MASK),
        frame(FINAL | CLOSE, &1001_u16.to_be_bytes(), MASK),
        frame(FINAL | BINARY, b"too late", MASK),
    ];
    let (payload, controls) = decode(&mut Decoder::default(), &bytes.concat()).unwrap();
    assert_eq!(payload, b"abcd");
    assert_eq!(controls, [Control::Ping(b"there?".to_vec()), Control::Close(Some(1001))]);
}

#[test]
fn headers_write_a_length_in_the_shortest_way() {
    for (payload, header) in [
        (125, &[0x82, 125][..]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 255, 255]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        assert_eq!(Header::binary(payload).bytes(), header);
    }
}

proptest! {
    /// [MQTT-6.0.0-2] [MQTT311-6.0.0-2] However bytes are cut into frames, and frames into pieces, they are the same bytes.
    #[test]
    fn frames_and_pieces_mean_nothing(
        payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<[u8; 4]>()), 0..12),
        cuts in prop::collection::vec(1..64_usize, 1..20),
    ) {
        let (mut wire, mut expected, mut within) = (Vec::new(), Vec::new(), false);
        for (payload, last, mask) in &payloads {
            let first = if within { CONTINUATION } else { BINARY } | if *last { FINAL } else { 0 };
            wire.extend(frame(first, payload, *mask));
            expected.extend(payload);
            within = !last;
        }
        let (mut decoder, mut got, mut rest) = (Decoder::default(), Vec::new(), &wire[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            got.extend(decode(&mut decoder, piece).unwrap().0);
            rest = after;
        }
        prop_assert_eq!(got, expected);
    }

    /// Whatever comes, the answer is the same in one piece and in single bytes.
    #[test]
    fn no_bytes_are_too_strange(wire in prop::collection::vec(any::<u8>(), 0..200)) {
        let whole = decode(&mut Decoder::default(), &wire);
        let (mut decoder, mut pieces) = (Decoder::default(), Ok((Vec::new(), Vec::new())));
        for byte in &wire {
            let Ok((payload, controls)) = &mut pieces else { break };
            if matches!(controls.last(), Some(Control::Close(_))) {
                break;
            }
            match decode(&mut decoder, &[*byte]) {
                Ok((more, heard)) => {
                    payload.extend(more);
                    controls.extend(heard);
                }
                Err(error) => pieces = Err(error),
            }
        }
        prop_assert_eq!(whole, pieces);
    }
}
