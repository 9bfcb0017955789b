//! Delivery to the Sessions of this shard: written at once, queued, or dropped and counted.
//!
//! Spec:  MQTT 5.0 sections 3.3.4, 4.3, 4.6 and 4.9.

use dunlin_codec::{Ack, Packet, PacketId, Properties, QoS, ReasonCode};

use crate::ceiling::Memory;
use crate::counters::Drop;
use crate::durability::Durability;
use crate::effect::{Effect, ReadToken};
use crate::event::ConnectionId;
use crate::explain::What;
use crate::frame::{Envelope, Passing, Receiver};
use crate::hub::{Cx, Hub};
use crate::journal::record::{Record, decode};
use crate::mail::{Deal, DealOutcome, Letter, SessionRef};
use crate::message::Message;
use crate::session::Pressure;
use crate::session::SessionId;
use crate::session::outgoing::{Doubt, Extra, Gone, Next, Options, Outgoing};
use crate::settings::QueueFull;
use crate::topic::{Identifiers, OwnMessages, Target};

/// QoS 1 and 2 wait in the queue while this much output of the connection waits: enough to keep a fast link busy between
/// two turns, too little to matter in memory.
const OUTPUT_HIGH_WATER: usize = 1024 * 1024;
/// Messages of a queue that its Client may acknowledge before they would be written: those of 4 ms, at a million a second.
const SOON_SENT: usize = 4096;
/// Publishers that one Session can slow; the rest is bounded by its queue.
const SLOWED_MAXIMUM: usize = 256;

