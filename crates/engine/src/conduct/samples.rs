//! A few messages of the Clients that publish most, to be looked at outside: topics, and the beginning of payloads.
//!
//! In:    one PUBLISH of each doubling of what a Client published.
//! Out:   the last of them, of different topics where there were.
//! Never: more than two megabytes in a shard.

use std::time::Duration;

use dunlin_codec::{Publish, QoS};

use super::table::{Kept, Table};
use crate::time::Time;

/// Of one Client.
const KEPT: usize = 6;
/// Bytes of a payload that are kept: enough to tell whether it shrinks.
const PAYLOAD: usize = 1024;
/// Bytes of a topic; longer ones are not kept.
const TOPIC: usize = 256;
/// Eight times as many Clients.
const ROWS: usize = 32;
/// Who published nothing for so long gives way to anybody.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// A message that a Client published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Whole; Topic Aliases are resolved.
    pub topic: String,
    /// As published.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// The first of them.
    pub payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Sampled {
    client_id: Box<str>,
    hash: u64,
    last: Time,
    /// What the Client had published when it was last looked at.
    published: u64,
    samples: Vec<Sample>,
    next: usize,
}

impl Kept for Sampled {
    fn hash(&self) -> u64 {
        self.hash
    }

    fn worth(&self, now: Time) -> u64 {
        if now.since(self.last) > FORGOTTEN { 0 } else { self.published }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Samples(Table<Sampled>);

impl Default for Samples {
    fn default() -> Self {
        Self(Table::new(ROWS))
    }
}

impl Samples {
    pub(super) fn of(&self, client_id: &str, hash: u64) -> &[Sample] {
        self.0.find(hash, |kept| *kept.client_id == *client_id).map_or(&[], |kept| &kept.samples)
    }

    /// A PUBLISH of a Client that published so much on this connection.
    pub(super) fn add(
        &mut self,
        now: Time,
        (client_id, hash): (&str, u64),
        published: u32,
        publish: &Publish<'_>,
        topic: &str,
    ) {
        if topic.len() > TOPIC {
            return;
        }
        if let Some(kept) = self.0.find_mut(hash, |kept| *kept.client_id == *client_id) {
            return kept.add(now, published, publish, topic);
        }
        let place = self.0.place(hash, now);
        if let Some(other) = place {
            if other.worth(now) > u64::from(published) {
                // Next time it may be worth less.
                other.published /= 2;
                return;
            }
            other.reset(client_id, hash);
            return other.add(now, published, publish, topic);
        }
        let mut new = Sampled {
            client_id: client_id.into(),
            hash,
            last: now,
            published: 0,
            samples: Vec::new(),
            next: 0,
        };
        new.add(now, published, publish, topic);
        *place = Some(Box::new(new));
    }
}

impl Sampled {
    fn reset(&mut self, client_id: &str, hash: u64) {
        self.client_id = client_id.into();
        self.hash = hash;
        self.published = 0;
        self.samples.clear();
        self.next = 0;
    }

    fn add(&mut self, now: Time, published: u32, publish: &Publish<'_>, topic: &str) {
        self.last = now;
        self.published = self.published.max(published.into());
        let known = self.samples.iter().position(|sample| sample.topic == topic);
        let at = known.unwrap_or_else(|| {
            if self.samples.len() < KEPT {
                self.samples.push(Sample {
                    topic: String::new(),
                    qos: QoS::AtMostOnce,
                    retain: false,
                    payload_len: 0,
                    payload: Vec::new(),
                });
                return self.samples.len() - 1;
            }
            self.next = (self.next + 1) % KEPT;
            self.next
        });
        let sample = &mut self.samples[at];
        sample.topic.clear();
        sample.topic.push_str(topic);
        sample.payload.clear();
        sample.payload.extend_from_slice(&publish.payload[..publish.payload.len().min(PAYLOAD)]);
        sample.payload_len = u32::try_from(publish.payload.len()).unwrap_or(u32::MAX);
        sample.qos = publish.qos;
        sample.retain = publish.retain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(payload: &[u8]) -> Publish<'_> {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "",
            packet_id: None,
            properties: dunlin_codec::Properties::EMPTY,
            payload,
        }
    }

    #[test]
    fn a_topic_is_kept_once_and_a_payload_in_part() {
        let mut samples = Samples::default();
        for number in 0..20 {
            let topic = format!("t/{}", number % 3);
            samples.add(Time::ZERO, ("c", 7), 1 << number, &publish(&[1; 3_000]), &topic);
        }
        let kept = samples.of("c", 7);
        assert_eq!(kept.len(), 3);
        assert_eq!((kept[0].payload.len(), kept[0].payload_len), (PAYLOAD, 3_000));
        assert!(samples.of("d", 7).is_empty());
    }

    #[test]
    fn whoever_publishes_most_stays() {
        let mut samples = Samples::default();
        for number in 0..9_u32 {
            let name = number.to_string();
            samples.add(Time::ZERO, (&name, 7), 100 + number, &publish(b""), "t");
        }
        // The ninth took the place of the first.
        assert!(samples.of("0", 7).is_empty() && !samples.of("8", 7).is_empty());
        samples.add(Time::ZERO, ("late", 7), 1, &publish(b""), "t");
        assert!(samples.of("late", 7).is_empty());
        let later = Time::from_micros(3_600_000_000);
        samples.add(later, ("late", 7), 1, &publish(b""), "t");
        assert_eq!(samples.of("late", 7).len(), 1);
    }
}
