//! Messages between shards: collected during a tick, carried in one bag, in order.
//!
//! In:    letters of this shard's engine; bags that other shards filled.
//! Out:   at most one bag a receiver and tick, as soon as the carrier has credit for it.
//! Never: a lock, a channel: the runtime carries the bags. Order between two shards is kept.

use std::sync::Arc;

use dunlin_codec::{QoS, SubscriptionOptions};

use crate::durability::Durability;
use crate::journal::record::Exchange;
use crate::message::{Message, MessageView};
use crate::outbox::SHARED_PAYLOAD_MIN;
use crate::partition::{ShardId, ShardMap, ShardSet};
use crate::policy::Policy;
use crate::session::SessionId;
use crate::span::Baggage;
use crate::subscribe::SubAckToken;
use crate::time::Time;

/// A bag this heavy makes publishers to its receiver wait: 4 MiB take a shard a few milliseconds.
pub(crate) const CONGESTED_WEIGHT: usize = 4 * 1024 * 1024;
/// The same while memory is not ample.
const CONGESTED_WEIGHT_TIGHT: usize = 512 * 1024;
/// Letters that an empty bag keeps room for.
const SPARE_LETTERS: usize = 1024;
/// Weight of a letter beside its contents.
const LETTER_WEIGHT: usize = 64;

/// Where a letter's subject lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionRef {
    pub(crate) shard: ShardId,
    pub(crate) session: SessionId,
}

/// One thing that a shard tells another.
#[derive(Debug)]
pub(crate) enum Letter {
    /// Publications in `MailBag::bytes`, up to this offset.
    Publications { end: usize },
    /// A publication whose payload is shared, not copied.
    Publication { message: Message, route: bool, store: bool },
    /// The sender has (or has no longer) someone interested in the filter.
    Interest { filter: Box<str>, wanted: bool },
    /// All interest that the sender was told up to this number is seen.
    InterestSeen { count: u64 },
    /// Send the retained messages that match, in pages; once the values that each shard had posted are there.
    RetainedQuery {
        session: SessionId,
        query: u32,
        filter: Box<str>,
        after: Option<Box<str>>,
        needs: Box<[u64]>,
    },
    /// A page of them; `next` continues.
    RetainedPage { session: SessionId, query: u32, messages: Vec<Message>, next: Option<Box<str>> },
    /// Come back, behind all that was posted before.
    Ping { session: SessionId, query: u32, home: ShardId },
    /// The answer.
    Pong { session: SessionId, query: u32, home: ShardId },
    /// To the home of a shared group.
    Group { share: Box<str>, filter: Box<str>, member: SessionRef, event: MemberEvent },
    /// From the home of a shared group: every shard sees its interest, the member's SUBACK may leave.
    GroupJoined { token: SubAckToken },
    /// From the home of a shared group: deliver this. QoS 0 is no deal that anybody tracks.
    Deal { session: SessionId, deal: Option<Deal>, message: Message, options: DealOptions },
    /// To the home: what became of a deal.
    DealEnded { deal: Deal, outcome: DealOutcome },
    /// To the home of a shared group: a member that had no room has some again.
    RoomAgain { group: u32, member: SessionRef },
    /// The publisher's messages fill a queue: withhold its acknowledgements.
    Slow { session: SessionId, by: SessionRef },
    /// The queue has room again.
    Resume { session: SessionId, by: SessionRef },
    /// So many of the receiver's publications are safe.
    Safe { count: u64 },
    /// So many are written.
    Written { count: u64 },
    /// A publisher released a QoS 2 message that went to the receiver.
    Released { exchange: Exchange },
    /// After a restart: the sender has records of this exchange of a Session of the receiver.
    Seen { exchange: Exchange },
    /// The way of the next publication is followed.
    Followed(Box<Baggage>),
    /// To itself: go on to review Sessions, unless a newer round has begun.
    Review { round: u32 },
}

