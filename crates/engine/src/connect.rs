//! CONNECT: whom a connection belongs to, and what it finds there.
//!
//! Spec:  MQTT 5.0 sections 3.1, 3.2 and 4.1; MQTT 3.1.1 sections 3.1 and 3.2.

use std::time::Duration;

use dunlin_codec::{
    ConnAck, Connect, Packet, Properties, Property, PropertyBuf, ProtocolVersion, ReasonCode,
};

use crate::admission::Admission;
use crate::admit::authentication_properties;
use crate::connection::{Aliases, Announced, Pause, Phase};
use crate::durability::Durability;
use crate::effect::{Effect, Notice};
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::explain::{SessionEnd, What};
use crate::hub::Cx;
use crate::journal::{Due, Opening};
use crate::mail::MemberEvent;
use crate::map::seeded;
use crate::message::MessageView;
use crate::mount::Mount;
use crate::partition::{Partition, ShardId, ShardSet};
use crate::receive::Taken;
use crate::session::{Link, Session, SessionId, Will};

/// There are no tenants yet: all Clients share this one.
pub(crate) const TENANT: &str = "";
/// Identifiers tried until one has its home here; the chance that none of so many has is nil.
const ASSIGNMENT_TRIES: usize = 64 * 64;

/// What the properties of a CONNECT ask for.
struct Wishes<'a> {
    session_expiry: u32,
    receive_maximum: u16,
    maximum_packet_size: u32,
    topic_alias_maximum: u16,
    request_response_information: bool,
    problem_information: bool,
    authentication_method: Option<&'a str>,
}

/// Why a CONNECT is refused.
type Refusal = (ReasonCode, String);

impl<'a> Wishes<'a> {
    fn of(properties: Properties<'a>) -> Self {
        let mut wishes = Self {
            session_expiry: 0,
            receive_maximum: u16::MAX,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            request_response_information: false,
            problem_information: true,
            authentication_method: None,
        };
        for property in properties {
            match property {
                Property::SessionExpiryInterval(seconds) => wishes.session_expiry = seconds,
                Property::ReceiveMaximum(maximum) => wishes.receive_maximum = maximum.get(),
                Property::MaximumPacketSize(bytes) => wishes.maximum_packet_size = bytes.get(),
                Property::TopicAliasMaximum(maximum) => wishes.topic_alias_maximum = maximum,
                Property::RequestResponseInformation(wanted) => wishes.request_response_information = wanted,
                Property::RequestProblemInformation(wanted) => wishes.problem_information = wanted,
                Property::AuthenticationMethod(method) => wishes.authentication_method = Some(method),
                _ => {}
            }
        }
        wishes
    }
}

