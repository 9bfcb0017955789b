//! A connection that subscribes: its filters, and the account of what came.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_codec::{
    Packet, PacketId, Properties, ProtocolVersion, Publish, QoS, RetainHandling, Subscribe, SubscribeBuf,
    SubscriptionOptions, TopicFilter,
};

use crate::check::{Arrival, Checker};
use crate::payload::Stamp;

/// Filters of one SUBSCRIBE: brokers bound them, and one packet for each would measure packets.
const FILTERS: usize = 64;

/// Who keeps the account.
#[derive(Debug)]
pub(crate) enum Ledger {
    /// The subscriber gets every message itself.
    Own(Checker),
    /// A group gets every message once.
    Group {
        checker: Arc<Mutex<Checker>>,
        first: u32,
        /// One more than the highest that this member got, for each stream.
        next: Vec<u64>,
    },
}

/// A connection that subscribes.
#[derive(Debug)]
pub(crate) struct Subscriber {
    filters: Vec<String>,
    /// Of them, those the broker was asked for.
    asked: usize,
    ledger: Ledger,
}

impl Ledger {
    /// Of a member of a group.
    pub(crate) fn member(checker: Arc<Mutex<Checker>>, streams: Range<u32>) -> Self {
        Self::Group { checker, first: streams.start, next: vec![0; streams.len()] }
    }
}

impl Subscriber {
    pub(crate) const fn new(filters: Vec<String>, ledger: Ledger) -> Self {
        Self { filters, asked: 0, ledger }
    }

    pub(crate) fn into_ledger(self) -> Ledger {
        self.ledger
    }

    /// A session that was kept knows the filters already.
    pub(crate) const fn resumed(&mut self) {
        self.asked = self.filters.len();
    }

    /// Writes the next SUBSCRIBE; false where there is none.
    pub(crate) fn subscribe(&mut self, qos: QoS, version: ProtocolVersion, out: &mut Vec<u8>) -> bool {
        if self.asked == self.filters.len() {
            return false;
        }
        let end = self.filters.len().min(self.asked + FILTERS);
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::DoNotSend,
        };
        let mut list = SubscribeBuf::new(version);
        for filter in &self.filters[self.asked..end] {
            let Ok(filter) = TopicFilter::parse(filter) else {
                unreachable!("the topology made {filter:?}");
            };
            list.push(filter, options);
        }
        self.asked = end;
        // One at a time is enough: the answers come in this order, and whatever comes is counted.
        let subscribe =
            Subscribe { packet_id: PacketId::MIN, properties: Properties::EMPTY, filters: list.as_list() };
        Packet::Subscribe(subscribe).encode(version, out);
        true
    }

    /// SUBACK; how many filters it grants, or the first code that does not.
    pub(crate) fn granted(reasons: &[u8], qos: QoS) -> Result<u64, u8> {
        match reasons.iter().find(|reason| **reason != qos as u8) {
            Some(reason) => Err(*reason),
            None => Ok(reasons.len() as u64),
        }
    }

    /// A message came.
    #[inline]
    pub(crate) fn arrive(&mut self, publish: &Publish<'_>, run: u32) -> (Arrival, Option<Stamp>) {
        let stamp = Stamp::read(publish.payload, run);
        let message = stamp.map(|stamp| (stamp.stream, stamp.sequence));
        let arrival = match &mut self.ledger {
            Ledger::Own(checker) => checker.arrive(message),
            Ledger::Group { checker, first, next } => {
                let mut checker = checker.lock().unwrap_or_else(PoisonError::into_inner);
                let arrival = checker.arrive(message);
                if let (Arrival::New, Some((stream, sequence))) = (arrival, message)
                    && let Some(next) = next.get_mut((stream - *first) as usize)
                {
                    if sequence < *next {
                        checker.out_of_order();
                    }
                    *next = (*next).max(sequence + 1);
                }
                arrival
            }
        };
        (arrival, stamp)
    }
}
