//! What is written reads back, in every version.

use dunlin_codec::{Packet, Publish};
use proptest::prelude::*;

use crate::{
    notation::{decode, whole},
    parts::any_packet,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_packet_reads_back_as_it_was(parts in any_packet()) {
        let bytes = parts.encoded();
        parts.with(|packet| {
            prop_assert_eq!(packet.encoded_len(parts.version), bytes.len());
            prop_assert_eq!(decode(&bytes, parts.version), Ok(packet), "{:?} {:02x?}", parts.version, bytes);
            Ok(())
        })?;
        let mut again = Vec::new();
        decode(&bytes, parts.version).unwrap().encode(parts.version, &mut again);
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn a_publish_reads_back_by_its_own_door(parts in any_packet()) {
        parts.with(|packet| {
            let Packet::Publish(publish) = packet else { return Ok(()) };
            let mut bytes = Vec::new();
            publish.encode(parts.version, &mut bytes);
            prop_assert_eq!(publish.encoded_len(parts.version), bytes.len());
            let mut broken = dunlin_codec::RuleSet::EMPTY;
            let tolerance = dunlin_codec::Tolerance::default();
            let back = Publish::decode(whole(&bytes), parts.version, tolerance, &mut broken);
            prop_assert_eq!(back, Ok(publish));
            Ok(())
        })?;
    }
}
