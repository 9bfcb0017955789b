//! Clients: those of this shard that have a Session, with what is known of their connections.
//!
//! In:    a Client Identifier; or a filter and a place to go on from.
//! Out:   rows; a connection closed, a Session ended.
//! Never: an order of Client Identifiers: rows come by slot, each Session once that is there all the while.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dunlin_codec::{ProtocolVersion, ReasonCode};

use super::STEPS;
use crate::connection::Connection;
use crate::effect::Effects;
use crate::engine::Engine;
use crate::explain::SessionEnd;
use crate::hub::Cx;
use crate::session::{NEVER_EXPIRES, Session, SessionId};
use crate::time::Time;

/// Which Clients are wanted; the default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFilter {
    /// What the Client Identifier begins with.
    pub prefix: String,
    /// Where the connection comes from.
    pub address: Option<IpAddr>,
    /// The name that it was let in by.
    pub user: Option<String>,
    /// Has it a connection?
    pub connected: Option<bool>,
}

/// A Client and its Session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// Client Identifier.
    pub client_id: Box<str>,
    /// The name that it was let in by; `None` where nobody was asked.
    pub user: Option<Box<str>>,
    /// Its connection, where it has one.
    pub connection: Option<ConnectionRow>,
    /// Since its last connection ended; `None` while it has one.
    pub disconnected: Option<Duration>,
    /// How long the Session outlives the connection; `None`: for ever.
    pub expiry: Option<Duration>,
    /// Does the Session outlive the process?
    pub durable: bool,
    /// Is there a Will to be published?
    pub will: bool,
    /// How many Subscriptions it has.
    pub subscriptions: usize,
    /// Messages that wait for it.
    pub queued: usize,
    /// Their bytes, with what keeping them takes.
    pub queued_bytes: u64,
    /// QoS 1 and 2 messages sent to it and not acknowledged; those that ended out of turn count until those before them end.
    pub in_flight: usize,
    /// QoS 2 messages that came from it and are not released.
    pub receiving: usize,
    /// How often it broke rules that were let pass.
    pub rules_broken: u64,
}

/// A connection that has got as far as CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// The Client's end; `None` for Unix sockets.
    pub address: Option<SocketAddr>,
    /// Index into the listeners of the configuration.
    pub listener: u16,
    /// Of MQTT.
    pub version: ProtocolVersion,
    /// Since it was accepted.
    pub age: Duration,
    /// Since the last packet of the Client.
    pub silent: Duration,
    /// Keep Alive; zero: off.
    pub keep_alive: Duration,
    /// Most exchanges in flight to it at a time.
    pub receive_maximum: u16,
    /// Its Maximum Packet Size, in bytes.
    pub maximum_packet_size: u32,
    /// It is not read at the moment: it is to slow down, or its answers wait.
    pub paused: bool,
}

/// Some Clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPage {
    /// Those found.
    pub rows: Vec<ClientRow>,
    /// Where to go on; `None` where all were looked at.
    pub next: Option<u32>,
}

impl ClientFilter {
    fn takes(&self, session: &Session, connection: Option<&Connection>) -> bool {
        let address = connection.and_then(|connection| connection.peer.address()).map(|address| address.ip());
        session.client_id.starts_with(&self.prefix)
            && self.connected.is_none_or(|wanted| wanted == connection.is_some())
            && self.address.is_none_or(|wanted| address == Some(wanted))
            && self.user.as_deref().is_none_or(|wanted| user(session) == Some(wanted))
    }
}

fn user(session: &Session) -> Option<&str> {
    session.access.as_ref().map(|access| &*access.identity.name)
}

