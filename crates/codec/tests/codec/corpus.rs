//! The corpus: one packet in hexadecimal a file, `VERSION_WHAT.VERDICT.hex`, with a comment that says why.

use std::{collections::BTreeSet, fs, path::Path};

use dunlin_codec::{DecodeError, Frame, Framing, Packet, ProtocolVersion, ReasonCode, RuleSet, Tolerance};

use crate::notation::{NO_LIMIT, V5, V31, V311, bytes};

/// What became of the bytes, in the words of the file names.
fn verdict(stream: &[u8], version: ProtocolVersion) -> (&'static str, Option<DecodeError>) {
    let frame = match Frame::split(stream, NO_LIMIT) {
        Ok(Framing::Complete { frame, len }) if len == stream.len() => frame,
        Ok(_) => return ("incomplete", None),
        Err(error) => return (word(error), Some(error)),
    };
    match Packet::decode(frame, version, Tolerance::default(), &mut RuleSet::EMPTY.clone()) {
        Ok(_) => ("accepted", None),
        Err(error) => (word(error), Some(error)),
    }
}

fn word(error: DecodeError) -> &'static str {
    match error.reason_code() {
        ReasonCode::MalformedPacket => "malformed",
        ReasonCode::ProtocolError => "protocol-error",
        ReasonCode::UnsupportedProtocolVersion => "unsupported",
        ReasonCode::ClientIdentifierNotValid => "client-id",
        other => panic!("the corpus has no word for {other:?}"),
    }
}

#[test]
fn the_corpus_is_judged_as_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut types = BTreeSet::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (what, expected) = name.split_once('.').unwrap_or_else(|| panic!("{name} has no verdict"));
        let version = match what.split_once('_') {
            Some(("v31", _)) => V31,
            Some(("v311", _)) => V311,
            Some(("v5", _)) => V5,
            _ => panic!("{name} names no version"),
        };
        let text = fs::read_to_string(&path).unwrap();
        let hexadecimal: String =
            text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
        let stream = bytes(&hexadecimal);
        let (found, error) = verdict(&stream, version);
        assert_eq!(found, expected, "{name}: {error:?}");
        types.insert((stream[0] >> 4, found == "accepted"));
        count += 1;
    }
    assert!(count >= 80, "the corpus lost files: {count}");
    for packet_type in 1..=15 {
        assert!(types.contains(&(packet_type, true)), "packet type {packet_type} is never accepted");
        assert!(types.contains(&(packet_type, false)), "packet type {packet_type} is never refused");
    }
}