/// What happened to a member of a shared group.
#[derive(Clone, Debug)]
pub(crate) enum MemberEvent {
    /// Subscribed, or subscribed again; `token` comes back in `GroupJoined`.
    Join {
        options: SubscriptionOptions,
        subscription_identifier: u32,
        joined: u32,
        connected: bool,
        window: u16,
        durable: bool,
        token: SubAckToken,
        /// Where each message is asked about.
        policy: Option<Arc<dyn Policy>>,
    },
    /// The same Subscription with other rights; deals of `joined` before this one are not taken any more.
    Rights { joined: u32, policy: Option<Arc<dyn Policy>> },
    /// Connected, and takes this many deals at a time.
    Online { window: u16 },
    /// Disconnected; its Session goes on.
    Offline,
    /// Unsubscribed, or its Session ended.
    Leave,
}

/// A message dealt to a member: which group of the home shard, and the number of the deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Deal {
    pub(crate) home: ShardId,
    pub(crate) group: u32,
    pub(crate) number: u64,
}

/// How a dealt message is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DealOptions {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_identifier: u32,
    /// Which SUBSCRIBE it goes by.
    pub(crate) joined: u32,
}

/// What became of a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DealOutcome {
    /// Acknowledged, or discarded for good (negative acknowledgement, expired, too large).
    Done,
    /// The member could not take it to the end: another should.
    Returned,
    /// The same, because its queue is full: it says when there is room again.
    Refused,
}

/// A batch of letters.
#[derive(Debug, Default)]
pub struct MailBag {
    letters: Vec<Letter>,
    bytes: Vec<u8>,
    weight: usize,
    /// How many retained values the sender had posted to each home when the bag left; empty where it has said so before.
    stores: Vec<u64>,
    /// The homes that the sender had given any for topics of Clients, itself included.
    given: ShardSet,
}

/// The bags of a shard, one for each receiver.
#[derive(Debug)]
pub struct Mail {
    bags: Vec<MailBag>,
    spare: Vec<MailBag>,
    congested: ShardSet,
    /// What a bag may weigh before publishers wait.
    congested_weight: usize,
    /// Retained values posted to each home, and to all.
    stores: Vec<u64>,
    stores_in_all: u64,
    /// What of `stores_in_all` each receiver was told.
    told: Vec<u64>,
    /// Homes that have a retained value of a topic of Clients from here, or had.
    given: ShardSet,
}

/// A publication on its way to another shard, and what to do there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication<'a> {
    pub(crate) message: MessageView<'a>,
    /// Deliver it to the Sessions and groups there.
    pub(crate) route: bool,
    /// Keep it as the retained message of its topic.
    pub(crate) store: bool,
}

impl Publication<'_> {
    /// Does its receiver say when it is safe?
    pub(crate) fn is_confirmed(&self) -> bool {
        self.message.qos != QoS::AtMostOnce && self.message.durability != Durability::Memory
    }
}

impl Mail {
    pub(crate) fn new(map: ShardMap) -> Self {
        Self {
            bags: map.iter().map(|_| MailBag::default()).collect(),
            spare: Vec::new(),
            congested: ShardSet::EMPTY,
            congested_weight: CONGESTED_WEIGHT,
            stores: vec![0; map.count()],
            stores_in_all: 0,
            told: vec![0; map.count()],
            given: ShardSet::EMPTY,
        }
    }

    /// The receivers that have mail.
    pub fn receivers(&self) -> impl Iterator<Item = ShardId> {
        self.bags
            .iter()
            .enumerate()
            .filter(|(_, bag)| !bag.is_empty())
            .filter_map(|(index, _)| ShardId::new(index))
    }

    /// Takes a receiver's bag, to be carried. Afterwards the engine is owed [`crate::Event::MailTaken`].
    pub fn take(&mut self, to: ShardId) -> MailBag {
        self.congested.remove(to);
        let mut bag = std::mem::replace(&mut self.bags[to.index()], self.spare.pop().unwrap_or_default());
        if std::mem::replace(&mut self.told[to.index()], self.stores_in_all) != self.stores_in_all {
            bag.stores.extend_from_slice(&self.stores);
        }
        bag.given = self.given;
        bag
    }

