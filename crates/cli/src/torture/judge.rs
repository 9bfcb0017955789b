//! The judge: what a broker that keeps its word never does.
//!
//! In:    the ledger, the subscribers' receipts, faults that were seen on the way.
//! Out:   a verdict with figures, and examples to look for in the broker's log.
//! Never: a pass for a test that tested nothing.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use dunlin_codec::{QoS, ReasonCode};

use super::ledger::{Fate, Ledger};
use super::receipts::Receipts;

/// Faults of each kind that are shown one by one.
const EXAMPLES: usize = 5;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Acknowledged to its publisher, owed to a durable Session, never delivered.
    Lost { subscriber: String, topic: String, number: u64 },
    /// QoS 2, delivered again as if new.
    Twice { subscriber: String, topic: String, number: u64 },
    /// Delivered for the first time after a later message of its topic [MQTT-4.6.0-6].
    Disordered { subscriber: String, topic: String, number: u64, after: u64 },
    /// No message that was published there.
    Changed { subscriber: String, topic: String, bytes: usize },
    /// Neither the publisher's QoS nor the subscription's.
    WrongQos { subscriber: String, topic: String, number: u64, qos: QoS },
    /// Session Present was 0 for a Session that does not expire.
    SessionForgotten { client: String },
    /// Another value is retained than the newest acknowledged or one that was sent later.
    RetainedStale { topic: String, expected: u64, found: Option<u64> },
    /// No answer at the end, with the broker up.
    Unanswered { client: String, messages: usize },
    /// Refused with a Reason Code by a broker that was asked for nothing unusual.
    RefusedClient { client: String, reason: ReasonCode },
    /// What MQTT forbids, or what cannot be read.
    Protocol { client: String, what: String },
    /// It ended by itself, or did not come back.
    Down { what: String },
    /// Nothing was acknowledged, or nothing delivered.
    NothingTested,
}

impl Fault {
    /// The kind, as the figures name it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "lost",
            Self::Twice { .. } => "qos2_twice",
            Self::Disordered { .. } => "disordered",
            Self::Changed { .. } => "changed",
            Self::WrongQos { .. } => "wrong_qos",
            Self::SessionForgotten { .. } => "session_forgotten",
            Self::RetainedStale { .. } => "retained_stale",
            Self::Unanswered { .. } => "unanswered",
            Self::RefusedClient { .. } => "refused",
            Self::Protocol { .. } => "protocol",
            Self::Down { .. } => "down",
            Self::NothingTested => "nothing_tested",
        }
    }
}

/// The kinds and what they mean, in the order of the report.
pub(crate) const KINDS: [(&str, &str); 12] = [
    ("lost", "acknowledged messages that a durable session never got"),
    ("qos2_twice", "messages of QoS 2 delivered twice"),
    ("disordered", "messages delivered out of order"),
    ("changed", "messages that nobody published like that"),
    ("wrong_qos", "messages delivered at another QoS"),
    ("session_forgotten", "sessions that were gone when the client came back"),
    ("retained_stale", "retained messages older than the newest acknowledged one"),
    ("unanswered", "clients whose messages were not answered at the end"),
    ("refused", "clients that were refused"),
    ("protocol", "breaches of the protocol"),
    ("down", "times that the broker ended by itself or did not come back"),
    ("nothing_tested", "nothing was acknowledged or nothing delivered: this proves nothing"),
];

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { subscriber, topic, number } => {
                write!(
                    f,
                    "message {number:016x} to {topic} was acknowledged, and {subscriber} did not get it"
                )
            }
            Self::Twice { subscriber, topic, number } => {
                write!(f, "message {number:016x} to {topic} (QoS 2) came to {subscriber} again")
            }
            Self::Disordered { subscriber, topic, number, after } => {
                write!(f, "message {number:016x} to {topic} came to {subscriber} after {after:016x}")
            }
            Self::Changed { subscriber, topic, bytes } => {
                write!(f, "{bytes} bytes that nobody published came to {subscriber} from {topic}")
            }
            Self::WrongQos { subscriber, topic, number, qos } => {
                write!(f, "message {number:016x} to {topic} came to {subscriber} at QoS {}", *qos as u8)
            }
            Self::SessionForgotten { client } => write!(f, "{client} came back and its session was gone"),
            Self::RetainedStale { topic, expected, found: Some(found) } => {
                write!(f, "{topic} retains {found:016x}, and {expected:016x} was acknowledged after it")
            }
            Self::RetainedStale { topic, expected, found: None } => {
                write!(f, "{topic} retains nothing that was published, and {expected:016x} was acknowledged")
            }
            Self::Unanswered { client, messages } => {
                write!(f, "{messages} messages of {client} were not answered at the end")
            }
            Self::RefusedClient { client, reason } => write!(f, "{client} was refused: {reason:?}"),
            Self::Protocol { client, what } => write!(f, "{client}: {what}"),
            Self::Down { what } => write!(f, "{what}"),
            Self::NothingTested => write!(f, "nothing was acknowledged, or nothing delivered"),
        }
    }
}

