//! Who takes part: the simulated clients and what each is like.

use std::collections::{BTreeSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};

use dunlin_codec::{Property, PropertyBuf, ProtocolVersion};
use dunlin_engine::Time;

use super::{Action, World};
use crate::topics::{FILTERS, FIRST_SHARED};

/// A message that a client published and that is not acknowledged to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    pub(super) packet: u16,
    pub(super) message: usize,
    pub(super) qos: u8,
    /// PUBREC came.
    pub(super) released: bool,
}

/// A client: its character, and its half of the Session state.
pub(super) struct Actor {
    pub(super) client_id: String,
    pub(super) version: ProtocolVersion,
    pub(super) hostile: bool,
    /// Connects without a Client Identifier.
    pub(super) anonymous: bool,
    /// Member of a shared group: its filter.
    pub(super) worker: Option<usize>,
    /// Acknowledges in any order.
    pub(super) sloppy: bool,
    /// Own unacknowledged messages at most.
    pub(super) window: usize,
    /// Longest time between two acts, in microseconds.
    pub(super) pace: usize,
    pub(super) keep_alive: u16,
    pub(super) receive_maximum: Option<NonZeroU16>,
    pub(super) packet_max: Option<NonZeroU32>,
    pub(super) alias_max: u16,
    /// Does nothing before.
    pub(super) idle_until: Time,
    pub(super) last_sent: Time,
    pub(super) link: Option<usize>,
    /// The Session that its state belongs to.
    pub(super) session: Option<usize>,
    pub(super) out: VecDeque<Out>,
    /// QoS 2 identifiers of the Server between PUBLISH and PUBREL.
    pub(super) received: BTreeSet<u16>,
    /// SUBSCRIBE and UNSUBSCRIBE without answer.
    pub(super) waiting: BTreeSet<u16>,
    pub(super) next_packet: u16,
    pub(super) next_identifier: u32,
}

impl Actor {
    /// What its CONNECT asks for; nothing for 3.x.
    pub(super) fn connect_properties(&self, expiry: u32) -> PropertyBuf {
        let mut properties = PropertyBuf::new();
        if self.version != ProtocolVersion::V5 {
            return properties;
        }
        if expiry > 0 {
            properties.push(Property::SessionExpiryInterval(expiry));
        }
        if let Some(maximum) = self.receive_maximum {
            properties.push(Property::ReceiveMaximum(maximum));
        }
        if let Some(maximum) = self.packet_max {
            properties.push(Property::MaximumPacketSize(maximum));
        }
        if self.alias_max > 0 {
            properties.push(Property::TopicAliasMaximum(self.alias_max));
        }
        properties
    }

    /// A Packet Identifier that is not in use.
    pub(super) fn free_packet(&mut self) -> u16 {
        loop {
            self.next_packet = self.next_packet.wrapping_add(1).max(1);
            let packet = self.next_packet;
            let used = self.waiting.contains(&packet) || self.out.iter().any(|out| out.packet == packet);
            if !used {
                return packet;
            }
        }
    }
}

impl World {
    /// Everyone who takes part, each about to begin.
    pub(super) fn people(&mut self) {
        let count = self.scenario.polite + self.scenario.hostile;
        for index in 0..count {
            let hostile = index >= self.scenario.polite;
            let actor = self.person(index, hostile);
            self.actors.push(actor);
            self.give_rights(index, false);
            let delay = self.rng.below(500_000);
            self.plan(delay, Action::Act(index));
        }
    }

    pub(super) fn person(&mut self, index: usize, hostile: bool) -> Actor {
        let rng = &mut self.rng;
        let version = rng.pick(&[
            ProtocolVersion::V31,
            ProtocolVersion::V311,
            ProtocolVersion::V311,
            ProtocolVersion::V5,
            ProtocolVersion::V5,
            ProtocolVersion::V5,
        ]);
        // 3.1 cannot tell a client whether its Session is still there.
        let crashes = self.scenario.journal.is_some_and(|journal| journal.crashes > 0);
        let is_blind = crashes && version == ProtocolVersion::V31;
        let version = if is_blind { ProtocolVersion::V311 } else { version };
        let v5 = version == ProtocolVersion::V5;
        let worker = rng.percent(30).then(|| rng.between(FIRST_SHARED, FILTERS.len() - 1));
        Actor {
            client_id: format!("{}-{index}", if hostile { "hostile" } else { "client" }),
            version,
            hostile,
            anonymous: !hostile && version != ProtocolVersion::V31 && rng.percent(8),
            worker,
            sloppy: rng.percent(20),
            window: rng.pick(&[1, 2, 8, 40]),
            pace: rng.pick(&[20_000, 100_000, 400_000]),
            keep_alive: rng.pick(&[0, 0, 2, 5, 30]),
            receive_maximum: NonZeroU16::new(rng.pick(&[0, 1, 2, 10])).filter(|_| v5),
            packet_max: NonZeroU32::new(rng.pick(&[0, 0, 0, 300, 6_000])).filter(|_| v5),
            alias_max: if v5 { rng.pick(&[0, 1, 3, 50]) } else { 0 },
            idle_until: Time::ZERO,
            last_sent: Time::ZERO,
            link: None,
            session: None,
            out: VecDeque::new(),
            received: BTreeSet::new(),
            waiting: BTreeSet::new(),
            next_packet: u16::try_from(rng.pick(&[0, 60_000, 65_530])).unwrap_or_default(),
            next_identifier: 0,
        }
    }
}
