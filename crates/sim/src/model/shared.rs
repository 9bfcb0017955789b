//! Shared Subscriptions: each message to one member at a time, and to none that it was taken from.
//!
//! Spec:  MQTT 5.0 section 4.8.2.

use super::{Broken, Delivery, Model, ensure, exchange::Exchange};
use crate::topics::FIRST_SHARED;

/// A message of a group with a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal {
    pub(super) session: usize,
    link: usize,
    qos: u8,
    pub(super) state: State,
    /// Since when it is in this state.
    since: u64,
}

/// The process ended. What a member has comes again, to the same or another; also where its end is not stored.
pub(super) const fn crash(deal: &mut Deal, stored: u64) {
    deal.state = match deal.state {
        State::Completed if deal.since >= stored => State::Again,
        State::Completed => State::Completed,
        State::Again => State::Again,
        State::Live | State::Returned => State::Returned,
    };
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The member has it.
    Live,
    /// Acknowledged, or QoS 0.
    Completed,
    /// The same, but a crash may have made the Server forget it.
    Again,
    /// The member's connection ended, or it left: another may get it.
    Returned,
}

impl State {
    pub(super) const fn is_completed(self) -> bool {
        matches!(self, Self::Completed | Self::Again)
    }
}

impl Model {
    /// Marks the exchange of a dealt message.
    pub(super) fn note_group(&mut self, session: usize, delivery: &Delivery<'_>, candidates: &[usize]) {
        let state = &mut self.sessions[session];
        let filters = candidates.iter().map(|at| state.subs[*at].wish.filter);
        let group = filters.into_iter().find(|filter| *filter >= FIRST_SHARED);
        let exchange = delivery.packet.and_then(|packet| state.exchanges.get_mut(&packet));
        if let Some(exchange) = exchange {
            exchange.filter = group;
        }
        if self.links[delivery.link].ended.is_some() {
            self.forget_dealt_exchanges(session);
        }
    }

    pub(super) fn deal_received(
        &mut self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
        filter: usize,
    ) -> Result<(), Broken> {
        // Section 4.8.2: no retained messages because of a Shared Subscription.
        ensure(!delivery.retain, "retained message to a shared subscription", || format!("{delivery:?}"))?;
        // Written before the connection ended, read after: the group may have given it to another already.
        let late = self.links[delivery.link].ended.is_some() && delivery.qos == 1;
        // A group does not know after a crash which QoS 2 messages it had before: those that come again it deals again.
        let again = self.came_again(message);
        let since = self.now.step;
        let deals = self.deals.entry((filter, message)).or_default();
        let out = deals.iter().filter(|deal| !matches!(deal.state, State::Returned | State::Again)).count();
        let copies = self.messages[message].copies as usize;
        ensure(
            late || out < copies || !self.messages[message].certain || again,
            "shared message at two members at once",
            || format!("{delivery:?}, session {session}, others {deals:?}, published {copies}"),
        )?;
        let state = match delivery.qos {
            0 => State::Completed,
            _ if late => State::Returned,
            _ => State::Live,
        };
        deals.push(Deal { session, link: delivery.link, qos: delivery.qos, state, since });
        Ok(())
    }

    pub(super) fn deal_completed(&mut self, session: usize, exchange: &Exchange) {
        let key = exchange.filter.zip(exchange.message);
        let deals = key.and_then(|key| self.deals.get_mut(&key)).into_iter().flatten();
        let mut own = deals.filter(|deal| deal.session == session && deal.state != State::Completed);
        if let Some(deal) = own.next_back() {
            deal.state = State::Completed;
            deal.since = self.now.step;
        }
    }

    /// A member's connection ended: what it had with QoS 1 goes to others [MQTT-4.8.2-4].
    pub(super) fn deals_returned(&mut self, session: usize, link: usize) {
        for deal in self.deals.values_mut().flatten() {
            if deal.session == session && deal.link == link && deal.state == State::Live && deal.qos == 1 {
                deal.state = State::Returned;
            }
        }
        self.forget_dealt_exchanges(session);
    }

    /// A member unsubscribed: what it has it may keep, or not.
    pub(super) fn deals_left(&mut self, session: usize, filter: usize) {
        for ((group, _), deals) in &mut self.deals {
            for deal in deals.iter_mut().filter(|deal| *group == filter && deal.session == session) {
                if deal.state == State::Live {
                    deal.state = State::Returned;
                }
            }
        }
    }
}
