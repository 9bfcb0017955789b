//! Mail of other shards, letter by letter.

use crate::engine::Engine;
use crate::frame::Passing;
use crate::hub::Cx;
use crate::mail::{DealOptions, DealOutcome, Letter, MailBag, Opened, Publication};
use crate::message::Message;
use crate::partition::{Partition, ShardId};
use crate::session::SessionId;
use crate::session::outgoing::{Extra, Options};
use crate::store_marks::ParkedQuery;
use crate::topic::Identifiers;

impl Engine {
    /// Reads a bag; it is empty afterwards.
    pub(crate) fn open_mail(&mut self, cx: &mut Cx<'_>, from: ShardId, bag: &mut MailBag) {
        bag.open(|opened| match opened {
            Opened::Publication(publication) => self.publication(cx, from, &publication),
            Opened::Letter(letter) => self.letter(cx, from, letter),
        });
        self.tell_seen(cx, from);
        for ready in self.marks.take_ready() {
            let ParkedQuery { from, session, query, filter, .. } = ready;
            self.retained_query(cx, from, session, query, &filter, None);
        }
    }

    /// A message that another shard's Client published.
    fn publication(&mut self, cx: &mut Cx<'_>, from: ShardId, publication: &Publication<'_>) {
        let Publication { message, route, store, mark } = *publication;
        if route {
            // The sender routed it, so its topic has a route.
            let _ = self.route(cx, message);
        }
        if store {
            self.retain(cx, message);
            self.marks.receive(from, mark);
        } else if mark != 0 {
            self.marks.learn(from, self.hub.map.home(Partition::of(&[message.topic])), mark);
        }
    }

    pub(crate) fn letter(&mut self, cx: &mut Cx<'_>, from: ShardId, letter: Letter) {
        match letter {
            Letter::Publications { .. } => unreachable!("opened by the bag"),
            Letter::Publication { message, route, store, mark } => {
                self.publication(cx, from, &Publication { message: message.view(), route, store, mark });
            }
            Letter::Interest { filter, wanted } => self.interest_received(from, &filter, wanted),
            Letter::InterestSeen { count, sent } => {
                self.marks.learn_all(from, &sent);
                self.interest_seen(cx, from, count);
            }
            Letter::RetainedQuery { session, query, filter, after: None, needed }
                if !self.marks.has(&needed) =>
            {
                self.marks.park(ParkedQuery { from, session, query, filter, needed });
            }
            Letter::RetainedQuery { session, query, filter, after, .. } => {
                self.retained_query(cx, from, session, query, &filter, after.as_deref());
            }
            Letter::RetainedPage { session, query, messages, next } => {
                self.retained_page(cx, from, session, query, &messages, next);
            }
            Letter::Group { share, filter, member, event } => {
                self.group_letter(cx, &share, &filter, member, event)
            }
            Letter::GroupJoined { token } => self.suback_part_done(cx, token),
            Letter::Deal { session, deal, message, options } => {
                self.dealt(cx, session, deal, &message, options)
            }
            Letter::DealEnded { deal, outcome } => {
                let Self { groups, hub, .. } = self;
                groups.deal_ended(cx, hub, deal, outcome);
            }
            Letter::Slow { session, by } => self.slow(session, by),
            Letter::Resume { session, by } => self.resume(cx, session, by),
        }
    }

    /// A shared group deals a message to a Session of this shard.
    fn dealt(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        deal: Option<crate::mail::Deal>,
        message: &Message,
        options: DealOptions,
    ) {
        let connected = self.hub.sessions.get(session).is_some_and(|session| session.connection.is_some());
        let mut passing = Passing::of_stored(message);
        let identifiers = match options.subscription_identifier {
            0 => Identifiers::None,
            identifier => Identifiers::One(identifier),
        };
        match deal {
            _ if !connected => self.hub.end_deal(cx, deal, DealOutcome::Returned),
            None => {
                let identifiers = identifiers.as_slice();
                self.hub.deliver_at_most_once(cx, session.index(), options.retain, identifiers, &mut passing);
            }
            Some(_) => {
                let extra = Some(Box::new(Extra { identifiers, deal }));
                let options = Options { qos: options.qos, retain: options.retain, extra };
                self.hub.deliver_acknowledged(cx, session.index(), options, &mut passing);
            }
        }
    }
}
