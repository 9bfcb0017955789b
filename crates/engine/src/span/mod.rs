//! The way of single messages through the Server: spans, for OpenTelemetry.
//!
//! In:    PUBLISH packets whose publisher wants them followed, or that the ratio picks; what becomes of them.
//! Out:   a span when something is over: published, routed, delivered, acknowledged.
//! Never: a change of the message [MQTT-3.3.2-17]; more spans than a bound, nor anything at all while nobody asked for it.

mod context;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;

use dunlin_codec::{PacketId, Properties, ReasonCode};

use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::frame::Passing;
use crate::hub::{Cx, Hub};
use crate::map::{Map, seeded};
use crate::partition::ShardId;
use crate::publish::Incoming;
use crate::time::Time;

use context::Said;

/// Spans that wait to be fetched.
const SPANS_MAXIMUM: usize = 16 * 1024;
/// Messages that are followed at a time: their deliveries may wait in queues.
const FOLLOWED_MAXIMUM: usize = 4096;
/// Exchanges that are followed at a time, in each direction.
const EXCHANGES_MAXIMUM: usize = 8192;

/// Which messages are followed, beside those whose publishers want it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanRules {
    /// Of the messages that say nothing of a trace, from 0 to 1.
    pub ratio: f64,
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanKind {
    /// A PUBLISH, until it was answered; with QoS 0, until it was routed.
    Publish,
    /// From its being checked to its having gone to everybody who wants it, here or to another shard.
    Route,
    /// To one Session: from routing it in its shard until it was written to the connection's output.
    Deliver,
    /// From then until the Client acknowledged it: PUBACK, or PUBCOMP.
    Acknowledge,
}

/// Something that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What.
    pub kind: SpanKind,
    /// Of all spans of the message.
    pub trace_id: [u8; 16],
    /// Its own.
    pub span_id: [u8; 8],
    /// Of the span it is part of; that of a [`SpanKind::Publish`] is the publisher's.
    pub parent: Option<[u8; 8]>,
    /// `tracestate` as the publisher sent it.
    pub state: Option<Arc<str>>,
    /// When it began.
    pub start: Time,
    /// When it was over.
    pub end: Time,
    /// Whose connection it is about.
    pub client_id: Box<str>,
    /// Topic Name.
    pub topic: Arc<str>,
    /// Of the PUBLISH it is about.
    pub qos: u8,
    /// Bytes of the payload.
    pub payload: usize,
    /// Packet Identifier, with QoS 1 and 2.
    pub packet_id: Option<u16>,
    /// Sent or received with the acknowledgement.
    pub reason: Option<ReasonCode>,
}

/// What goes along with a message to another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Baggage {
    trace_id: [u8; 16],
    parent: [u8; 8],
    state: Option<Arc<str>>,
}

/// A message that is followed: the shard, and a number that is not soon given again.
pub(crate) type Followed = NonZeroU32;

/// Bits of the number; above it is the shard.
const NUMBER_BITS: u32 = 24;

/// A message whose deliveries are to be followed.
#[derive(Clone, Debug)]
struct Way {
    number: Followed,
    baggage: Baggage,
    topic: Arc<str>,
    began: Time,
}

/// The spans of a shard.
#[derive(Debug)]
pub(crate) struct Spans {
    on: Option<SpanRules>,
    shard: ShardId,
    /// Of the ratio: of 2^64.
    threshold: u64,
    seed: u64,
    count: u64,
    /// The message that is being routed.
    current: Option<Followed>,
    /// Came before the next publication of a bag.
    incoming: Option<Baggage>,
    ways: VecDeque<Way>,
    publishing: Map<(ConnectionId, PacketId), Span>,
    delivering: Map<(ConnectionId, PacketId), Span>,
    done: Vec<Span>,
    lost: u64,
}

impl Spans {
    pub(crate) fn new(shard: ShardId, seed: u64) -> Self {
        Self {
            on: None,
            shard,
            threshold: 0,
            seed,
            count: 0,
            current: None,
            incoming: None,
            ways: VecDeque::new(),
            publishing: seeded(seed),
            delivering: seeded(seed),
            done: Vec::new(),
            lost: 0,
        }
    }

    /// Is anything to be followed?
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// The message that is being routed, if it is followed.
    #[inline]
    pub(crate) const fn current(&self) -> Option<Followed> {
        self.current
    }

