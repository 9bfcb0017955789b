//! Packet identifiers that the Server uses towards a client: never two at once for one, sent again when and only when a
//! connection resumes, in the order of the first time, and no more than Receive Maximum.
//!
//! Spec:  MQTT 5.0 sections 2.2.1, 4.4, 4.6, 4.9.

use super::{Broken, Delivery, Model, ensure};

/// Places between two exchanges that began one after the other, for such as were not seen then.
const BETWEEN: u64 = 1 << 32;

/// A QoS 1 or 2 message on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) message: Option<usize>,
    qos: u8,
    pub(super) link: usize,
    /// Place in the order of first sending.
    order: u64,
    pub(super) topic: usize,
    /// When it was sent first.
    pub(super) since: u64,
    /// The Server took our PUBREC.
    released: bool,
    /// By a shared group.
    pub(super) filter: Option<usize>,
    /// With RETAIN: nobody was told that it is safe.
    retain: bool,
    /// When the Server took PUBREC, and whether the client got PUBREL.
    released_at: u64,
    concluded: bool,
    /// A crash may have lost it.
    is_doubtful: bool,
    is_foreign: bool,
    /// A crash may have lost that the Server got PUBREC.
    is_released_perhaps: bool,
}

impl Exchange {
    pub(super) const fn is_exactly_once(&self) -> bool {
        self.qos == 2
    }

    /// May the Server forget that it ended? What PUBREL was sent for never comes again.
    pub(super) const fn may_come_back(&self) -> bool {
        !self.concluded
    }

    /// It may be of another Session than the one that goes on.
    pub(super) const fn doubt(&mut self) {
        self.is_doubtful = true;
        self.is_foreign = true;
    }

    /// What was stored before `stored` is safe.
    pub(super) const fn crash(&mut self, stored: u64, is_message_doubtful: bool) {
        let is_safe = self.qos == 2 || !(is_message_doubtful || self.retain && self.since >= stored);
        // What a group deals is dealt anew.
        self.is_doubtful |= !is_safe || self.filter.take().is_some();
        if self.released && !self.concluded && self.released_at >= stored {
            self.released = false;
            self.is_released_perhaps = true;
        }
    }
}

impl Model {
    /// A PUBLISH above QoS 0 arrived. True where it is the first of its exchange.
    pub(super) fn exchange_opened(
        &mut self,
        session: usize,
        delivery: &Delivery<'_>,
        packet: u16,
    ) -> Result<bool, Broken> {
        self.keep_receive_maximum(delivery, packet)?;
        let resumed = self.links[delivery.link].resumed;
        let known = self.sessions[session].exchanges.get(&packet).copied();
        let what =
            || format!("connection {}, packet {packet}, message {:?}", delivery.link, delivery.message);
        // One that was given up has its identifier no more.
        let is_other = |known: &Exchange| {
            let is_lost = known.is_doubtful
                && (known.qos < 2 || known.is_foreign)
                && (known.message != delivery.message || !delivery.dup);
            known.link != delivery.link && (is_lost || !delivery.dup && self.may_be_withheld(session, known))
        };
        if let Some(known) = known.filter(|known| !is_other(known)) {
            ensure(
                known.link != delivery.link,
                "packet identifier reused, or sent twice on a connection",
                what,
            )?;
            ensure(known.message == delivery.message, "packet identifier reused while in use", what)?;
            ensure(!known.released, "PUBLISH sent again after PUBREC", what)?;
            // [MQTT-3.3.1-1]
            ensure(delivery.dup, "sent again without DUP", what)?;
            let last = &mut self.links[delivery.link].last_resent;
            ensure(known.order >= *last, "sent again in another order", what)?;
            *last = known.order;
            if let Some(known) = self.sessions[session].exchanges.get_mut(&packet) {
                known.link = delivery.link;
                known.is_doubtful = false;
            }
            return Ok(false);
        }
        if delivery.dup
            && let Some(known) = self.revived(session, packet, delivery.message)
        {
            let last = &mut self.links[delivery.link].last_resent;
            *last = known.order.max(*last);
            self.sessions[session].exchanges.insert(packet, Exchange { link: delivery.link, ..known });
            return Ok(false);
        }
        ensure(!delivery.dup || resumed, "DUP on a first delivery", what)?;
        if !delivery.dup {
            // [MQTT-4.4.0-1] Everything unacknowledged comes again first.
            let skipped = self.sessions[session].exchanges.iter().find(|(_, other)| {
                other.link != delivery.link
                    && !other.released
                    && !self.may_be_forgotten(other)
                    && !self.may_be_withheld(session, other)
            });
            ensure(skipped.is_none(), "new message before the old ones were sent again", || {
                format!("{}: {skipped:?}", what())
            })?;
        }
        self.begin_exchange(session, delivery, packet);
        Ok(true)
    }

