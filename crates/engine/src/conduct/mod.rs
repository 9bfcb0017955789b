//! How Clients behave: facts, small enough to be kept of all, and more of those that were here of late or publish most.
//!
//! In:    connections that come and go, and one PUBLISH of each doubling, with the time of their event.
//! Out:   what a Client, an address, a user did, to whoever visits the engine and judges.
//! Never: a judgement; a look at a clock; an allocation for a message but for the rare one that is looked at; more than
//!        three megabytes in a shard beside 40 bytes for each Client.

mod dossier;
mod look;
mod origin;
mod samples;
mod seen;
mod table;
mod tally;
mod window;

use std::hash::BuildHasher;

use dunlin_codec::{Publish, ReasonCode};
use foldhash::fast::FixedState;

use crate::ceiling::Memory;
use crate::connection::Connection;
use crate::counters::Drop;
use crate::ending::Ended;
use crate::event::{ConnectionId, Peer};
use crate::hub::{Cx, Hub};
use crate::session::{Session, SessionId};
use crate::time::Time;

use dossier::Dossier;
pub use dossier::History;
pub(crate) use dossier::Parting;
pub use look::{Audience, ClientConduct, ConductPage, Traffic};
use origin::Origin;
pub use origin::{OriginConduct, OriginKey};
pub use samples::Sample;
use samples::Samples;
use seen::Seen;
use table::Table;
pub use tally::Losses;
pub(crate) use tally::Tally;

/// 1,024 Client Identifiers.
const DOSSIER_ROWS: usize = 128;
/// 512 addresses or users.
const ORIGIN_ROWS: usize = 64;

/// What is remembered beside what Sessions and connections count themselves.
#[derive(Debug)]
pub(crate) struct Conduct {
    hasher: FixedState,
    dossiers: Table<Dossier>,
    origins: Table<Origin>,
    seen: Seen,
    samples: Samples,
}

impl Conduct {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            dossiers: Table::new(DOSSIER_ROWS),
            origins: Table::new(ORIGIN_ROWS),
            seen: Seen::default(),
            samples: Samples::default(),
        }
    }

    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }

    fn dossier(&mut self, now: Time, client_id: &str, hash: u64) -> &mut Dossier {
        let is_known = self.dossiers.find(hash, |kept| *kept.client_id == *client_id).is_some();
        if !is_known {
            *self.dossiers.place(hash, now) = Some(Box::new(Dossier::new(client_id, hash, now)));
        }
        match self.dossiers.find_mut(hash, |kept| *kept.client_id == *client_id) {
            Some(dossier) => dossier,
            None => unreachable!("it was put there"),
        }
    }

    /// `None` where nothing says whose the connection is.
    fn origin(&mut self, now: Time, user: Option<&str>, peer: Peer) -> Option<&mut Origin> {
        let key = match (user, peer.address) {
            (Some(user), _) => OriginKey::User(user.into()),
            (None, Some(address)) => OriginKey::Address(address.ip().to_canonical()),
            (None, None) => return None,
        };
        let hash = match &key {
            OriginKey::User(user) => self.hash(user),
            OriginKey::Address(address) => self.hasher.hash_one(address),
        };
        if self.origins.find(hash, |kept| kept.key == key).is_none() {
            *self.origins.place(hash, now) = Some(Box::new(Origin::new(key.clone(), hash, now)));
        }
        self.origins.find_mut(hash, |kept| kept.key == key)
    }
}

impl Hub {
    /// A CONNECT was accepted.
    pub(crate) fn conduct_begins(&mut self, now: Time, id: ConnectionId, session: SessionId, resumed: bool) {
        let Some(peer) = self.connections.get(id).map(|connection| connection.peer.whole()) else { return };
        let Some(found) = self.sessions.get_mut(session) else { return };
        found.resumed = found.resumed.saturating_add(u16::from(resumed));
        let hash = self.conduct.hash(&found.client_id);
        let is_new = !self.conduct.seen.insert(hash) && !resumed;
        let dossier = self.conduct.dossier(now, &found.client_id, hash);
        dossier.connected(now, resumed, found.will.is_some());
        (dossier.address, dossier.listener) = (peer.address, peer.listener);
        let (client_id, is_kept) = (&found.client_id, found.expiry != 0);
        if let Some(origin) = self.conduct.origin(now, found.user(), peer) {
            origin.connected(now, client_id, hash, is_new, is_kept);
        }
    }