    fn random(&mut self) -> u64 {
        self.count += 1;
        let mut hasher = DefaultHasher::new();
        ("span", self.seed, self.shard.index(), self.count).hash(&mut hasher);
        hasher.finish()
    }

    /// Never all zeros, which would be none.
    fn span_id(&mut self) -> [u8; 8] {
        (self.random() | 1).to_be_bytes()
    }

    fn trace_id(&mut self) -> [u8; 16] {
        let (high, low) = (self.random(), self.random() | 1);
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    fn finish(&mut self, span: Span) {
        if self.done.len() >= SPANS_MAXIMUM {
            self.lost += 1;
        } else {
            self.done.push(span);
        }
    }

    /// Whom a message belongs to, where it is to be followed: as its publisher says, else as chance does.
    fn picked(&mut self, properties: Properties<'_>) -> Option<(Baggage, bool)> {
        let said = if properties.is_empty() { None } else { Said::of(properties) };
        match said {
            Some(said) if said.sampled => {
                let state = said.state.map(Arc::from);
                Some((Baggage { trace_id: said.trace_id, parent: said.parent, state }, true))
            }
            Some(_) => None,
            None if self.threshold == 0 || self.random() >= self.threshold => None,
            None => Some((Baggage { trace_id: self.trace_id(), parent: [0; 8], state: None }, false)),
        }
    }

    /// From now on deliveries of this message are followed; the span they are part of is the baggage's.
    fn follow(&mut self, now: Time, topic: Arc<str>, baggage: Baggage) -> Followed {
        self.count += 1;
        let number = u32::try_from(self.count & ((1 << NUMBER_BITS) - 1)).unwrap_or_default();
        let shard = u32::try_from(self.shard.index()).unwrap_or_default() << NUMBER_BITS;
        let number = Followed::MIN.saturating_add(shard | number.saturating_sub(1));
        if self.ways.len() >= FOLLOWED_MAXIMUM {
            self.ways.pop_front();
        }
        self.ways.push_back(Way { number, baggage, topic, began: now });
        number
    }

    fn way(&self, number: Followed) -> Option<&Way> {
        // The last is the likeliest.
        self.ways.iter().rev().find(|way| way.number == number)
    }

    /// What another shard has to know of the message that is being routed.
    pub(crate) fn baggage(&self) -> Option<Box<Baggage>> {
        self.way(self.current?).map(|way| Box::new(way.baggage.clone()))
    }

    /// It is of the next publication.
    pub(crate) fn expect(&mut self, baggage: Baggage) {
        self.incoming = self.on.is_some().then_some(baggage);
    }

    /// A publication of another shard, with the baggage that came before it.
    pub(crate) fn enter(&mut self, now: Time, topic: &str) {
        if let Some(baggage) = self.incoming.take() {
            self.current = Some(self.follow(now, topic.into(), baggage));
        }
    }

    /// It is routed.
    pub(crate) fn leave(&mut self) {
        self.current = None;
    }

    fn keep(
        lost: &mut u64,
        open: &mut Map<(ConnectionId, PacketId), Span>,
        key: (ConnectionId, PacketId),
        span: Span,
    ) {
        if open.len() >= EXCHANGES_MAXIMUM {
            // Exchanges whose connections are gone are never over.
            *lost += open.len() as u64;
            open.clear();
        }
        open.insert(key, span);
    }

    /// PUBACK or PUBREC goes to the publisher.
    pub(crate) fn answered(&mut self, now: Time, id: ConnectionId, packet_id: PacketId, reason: ReasonCode) {
        if let Some(span) = self.publishing.remove(&(id, packet_id)) {
            self.finish(Span { end: now, reason: Some(reason), ..span });
        }
    }

    /// PUBACK or PUBCOMP came from a subscriber, or PUBREC with a failure.
    pub(crate) fn acknowledged(
        &mut self,
        now: Time,
        id: ConnectionId,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        if self.is_on()
            && let Some(span) = self.delivering.remove(&(id, packet_id))
        {
            self.finish(Span { end: now, reason: Some(reason), ..span });
        }
    }

    /// A PUBLISH was put into the output of a connection.
    #[cold]
    pub(crate) fn delivered(
        &mut self,
        now: Time,
        number: Followed,
        to: ConnectionId,
        client_id: &str,
        passing: &Passing<'_>,
        (qos, packet_id): (u8, Option<PacketId>),
    ) {
        let found = self.way(number).cloned();
        // Of another shard: a shared group dealt it. The publisher's word is in it.
        let adopted = || {
            let said = Said::of(Properties::from_trusted(passing.view.properties))?;
            let state = said.state.map(Arc::from);
            let baggage = Baggage { trace_id: said.trace_id, parent: said.parent, state };
            said.sampled.then(|| Way { number, baggage, topic: passing.view.topic.into(), began: now })
        };
        let Some(Way { baggage, topic, began, .. }) = found.or_else(adopted) else { return };
        let span_id = self.span_id();
        let span = Span {
            kind: SpanKind::Deliver,
            trace_id: baggage.trace_id,
            span_id,
            parent: Some(baggage.parent),
            state: baggage.state,
            start: began,
            end: now,
            client_id: client_id.into(),
            topic,
            qos,
            payload: passing.view.payload.len(),
            packet_id: packet_id.map(PacketId::get),
            reason: None,
        };
        if let Some(packet_id) = packet_id {
            let acknowledge = Span {
                kind: SpanKind::Acknowledge,
                span_id: self.span_id(),
                parent: Some(span_id),
                start: now,
                ..span.clone()
            };
            Self::keep(&mut self.lost, &mut self.delivering, (to, packet_id), acknowledge);
        }
        self.finish(span);
    }
}

impl Engine {
    /// Follows messages from now on; `None`: not any more.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a ratio"
    )]
    pub fn follow(&mut self, rules: Option<SpanRules>) {
        let spans = &mut self.hub.spans;
        let fresh = Spans::new(spans.shard, spans.seed);
        let ratio = rules.map_or(0.0, |rules| rules.ratio.clamp(0.0, 1.0));
        let threshold = (ratio * u64::MAX as f64) as u64;
        *spans = Spans { on: rules, threshold, count: spans.count, ..fresh };
    }

    /// The spans that were over since the last call, and how many there was no room for.
    pub fn spans(&mut self) -> (Vec<Span>, u64) {
        let spans = &mut self.hub.spans;
        (std::mem::take(&mut spans.done), std::mem::take(&mut spans.lost))
    }

    /// A PUBLISH while messages are followed: this one, too, perhaps.
    #[cold]
    pub(crate) fn publish_followed(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, topic: &str) {
        let Incoming { connection: id, session, publish, .. } = *incoming;
        let spans = &mut self.hub.spans;
        let Some((baggage, has_parent)) = spans.picked(publish.properties) else {
            return self.publish_to(cx, incoming, topic);
        };
        let (own, route_id) = (spans.span_id(), spans.span_id());
        let found = self.hub.sessions.get(session);
        let span = Span {
            kind: SpanKind::Publish,
            trace_id: baggage.trace_id,
            span_id: own,
            parent: has_parent.then_some(baggage.parent),
            state: baggage.state.clone(),
            start: cx.now,
            end: cx.now,
            client_id: found.map_or_else(Box::default, |session| session.client_id.clone()),
            topic: topic.into(),
            qos: publish.qos as u8,
            payload: publish.payload.len(),
            packet_id: publish.packet_id.map(PacketId::get),
            reason: None,
        };
        let route = Span { kind: SpanKind::Route, span_id: route_id, parent: Some(own), ..span.clone() };
        match publish.packet_id {
            Some(packet_id) => {
                let Spans { lost, publishing, .. } = &mut self.hub.spans;
                Spans::keep(lost, publishing, (id, packet_id), span);
            }
            None => self.hub.spans.finish(span),
        }
        let number = self.hub.spans.follow(cx.now, topic.into(), Baggage { parent: route_id, ..baggage });
        self.hub.spans.current = Some(number);
        self.publish_to(cx, incoming, topic);
        self.hub.spans.current = None;
        self.hub.spans.finish(route);
    }
}

impl Hub {
    /// A PUBLISH that is followed was put into the output of a connection.
    #[cold]
    pub(crate) fn span_delivered(
        &mut self,
        now: Time,
        number: Followed,
        to: ConnectionId,
        passing: &Passing<'_>,
        sent: (u8, Option<PacketId>),
    ) {
        let session = self.connections.get(to).and_then(crate::connection::Connection::session);
        let client_id = session.and_then(|session| self.sessions.get(session)).map(|found| &*found.client_id);
        self.spans.delivered(now, number, to, client_id.unwrap_or_default(), passing, sent);
    }
}
