//! What one durable subscriber got, checked as it comes.
//!
//! In:    messages that the protocol says are to be handed on to the application.
//! Out:   faults that show at once: twice, out of order, changed, at another QoS.
//! Never: a loss; that shows at the end.
//! Spec:  MQTT 5.0 sections 4.3 and 4.6.

use std::collections::HashMap;

use dunlin_codec::{QoS, TopicFilter, TopicName, matches};

use super::judge::Fault;
use super::ledger::{Ledger, Moment};
use super::wire::Received;

/// A subscriber's account.
#[derive(Debug)]
pub(crate) struct Receipts {
    pub(crate) name: String,
    pub(crate) filter: String,
    pub(crate) qos: QoS,
    /// When its SUBACK was here. What is sent later is owed to it.
    pub(crate) subscribed: Option<Moment>,
    /// How often each message came.
    counts: HashMap<u64, u32>,
    /// The message that came last for the first time, for each topic.
    newest: HashMap<usize, u64>,
    /// Messages of QoS 1 that came again, which they may.
    pub(crate) repeated: u64,
    pub(crate) faults: Vec<Fault>,
}

impl Receipts {
    pub(crate) fn new(name: String, filter: String, qos: QoS) -> Self {
        Self {
            name,
            filter,
            qos,
            subscribed: None,
            counts: HashMap::new(),
            newest: HashMap::new(),
            repeated: 0,
            faults: Vec::new(),
        }
    }

    /// Different messages that came.
    pub(crate) fn received(&self) -> usize {
        self.counts.len()
    }

    /// Takes a message.
    pub(crate) fn take(&mut self, ledger: &Ledger, message: &Received) {
        let subscriber = self.name.clone();
        let known = ledger.recognise(&message.topic, &message.payload);
        let Some((number, about)) = known.and_then(|number| Some((number, ledger.message(number)?))) else {
            let (topic, bytes) = (message.topic.clone(), message.payload.len());
            self.faults.push(Fault::Changed { subscriber, topic, bytes });
            return;
        };
        let topic = &ledger.topics[about.topic];
        // [MQTT-3.8.4-8] the lower of the two
        if message.qos != topic.qos.min(self.qos) {
            let (topic, qos) = (topic.name.clone(), message.qos);
            self.faults.push(Fault::WrongQos { subscriber, topic, number, qos });
            return;
        }
        let count = self.counts.entry(number).or_default();
        *count += 1;
        match (*count, message.qos) {
            (1, _) => {
                let newest = self.newest.entry(about.topic).or_insert(number);
                if *newest > number {
                    let (topic, after) = (topic.name.clone(), *newest);
                    self.faults.push(Fault::Disordered { subscriber, topic, number, after });
                }
                *newest = number.max(*newest);
            }
            (_, QoS::ExactlyOnce) => {
                self.faults.push(Fault::Twice { subscriber, topic: topic.name.clone(), number });
            }
            _ => self.repeated += 1,
        }
    }

    /// The messages that are owed to it and did not come.
    pub(crate) fn missing<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = u64> + 'a {
        let since = self.subscribed.unwrap_or(Moment::MAX);
        let topics = ledger.topics.iter().filter(|topic| !topic.retained && self.wants(&topic.name));
        topics.flat_map(|topic| &topic.messages).copied().filter(move |number| {
            let owed = ledger.message(*number).is_some_and(|message| {
                message.sent > since && message.fate == super::ledger::Fate::Acknowledged
            });
            owed && !self.counts.contains_key(number)
        })
    }

    fn wants(&self, topic: &str) -> bool {
        match (TopicFilter::parse(&self.filter), TopicName::parse(topic)) {
            (Ok(filter), Ok(name)) => matches(filter, name),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::ledger::Fate;

    fn ledger(qos: QoS) -> Ledger {
        let mut ledger = Ledger::new(1);
        let topic = ledger.add_topic("t/1".to_owned(), qos, false);
        ledger.moment();
        for _ in 0..4 {
            ledger.send(topic, Some(3));
        }
        ledger
    }

    fn receipts() -> Receipts {
        let mut receipts = Receipts::new("s".to_owned(), "t/#".to_owned(), QoS::ExactlyOnce);
        receipts.subscribed = Some(1);
        receipts
    }

    fn receive(receipts: &mut Receipts, ledger: &Ledger, number: u64, qos: QoS) {
        let payload = ledger.payload(number);
        receipts.take(ledger, &Received { id: None, qos, topic: "t/1".to_owned(), payload });
    }

    #[test]
    fn what_was_acknowledged_and_did_not_come_is_missing_and_nothing_else() {
        let mut ledger = ledger(QoS::AtLeastOnce);
        let mut receipts = receipts();
        for (number, fate) in [(0, Fate::Acknowledged), (1, Fate::Acknowledged), (3, Fate::Abandoned)] {
            ledger.settle(number, fate);
        }
        receive(&mut receipts, &ledger, 1, QoS::AtLeastOnce);
        assert_eq!(receipts.missing(&ledger).collect::<Vec<_>>(), [0]);
        receipts.subscribed = Some(2);
        assert_eq!(receipts.missing(&ledger).count(), 0, "sent before it was subscribed");
        assert_eq!(receipts.faults, []);
    }

    #[test]
    fn qos_1_may_come_again_and_qos_2_may_not() {
        for (qos, faults, repeated) in [(QoS::AtLeastOnce, 0, 1), (QoS::ExactlyOnce, 1, 0)] {
            let (ledger, mut receipts) = (ledger(qos), receipts());
            for _ in 0..2 {
                receive(&mut receipts, &ledger, 0, qos);
            }
            assert_eq!((receipts.faults.len(), receipts.repeated), (faults, repeated));
        }
    }

    #[test]
    fn repetitions_keep_the_order_and_a_late_first_time_does_not() {
        let (ledger, mut receipts) = (ledger(QoS::AtLeastOnce), receipts());
        for number in [0, 1, 0, 1, 2] {
            receive(&mut receipts, &ledger, number, QoS::AtLeastOnce);
        }
        assert_eq!(receipts.faults, []);
        let mut receipts = self::receipts();
        for number in [0, 2, 1] {
            receive(&mut receipts, &ledger, number, QoS::AtLeastOnce);
        }
        assert!(matches!(receipts.faults[..], [Fault::Disordered { number: 1, after: 2, .. }]));
    }

    #[test]
    fn a_changed_payload_and_another_qos_are_faults() {
        let (ledger, mut receipts) = (ledger(QoS::AtLeastOnce), receipts());
        receive(&mut receipts, &ledger, 0, QoS::AtMostOnce);
        let payload = b"something".to_vec();
        let (qos, topic) = (QoS::AtLeastOnce, "t/1".to_owned());
        receipts.take(&ledger, &Received { id: None, qos, topic, payload });
        assert!(matches!(receipts.faults[..], [Fault::WrongQos { .. }, Fault::Changed { .. }]));
    }
}