impl Engine {
    /// A well-formed CONNECT.
    pub(crate) fn connect_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        connect: &Connect<'_>,
        packet: &[u8],
    ) -> Taken {
        let Some(connection) = self.hub.connections.get_mut(id) else { return Taken::Yes };
        connection.version = connect.version;
        connection.maximum_packet_size = Wishes::of(connect.properties).maximum_packet_size;
        let asks = connection.peer.whole().authenticate;
        if !self.hub.settings.lets_in(connection.peer.listener(), connect.version) {
            // [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
            let detail = "this version of the protocol is not spoken at this listener";
            self.refuse(cx, id, connect.client_id, ReasonCode::UnsupportedProtocolVersion, detail);
            return Taken::Yes;
        }
        let assigned = if connect.client_id.is_empty() { Some(self.assign_client_id()) } else { None };
        if asks {
            self.ask(cx, id, connect, packet, assigned);
            return Taken::Yes;
        }
        // From here on as if the Client had sent it [MQTT-3.1.3-7].
        let client_id = assigned.as_deref().unwrap_or(connect.client_id);
        if let Some(to) = self.home_elsewhere(client_id) {
            self.hub.connections.remove(id);
            cx.fx.list.push(Effect::HandOver { connection: id, to, pledge: None });
            return Taken::HandedOver;
        }
        self.seat(cx, id, connect, client_id, None, packet);
        Taken::Yes
    }

    /// The home of a Session, if it is not here.
    pub(crate) fn home_elsewhere(&self, client_id: &str) -> Option<ShardId> {
        let home = self.hub.map.home(Partition::of_session(TENANT, client_id));
        (home != self.hub.shard).then_some(home)
    }

    /// A CONNECT whose Session lives here, and whose Client is admitted or not asked; `packet` is all of it.
    pub(crate) fn seat(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        admission: Option<Admission>,
        packet: &[u8],
    ) {
        let admission = match self.hold(cx, id, client_id, packet, admission) {
            Ok(()) => return,
            Err(admission) => admission,
        };
        let listener = self.hub.connections.get(id).map_or(0, |connection| connection.peer.listener());
        let Some(mount) = self.hub.settings.mount_point_at(listener).map(Mount::new) else {
            return self.seat_whole(cx, id, connect, client_id, admission);
        };
        let topic = connect.will.map(|will| mount.topic(will.topic)).unwrap_or_default();
        let properties = connect.will.and_then(|will| mount.incoming(will.properties));
        let will = connect.will.map(|will| dunlin_codec::Will {
            topic: &topic,
            properties: properties.as_ref().map_or(will.properties, PropertyBuf::as_properties),
            ..will
        });
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.seldom.make().mount = Some(mount);
        }
        self.seat_whole(cx, id, &Connect { will, ..*connect }, client_id, admission);
    }

    /// The same with the whole name of the Will's topic.
    fn seat_whole(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        admission: Option<Admission>,
    ) {
        let wishes = Wishes::of(connect.properties);
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.maximum_packet_size = wishes.maximum_packet_size;
        }
        match self.check_connect(id, connect, &wishes, client_id, admission.as_ref()) {
            Ok(will) => self.accept(cx, id, connect, &wishes, client_id, will, admission),
            Err((reason, detail)) => self.refuse(cx, id, connect.client_id, reason, &detail),
        }
    }

    /// An identifier that nobody has and that has its home in this shard [MQTT-3.1.3-6] [MQTT311-3.1.3-6].
    fn assign_client_id(&mut self) -> Box<str> {
        let mut client_id = String::new();
        for _ in 0..ASSIGNMENT_TRIES {
            let (high, low) = (self.secret.next(), self.secret.next());
            // Shaped like a version 4 UUID, which people know how to read aloud.
            client_id = format!(
                "auto-{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                high >> 32,
                high >> 16 & 0xffff,
                high & 0xfff,
                low >> 48 & 0x3fff | 0x8000,
                low & 0xffff_ffff_ffff
            );
            if self.hub.map.home(Partition::of_session(TENANT, &client_id)) == self.hub.shard {
                break;
            }
        }
        client_id.into()
    }

    fn check_connect(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        wishes: &Wishes<'_>,
        client_id: &str,
        admission: Option<&Admission>,
    ) -> Result<Option<Will>, Refusal> {
        let limit = usize::from(self.hub.settings.limits.client_id_length_maximum);
        // [MQTT-3.1.3-5] [MQTT311-3.1.3-5] far more than 23 bytes, of any character; [MQTT-3.1.3-8] [MQTT311-3.1.3-9]
        if connect.client_id.len() > limit {
            let detail =
                format!("client identifier of {} bytes, the limit is {limit}", connect.client_id.len());
            return Err((ReasonCode::ClientIdentifierNotValid, detail));
        }
        // [MQTT311-3.1.3-8]; 3.1 knows no empty identifier at all. A 5.0 Client gets one in any case [MQTT-3.1.3-6].
        let may_be_empty = match connect.version {
            ProtocolVersion::V31 => false,
            ProtocolVersion::V311 => connect.clean_start,
            ProtocolVersion::V5 => true,
        };
        if connect.client_id.is_empty() && !may_be_empty {
            let detail = "empty client identifier without a clean session".to_owned();
            return Err((ReasonCode::ClientIdentifierNotValid, detail));
        }
        if let (Some(method), None) = (wishes.authentication_method, admission) {
            // Nobody is asked here [MQTT-4.12.0-1] [MQTT-4.12.0-4].
            let detail = format!("authentication method {method:?} is not available");
            return Err((ReasonCode::BadAuthenticationMethod, detail));
        }
        if self.hub.sessions.find(client_id).is_none() && self.refuses_growth() {
            let detail = "there is no memory for another session".to_owned();
            return Err((ReasonCode::QuotaExceeded, detail));
        }
        if self.hub.journal.has_no_room() && self.needs_room(id, connect, wishes, client_id) {
            // Its Client would wait for its CONNACK until there is room.
            let detail = "the log has no room for another session, or for the end of one".to_owned();
            return Err((ReasonCode::QuotaExceeded, detail));
        }
        if self.hub.journal.is_overcrowded() {
            let detail = "too much waits for the log to have room".to_owned();
            return Err((ReasonCode::QuotaExceeded, detail));
        }
        let Some(will) = &connect.will else { return Ok(None) };
        let refused = |detail: String| (ReasonCode::TopicNameInvalid, detail);
        let topic = self.router.check_topic(will.topic).map_err(|error| refused(format!("will: {error}")))?;
        if is_refused(topic.as_str()) {
            return Err(refused("will: no Client publishes to $SYS and $share".to_owned()));
        }
        let will = Will::of(will);
        if !Self::may_have_will(admission, &will) {
            self.hub.counters.publishes_denied += 1;
            return Err((ReasonCode::NotAuthorized, "will: not allowed to publish to its topic".to_owned()));
        }
        Ok(Some(will))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a checked CONNECT")]
    fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        connect: &Connect<'_>,
        wishes: &Wishes<'_>,
        client_id: &str,
        will: Option<Will>,
        admission: Option<Admission>,
    ) {
        let limits = &self.hub.settings.limits;
        let is_v5 = connect.version == ProtocolVersion::V5;
        let expiry = self.expiry_for(connect, wishes);
        let window = limits.inflight_maximum.get().min(wishes.receive_maximum);
        let keep_alive = self.keep_alive_for(connect, is_v5);
        let mut properties = self.connack_properties(id, connect, wishes, expiry, keep_alive, client_id);
        if let (Some(method), Some(admission)) = (wishes.authentication_method, &admission) {
            let data = admission.data.as_deref();
            properties.extend(authentication_properties(method, data).as_properties());
        }
        let connack = ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: properties.as_properties(),
        };
        let len = Packet::ConnAck(connack).encoded_len(connect.version);
        if len > wishes.maximum_packet_size as usize {
            // Nothing else may be sent to it before [MQTT-3.2.0-1], so nothing can be.
            let detail = format!("a connack of {len} bytes is more than the client takes");
            return self.turn_away(cx, id, client_id, ReasonCode::PacketTooLarge, &detail);
        }
        let listener = self.hub.connections.get(id).map_or(0, |connection| connection.peer.listener());
        let durability = self.hub.settings.durability_at(listener);
        let serial = self.hub.journal.serial();
        let owner = admission.as_ref().map(|admission| &*admission.identity.name);
        let (session, resumed) = self.session_for(cx, id, connect, client_id, owner);
        if let Some(found) = self.hub.sessions.get_mut(session) {
            found.link = Link::Opening(id);
            found.version = connect.version;
            found.expiry = expiry;
            found.window = window;
            found.will = will.map(Box::new);
            found.durability = durability;
            let is_kept = expiry != 0 && durability != Durability::Memory;
            if is_kept && found.key == 0 && !resumed && self.hub.journal.enabled {
                found.key = self.hub.journal.new_key();
            }
            if found.key != 0 {
                self.hub.journal.control(cx.now, found.partition, &found.opened_record(cx.now));
            }
        }
        self.open_connection(id, session, wishes, keep_alive);
        self.grant(cx, id, session, admission);
        let opening = Opening { connection: id, session, resumed, properties };
        // The end of an older Session may not be stored yet, and is as much of what CONNACK says.
        let is_safe = !self.hub.journal.is_ending(client_id) || durability == Durability::Memory;
        if self.hub.journal.serial() == serial && is_safe {
            return self.finish_accept(cx, opening);
        }
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.paused = Some(Pause::Opening);
            // It may have been asked who it is for long, or have waited for another Client to go.
            connection.received_at = cx.now;
        }
        self.hub.arm_connection(id);
        self.open_when_safe(cx, opening);
    }

    /// The Session Expiry Interval that a Session gets, in seconds.
    fn expiry_for(&self, connect: &Connect<'_>, wishes: &Wishes<'_>) -> u32 {
        let limits = &self.hub.settings.limits;
        match (connect.version, connect.clean_start) {
            (ProtocolVersion::V5, _) => wishes.session_expiry.min(limits.session_expiry_interval_maximum),
            // [MQTT311-3.1.2-6]
            (_, true) => 0,
            (_, false) => limits.session_expiry_interval_v3,
        }
    }

    /// Has something to be in the log before this CONNECT is answered that is not there: a Session that outlives the process, or
    /// the end of one?
    fn needs_room(
        &self,
        id: ConnectionId,
        connect: &Connect<'_>,
        wishes: &Wishes<'_>,
        client_id: &str,
    ) -> bool {
        let listener = self.hub.connections.get(id).map_or(0, |connection| connection.peer.listener());
        if self.hub.settings.durability_at(listener) == Durability::Memory {
            return false;
        }
        let is_kept = self.expiry_for(connect, wishes) != 0;
        let found = self.hub.sessions.find(client_id).and_then(|session| self.hub.sessions.get(session));
        match found {
            None => is_kept || self.hub.journal.is_ending(client_id),
            // It goes on, and its record, if it needs one, is on its way at most.
            Some(found) if !connect.clean_start && !found.is_ephemeral() => found.key != 0 && !found.is_known,
            Some(found) => is_kept || found.key != 0 || self.hub.journal.is_ending(client_id),
        }
    }

    /// CONNACK waits until what it says is safe.
    fn open_when_safe(&mut self, cx: &mut Cx<'_>, opening: Opening) {
        let Opening { session, resumed, .. } = opening;
        let waits_for = self.waits_for(session);
        let due = Due::ConnAck(Box::new(opening));
        let is_known = self.hub.sessions.get(session).is_some_and(|found| found.is_known);
        if self.hub.journal.has_no_room() && resumed && is_known {
            // Its Client may have come to fetch what fills the log. A crash before there is room again knows of this connection
            // only what it acknowledged; that of the Session itself it knows.
            return self.when_progress_is_safe(cx, session, waits_for, due);
        }
        self.when_safe(cx, waits_for, ShardSet::EMPTY, due);
    }

    /// The Session is safe: the Client may know.
    pub(crate) fn finish_accept(&mut self, cx: &mut Cx<'_>, opening: Opening) {
        let Opening { connection: id, session, resumed, properties } = opening;
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let Some(found) = self.hub.sessions.get_mut(session).filter(|session| session.opening() == Some(id))
        else {
            return;
        };
        connection.phase = Phase::Connected(session);
        connection.received_at = cx.now;
        if !found.seldom.slowed_by.is_empty() {
            connection.seldom.make().slowed = Some(Box::default());
        }
        found.link = Link::Open(id);
        found.is_known = true;
        let window = found.window;
        if let Some(outgoing) = &mut found.outgoing {
            outgoing.reconnect(window);
        }
        let (client_id, version) = (found.client_id.clone(), found.version);
        self.hub.arm_connection(id);
        // First of all, and once [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT311-3.1.4-4] [MQTT311-3.2.0-1].
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT311-3.2.2-1] [MQTT311-3.2.2-2] [MQTT311-3.2.2-3]
        let connack = ConnAck {
            session_present: resumed,
            reason: ReasonCode::Success,
            properties: properties.as_properties(),
        };
        self.hub.send(cx, id, &Packet::ConnAck(connack));
        self.hub.counters.connects += 1;
        self.hub.note_connected(cx.now, session, resumed);
        self.hub.conduct_begins(cx.now, id, session, resumed);
        let address = self.hub.connections.get(id).and_then(|connection| connection.peer.address());
        let notice = Notice::Connected { client_id, address, version: version as u8, resumed };
        cx.fx.list.push(Effect::Notice(Box::new(notice)));
        if resumed {
            self.tell_groups(cx, session, MemberEvent::Online { window });
            self.hub.pump(cx, session.index());
        }
        self.read_on(cx, id, Pause::Opening);
    }

    /// A connection ended before its CONNACK: as if its CONNECT had not come, but that the Session may have begun.
    pub(crate) fn opening_ended(&mut self, cx: &mut Cx<'_>, id: ConnectionId, session: SessionId) {
        let Some(found) = self.hub.sessions.get_mut(session).filter(|session| session.opening() == Some(id))
        else {
            return;
        };
        found.link = Link::None;
        found.will = None;
        found.disconnected_at = cx.now;
        if found.is_ephemeral() {
            return self.end_session(cx, session, SessionEnd::WithConnection);
        }
        if found.key != 0 {
            self.hub.journal.control(cx.now, found.partition, &found.closed_record());
        }
        self.hub.arm_session(session);
    }

    /// The Session of the Client, and whether it was there before [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.4-4]
    /// [MQTT311-3.1.2-4] [MQTT311-3.1.4-3], found by its Client Identifier [MQTT-3.1.3-2] [MQTT311-3.1.3-2].
    fn session_for(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        owner: Option<&str>,
    ) -> (SessionId, bool) {
        if let Some(session) = self.hub.sessions.find(client_id) {
            let found = self.hub.sessions.get(session);
            if let Some(old) = found.and_then(|session| session.any_connection()) {
                self.note_takeover(cx, client_id, old, id);
                // [MQTT-3.1.4-3] [MQTT311-3.1.4-2]
                self.disconnect(
                    cx,
                    old,
                    ReasonCode::SessionTakenOver,
                    "another connection uses this client identifier",
                );
            }
            let access = self.hub.sessions.get(session).and_then(|session| session.access.as_ref());
            let is_anothers =
                access.zip(owner).is_some_and(|(access, owner)| *access.identity.name != *owner);
            // What one Client has subscribed to, and what waits for it, is not for another with the same identifier. It may
            // have ended with that connection.
            if connect.clean_start || is_anothers {
                self.hub.conduct_discarded(cx.now, session);
                // [MQTT-3.1.2-4] [MQTT311-3.1.2-6]
                let why = if connect.clean_start { SessionEnd::CleanStart } else { SessionEnd::Another };
                self.end_session(cx, session, why);
            } else if let Some(resumed) = self.hub.sessions.get_mut(session) {
                // A Will that is still delayed is not sent: the Client is back [MQTT-3.1.3-9].
                self.hub.ledger.will(cx.now, resumed, What::WillForgone);
                resumed.will = None;
                return (session, true);
            }
        }
        (self.hub.sessions.insert(Session::new(client_id, cx.now)), false)
    }

    /// Seconds of Keep Alive; the Server's where the Client's is too long [MQTT-3.2.2-21].
    fn keep_alive_for(&self, connect: &Connect<'_>, is_v5: bool) -> u16 {
        let maximum = self.hub.settings.limits.keep_alive_maximum;
        let too_long = maximum > 0 && (connect.keep_alive == 0 || connect.keep_alive > maximum);
        if is_v5 && too_long { maximum } else { connect.keep_alive }
    }

    fn open_connection(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        wishes: &Wishes<'_>,
        keep_alive: u16,
    ) {
        let limits = &self.hub.settings.limits;
        let sent_maximum = wishes.topic_alias_maximum.min(limits.topic_alias_maximum);
        let Some(listener) = self.hub.connections.get(id).map(|connection| connection.peer.listener()) else {
            return;
        };
        let announced = Announced {
            receive_maximum: limits.receive_maximum.get(),
            topic_alias_maximum: limits.topic_alias_maximum,
            maximum_packet_size: self.hub.settings.packet_limit(listener).get(),
        };
        let seed = self.hub.seed;
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        connection.phase = Phase::Opening(session);
        connection.announced = announced;
        connection.keep_alive = keep_alive;
        connection.maximum_packet_size = wishes.maximum_packet_size;
        connection.problem_information = wishes.problem_information;
        if sent_maximum > 0 {
            connection.seldom.make().aliases = Some(Box::new(Aliases::new(seed, sent_maximum)));
        }
        self.hub.set_rates(id);
    }

    /// What a 5.0 Client is told beside the Reason Code; no User Property is part of it [MQTT-3.2.2-20].
    fn connack_properties(
        &self,
        id: ConnectionId,
        connect: &Connect<'_>,
        wishes: &Wishes<'_>,
        expiry: u32,
        keep_alive: u16,
        client_id: &str,
    ) -> PropertyBuf {
        let limits = &self.hub.settings.limits;
        let mut properties = PropertyBuf::new();
        if connect.version == ProtocolVersion::V5 {
            if expiry != wishes.session_expiry {
                properties.push(Property::SessionExpiryInterval(expiry));
            }
            properties.push(Property::ReceiveMaximum(limits.receive_maximum));
            if self.hub.settings.strictness.packet_too_large == crate::settings::Strict::Reject {
                let listener =
                    self.hub.connections.get(id).map_or(0, |connection| connection.peer.listener());
                properties.push(Property::MaximumPacketSize(self.hub.settings.packet_limit(listener)));
            }
            if limits.topic_alias_maximum > 0 {
                properties.push(Property::TopicAliasMaximum(limits.topic_alias_maximum));
            }
            if connect.client_id.is_empty() {
                // [MQTT-3.2.2-16]
                properties.push(Property::AssignedClientIdentifier(client_id));
            }
            if keep_alive != connect.keep_alive {
                // [MQTT-3.2.2-22]
                properties.push(Property::ServerKeepAlive(keep_alive));
            }
            let information = &self.hub.settings.protocol.response_information;
            if wishes.request_response_information && !information.is_empty() {
                // [MQTT-3.1.2-28]
                properties.push(Property::ResponseInformation(&information.replace("%c", client_id)));
            }
        }
        properties
    }

    /// Answers a CONNECT with a refusal and closes [MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT311-3.1.4-5] [MQTT311-3.2.2-5].
    pub(crate) fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        client_id: &str,
        reason: ReasonCode,
        detail: &str,
    ) {
        let mut properties = PropertyBuf::new();
        if self.hub.connections.get(id).is_some_and(|connection| connection.version == ProtocolVersion::V5) {
            properties.push(Property::ReasonString(detail));
        }
        // [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
        let connack = ConnAck { session_present: false, reason, properties: properties.as_properties() };
        if !self.hub.send(cx, id, &Packet::ConnAck(connack)) {
            // [MQTT-3.2.2-19]
            self.hub.send(cx, id, &Packet::ConnAck(ConnAck { properties: Properties::EMPTY, ..connack }));
        }
        self.turn_away(cx, id, client_id, reason, detail);
    }

    /// Closes a connection that has no Session, without a word.
    pub(crate) fn turn_away(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        client_id: &str,
        reason: ReasonCode,
        detail: &str,
    ) {
        let Some(connection) = self.hub.connections.remove(id) else { return };
        if let Phase::Opening(session) = connection.phase {
            self.opening_ended(cx, id, session);
        }
        self.hub.counters.connects_refused += 1;
        self.hub.conduct_refused(cx.now, connection.peer.whole());
        let address = connection.peer.address();
        self.hub.ledger.session(cx.now, client_id, detail, What::Refused(reason as u8));
        let notice = Notice::Refused { client_id: client_id.into(), address, reason, detail: detail.into() };
        cx.fx.list.push(Effect::Notice(Box::new(notice)));
        cx.fx.list.push(Effect::Close { connection: id });
    }
}