    /// A Client whose Session was kept begins anew without it.
    pub(crate) fn conduct_discarded(&mut self, now: Time, session: SessionId) {
        let Some(found) = self.sessions.get(session) else { return };
        let hash = self.conduct.hash(&found.client_id);
        self.conduct.dossier(now, &found.client_id, hash).discarded();
    }

    /// A CONNECT was refused.
    pub(crate) fn conduct_refused(&mut self, now: Time, peer: Peer) {
        if let Some(origin) = self.conduct.origin(now, None, peer) {
            origin.refused(now);
        }
    }

    /// A connection of a Session ended.
    pub(crate) fn note_ended(
        &mut self,
        now: Time,
        session: SessionId,
        connection: &Connection,
        how: Ended<'_>,
    ) {
        let parting = match how {
            Ended::ByClient(_) => Parting::Left,
            Ended::Lost | Ended::ByServer { reason: ReasonCode::KeepAliveTimeout, .. } => Parting::Lost,
            Ended::ByServer { reason: ReasonCode::SessionTakenOver, .. } => Parting::TakenOver,
            Ended::ByServer { .. } => Parting::Closed,
        };
        let Some(found) = self.sessions.get(session) else { return };
        let hash = self.conduct.hash(&found.client_id);
        let dossier = self.conduct.dossier(now, &found.client_id, hash);
        dossier.ended(now, parting, connection.peer.address());
        dossier.past.add(&connection.tally, now.since(connection.opened_at));
        if found.is_ephemeral() {
            // It takes its own to the grave.
            dossier.losses.join(found.seldom.losses);
        }
        if let Some(origin) = self.conduct.origin(now, found.user(), connection.peer.whole()) {
            origin.ended(now);
        }
    }

    /// A PUBLISH that is to be looked at.
    pub(crate) fn note_sample(
        &mut self,
        cx: &Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        publish: &Publish<'_>,
    ) {
        let (Some(connection), Some(found)) = (self.connections.get(id), self.sessions.get(session)) else {
            return;
        };
        if self.memory >= Memory::Scarce {
            return;
        }
        let alias = publish.properties.topic_alias().filter(|_| publish.topic.is_empty());
        let topic = match (alias, &connection.seldom.aliases) {
            (None, _) => Some(publish.topic),
            (Some(alias), Some(aliases)) => aliases.received_topic(alias.get()),
            (Some(_), None) => None,
        };
        let Some(topic) = topic.filter(|topic| !topic.is_empty()) else { return };
        let whole = connection.seldom.mount.as_ref().map(|mount| mount.topic(topic));
        let topic = whole.as_deref().unwrap_or(topic);
        let client = (&*found.client_id, self.conduct.hash(&found.client_id));
        self.conduct.samples.add(cx.now, client, connection.tally.published().messages, publish, topic);
    }

    /// A QoS 0 message does not get through: counted, in its Session too. `asked_less`: it was published with more.
    pub(crate) fn lose(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        message: (&str, u32),
        why: Drop,
        asked_less: bool,
    ) {
        if let Some(session) = self.sessions.slots.get_mut(index) {
            session.seldom.make().losses.add(why, asked_less);
        }
        if why == Drop::Offline {
            // Nobody is told: it is what QoS 0 means.
            self.counters.drop(why);
            return self.note_drop(cx, index, message, why);
        }
        self.drop_message(cx, index, message, why);
    }
}

impl Session {
    /// The name that its Client was let in with.
    fn user(&self) -> Option<&str> {
        self.access.as_ref().map(|access| &*access.identity.name)
    }
}
