//! Mail of other shards, letter by letter.

use crate::counters::Drop;
use crate::durability::Durability;
use crate::engine::Engine;
use crate::explain::What;
use crate::frame::Passing;
use crate::hub::{Cx, Hub};
use crate::mail::{Deal, DealOptions, DealOutcome, Letter, MailBag, Opened, Publication};
use crate::partition::ShardId;
use crate::retained::{Page, Query};
use crate::session::SessionId;
use crate::session::outgoing::{Extra, Options};
use crate::topic::Identifiers;

impl Engine {
    /// Reads a bag; it is empty afterwards.
    pub(crate) fn open_mail(&mut self, cx: &mut Cx<'_>, from: ShardId, bag: &mut MailBag) {
        if !bag.stores().is_empty() {
            self.interest.stores_known(from, bag.stores());
        }
        self.interest.given_known(bag.given());
        bag.open(|opened| match opened {
            Opened::Publication(publication) => self.publication(cx, from, &publication),
            Opened::Letter(letter) => self.letter(cx, from, letter),
        });
        self.tell_seen(cx, from);
        if self.hub.journal.enabled {
            self.hub.journal.owe(from);
        }
        self.ask_held_queries(cx);
    }

    /// A message that another shard's Client published.
    fn publication(&mut self, cx: &mut Cx<'_>, from: ShardId, publication: &Publication<'_>) {
        if publication.is_confirmed() {
            self.hub.journal.received(from);
        }
        self.hub.spans.enter(cx.now, publication.message.topic);
        if publication.route {
            // The sender routed it, so its topic has a route.
            let _ = self.route(cx, &publication.message, None);
        }
        if publication.store {
            self.retain(cx, publication.message);
            self.interest.stored(from);
        }
        self.hub.spans.leave();
    }

    pub(crate) fn letter(&mut self, cx: &mut Cx<'_>, from: ShardId, letter: Letter) {
        match letter {
            Letter::Publications { .. } => unreachable!("opened by the bag"),
            Letter::Publication { message, route, store } => {
                self.publication(cx, from, &Publication { message: message.view(), route, store });
            }
            Letter::Interest { filter, wanted } => self.interest_received(from, &filter, wanted),
            Letter::InterestSeen { count } => self.interest_seen(cx, from, count),
            Letter::RetainedQuery { session, query, filter, after, needs } => {
                let query = Query { from, session, query, filter, after, needs };
                self.retained_query(cx, query);
            }
            Letter::RetainedPage { session, query, messages, next } => {
                self.retained_page(cx, session, query, Page { home: from, messages, next });
            }
            Letter::Ping { session, query, home } => {
                self.hub.post(cx, from, Letter::Pong { session, query, home })
            }
            Letter::Pong { session, query, home } => self.page_may_follow(cx, session, query, home),
            Letter::RoomAgain { group, member } => {
                let Self { groups, hub, .. } = self;
                groups.room_again(cx, hub, group, member);
            }
            Letter::Group { share, filter, member, event } => {
                self.group_letter(cx, &share, &filter, member, event)
            }
            Letter::GroupJoined { token } => self.suback_part_done(cx, token),
            Letter::Deal { session, deal, message, options } => {
                let view = message.view();
                self.hub.dealt(cx, session, deal, options, &mut Passing::of_stored(&message, &view));
            }
            Letter::DealEnded { deal, outcome } => {
                let Self { groups, hub, .. } = self;
                groups.deal_ended(cx, hub, deal, outcome);
            }
            Letter::Review { round } => self.review_some(cx, round),
            Letter::Slow { session, by } => self.slow(cx.now, session, by),
            Letter::Resume { session, by } => self.resume(cx, session, by),
            Letter::Safe { count } => self.hub.journal.confirmed(from, count, Durability::Synced),
            Letter::Written { count } => self.hub.journal.confirmed(from, count, Durability::Written),
            Letter::Seen { exchange } => self.seen_before(cx, from, exchange),
            Letter::Followed(baggage) => self.hub.spans.expect(*baggage),
            Letter::Released { exchange } => {
                self.hub.journal.received(from);
                self.hub.journal.exchange_released(cx.now, exchange);
            }
        }
    }
}

impl Hub {
    /// A shared group deals a message to a Session of this shard.
    pub(crate) fn dealt(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        deal: Option<Deal>,
        options: DealOptions,
        passing: &mut Passing<'_>,
    ) {
        let view = passing.view;
        let takes_it = self.sessions.get(session).is_some_and(|session| {
            // Else dealt before the home of the group knew of an UNSUBSCRIBE [MQTT-3.10.4-2], or of new options.
            session.connection().is_some() && session.subscriptions.is_member_by(options.joined)
        });
        let identifiers = match options.subscription_identifier {
            0 => Identifiers::None,
            identifier => Identifiers::One(identifier),
        };
        if takes_it && view.has_expired_before(cx.now) {
            // Between its home and here [MQTT-3.3.2-5].
            self.drop_message(cx, session.index(), view.name(), Drop::Expired);
            return self.end_deal(cx, deal, DealOutcome::Done);
        }
        if takes_it {
            self.note_step(cx, session.index(), view, What::Dealt);
        }
        match deal {
            // Gone while it was on its way: QoS 1 and 2 go to another member.
            None if !takes_it => {
                self.counters.drop(Drop::Offline);
                self.note_drop(cx, session.index(), view.name(), Drop::Offline);
            }
            _ if !takes_it => self.end_deal(cx, deal, DealOutcome::Returned),
            None => {
                let identifiers = identifiers.as_slice();
                self.deliver_at_most_once(cx, session.index(), options.retain, identifiers, passing);
            }
            Some(_) => {
                let extra = Extra::of(identifiers, deal);
                let options = Options { qos: options.qos, retain: options.retain, extra };
                self.deliver_acknowledged(cx, session.index(), &options, passing);
            }
        }
    }
}