impl Hub {
    /// A message for one Session.
    #[inline(always)]
    pub(crate) fn deliver(&mut self, cx: &mut Cx<'_>, target: &Target, passing: &mut Passing<'_>) {
        let mut target = target;
        if target.own != OwnMessages::Same && self.is_own(target.session, passing.view.origin) {
            match &target.own {
                OwnMessages::Same => {}
                OwnMessages::Never => {
                    return self.note_step(cx, target.session, passing.view, What::NoLocal);
                }
                OwnMessages::By(other) => target = other,
            }
        }
        if passing.view.has_expired_before(cx.now) {
            // On its way from another shard [MQTT-3.3.2-5].
            return self.drop_message(cx, target.session, passing.view.name(), Drop::Expired);
        }
        if passing.view.retain {
            self.overtake(target.session, passing.view.topic);
        }
        // [MQTT-3.8.4-8] [MQTT311-3.8.4-6] the lower of the publisher's and the granted QoS.
        let qos = passing.view.qos.min(target.qos);
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-9]
        let retain = passing.view.retain && target.retain_as_published;
        let identifiers = target.identifiers.as_slice();
        if qos == QoS::AtMostOnce {
            self.deliver_at_most_once(cx, target.session, retain, identifiers, passing);
        } else {
            let extra = Extra::of(target.identifiers.clone(), None);
            self.deliver_acknowledged(cx, target.session, &Options { qos, retain, extra }, passing);
        }
    }

    /// A retained message is delivered live: snapshots on their way to the Session have an older one.
    fn overtake(&mut self, index: u32, topic: &str) {
        if self.sessions.slots.get(index).is_none_or(|session| session.fetches.is_none()) {
            return;
        }
        let topic = self.seed_hash(topic);
        if let Some(fetches) = self.sessions.slots.get_mut(index).and_then(|session| session.fetches.as_mut())
        {
            fetches.overtake(topic);
        }
    }

    pub(crate) fn is_own(&self, session: u32, origin: Option<SessionRef>) -> bool {
        origin == Some(self.reference(self.sessions.current(session)))
    }

    /// QoS 0: now or never, and never again: DUP is 0 [MQTT-4.3.1-1] [MQTT311-4.3.1-1].
    pub(crate) fn deliver_at_most_once(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        retain: bool,
        identifiers: &[u32],
        passing: &mut Passing<'_>,
    ) {
        let connection = self.sessions.slots.get(index).and_then(|session| session.connection());
        let asked_less = passing.view.qos != QoS::AtMostOnce;
        let Some(to) = connection else {
            return self.lose(cx, index, passing.view.name(), Drop::Offline, asked_less);
        };
        let (limit, waiting) = (self.output_maximum(cx), cx.fx.outbox.len(to));
        // A large message has its turn all the same where nothing waits.
        let is_alone = waiting == 0 && self.memory < Memory::Scarce && limit > 0;
        if waiting + passing.view.weight() > limit && !is_alone {
            let is_own = limit == self.settings.limits.output_bytes_maximum as usize;
            let reason = if is_own { Drop::OutputFull } else { Drop::MemoryFull };
            return self.lose(cx, index, passing.view.name(), reason, asked_less);
        }
        let envelope = Envelope { qos: QoS::AtMostOnce, retain, dup: false, packet_id: None, identifiers };
        if let Err(why) = self.write(cx, to, passing, &envelope) {
            return self.drop_message(cx, index, passing.view.name(), why);
        }
        let what = What::Written { qos: QoS::AtMostOnce, retain, delivery: None };
        self.note_step(cx, index, passing.view, what);
    }

    /// QoS 1 and 2: now if nothing waits before it, else from the queue, so that the order stays [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    /// [MQTT311-4.6.0-5] [MQTT311-4.6.0-6].
    pub(crate) fn deliver_acknowledged(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        options: &Options,
        passing: &mut Passing<'_>,
    ) {
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        // A group keeps what it deals by itself.
        let is_durable = session.key != 0
            && options.extra.as_ref().is_none_or(|extra| extra.deal.is_none())
            && passing.view.durability != Durability::Memory;
        if is_durable && self.journal.has_seen(session.partition, passing.view.exchange) {
            // It came before a crash, and is sent again because its publisher cannot know.
            return;
        }
        let connection = session.connection();
        let (keeps, session_key) = (session.expiry != 0, session.key);
        let may_keep = !keeps || {
            let in_flight = session.outgoing.as_ref().map_or(0, |outgoing| outgoing.flight_len());
            self.may_keep(is_durable, in_flight, passing.view.weight())
        };
        let high_water = self.high_water(cx, OUTPUT_HIGH_WATER);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        let outgoing = session.outgoing_mut();
        // QoS 2 is sent when its identifier is sure to survive.
        let is_safe = session_key == 0 || options.qos == QoS::AtLeastOnce;
        let needs_number = !is_safe && !is_durable;
        if needs_number {
            outgoing.reserve();
        }
        match connection {
            Some(to) if is_safe && may_keep && outgoing.is_clear() && cx.fx.outbox.len(to) < high_water => {
                let kept = keeps.then(|| passing.stored());
                if self.send_acknowledged(cx, index, to, options, kept, passing) && is_durable {
                    self.record_delivery(cx, index, passing, false);
                }
            }
            _ => {
                if !self.enqueue(cx, index, options, passing) {
                    return;
                }
                if is_durable {
                    let is_soon = connection.is_some() && is_safe && may_keep && self.moves(index);
                    self.record_delivery(cx, index, passing, !is_soon);
                } else if needs_number {
                    self.number_delivery(cx, index);
                }
            }
        }
    }

    /// Is the end of a Session's queue near enough for its Client, if it keeps up, to acknowledge it before it would be written?
    fn moves(&self, index: u32) -> bool {
        let outgoing = self.sessions.slots.get(index).and_then(|session| session.outgoing.as_deref());
        outgoing.is_some_and(|outgoing| outgoing.queue_len() <= SOON_SENT)
    }

    /// The delivery that a durable Session got last has to survive. `urgent`: nobody will acknowledge it soon.
    fn record_delivery(&mut self, cx: &mut Cx<'_>, index: u32, passing: &mut Passing<'_>, urgent: bool) {
        let id = self.sessions.current(index);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        let Some(outgoing) = &mut session.outgoing else { return };
        let serial = self.journal.deliver(cx.now, session.partition, (id, outgoing.last()), passing, urgent);
        outgoing.set_pending(serial);
    }

    /// The number of the delivery that a durable Session got last has to survive, though not the delivery.
    fn number_delivery(&mut self, cx: &mut Cx<'_>, index: u32) {
        let id = self.sessions.current(index);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        if let Some(outgoing) = &mut session.outgoing {
            self.journal.moved(cx.now, id, &mut outgoing.dirty, true);
        }
    }

    /// A delivery is over: whoever keeps it for this Session need not any more.
    pub(crate) fn forget(&mut self, cx: &mut Cx<'_>, index: u32, gone: Gone, outcome: DealOutcome) {
        self.end_deal(cx, gone.deal, outcome);
        let id = self.sessions.current(index);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        if self.journal.delivered(session.partition, gone.home)
            && let Some(outgoing) = &mut session.outgoing
        {
            self.journal.moved(cx.now, id, &mut outgoing.dirty, false);
        }
    }

    /// Sends a QoS 1 or 2 message for the first time; the queue is empty or this was its first.
    fn send_acknowledged(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        to: ConnectionId,
        options: &Options,
        kept: Option<Message>,
        passing: &mut Passing<'_>,
    ) -> bool {
        let Some(outgoing) = self.outgoing(index) else { return false };
        let (qos, retain) = (options.qos, options.retain);
        let packet_id = outgoing.send(options, kept);
        let identifiers = options.extra.as_ref().map_or(&[][..], |extra| extra.identifiers.as_slice());
        let envelope = Envelope { qos, retain, dup: false, packet_id: Some(packet_id), identifiers };
        let written = self.write(cx, to, passing, &envelope);
        match written {
            Ok(()) => self.note_sent(cx, index, passing.view, (qos, retain)),
            Err(why) => self.unsend(cx, index, passing.view.name(), why),
        }
        written.is_ok()
    }

    /// What was just counted as sent is larger than the Client takes: as if it had been delivered [MQTT-3.1.2-25].
    fn unsend(&mut self, cx: &mut Cx<'_>, index: u32, message: (&str, u32), why: Drop) {
        self.drop_message(cx, index, message, why);
        if let Some(gone) = self.outgoing(index).and_then(Outgoing::unsend) {
            self.forget(cx, index, gone, DealOutcome::Done);
        }
    }

    #[inline]
    fn write(
        &mut self,
        cx: &mut Cx<'_>,
        to: ConnectionId,
        passing: &mut Passing<'_>,
        envelope: &Envelope<'_>,
    ) -> Result<(), Drop> {
        let Some(connection) = self.connections.get_mut(to) else { return Err(Drop::TooLarge) };
        let (version, maximum_packet_size) = (connection.version, connection.maximum_packet_size);
        let receiver = &Receiver { connection: to, version, maximum_packet_size };
        let outbox = &mut cx.fx.outbox;
        let mark = self.taps.mark(connection, outbox, to);
        let (mount, aliases) = connection.renaming();
        let sent = match (mount, aliases) {
            (Some(mount), aliases) => {
                passing.send_mounted(mount, outbox, receiver, envelope, cx.now, aliases)?
            }
            (None, Some(aliases)) => passing.send_alone(outbox, receiver, envelope, cx.now, Some(aliases)),
            (None, None) => passing.send(outbox, receiver, envelope, cx.now),
        };
        if !sent {
            return Err(Drop::TooLarge);
        }
        connection.tally.delivered();
        self.counters.delivered(envelope.qos, passing.view.payload.len());
        if let Some(mark) = mark {
            self.tap_sent(cx.now, &cx.fx.outbox, to, mark, Some(passing.view.topic));
        }
        if let Some(number) = passing.followed {
            self.span_delivered(cx.now, number, to, passing, (envelope.qos as u8, envelope.packet_id));
        }
        Ok(())
    }

    fn outgoing(&mut self, index: u32) -> Option<&mut Outgoing> {
        self.sessions.slots.get_mut(index)?.outgoing.as_deref_mut()
    }

    /// Into the queue, as far as its bounds go [MQTT311-3.1.2-5].
    fn enqueue(&mut self, cx: &mut Cx<'_>, index: u32, options: &Options, passing: &mut Passing<'_>) -> bool {
        let is_kept_by_journal = passing.view.durability != Durability::Memory
            && self.sessions.slots.get(index).is_some_and(|session| session.key != 0);
        let deal = options.extra.as_ref().and_then(|extra| extra.deal);
        if self.memory >= Memory::Scarce && !is_kept_by_journal {
            match deal {
                Some(_) => self.refuse_deal(cx, index, deal),
                None => self.drop_for_memory(cx, index, passing.view.name()),
            }
            return false;
        }
        let limits = &self.settings.limits;
        let (messages, bytes) = (limits.queue_messages_maximum as usize, limits.queue_bytes_maximum);
        let policy = limits.queue_full;
        let weight = passing.view.weight();
        let fits = |outgoing: &Outgoing| {
            outgoing.queue_len() < messages && outgoing.queue_bytes() + weight as u64 <= bytes
        };
        while let Some(outgoing) = self.outgoing(index)
            && !fits(outgoing)
        {
            let oldest = outgoing.first_of_queue();
            let (gone, why) = match outgoing.pop_expired(cx.now) {
                Some(expired) => (Some(expired), Drop::Expired),
                None if deal.is_some() => {
                    self.refuse_deal(cx, index, deal);
                    return false;
                }
                None if policy == QueueFull::DropOldest => (outgoing.pop(), Drop::QueueFull),
                None => (None, Drop::QueueFull),
            };
            let oldest = oldest.as_ref().map_or(("", 0), |(message, number)| (message.view().topic, *number));
            let dropped = if gone.is_some() { oldest } else { passing.view.name() };
            self.drop_message(cx, index, dropped, why);
            let Some(gone) = gone else {
                let connection = self.sessions.slots.get(index).and_then(|session| session.connection());
                if let (QueueFull::Disconnect, Some(connection)) = (policy, connection) {
                    self.to_close.push((connection, ReasonCode::QuotaExceeded, "its queue is full"));
                }
                return false;
            };
            if let Some(delivery) = gone.noted {
                self.note_discarded(cx, index, delivery, why);
            }
            if why == Drop::Expired || gone.deal.is_none() {
                self.forget(cx, index, gone, DealOutcome::Done);
            } else {
                self.refuse_deal(cx, index, gone.deal);
            }
        }
        let (message, qos) = (passing.stored(), options.qos);
        if let Some(outgoing) = self.outgoing(index) {
            outgoing.queue(options, message);
        }
        self.note_queued(cx, index, passing.view, qos);
        self.press(cx, index, passing.view.origin);
        self.want_drained(cx, index);
        true
    }

    /// A full queue is no reason to lose what another member of the group could take.
    fn refuse_deal(&mut self, cx: &mut Cx<'_>, index: u32, deal: Option<Deal>) {
        let Some(deal) = deal else { return };
        if let Some(session) = self.sessions.slots.get_mut(index) {
            let group = (deal.home, deal.group);
            if !session.seldom.refused.contains(&group) {
                session.seldom.make().refused.push(group);
            }
        }
        self.end_deal(cx, Some(deal), DealOutcome::Refused);
    }

    /// The queue has room: tells the groups that were refused.
    fn invite_deals(&mut self, cx: &mut Cx<'_>, index: u32) {
        let member = self.reference(self.sessions.current(index));
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        if session.seldom.refused.is_empty()
            || session.outgoing.as_ref().is_some_and(|outgoing| outgoing.queue_len() > 0)
        {
            return;
        }
        for (home, group) in std::mem::take(&mut session.seldom.make().refused) {
            self.post(cx, home, Letter::RoomAgain { group, member });
        }
    }

    /// The connection's output is the reason for waiting: ask to be told when it is gone.
    fn want_drained(&mut self, cx: &mut Cx<'_>, index: u32) {
        let Some(session) = self.sessions.slots.get(index) else { return };
        if let Some(to) = session.connection()
            && cx.fx.outbox.len(to) >= self.high_water(cx, OUTPUT_HIGH_WATER)
        {
            cx.fx.outbox.want_drained(to);
        }
    }

    /// Sends what may be sent now: first what was in flight on the last connection, then the queue.
    pub(crate) fn pump(&mut self, cx: &mut Cx<'_>, index: u32) {
        loop {
            let high_water = self.high_water(cx, OUTPUT_HIGH_WATER);
            let Some(session) = self.sessions.slots.get_mut(index) else { return };
            let Some(to) = session.connection() else { return };
            // A Session that never had more than QoS 0 has none, but may wait for retained messages.
            let Some(outgoing) = session.outgoing.as_deref_mut() else { break };
            if cx.fx.outbox.len(to) >= high_water {
                cx.fx.outbox.want_drained(to);
                break;
            }
            // Only PUBLISH waits for quota, no other packet [MQTT-3.3.4-10] [MQTT-4.9.0-3].
            match outgoing.next() {
                None => break,
                Some(Next::Absent) => {
                    self.read_ahead(cx, index);
                    break;
                }
                Some(Next::PubRel(packet_id)) => {
                    self.acknowledge(cx, to, Packet::PubRel, packet_id, ReasonCode::Success);
                }
                Some(Next::Publish(packet_id, options, message, doubt)) => {
                    // One with QoS 2 may be known to the Client by its identifier.
                    let is_new = doubt == Doubt::Perhaps && options.qos == QoS::AtLeastOnce;
                    if self.is_withheld(index, message.view().topic) {
                        self.abandon(cx, index, packet_id, message.view().name(), Drop::Denied);
                    } else if is_new && message.is_expired(cx.now) {
                        self.abandon(cx, index, packet_id, message.view().name(), Drop::Expired);
                    } else {
                        self.resend(cx, index, to, packet_id, &options, &message);
                    }
                }
                Some(Next::Queued(message, is_doubtful)) => {
                    self.send_queued(cx, index, to, &message, is_doubtful);
                }
            }
        }
        self.end_recheck(index);
        self.relieve(cx, index);
        self.invite_deals(cx, index);
        self.fetch_more(cx, index);
    }

    /// The first of the queue goes out, unless its time is over. `is_doubtful`: it may have been sent before a restart.
    fn send_queued(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        to: ConnectionId,
        message: &Message,
        is_doubtful: bool,
    ) {
        let view = &message.view();
        let is_withheld = self.is_withheld(index, view.topic);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        let keeps = session.expiry != 0;
        let Some(outgoing) = &mut session.outgoing else { return };
        let mut passing = Passing::of_stored(message, view);
        // One with QoS 2 may be known to the Client by its identifier.
        let is_known = is_doubtful && outgoing.is_next_exactly_once();
        if is_withheld || passing.view.is_expired(cx.now) && !is_known {
            // [MQTT-3.3.2-5]; what this Client may not have any more, another member of a group may.
            let (bound, outcome) = match is_withheld {
                true => (Drop::Denied, DealOutcome::Returned),
                false => (Drop::Expired, DealOutcome::Done),
            };
            let gone = outgoing.pop();
            self.drop_message(cx, index, passing.view.name(), bound);
            if let Some(gone) = gone {
                self.forget(cx, index, gone, outcome);
            }
            return;
        }
        let Some((packet_id, options)) = outgoing.send_queued(keeps) else { return };
        let identifiers = options.extra.as_ref().map_or(&[][..], |extra| extra.identifiers.as_slice());
        let Options { qos, retain, .. } = options;
        let envelope = Envelope { qos, retain, dup: is_doubtful, packet_id: Some(packet_id), identifiers };
        if let Err(why) = self.write(cx, to, &mut passing, &envelope) {
            return self.unsend(cx, index, view.name(), why);
        }
        self.note_sent(cx, index, view, (qos, retain));
    }

    /// With DUP, which only these packets have, and those of which nobody knows after a restart [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT311-4.4.0-1]
    /// [MQTT311-3.3.1-1] [MQTT311-3.3.1-3].
    fn resend(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        to: ConnectionId,
        packet_id: PacketId,
        options: &Options,
        message: &Message,
    ) {
        let identifiers = options.extra.as_ref().map_or(&[][..], |extra| extra.identifiers.as_slice());
        let view = &message.view();
        let mut passing = Passing::of_stored(message, view);
        let (qos, retain) = (options.qos, options.retain);
        let envelope = Envelope { qos, retain, dup: true, packet_id: Some(packet_id), identifiers };
        if let Err(why) = self.write(cx, to, &mut passing, &envelope) {
            // The Client takes less than on its last connection [MQTT-3.1.2-25], or came by another listener.
            self.abandon(cx, index, packet_id, view.name(), why);
        }
    }

    /// A message in flight is not sent again.
    fn abandon(&mut self, cx: &mut Cx<'_>, index: u32, packet_id: PacketId, message: (&str, u32), why: Drop) {
        self.drop_message(cx, index, message, why);
        if let Some(gone) = self.outgoing(index).and_then(|outgoing| outgoing.abandon(packet_id)) {
            self.forget(cx, index, gone, DealOutcome::Done);
        }
    }

    /// Asks for the messages that are to be sent next and are not in memory.
    fn read_ahead(&mut self, cx: &mut Cx<'_>, index: u32) {
        let token = ReadToken(self.sessions.current(index));
        let is_tight = self.memory >= Memory::Tight || !self.has_output_share(cx, 1);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        let partition = session.partition;
        let Some(outgoing) = session.outgoing.as_deref_mut().filter(|outgoing| !outgoing.reading) else {
            return;
        };
        let records = outgoing.absent(is_tight);
        if !records.is_empty() {
            outgoing.reading = true;
            cx.fx.list.push(Effect::Read { token, partition: partition.into(), records });
        }
    }

    /// Messages were read back.
    pub(crate) fn read_back(&mut self, cx: &mut Cx<'_>, id: SessionId, records: &[(u32, Option<Vec<u8>>)]) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let (key, partition) = (session.key, session.partition);
        let Some(outgoing) = &mut session.outgoing else { return };
        outgoing.reading = false;
        let mut lost = Vec::new();
        for (seq, bytes) in records {
            let number = outgoing.record_of(*seq).filter(|_| bytes.is_none());
            if number.is_some_and(|number| self.journal.is_to_come(id, partition, number)) {
                outgoing.reading = true;
                continue;
            }
            let Some(Record::Deliver { targets, message, .. }) = bytes.as_deref().and_then(decode) else {
                lost.push(*seq);
                continue;
            };
            let target = targets.into_iter().find(|target| target.key == key);
            let identifiers = Identifiers::of(target.map_or_else(Vec::new, |target| target.identifiers));
            outgoing.fill(*seq, message.to_message(), identifiers);
        }
        for seq in lost {
            let gone = self.outgoing(id.index()).and_then(|outgoing| outgoing.lose(seq));
            if let Some(gone) = gone {
                self.drop_message(cx, id.index(), ("", 0), Drop::Damaged);
                self.forget(cx, id.index(), gone, DealOutcome::Done);
            }
        }
        self.pump(cx, id.index());
    }

    /// A queue fills: slow whoever fills it, as long as its Client keeps taking messages.
    fn press(&mut self, cx: &mut Cx<'_>, index: u32, publisher: Option<SessionRef>) {
        let limits = &self.settings.limits;
        let (messages, bytes) = (limits.queue_messages_maximum as usize, limits.queue_bytes_maximum);
        let by = self.reference(self.sessions.current(index));
        let (Some(session), Some(publisher)) = (self.sessions.slots.get_mut(index), publisher) else {
            return;
        };
        let Some(outgoing) = session.outgoing.as_deref().filter(|_| session.connection().is_some()) else {
            return;
        };
        let is_full = outgoing.queue_len() > messages / 2 || outgoing.queue_bytes() > bytes / 2;
        if !is_full || publisher == by {
            return;
        }
        let pressure = session
            .seldom
            .make()
            .pressure
            .get_or_insert_with(|| Box::new(Pressure { since: cx.now, ..Pressure::default() }));
        let is_known = pressure.slowed.contains(&publisher);
        if pressure.barred || is_known || pressure.slowed.len() >= SLOWED_MAXIMUM {
            return;
        }
        if pressure.slowed.is_empty() {
            pressure.since = cx.now;
        }
        pressure.slowed.push(publisher);
        self.counters.publishers_slowed += 1;
        self.note_failure(cx.now, by.session, "", What::Slows);
        self.post(cx, publisher.shard, Letter::Slow { session: publisher.session, by });
        self.arm_session(by.session);
    }

    /// A queue has drained: let the publishers go on.
    fn relieve(&mut self, cx: &mut Cx<'_>, index: u32) {
        let limits = &self.settings.limits;
        let (messages, bytes) = (limits.queue_messages_maximum as usize, limits.queue_bytes_maximum);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        if session.seldom.pressure.is_none() {
            return;
        }
        let has_room = session.outgoing.as_ref().is_none_or(|outgoing| {
            outgoing.queue_len() <= messages / 4 && outgoing.queue_bytes() <= bytes / 4
        });
        if has_room {
            self.release_publishers(cx, index, false);
        }
    }

    /// Lets the publishers go on that this Session slowed. `bar`: it may not slow anybody until its queue has drained.
    pub(crate) fn release_publishers(&mut self, cx: &mut Cx<'_>, index: u32, bar: bool) {
        let by = self.reference(self.sessions.current(index));
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        let Some(seldom) = session.seldom.existing() else { return };
        let Some(pressure) = seldom.pressure.take() else { return };
        if bar {
            seldom.pressure = Some(Box::new(Pressure { barred: true, ..Pressure::default() }));
        }
        for publisher in pressure.slowed {
            self.post(cx, publisher.shard, Letter::Resume { session: publisher.session, by });
        }
    }

    /// Writes a PUBACK, PUBREC, PUBREL or PUBCOMP, with the identifier of its PUBLISH [MQTT-2.2.1-5] [MQTT311-2.3.1-6].
    ///
    /// Without properties it is never too large [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2]
    /// [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3], nor more than the Client wants to know [MQTT-3.1.2-29].
    pub(crate) fn acknowledge(
        &mut self,
        cx: &mut Cx<'_>,
        to: ConnectionId,
        packet: impl FnOnce(Ack<'static>) -> Packet<'static>,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        let Some(connection) = self.connections.get(to) else { return };
        let packet = packet(Ack { packet_id, reason, properties: Properties::EMPTY });
        // 3.x Clients are told nothing that they cannot understand: the encoder leaves the reason out.
        let mark = self.taps.mark(connection, &cx.fx.outbox, to);
        cx.fx.outbox.append(to, |tail| packet.encode(connection.version, tail));
        self.counters.packets_sent += 1;
        if let Some(mark) = mark {
            self.tap_sent(cx.now, &cx.fx.outbox, to, mark, None);
        }
    }

    /// Tells the home of a shared group what became of a message it dealt.
    #[inline]
    pub(crate) fn end_deal(&mut self, cx: &mut Cx<'_>, deal: Option<Deal>, outcome: DealOutcome) {
        if let Some(deal) = deal {
            self.post(cx, deal.home, Letter::DealEnded { deal, outcome });
        }
    }
}
