//! Acknowledgements of clients: at once, late, or held back; in the order that the protocol asks for, but for sloppy ones.

use std::time::Duration;

use dunlin_codec::{Packet, ReasonCode};

use super::link::{Ack, Tag};
use super::publish::success;
use super::{Action, Phase, World};
use crate::model::Broken;

impl World {
    pub(super) fn queue_ack(&mut self, link: usize, ack: Ack) {
        self.links[link].speech.acks.push_back(ack);
        self.plan_ack(link);
    }

    pub(super) fn plan_ack(&mut self, link: usize) {
        let speech = &mut self.links[link].speech;
        if speech.ack_planned || speech.acks.is_empty() {
            return;
        }
        speech.ack_planned = true;
        let held = speech.ack_held;
        let delay = match self.phase {
            Phase::Run if self.rng.percent(20) => self.rng.below(300_000),
            Phase::Run if self.rng.percent(50) => self.rng.below(2_000),
            _ => 0,
        };
        let at = self.now.after(Duration::from_micros(delay as u64)).max(held);
        self.plan_at(at, Action::Ack(link));
    }

    pub(super) fn send_acks(&mut self, link: usize) -> Result<(), Broken> {
        let state = &mut self.links[link];
        state.speech.ack_planned = false;
        let actor = state.actor;
        if self.actors[actor].link != Some(link) || state.over {
            state.speech.acks.clear();
            return Ok(());
        }
        if state.speech.ack_held <= self.now {
            let count = self.rng.between(1, 4).max(if self.phase == Phase::Run { 1 } else { 100 });
            for _ in 0..count.min(self.links[link].speech.acks.len()) {
                self.send_one_ack(actor, link);
            }
        }
        self.plan_ack(link);
        Ok(())
    }

    fn send_one_ack(&mut self, actor: usize, link: usize) {
        let acks = &mut self.links[link].speech.acks;
        let any = self.rng.below(acks.len());
        // [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] Those of one kind stay in order; kinds may overtake each other.
        let sloppy = self.actors[actor].sloppy;
        let kind = kind(acks[any]);
        let first = acks.iter().position(|ack| self::kind(*ack) == kind).unwrap_or_default();
        let Some(ack) = acks.remove(if sloppy { any } else { first }) else { return };
        let failed =
            |packet| dunlin_codec::Ack { reason: ReasonCode::ImplementationSpecificError, ..success(packet) };
        let (packet, tag) = match ack {
            Ack::PubAck(packet) => (Packet::PubAck(success(packet)), Tag::Done(packet)),
            Ack::PubRec(packet) => (Packet::PubRec(success(packet)), Tag::PubRec(packet)),
            Ack::PubAckFailed(packet) => (Packet::PubAck(failed(packet)), Tag::Done(packet)),
            Ack::PubRecFailed(packet) => (Packet::PubRec(failed(packet)), Tag::Done(packet)),
            Ack::PubRel(packet) => (Packet::PubRel(success(packet)), Tag::Other),
            Ack::PubComp(packet) => (Packet::PubComp(success(packet)), Tag::Done(packet)),
        };
        self.actors[actor].last_sent = self.now;
        self.send_ack(link, &packet, tag);
    }
}

const fn kind(ack: Ack) -> u8 {
    match ack {
        Ack::PubAck(_) | Ack::PubAckFailed(_) => 0,
        Ack::PubRec(_) | Ack::PubRecFailed(_) => 1,
        Ack::PubRel(_) => 2,
        Ack::PubComp(_) => 3,
    }
}