    /// Gives an emptied bag back for use; frees it where enough are there.
    pub fn recycle(&mut self, mut bag: MailBag) {
        bag.letters.clear();
        bag.letters.shrink_to(SPARE_LETTERS);
        bag.bytes.clear();
        bag.weight = 0;
        bag.stores.clear();
        if self.spare.len() < self.bags.len() && bag.bytes.capacity() <= self.congested_weight {
            self.spare.push(bag);
        }
    }

    /// A receiver whose mail piles up, if there is one.
    #[inline]
    pub(crate) fn congested(&self) -> Option<ShardId> {
        self.congested.iter().next()
    }

    /// While memory is not ample, publishers wait sooner.
    pub(crate) fn set_tight(&mut self, tight: bool) {
        self.congested_weight = if tight { CONGESTED_WEIGHT_TIGHT } else { CONGESTED_WEIGHT };
        if tight {
            self.spare = Vec::new();
        }
    }

    /// Does mail for this receiver pile up?
    pub(crate) fn is_congested(&self, to: ShardId) -> bool {
        self.congested.contains(to)
    }

    pub(crate) fn post(&mut self, to: ShardId, letter: Letter) {
        self.bags[to.index()].post(letter);
        self.weigh(to);
    }

    /// A home has a retained value of a topic from here.
    pub(crate) fn gave(&mut self, home: ShardId, topic: &str) {
        if !topic.starts_with('$') {
            self.given.insert(home);
        }
    }

    /// The homes that have had a retained value from here; those of topics that begin with `$` do not count.
    pub(crate) const fn given(&self) -> ShardSet {
        self.given
    }

    fn weigh(&mut self, to: ShardId) {
        if self.bags[to.index()].weight >= self.congested_weight {
            self.congested.insert(to);
        }
    }

    pub(crate) fn publish(&mut self, to: ShardId, publication: &Publication<'_>) {
        if publication.store {
            self.stores[to.index()] += 1;
            self.stores_in_all += 1;
            self.gave(to, publication.message.topic);
        }
        self.bags[to.index()].publish(publication);
        self.weigh(to);
    }
}

impl Letter {
    /// Bytes of what it points to.
    fn contents(&self) -> usize {
        match self {
            Self::Publication { message, .. } | Self::Deal { message, .. } => message.weight(),
            Self::RetainedPage { messages, .. } => messages.iter().map(Message::weight).sum(),
            Self::Interest { filter, .. } => filter.len(),
            Self::Group { share, filter, .. } => share.len() + filter.len(),
            Self::RetainedQuery { filter, after, needs, .. } => {
                filter.len() + after.as_ref().map_or(0, |after| after.len()) + size_of_val(&**needs)
            }
            Self::Publications { .. }
            | Self::InterestSeen { .. }
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::GroupJoined { .. }
            | Self::DealEnded { .. }
            | Self::RoomAgain { .. }
            | Self::Slow { .. }
            | Self::Resume { .. }
            | Self::Safe { .. }
            | Self::Written { .. }
            | Self::Released { .. }
            | Self::Seen { .. }
            | Self::Followed(_)
            | Self::Review { .. } => 0,
        }
    }
}

