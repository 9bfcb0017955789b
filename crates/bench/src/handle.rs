//! What a packet means to whom it comes: the conversation of each connection, from CONNECT to its end.
//!
//! Spec:  MQTT 5.0 chapters 3 and 4; 3.1.1 differs in having no Reason Codes and no Receive Maximum.

use dunlin_codec::{
    Ack, ConnAck, Connect, DecodeError, Disconnect, Frame, Framing, Packet, Properties, Property,
    PropertyBuf, ProtocolVersion, Publish, QoS, ReasonCode, RuleSet, Tolerance,
};

use crate::check::Arrival;
use crate::clock::Nanos;
use crate::connection::Connection;
use crate::packet_ids::Unexpected;
use crate::plan::Plan;
use crate::publisher::{Progress, Publisher, bare};
use crate::shared::Phase;
use crate::subscriber::Subscriber;
use crate::worker::Worker;

/// How long the broker keeps a session for a backlog, in seconds, should the run be killed before it removes it.
const KEPT_SECONDS: u32 = 3600;
/// What a packet may have beside its payload: the longest topic and its properties.
const HEAD_BYTES: u32 = 128 << 10;

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// To be there.
    Idle,
    /// To come and go.
    Storm {
        /// When it should have come.
        due: Nanos,
        /// What its client identifiers begin with.
        prefix: String,
    },
    Publisher(Publisher),
    Subscriber(Subscriber),
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none yet.
    Waiting,
    /// CONNECT is on its way.
    Opening,
    /// CONNACK came.
    Connected,
    /// DISCONNECT was sent.
    Ending,
    /// It ended before its time.
    Lost,
}