    fn begin_exchange(&mut self, session: usize, delivery: &Delivery<'_>, packet: u16) {
        // What was sent before, unseen, has its place behind what came again before it; what is new, behind all of that.
        let order = if delivery.dup {
            let last = &mut self.links[delivery.link].last_resent;
            *last += 1;
            *last
        } else {
            self.exchanges_begun += BETWEEN;
            self.exchanges_begun
        };
        let exchange = Exchange {
            message: delivery.message,
            qos: delivery.qos,
            link: delivery.link,
            order,
            topic: delivery.topic,
            since: delivery.emitted.step,
            released: false,
            filter: None,
            retain: delivery.retain,
            released_at: 0,
            concluded: false,
            is_doubtful: false,
            is_foreign: false,
            is_released_perhaps: false,
        };
        self.sessions[session].exchanges.insert(packet, exchange);
    }

    /// [MQTT-3.3.4-9] [MQTT-4.9.0-2]
    fn keep_receive_maximum(&mut self, delivery: &Delivery<'_>, packet: u16) -> Result<(), Broken> {
        let sent = delivery.emitted.step;
        let link = &mut self.links[delivery.link];
        link.flight.retain(|(_, _, done)| done.is_none_or(|done| done > sent));
        let limit = usize::from(link.receive_maximum.min(self.rules.inflight));
        ensure(link.flight.len() < limit, "Receive Maximum exceeded", || {
            format!("connection {}, limit {limit}, in flight {:?}", delivery.link, link.flight)
        })?;
        link.flight.push((packet, sent, None));
        Ok(())
    }

    /// The Server took the packet that ends an exchange: PUBACK, PUBCOMP, a PUBREC with an error.
    pub(crate) fn exchange_ended(&mut self, link: usize, packet: u16) {
        let now = self.now.step;
        let state = &mut self.links[link];
        for (_, _, done) in state.flight.iter_mut().filter(|(id, _, done)| *id == packet && done.is_none()) {
            *done = Some(now);
        }
        let Some(session) = state.session else { return };
        if let Some(ended) = self.sessions[session].exchanges.remove(&packet) {
            self.deal_completed(session, &ended);
            self.note_undoable(session, packet, ended);
        }
    }

    /// The Server took a PUBREC.
    pub(crate) fn exchange_released(&mut self, link: usize, packet: u16) {
        let Some(session) = self.links[link].session else { return };
        if let Some(exchange) = self.sessions[session].exchanges.get_mut(&packet) {
            exchange.released = true;
            exchange.released_at = self.now.step;
        }
    }

    /// The client got PUBREL.
    pub(crate) fn released(&mut self, link: usize, packet: u16) {
        let Some(session) = self.links[link].session else { return };
        if let Some(exchange) = self.sessions[session].exchanges.get_mut(&packet) {
            exchange.released = true;
            exchange.concluded = true;
        }
    }

    /// May a crash have made the Server forget it, or not know whether it was sent, so that it expired after all?
    fn may_be_forgotten(&self, exchange: &Exchange) -> bool {
        let has_expired = |message: usize| {
            // Which copy it is, where there are several, is not known: each has its own interval.
            self.messages[message].expires_first().is_some_and(|expires| expires <= self.now.time)
        };
        exchange.is_doubtful
            || exchange.is_released_perhaps
            || self.crashes_since(exchange.since) > 0
                // It is in the queue again, whose bounds may bite.
                && (!self.rules.generous || exchange.qos == 1 && exchange.message.is_none_or(has_expired))
    }

    /// Exchanges of living Sessions that have not ended: Session, Packet Identifier and message.
    pub(crate) fn open_exchanges(&self) -> Vec<(usize, u16, Option<usize>)> {
        let is_open = |session: usize, exchange: &Exchange| {
            !self.may_be_forgotten(exchange)
                && (exchange.released || !self.may_be_withheld(session, exchange))
        };
        let sessions = self.current.values().copied();
        let all = sessions.flat_map(|session| {
            self.sessions[session]
                .exchanges
                .iter()
                .map(move |(packet, exchange)| (session, *packet, exchange))
        });
        let open = all.filter(|(session, _, exchange)| is_open(*session, exchange));
        open.map(|(session, packet, exchange)| (session, packet, exchange.message)).collect()
    }

    /// What a group dealt with QoS 1 to a connection that ended goes to another member: its identifiers are free.
    pub(super) fn forget_dealt_exchanges(&mut self, session: usize) {
        self.sessions[session].exchanges.retain(|_, exchange| exchange.filter.is_none() || exchange.qos == 2);
    }
}
