//! The ledger: every message that was published, and what the broker said to it.
//!
//! In:    what publishers send, and the answers that they get.
//! Out:   what a receiver may expect, in moments of one clock that only counts.
//! Never: an opinion about delivery; that is the judge's.

use dunlin_codec::{QoS, ReasonCode};

/// A point in the order of what happened in the test.
pub(crate) type Moment = u64;

/// What became of a message at its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Sent; no answer yet, or none that arrived.
    Open,
    /// PUBACK or PUBREC: from here on it is the broker's.
    Acknowledged,
    /// The broker said no.
    Refused(ReasonCode),
    /// The broker forgot the publisher's Session; the protocol says to discard it.
    Abandoned,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// Index into [`Ledger::topics`].
    pub(crate) topic: usize,
    /// When it was first sent.
    pub(crate) sent: Moment,
    pub(crate) fate: Fate,
    /// Bytes of the payload; 0 clears what is retained.
    pub(crate) length: usize,
}

/// A topic: one publisher, one QoS, retained or not.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) qos: QoS,
    pub(crate) retained: bool,
    /// The messages that went there, ascending.
    pub(crate) messages: Vec<u64>,
}

/// All messages of a run. A message's number is its index.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    run: u64,
    now: Moment,
    pub(crate) topics: Vec<Topic>,
    pub(crate) messages: Vec<Message>,
}

/// Payload bytes that say which message it is.
const HEAD: usize = 34;

impl Ledger {
    pub(crate) fn new(run: u64) -> Self {
        Self { run, ..Self::default() }
    }

    /// A later moment than all before.
    pub(crate) fn moment(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    pub(crate) fn add_topic(&mut self, name: String, qos: QoS, retained: bool) -> usize {
        self.topics.push(Topic { name, qos, retained, messages: Vec::new() });
        self.topics.len() - 1
    }

    /// A message that is about to be sent for the first time; `length` 0, or the bytes behind its head.
    pub(crate) fn send(&mut self, topic: usize, filler: Option<usize>) -> u64 {
        let sent = self.moment();
        let number = self.messages.len() as u64;
        let length = filler.map_or(0, |filler| HEAD + filler);
        self.messages.push(Message { topic, sent, fate: Fate::Open, length });
        self.topics[topic].messages.push(number);
        number
    }

    /// The answer to a message; the first one counts.
    pub(crate) fn settle(&mut self, number: u64, fate: Fate) {
        if let Some(message) = usize::try_from(number).ok().and_then(|at| self.messages.get_mut(at))
            && message.fate == Fate::Open
        {
            message.fate = fate;
        }
    }

    pub(crate) fn message(&self, number: u64) -> Option<&Message> {
        self.messages.get(usize::try_from(number).ok()?)
    }

    /// The topic of a message that is in the ledger.
    pub(crate) fn topic_of(&self, number: u64) -> Option<&Topic> {
        self.topics.get(self.message(number)?.topic)
    }

    /// What a message carries: its number, and bytes that follow from it.
    pub(crate) fn payload(&self, number: u64) -> Vec<u8> {
        let length = self.message(number).map_or(0, |message| message.length);
        if length == 0 {
            return Vec::new();
        }
        let mut payload = format!("{:016x}.{number:016x}.", self.run).into_bytes();
        let mut next = number.to_le_bytes()[0];
        while payload.len() < length {
            payload.push(b'a' + next % 26);
            next = next.wrapping_add(1);
        }
        payload
    }

    /// Which message this is, if it is one of this run and whole.
    pub(crate) fn recognise(&self, topic: &str, payload: &[u8]) -> Option<u64> {
        let number = std::str::from_utf8(payload.get(17..33)?).ok()?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let is_it = self.topic_of(number)?.name == topic && self.payload(number) == payload;
        is_it.then_some(number)
    }

    /// The newest message of a topic that was acknowledged.
    pub(crate) fn newest_acknowledged(&self, topic: usize) -> Option<u64> {
        let newest = self.topics[topic].messages.iter().rev();
        newest.copied().find(|number| self.fate(*number) == Some(Fate::Acknowledged))
    }

    pub(crate) fn fate(&self, number: u64) -> Option<Fate> {
        Some(self.message(number)?.fate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognised_by_topic_and_every_byte() {
        let mut ledger = Ledger::new(7);
        let topic = ledger.add_topic("a/b".to_owned(), QoS::AtLeastOnce, false);
        let number = ledger.send(topic, Some(10));
        let payload = ledger.payload(number);
        assert_eq!(payload.len(), HEAD + 10);
        assert_eq!(ledger.recognise("a/b", &payload), Some(number));
        assert_eq!(ledger.recognise("a/c", &payload), None);
        let mut changed = payload.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(ledger.recognise("a/b", &changed), None);
        assert_eq!(ledger.recognise("a/b", &payload[..payload.len() - 1]), None);
        assert_eq!(ledger.recognise("a/b", b""), None);
    }

    #[test]
    fn the_first_answer_counts() {
        let mut ledger = Ledger::new(7);
        let topic = ledger.add_topic("a".to_owned(), QoS::AtLeastOnce, true);
        let first = ledger.send(topic, Some(0));
        let second = ledger.send(topic, None);
        assert_eq!(ledger.newest_acknowledged(topic), None);
        ledger.settle(first, Fate::Acknowledged);
        ledger.settle(first, Fate::Abandoned);
        assert_eq!(ledger.newest_acknowledged(topic), Some(first));
        ledger.settle(second, Fate::Acknowledged);
        assert_eq!(ledger.newest_acknowledged(topic), Some(second));
    }
}