impl MailBag {
    /// Is nothing in it?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Roughly the bytes of memory that its contents take.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    fn post(&mut self, letter: Letter) {
        self.weight += LETTER_WEIGHT + letter.contents();
        self.letters.push(letter);
    }

    fn publish(&mut self, publication: &Publication<'_>) {
        if publication.message.payload.len() >= SHARED_PAYLOAD_MIN {
            let Publication { message, route, store } = *publication;
            return self.post(Letter::Publication { message: message.to_message(), route, store });
        }
        let before = self.bytes.len();
        record::encode(publication, &mut self.bytes);
        let end = self.bytes.len();
        self.weight += end - before;
        match self.letters.last_mut() {
            Some(Letter::Publications { end: last }) => *last = end,
            _ => self.letters.push(Letter::Publications { end }),
        }
    }

    /// How many retained values the sender had posted to each home when the bag left; empty where it has said so before.
    pub(crate) fn stores(&self) -> &[u64] {
        &self.stores
    }

    /// The homes that had a retained value from the sender when the bag left; those of topics that begin with `$` do not count.
    pub(crate) const fn given(&self) -> ShardSet {
        self.given
    }

    /// Hands every letter to `each`, in order, and is empty afterwards.
    pub(crate) fn open(&mut self, mut each: impl FnMut(Opened<'_>)) {
        let mut start = 0;
        for letter in self.letters.drain(..) {
            if let Letter::Publications { end } = letter {
                let mut rest = &self.bytes[start..end];
                while let Some(publication) = record::decode(&mut rest) {
                    each(Opened::Publication(publication));
                }
                start = end;
            } else {
                each(Opened::Letter(letter));
            }
        }
        self.bytes.clear();
        self.weight = 0;
    }
}

/// What is taken out of a bag.
pub(crate) enum Opened<'a> {
    Publication(Publication<'a>),
    Letter(Letter),
}

/// Publications as bytes: made and read in this process only, so nothing needs checking again.
mod record {
    use dunlin_codec::PacketId;

    use super::{Durability, MessageView, Publication, QoS, SessionId, SessionRef, ShardId, Time};
    use crate::journal::record::Exchange;

    const HEADER: usize = 31;
    const ROUTE: u8 = 1 << 3;
    const STORE: u8 = 1 << 4;
    const HAS_ORIGIN: u8 = 1 << 5;
    const HAS_EXCHANGE: u8 = 1 << 6;
    const HAS_NUMBER: u8 = 1 << 7;
    const EXCHANGE: usize = 11;
    const NUMBER: usize = 4;
    const NEVER: u64 = u64::MAX;

    pub(super) fn encode(publication: &Publication<'_>, out: &mut Vec<u8>) {
        let Publication { message, route, store } = publication;
        let mut flags = message.qos as u8 | u8::from(message.retain) << 2;
        flags |= if *route { ROUTE } else { 0 } | if *store { STORE } else { 0 };
        let mut header = [0; HEADER];
        if let Some(SessionRef { shard, session }) = message.origin {
            flags |= HAS_ORIGIN;
            header[1] = u8::try_from(shard.index()).unwrap_or_default();
            header[2..6].copy_from_slice(&session.index().to_le_bytes());
            header[6..10].copy_from_slice(&session.generation().to_le_bytes());
        }
        let exchange = message.exchange.map(|exchange| {
            let mut bytes = [0; EXCHANGE];
            bytes[0] = exchange.partition;
            bytes[1..9].copy_from_slice(&exchange.key.to_le_bytes());
            bytes[9..].copy_from_slice(&exchange.packet_id.get().to_le_bytes());
            bytes
        });
        flags |= if message.number != 0 { HAS_NUMBER } else { 0 };
        header[0] = flags | if exchange.is_some() { HAS_EXCHANGE } else { 0 };
        header[10..18].copy_from_slice(&message.expires_at.map_or(NEVER, Time::as_micros).to_le_bytes());
        for (at, len) in
            [(18, message.topic.len()), (22, message.properties.len()), (26, message.payload.len())]
        {
            header[at..at + 4].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        }
        header[30] = message.durability as u8;
        out.extend_from_slice(&header);
        out.extend_from_slice(exchange.as_ref().map_or(&[][..], |bytes| bytes));
        if message.number != 0 {
            out.extend_from_slice(&message.number.to_le_bytes());
        }
        out.extend_from_slice(message.topic.as_bytes());
        out.extend_from_slice(message.properties);
        out.extend_from_slice(message.payload);
    }

