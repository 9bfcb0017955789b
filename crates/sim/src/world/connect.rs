//! How clients connect, and how they leave.

use dunlin_codec::{
    ConnAck, Connect, Disconnect, Packet, Properties, Property, PropertyBuf, ProtocolVersion, QoS,
    ReasonCode, Will,
};

use dunlin_engine::ConnectionId;
use smallvec::SmallVec;

use super::link::{Ending, Link, Tag};
use super::{Phase, World};
use crate::model::{self, Broken, Message, Model, ensure};
use crate::topics::TOPICS;

/// A Will in the making.
struct Testament {
    message: usize,
    delay: u32,
    properties: PropertyBuf,
    payload: Vec<u8>,
}

impl World {
    /// Opens a connection, on any shard, and sends CONNECT. A connection that the client still has is left to be taken over.
    pub(super) fn connect(&mut self, actor: usize) -> Result<(), Broken> {
        let link = self.dial(actor)?;
        let person = &self.actors[actor];
        let (version, anonymous, keep_alive) = (person.version, person.anonymous, person.keep_alive);
        let v5 = version == ProtocolVersion::V5;
        let resume = self.phase != Phase::Run;
        let clean = !resume && (anonymous || self.rng.percent(25));
        let expiry = match (v5, anonymous, resume) {
            (false, ..) | (_, true, _) => 0,
            (_, _, true) => 100,
            _ => self.rng.pick(&[0, 1, 4, 30, u32::MAX]),
        };
        let testament = (!resume && self.rng.percent(35)).then(|| self.testament(actor, link));
        let person = &self.actors[actor];
        let properties = person.connect_properties(expiry);
        let will = testament.as_ref().map(|testament| {
            let message = &self.model.messages[testament.message];
            Will {
                qos: QoS::from_u8(message.qos).unwrap_or_default(),
                retain: message.retain,
                properties: testament.properties.as_properties(),
                topic: TOPICS[message.topic],
                payload: &testament.payload,
            }
        });
        let mut bytes = Vec::new();
        let packet = Packet::Connect(Connect {
            version,
            clean_start: clean,
            keep_alive,
            properties: properties.as_properties(),
            client_id: if anonymous { "" } else { &person.client_id },
            will,
            user_name: None,
            password: None,
        });
        packet.encode(version, &mut bytes);
        let tag = model::Connect {
            v5,
            anonymous,
            clean,
            expiry,
            will: testament.as_ref().map(|testament| model::Will::new(testament.message, testament.delay)),
            keep_alive,
            receive_maximum: person.receive_maximum.map_or(u16::MAX, |maximum| maximum.get()),
            packet_max: person.packet_max.map_or(u32::MAX, |maximum| maximum.get()),
        };
        let speech = &mut self.links[link].speech;
        speech.packet_max = tag.packet_max;
        speech.alias_max = person.alias_max;
        speech.keep_alive = keep_alive;
        speech.expiry = expiry;
        self.actors[actor].waiting.clear();
        self.actors[actor].last_sent = self.now;
        self.send(link, &bytes, Tag::Connect(Box::new(tag)));
        Ok(())
    }

    /// Opens a connection that nothing was sent on.
    pub(super) fn dial(&mut self, actor: usize) -> Result<usize, Broken> {
        let link = self.links.len();
        let person = &self.actors[actor];
        let (version, hostile) = (person.version, person.hostile);
        self.links.push(Link::new(actor, version));
        self.model.opened(actor, hostile);
        self.actors[actor].link = Some(link);
        self.summary.connections += 1;
        self.trace.note(&[20, actor, link], || format!("client {actor} ({version:?}) opens link {link}"));
        let shard = self.rng.below(self.shards.len());
        self.open(shard, link, None)?;
        Ok(link)
    }

    fn testament(&mut self, actor: usize, link: usize) -> Testament {
        let person = &self.actors[actor];
        let v5 = person.version == ProtocolVersion::V5;
        let actor = if person.anonymous { model::nobody(link) } else { actor };
        let expiry = (v5 && self.rng.percent(10)).then(|| self.short_time());
        let delay = if v5 { self.rng.pick(&[0, 0, 1, 3, 8]) } else { 0 };
        let topic = self.will_topic(link);
        let message = self.model.new_message(Message {
            actor,
            topic,
            qos: self.rng.pick(&[0, 1, 2]),
            retain: self.rng.percent(25),
            size: self.rng.between(8, 40),
            properties: Vec::new(),
            expiry,
            certain: true,
            will: true,
            taken: None,
            last_taken: None,
            copies: 0,
            owed: false,
        });
        let mut properties = PropertyBuf::new();
        if let Some(expiry) = expiry {
            properties.push(Property::MessageExpiryInterval(expiry));
        }
        if delay > 0 {
            properties.push(Property::WillDelayInterval(delay));
        }
        let payload = super::publish::payload(message, self.model.messages[message].size);
        Testament { message, delay, properties, payload }
    }