impl Aliases {
    pub(crate) fn new(seed: u64, sent_maximum: u16) -> Self {
        Self { received: Vec::new(), sent: seeded(seed), sent_maximum }
    }

    /// The topic that the Client gave an alias.
    pub(crate) fn received_topic(&self, alias: u16) -> Option<&str> {
        self.received.get(usize::from(alias).checked_sub(1)?)?.as_deref()
    }
}

impl Will {
    fn of(will: &dunlin_codec::Will<'_>) -> Self {
        let mut delay = 0;
        let mut expiry = None;
        let mut forwarded = PropertyBuf::new();
        for property in will.properties {
            match property {
                Property::WillDelayInterval(seconds) => delay = seconds,
                Property::MessageExpiryInterval(seconds) => expiry = Some(seconds),
                // In the order in which they came [MQTT-3.1.3-10].
                other => forwarded.push(other),
            }
        }
        let view = MessageView {
            topic: will.topic,
            properties: forwarded.as_properties().as_bytes(),
            payload: will.payload,
            qos: will.qos,
            // [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT311-3.1.2-16] [MQTT311-3.1.2-17]
            retain: will.retain,
            expires_at: None,
            origin: None,
            exchange: None,
            // It has what its topic and its listener say when it goes out.
            durability: Durability::Synced,
            number: 0,
            sent: None,
        };
        Self { message: view.to_message(), expiry, delay: Duration::from_secs(delay.into()), due: None }
    }
}

/// The Server's own topics.
pub(crate) fn is_own(topic: &str) -> bool {
    topic.starts_with("$SYS/")
}

/// Topics that no Client publishes to: the Server's own, and those that nobody could subscribe to, because a filter that begins
/// like this is a Shared Subscription.
pub(crate) fn is_refused(topic: &str) -> bool {
    let first = topic.split('/').next();
    matches!(first, Some("$SYS" | "$share"))
}