/// The figures of a run and what is wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) published: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) abandoned: u64,
    pub(crate) delivered: u64,
    /// QoS 1, which may.
    pub(crate) repeated: u64,
    /// How many faults of each kind.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// The first of each kind.
    pub(crate) examples: Vec<Fault>,
}

impl Verdict {
    /// Judges a run that has ended: all publishers done, all subscribers online until nothing came any more.
    pub(crate) fn new(ledger: &Ledger, receipts: &[Receipts], seen: Vec<Fault>) -> Self {
        let fates = |wanted: fn(&Fate) -> bool| {
            ledger.messages.iter().filter(|message| wanted(&message.fate)).count() as u64
        };
        let mut verdict = Self {
            published: ledger.messages.len() as u64,
            acknowledged: fates(|fate| *fate == Fate::Acknowledged),
            refused: fates(|fate| matches!(fate, Fate::Refused(_))),
            abandoned: fates(|fate| *fate == Fate::Abandoned),
            delivered: receipts.iter().map(|receipts| receipts.received() as u64).sum(),
            repeated: receipts.iter().map(|receipts| receipts.repeated).sum(),
            ..Self::default()
        };
        for receipts in receipts {
            for number in receipts.missing(ledger) {
                let topic = ledger.topic_of(number).map(|topic| topic.name.clone()).unwrap_or_default();
                verdict.add(Fault::Lost { subscriber: receipts.name.clone(), topic, number });
            }
            receipts.faults.iter().for_each(|fault| verdict.add(fault.clone()));
        }
        seen.into_iter().for_each(|fault| verdict.add(fault));
        if verdict.acknowledged == 0 || verdict.delivered == 0 {
            verdict.add(Fault::NothingTested);
        }
        verdict
    }

    fn add(&mut self, fault: Fault) {
        let count = self.counts.entry(fault.kind()).or_default();
        *count += 1;
        if *count <= EXAMPLES as u64 {
            self.examples.push(fault);
        }
    }

    pub(crate) fn is_pass(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_tested_nothing_does_not_pass() {
        let verdict = Verdict::new(&Ledger::new(1), &[], Vec::new());
        assert!(!verdict.is_pass());
        assert_eq!(verdict.counts.get("nothing_tested"), Some(&1));
    }

    #[test]
    fn a_loss_is_counted_for_each_session_that_it_is_owed_to() {
        let mut ledger = Ledger::new(1);
        let topic = ledger.add_topic("a/b".to_owned(), QoS::AtLeastOnce, false);
        let retained = ledger.add_topic("a/r".to_owned(), QoS::AtLeastOnce, true);
        let mut receipts: Vec<_> = ["a/#", "#", "b/#"]
            .map(|filter| Receipts::new(format!("for {filter}"), filter.to_owned(), QoS::AtLeastOnce))
            .into();
        let subscribed = Some(ledger.moment());
        receipts.iter_mut().for_each(|receipts| receipts.subscribed = subscribed);
        for topic in [topic, retained] {
            let number = ledger.send(topic, Some(1));
            ledger.settle(number, Fate::Acknowledged);
        }
        let verdict = Verdict::new(&ledger, &receipts, Vec::new());
        assert_eq!(verdict.counts.get("lost"), Some(&2));
        assert_eq!(verdict.acknowledged, 2);
        assert!(verdict.examples[0].to_string().contains("a/b"));
    }

    #[test]
    fn every_fault_has_its_kind_in_the_report() {
        let fault = Fault::Down { what: String::new() };
        for fault in [fault, Fault::NothingTested] {
            assert!(KINDS.iter().any(|(kind, _)| *kind == fault.kind()));
        }
    }
}