    /// A Will that is not allowed is a reason to refuse its CONNECT.
    fn will_topic(&mut self, link: usize) -> usize {
        let rights = self.model.rights(self.links[link].actor);
        let allowed: Vec<usize> = (0..TOPICS.len()).filter(|topic| rights.says(*topic)).collect();
        // The rights of nobody forbid every topic, or nearly so.
        self.rng.pick(&allowed)
    }

    /// The Server takes a CONNECT, unless it has no room for the Session.
    pub(super) fn connect_taken(&mut self, link: usize, connect: &model::Connect) {
        if self.model.was_full_since(self.step) {
            self.before = Some((self.step, link, Box::new(self.model.clone())));
        }
        self.model.connect_taken(link, connect);
    }

    /// A connection is closed: was its CONNECT refused? At once, it is as if it had not come.
    pub(super) fn note_refusal(&mut self, shard: usize, link: usize, connection: ConnectionId) {
        let is_own = |(step, of, _): &mut (u64, usize, Box<Model>)| (*step, *of) == (self.step, link);
        let before = self.before.take_if(is_own);
        let mut slices = SmallVec::new();
        self.shards[shard].effects.outbox.slices(connection, &mut slices);
        let head: Vec<u8> = slices.iter().flat_map(|slice| slice.iter()).take(4).copied().collect();
        // CONNACK with a Reason Code other than 0, and nothing before it.
        let is_refused = self.links[link].written == 0 && head.len() == 4 && head[0] == 0x20 && head[3] != 0;
        match before {
            _ if !is_refused => {}
            Some((.., before)) => self.model = *before,
            None => self.model.connect_refused(link),
        }
    }

    /// The Server answered CONNECT.
    pub(super) fn connected(&mut self, link: usize, ack: &ConnAck<'_>) -> Result<(), Broken> {
        let actor = self.links[link].actor;
        let has_no_room = matches!(ack.reason, ReasonCode::QuotaExceeded | ReasonCode::ServerUnavailable);
        if has_no_room && self.model.may_be_turned_away(link) {
            return Ok(());
        }
        ensure(ack.reason == ReasonCode::Success, "a good CONNECT was refused", || {
            format!("link {link}: {ack:?}")
        })?;
        let version = self.links[link].version;
        let present = (version != ProtocolVersion::V31).then_some(ack.session_present);
        let session = self.model.connack(link, present)?;
        let mut assigned = false;
        let speech = &mut self.links[link].speech;
        speech.connected = true;
        for property in ack.properties {
            match property {
                Property::ReceiveMaximum(maximum) => speech.server_receive_maximum = maximum.get(),
                Property::TopicAliasMaximum(maximum) => speech.server_alias_max = maximum,
                Property::AssignedClientIdentifier(_) => assigned = true,
                _ => {}
            }
        }
        let person = &mut self.actors[actor];
        let named = !person.anonymous || version != ProtocolVersion::V5 || assigned;
        // [MQTT-3.2.2-16]
        ensure(named, "no Assigned Client Identifier", || format!("link {link}"))?;
        // A Session can come and go unseen, where its CONNACK was lost: the client's state belongs to the Session that it last
        // heard of. A real client cannot tell, and sends again what the new Session never saw.
        if std::mem::replace(&mut person.session, session) == session {
            self.summary.resumed += 1;
            self.send_again(link);
        } else {
            person.out.clear();
            person.received.clear();
        }
        Ok(())
    }

    /// DISCONNECT, and the end of the connection.
    pub(super) fn leave(&mut self, actor: usize, link: usize) {
        let version = self.links[link].version;
        let v5 = version == ProtocolVersion::V5;
        let with_will = v5 && self.rng.percent(25);
        let may_change = v5 && self.links[link].speech.expiry > 0;
        let expiry = (may_change && self.rng.percent(40)).then(|| self.rng.pick(&[0, 1, 5, 50]));
        let mut properties = PropertyBuf::new();
        if let Some(expiry) = expiry {
            properties.push(Property::SessionExpiryInterval(expiry));
        }
        let reason = if with_will { ReasonCode::DisconnectWithWillMessage } else { ReasonCode::Success };
        let properties = if v5 { properties.as_properties() } else { Properties::EMPTY };
        let mut bytes = Vec::new();
        Packet::Disconnect(Disconnect { reason, properties }).encode(version, &mut bytes);
        self.send(link, &bytes, Tag::Disconnect { with_will, expiry });
        self.cut(link, Ending::Fin);
        self.actors[actor].link = None;
    }
}
