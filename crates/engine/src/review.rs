//! Rights that change while Clients are connected: every Session is looked at again, some in each tick.
//!
//! In:    whoever knows the rights as they are from now on.
//! Out:   Sessions with other policies; those that may not be here closed and ended.
//! Never: all Sessions at once; a Session that is admitted meanwhile with rights of before.

use std::sync::Arc;

use dunlin_codec::ReasonCode;

use crate::admission::{Authority, Identity, Review};
use crate::engine::Engine;
use crate::explain::SessionEnd;
use crate::hub::Cx;
use crate::mail::Letter;
use crate::session::SessionId;

/// Sessions, and Subscriptions of those whose rights changed, that are looked at before others have their turn: a
/// millisecond or so.
const SLICE: usize = 1024;

/// The last change of rights, and how far it came.
#[derive(Debug, Default)]
pub(crate) struct Reviews {
    authority: Option<Arc<dyn Authority>>,
    round: u32,
    /// The slot that is looked at next, and how many of this round still are to be.
    next: u32,
    left: u32,
}

impl Engine {
    /// The rights of some changed. A round that goes on is begun anew, where it is: however fast changes follow each other, everybody
    /// has its turn.
    pub(crate) fn policy_changed(&mut self, cx: &mut Cx<'_>, authority: Arc<dyn Authority>) {
        self.reviews.authority = Some(authority);
        self.reviews.round = self.reviews.round.wrapping_add(1);
        self.reviews.left = self.hub.sessions.slots.span();
        self.review_some(cx, self.reviews.round);
    }

    /// What became of an identity since it was recognised.
    pub(crate) fn review_of(&self, identity: &Identity) -> Review {
        self.reviews.authority.as_ref().map_or(Review::Unchanged, |authority| authority.review(identity))
    }

    /// Looks at some Sessions; the rest by letter, so that others have their turn in between.
    pub(crate) fn review_some(&mut self, cx: &mut Cx<'_>, round: u32) {
        if round != self.reviews.round {
            return;
        }
        let mut budget = SLICE;
        while self.reviews.left > 0 {
            if budget == 0 {
                return cx.fx.mail.post(self.hub.shard, Letter::Review { round });
            }
            let index =
                if self.reviews.next < self.hub.sessions.slots.span() { self.reviews.next } else { 0 };
            self.reviews.next = index + 1;
            self.reviews.left -= 1;
            budget = budget.saturating_sub(1 + self.review_session(cx, index));
        }
    }

    /// How many Subscriptions were looked at.
    fn review_session(&mut self, cx: &mut Cx<'_>, index: u32) -> usize {
        let id = self.hub.sessions.current(index);
        let Some(session) = self.hub.sessions.get_mut(id) else { return 0 };
        let Some(access) = &mut session.access else { return 0 };
        let Some(authority) = &self.reviews.authority else { return 0 };
        let review = authority.review(&access.identity);
        let count = session.subscriptions.len();
        match review {
            Review::Unchanged => 0,
            Review::Policy(policy) => {
                let had = std::mem::replace(&mut access.policy, policy);
                let is_same = match (&had, &access.policy) {
                    (None, None) => true,
                    (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                    (None, Some(_)) | (Some(_), None) => false,
                };
                if is_same {
                    return 0;
                }
                self.rights_changed(cx, id);
                count
            }
            Review::Revoked(reason) => {
                self.revoke(cx, id, reason);
                count
            }
        }
    }

    /// Closes the connection and ends the Session, its Will unpublished: nothing more is said for it, nor kept for it.
    fn revoke(&mut self, cx: &mut Cx<'_>, id: SessionId, reason: ReasonCode) {
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        session.will = None;
        if let Some(connection) = session.any_connection() {
            self.disconnect(cx, connection, reason, "revoked");
        }
        self.end_session(cx, id, SessionEnd::Revoked);
    }
}
