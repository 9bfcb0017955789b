//! Would payloads be half as long compressed? Tried on the few that were kept.

use std::io::Write;

use dunlin_engine::Sample;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Shorter ones gain nothing that is worth the trouble.
const WORTH_TRYING: u32 = 128;

/// Bytes of samples, as they came and as they could have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shrunk {
    /// Of all samples, topics included.
    pub(super) all: u64,
    /// Of payloads that are long enough.
    pub(super) before: u64,
    /// Of these, compressed one by one.
    pub(super) after: u64,
}

impl Shrunk {
    pub(super) fn of(samples: &[Sample]) -> Self {
        let mut sum = Self::default();
        for sample in samples {
            sum.all += sample.topic.len() as u64 + u64::from(sample.payload_len);
            let kept = sample.payload.len() as u64;
            if sample.payload_len < WORTH_TRYING || kept == 0 {
                continue;
            }
            sum.before += u64::from(sample.payload_len);
            // Of a longer one the beginning is known; the rest shrinks no less.
            sum.after += gzip_len(&sample.payload) * u64::from(sample.payload_len) / kept;
        }
        sum
    }

    /// Are they no more than half as long?
    pub(super) const fn is_half(self) -> bool {
        self.before > 0 && self.after * 2 <= self.before
    }

    /// What of so many bytes of whole packets would not have been sent.
    pub(super) fn saved(self, bytes: u64) -> u64 {
        let saved = u128::from(bytes) * u128::from(self.before.saturating_sub(self.after));
        u64::try_from(saved / u128::from(self.all.max(1))).unwrap_or(u64::MAX)
    }
}

fn gzip_len(bytes: &[u8]) -> u64 {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Into memory: it cannot fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.map_or(bytes.len() as u64, |out| out.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::QoS;

    fn sample(payload: &[u8], payload_len: u32) -> Sample {
        let payload = payload.to_vec();
        Sample { topic: "t".into(), qos: QoS::AtMostOnce, retain: false, payload_len, payload }
    }

    #[test]
    fn text_that_repeats_itself_shrinks_and_noise_does_not() {
        let text = br#"{"temperature":21.5,"unit":"celsius"},"#.repeat(8);
        let shrunk = Shrunk::of(&[sample(&text, 304)]);
        assert!(shrunk.is_half() && shrunk.saved(10_000) > 5_000, "{shrunk:?}");
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(304)
        .collect();
        assert!(!Shrunk::of(&[sample(&noise, 304)]).is_half());
        assert!(!Shrunk::of(&[sample(b"0000000000000000", 16)]).is_half(), "not worth it");
        assert!(!Shrunk::of(&[]).is_half());
    }

    #[test]
    fn of_a_long_payload_the_beginning_speaks_for_the_rest() {
        let shrunk = Shrunk::of(&[sample(&[7; 1_024], 10_240)]);
        assert_eq!(shrunk.before, 10_240);
        assert!(shrunk.is_half());
    }
}
