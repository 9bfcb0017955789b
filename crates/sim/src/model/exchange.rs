//! Packet identifiers that the Server uses towards a client: never two at once for one, sent again when and only when a
//! connection resumes, in the order of the first time, and no more than Receive Maximum.
//!
//! Spec:  MQTT 5.0 sections 2.2.1, 4.4, 4.6, 4.9.

use super::{Broken, Delivery, Model, ensure};

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
            known.link != delivery.link && !delivery.dup && self.may_be_withheld(session, known)
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
            }
            return Ok(false);
        }
        ensure(!delivery.dup || resumed, "DUP on a first delivery", what)?;
        if !delivery.dup {
            // [MQTT-4.4.0-1] Everything unacknowledged comes again first.
            let skipped = self.sessions[session].exchanges.iter().find(|(_, other)| {
                other.link != delivery.link && !other.released && !self.may_be_withheld(session, other)
            });
            ensure(skipped.is_none(), "new message before the old ones were sent again", || {
                format!("{}: {skipped:?}", what())
            })?;
        }
        self.exchanges_begun += 1;
        let exchange = Exchange {
            message: delivery.message,
            qos: delivery.qos,
            link: delivery.link,
            order: self.exchanges_begun,
            topic: delivery.topic,
            since: delivery.emitted.step,
            released: false,
            filter: None,
        };
        self.sessions[session].exchanges.insert(packet, exchange);
        Ok(true)
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
        }
    }

    /// The Server took a PUBREC.
    pub(crate) fn exchange_released(&mut self, link: usize, packet: u16) {
        let Some(session) = self.links[link].session else { return };
        if let Some(exchange) = self.sessions[session].exchanges.get_mut(&packet) {
            exchange.released = true;
        }
    }

    /// Exchanges of living Sessions that have not ended.
    pub(crate) fn open_exchanges(&self) -> usize {
        let open = |session: &usize| {
            let exchanges = self.sessions[*session].exchanges.values();
            exchanges
                .filter(|exchange| exchange.released || !self.may_be_withheld(*session, exchange))
                .count()
        };
        self.current.values().map(open).sum()
    }

    /// What a group dealt with QoS 1 to a connection that ended goes to another member: its identifiers are free.
    pub(super) fn forget_dealt_exchanges(&mut self, session: usize) {
        self.sessions[session].exchanges.retain(|_, exchange| exchange.filter.is_none() || exchange.qos == 2);
    }
}