impl Engine {
    /// Clients from slot `from` on (0: the first) that the filter takes, at most `limit`.
    #[must_use]
    pub fn clients(&self, now: Time, filter: &ClientFilter, from: u32, limit: usize) -> ClientPage {
        let slots = &self.hub.sessions.slots;
        let mut page = ClientPage { rows: Vec::new(), next: None };
        for (step, index) in (from..slots.span()).enumerate() {
            if step == STEPS || page.rows.len() == limit {
                page.next = Some(index);
                break;
            }
            let Some(session) = slots.get(index) else { continue };
            if filter.takes(session, self.connection_of(session)) {
                page.rows.push(self.client_row(now, session));
            }
        }
        page
    }

    /// The Client with this identifier, if it has a Session here.
    #[must_use]
    pub fn client(&self, now: Time, client_id: &str) -> Option<ClientRow> {
        let session = self.hub.sessions.get(self.hub.sessions.find(client_id)?)?;
        Some(self.client_row(now, session))
    }

    /// Closes the connection of a Client as an administrator wants it (0x98). False where it has none.
    pub fn disconnect_client(&mut self, now: Time, effects: &mut Effects, client_id: &str) -> bool {
        let cx = &mut Cx { now, fx: effects };
        let found = self.hub.sessions.find(client_id);
        let closed = found.is_some_and(|session| self.close_for_operator(cx, session));
        self.settle(cx);
        closed
    }

    /// Ends the Session of a Client, and its connection. Its Will goes out, what waits for it is dropped. False where there is
    /// no such Session.
    pub fn end_client(&mut self, now: Time, effects: &mut Effects, client_id: &str) -> bool {
        let cx = &mut Cx { now, fx: effects };
        let Some(session) = self.hub.sessions.find(client_id) else { return false };
        self.close_for_operator(cx, session);
        // It may have ended with its connection.
        if self.hub.sessions.get(session).is_some() {
            self.end_session(cx, session, SessionEnd::Operator);
        }
        self.settle(cx);
        true
    }

    fn close_for_operator(&mut self, cx: &mut Cx<'_>, session: SessionId) -> bool {
        let Some(found) = self.hub.sessions.get(session) else { return false };
        let Some(connection) = found.any_connection() else { return false };
        self.disconnect(cx, connection, ReasonCode::AdministrativeAction, "closed by an operator");
        true
    }

    fn connection_of(&self, session: &Session) -> Option<&Connection> {
        session.connection().and_then(|id| self.hub.connections.get(id))
    }

    fn client_row(&self, now: Time, session: &Session) -> ClientRow {
        let connection = self.connection_of(session);
        let outgoing = session.outgoing.as_deref();
        ClientRow {
            client_id: session.client_id.clone(),
            user: user(session).map(Box::from),
            connection: connection.map(|connection| connection_row(now, connection, session)),
            disconnected: connection.is_none().then(|| now.since(session.disconnected_at)),
            expiry: (session.expiry != NEVER_EXPIRES).then(|| Duration::from_secs(session.expiry.into())),
            durable: session.key != 0,
            will: session.will.is_some(),
            subscriptions: session.subscriptions.len(),
            queued: outgoing.map_or(0, |outgoing| outgoing.queue_len()),
            queued_bytes: outgoing.map_or(0, |outgoing| outgoing.queue_bytes()),
            in_flight: outgoing.map_or(0, |outgoing| outgoing.flight_len()),
            receiving: session.received.as_ref().map_or(0, |received| received.len().into()),
            rules_broken: session
                .seldom
                .rules_broken
                .iter()
                .flat_map(|counts| counts.iter())
                .copied()
                .map(u64::from)
                .sum(),
        }
    }
}

fn connection_row(now: Time, connection: &Connection, session: &Session) -> ConnectionRow {
    ConnectionRow {
        address: connection.peer.address(),
        listener: connection.peer.listener(),
        version: connection.version,
        age: now.since(connection.opened_at),
        silent: now.since(connection.received_at),
        keep_alive: Duration::from_secs(connection.keep_alive.into()),
        receive_maximum: session.window,
        maximum_packet_size: connection.maximum_packet_size,
        paused: connection.paused.is_some(),
    }
}