    pub(super) fn decode<'a>(bytes: &mut &'a [u8]) -> Option<Publication<'a>> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (exchange, rest) = rest.split_at(if header[0] & HAS_EXCHANGE == 0 { 0 } else { EXCHANGE });
        let exchange = <&[u8; EXCHANGE]>::try_from(exchange).ok().and_then(exchange_of);
        let (number, rest) = rest.split_at(if header[0] & HAS_NUMBER == 0 { 0 } else { NUMBER });
        let number = number.try_into().map_or(0, u32::from_le_bytes);
        let (topic, rest) = rest.split_at(word(18) as usize);
        let (properties, rest) = rest.split_at(word(22) as usize);
        let (payload, rest) = rest.split_at(word(26) as usize);
        *bytes = rest;
        let flags = header[0];
        let expires_at = u64::from(word(10)) | u64::from(word(14)) << 32;
        let origin = (flags & HAS_ORIGIN != 0)
            .then(|| {
                Some(SessionRef {
                    shard: ShardId::new(header[1].into())?,
                    session: SessionId::new(word(2), word(6)),
                })
            })
            .flatten();
        Some(Publication {
            message: MessageView {
                topic: std::str::from_utf8(topic).unwrap_or_default(),
                properties,
                payload,
                qos: QoS::from_u8(flags & 3).unwrap_or_default(),
                retain: flags & 4 != 0,
                expires_at: (expires_at != NEVER).then(|| Time::from_micros(expires_at)),
                origin,
                exchange,
                durability: match header[30] {
                    0 => Durability::Memory,
                    1 => Durability::Written,
                    _ => Durability::Synced,
                },
                number,
                sent: None,
            },
            route: flags & ROUTE != 0,
            store: flags & STORE != 0,
        })
    }

    fn exchange_of(bytes: &[u8; EXCHANGE]) -> Option<Exchange> {
        let (partition, rest) = bytes.split_first()?;
        let (key, packet_id) = rest.split_first_chunk()?;
        Some(Exchange {
            partition: *partition,
            key: u64::from_le_bytes(*key),
            packet_id: PacketId::new(u16::from_le_bytes(packet_id.try_into().ok()?))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(topic: &'a str, payload: &'a [u8]) -> MessageView<'a> {
        let origin = ShardId::new(3).map(|shard| SessionRef { shard, session: SessionId::new(7, 9) });
        MessageView {
            topic,
            properties: b"\x01\x01",
            payload,
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at: Some(Time::from_micros(1 << 40)),
            origin,
            exchange: None,
            durability: Durability::Written,
            number: u32::from(!payload.is_empty()) << 24,
            sent: None,
        }
    }

    #[test]
    fn letters_and_publications_come_out_in_the_order_they_went_in() {
        let map = ShardMap::new(2).unwrap();
        let mut mail = Mail::new(map);
        let to = ShardId::new(1).unwrap();
        let big = vec![7; SHARED_PAYLOAD_MIN];
        for payload in [b"one".as_slice(), b"two", &big, b"three"] {
            let message = view("a/b", payload);
            mail.publish(to, &Publication { message, route: true, store: false });
        }
        mail.post(to, Letter::InterestSeen { count: 5 });

        let mut seen = Vec::new();
        mail.take(to).open(|opened| match opened {
            Opened::Publication(Publication { message, route: true, store: false }) => {
                assert_eq!(message, view("a/b", message.payload));
                seen.push(message.payload.to_vec());
            }
            Opened::Letter(Letter::Publication { message, .. }) => seen.push(message.view().payload.to_vec()),
            Opened::Letter(Letter::InterestSeen { count: 5 }) => seen.push(b"seen".to_vec()),
            _ => panic!("nothing else was posted"),
        });
        assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), big, b"three".to_vec(), b"seen".to_vec()]);
    }
}