/// A connection, what it is for, and how far it is.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) client_id: String,
    /// Clean Start.
    pub(crate) is_clean: bool,
    /// The session outlives the connection.
    pub(crate) is_kept: bool,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    pub(crate) connection: Option<Connection>,
    /// Of a publisher: its place among those of its thread.
    pub(crate) turn: u64,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Unexpected(#[from] Unexpected),
    #[error("refused: {0:?}")]
    Refused(ReasonCode),
    #[error("the broker disconnects: {0:?}")]
    Disconnect(ReasonCode),
    #[error("the broker answers a subscription of QoS {asked} with {answer:#04x}")]
    Subscription { asked: u8, answer: u8 },
    #[error("the broker sends {0}, which is no answer to anything")]
    Surprise(&'static str),
}

impl Actor {
    pub(crate) const fn new(client_id: String, role: Role) -> Self {
        let stage = Stage::Waiting;
        Self { client_id, is_clean: true, is_kept: false, role, stage, connection: None, turn: 0 }
    }

    /// Writes its CONNECT. Keep Alive is as good as off, for nothing but the load is to be measured; some brokers refuse 0.
    pub(crate) fn greet(&self, plan: &Plan, out: &mut Vec<u8>) {
        let mut properties = PropertyBuf::new();
        if self.is_kept && plan.version == ProtocolVersion::V5 {
            properties.push(Property::SessionExpiryInterval(KEPT_SECONDS));
        }
        let connect = Connect {
            version: plan.version,
            clean_start: self.is_clean,
            keep_alive: u16::MAX,
            properties: properties.as_properties(),
            client_id: &self.client_id,
            will: None,
            user_name: plan.credentials.user_name.as_deref(),
            password: plan.credentials.password.as_deref(),
        };
        Packet::Connect(connect).encode(plan.version, out);
    }
}

impl Worker {
    /// Takes every whole packet of what was read, and keeps the rest.
    pub(crate) fn take(&mut self, at: usize, bytes: &[u8], now: Nanos) -> Result<(), Fault> {
        // The payload has a bound of 16 MiB.
        let largest = HEAD_BYTES.saturating_add(u32::try_from(self.plan.payload).unwrap_or(u32::MAX));
        let version = self.plan.version;
        let mut rest = bytes;
        let mut delivered = 0;
        let mut taken = Ok(());
        while let Framing::Complete { frame, len } = Frame::split(rest, largest)? {
            rest = &rest[len..];
            let packet = Packet::decode(frame, version, Tolerance::default(), &mut RuleSet::default())?;
            taken = match packet {
                Packet::Publish(publish) => self.message(at, &publish, now, &mut delivered),
                other => self.answer(at, other, now),
            };
            if taken.is_err() || self.actors[at].connection.is_none() {
                break;
            }
        }
        if delivered + self.acknowledged > 0 {
            self.shared.happened(now);
        }
        self.shared.counts.delivered.add(delivered);
        self.shared.counts.acknowledged.add(std::mem::take(&mut self.acknowledged));
        taken?;
        if let Some(connection) = &mut self.actors[at].connection {
            connection.keep(rest);
            if !connection.out.is_empty() {
                self.dirty.push(at);
            }
        }
        self.enqueue(at);
        Ok(())
    }

    #[inline]
    fn message(
        &mut self,
        at: usize,
        publish: &Publish<'_>,
        now: Nanos,
        delivered: &mut u64,
    ) -> Result<(), Fault> {
        let Actor { role: Role::Subscriber(subscriber), connection: Some(connection), .. } =
            &mut self.actors[at]
        else {
            return Err(Fault::Surprise("PUBLISH"));
        };
        let (arrival, stamp) = subscriber.arrive(publish, self.plan.run);
        if arrival == Arrival::New {
            *delivered += 1;
            if let Some(stamp) = stamp
                && stamp.due >= self.window.0
                && stamp.due < self.window.1
            {
                self.latency.record(now.saturating_sub(stamp.due));
            }
        }
        if let Some(packet_id) = publish.packet_id {
            let ack = bare(packet_id);
            let packet =
                if publish.qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
            packet.encode(self.plan.version, &mut connection.out);
        }
        Ok(())
    }

    fn answer(&mut self, at: usize, packet: Packet<'_>, now: Nanos) -> Result<(), Fault> {
        match packet {
            Packet::ConnAck(ack) => self.conn_ack(at, &ack, now),
            Packet::SubAck(ack) => self.sub_ack(at, ack.reasons),
            Packet::PubAck(ack) => self.acknowledged(at, |publisher, _| publisher.pub_ack(ack)),
            Packet::PubRec(ack) => {
                let version = self.plan.version;
                self.acknowledged(at, |publisher, out| publisher.pub_rec(ack, version, out))
            }
            Packet::PubComp(ack) => self.acknowledged(at, |publisher, _| publisher.pub_comp(ack)),
            Packet::PubRel(Ack { packet_id, .. }) => {
                if let Some(connection) = &mut self.actors[at].connection {
                    Packet::PubComp(bare(packet_id)).encode(self.plan.version, &mut connection.out);
                }
                Ok(())
            }
            Packet::Disconnect(Disconnect { reason, .. }) => Err(Fault::Disconnect(reason)),
            other => Err(Fault::Surprise(other.name())),
        }
    }

    fn acknowledged(
        &mut self,
        at: usize,
        take: impl FnOnce(&mut Publisher, &mut Vec<u8>) -> Result<Progress, Unexpected>,
    ) -> Result<(), Fault> {
        let Actor { role: Role::Publisher(publisher), connection: Some(connection), .. } =
            &mut self.actors[at]
        else {
            return Err(Fault::Surprise("an acknowledgement"));
        };
        match take(publisher, &mut connection.out)? {
            Progress::Half => {}
            Progress::Done => self.acknowledged += 1,
            Progress::Refused(reason) => {
                self.shared.counts.refused.add(1);
                self.shared.error(format!("a message was refused: {reason:?}"));
            }
        }
        Ok(())
    }

    fn conn_ack(&mut self, at: usize, ack: &ConnAck<'_>, now: Nanos) -> Result<(), Fault> {
        if self.actors[at].stage != Stage::Opening {
            return Err(Fault::Surprise("CONNACK"));
        }
        if ack.reason.is_failure() {
            return Err(Fault::Refused(ack.reason));
        }
        self.opening -= 1;
        self.shared.counts.connected.add(1);
        let window = self.plan.window;
        let actor = &mut self.actors[at];
        actor.stage = Stage::Connected;
        match &mut actor.role {
            Role::Idle => {}
            Role::Publisher(publisher) => publisher.limit(receive_maximum(ack.properties).min(window)),
            Role::Subscriber(subscriber) if ack.session_present => subscriber.resumed(),
            Role::Subscriber(_) => {}
            Role::Storm { due, .. } => {
                if *due >= self.window.0 && *due < self.window.1 {
                    self.latency.record(now.saturating_sub(*due));
                }
                self.shared.counts.delivered.add(1);
                self.storm_leaves(at);
                return Ok(());
            }
        }
        if self.shared.phase() >= Phase::Subscribe {
            self.subscribe(at);
        }
        Ok(())
    }

    /// A connection of a storm has seen what it came for.
    fn storm_leaves(&mut self, at: usize) {
        let actor = &mut self.actors[at];
        actor.stage = Stage::Ending;
        let Some(connection) = &mut actor.connection else { return };
        let disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
        Packet::Disconnect(disconnect).encode(self.plan.version, &mut connection.out);
        // Whether it arrives makes no difference to the next one.
        let _ = connection.flush();
        connection.finish();
    }

    /// Sends the next filters, where there are any.
    pub(crate) fn subscribe(&mut self, at: usize) {
        let Actor { role: Role::Subscriber(subscriber), connection: Some(connection), stage, .. } =
            &mut self.actors[at]
        else {
            return;
        };
        if *stage == Stage::Connected
            && subscriber.subscribe(self.plan.qos, self.plan.version, &mut connection.out)
        {
            self.dirty.push(at);
        }
    }

    fn sub_ack(&mut self, at: usize, reasons: &[u8]) -> Result<(), Fault> {
        let asked = self.plan.qos;
        if !matches!(self.actors[at].role, Role::Subscriber(_)) {
            return Err(Fault::Surprise("SUBACK"));
        }
        let granted = Subscriber::granted(reasons, asked);
        let granted = granted.map_err(|answer| Fault::Subscription { asked: asked as u8, answer })?;
        self.shared.counts.subscribed.add(granted);
        self.subscribe(at);
        Ok(())
    }

    /// The broker has closed a connection.
    pub(crate) fn closed_by_peer(&mut self, at: usize) {
        if self.actors[at].stage == Stage::Ending {
            self.close(at);
            self.shared.counts.finished.add(1);
            if matches!(self.actors[at].role, Role::Storm { .. }) {
                self.reopen(at);
            }
        } else {
            self.lose(at, &"the broker closed the connection");
        }
    }

    /// A connection ends before its time, or badly.
    pub(crate) fn lose(&mut self, at: usize, why: &dyn std::fmt::Display) {
        if self.actors[at].stage == Stage::Ending {
            return self.closed_by_peer(at);
        }
        if self.actors[at].stage == Stage::Opening {
            self.opening -= 1;
        }
        self.shared.error(format!("{}: {why}", self.actors[at].client_id));
        self.shared.counts.disconnected.add(1);
        self.close(at);
        self.actors[at].stage = Stage::Lost;
        if matches!(self.actors[at].role, Role::Storm { .. }) {
            self.reopen(at);
        }
    }

    pub(crate) fn close(&mut self, at: usize) {
        // Dropping the socket closes it.
        self.actors[at].connection = None;
    }
}

/// The broker's Receive Maximum; 65,535 where it says nothing.
fn receive_maximum(properties: Properties<'_>) -> u16 {
    let found = properties.iter().find_map(|property| match property {
        Property::ReceiveMaximum(value) => Some(value.get()),
        _ => None,
    });
    found.unwrap_or(u16::MAX)
}
