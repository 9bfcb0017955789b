//! Clients that break the rules. What becomes of them is their affair; nobody else may suffer.

use dunlin_codec::{
    Connect, FilterBuf, Packet, Properties, ProtocolVersion, QoS, SubscribeBuf, SubscriptionOptions,
};
use dunlin_codec::{Subscribe, TopicFilter, Unsubscribe};

use super::World;
use super::link::Tag;
use super::publish::{packet_id, success};
use crate::model::Broken;

impl World {
    pub(super) fn act_hostile(&mut self, actor: usize) -> Result<(), Broken> {
        let Some(link) = self.actors[actor].link.filter(|link| !self.links[*link].over) else {
            let link = self.dial(actor)?;
            return match self.rng.below(10) {
                0 => {
                    let bytes = self.garbage();
                    self.send(link, &bytes, Tag::Other);
                    Ok(())
                }
                // Half a CONNECT holds a slot until it times out.
                1 => {
                    self.hostile_connect(actor, link, true);
                    Ok(())
                }
                _ => {
                    self.hostile_connect(actor, link, false);
                    Ok(())
                }
            };
        };
        match self.rng.below(12) {
            0 => {
                let bytes = self.garbage();
                self.send(link, &bytes, Tag::Other);
            }
            1 | 2 => self.wrong_ack(link),
            3 => self.hostile_connect(actor, link, false),
            4 | 5 => self.flood(actor, link),
            6 | 7 => self.hostile_subscribe(link),
            8 => self.ping_flood(link),
            9 => self.links[link].stalled = self.now.after(std::time::Duration::from_secs(5)),
            10 => self.hostile_unsubscribe(link),
            _ => self.abandon(actor, link),
        }
        Ok(())
    }

    fn garbage(&mut self) -> Vec<u8> {
        let len = self.rng.between(1, 40);
        (0..len).map(|_| self.rng.word().to_le_bytes()[0]).collect()
    }

    fn hostile_connect(&mut self, actor: usize, link: usize, half: bool) {
        let person = &self.actors[actor];
        let packet = Packet::Connect(Connect {
            version: person.version,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::EMPTY,
            client_id: &person.client_id,
            will: None,
            user_name: None,
            password: None,
        });
        let mut bytes = Vec::new();
        packet.encode(person.version, &mut bytes);
        if half {
            bytes.truncate(9);
        }
        self.send(link, &bytes, Tag::Other);
    }

    fn wrong_ack(&mut self, link: usize) {
        let packet = u16::try_from(self.rng.pick(&[1, 2, 3, 77, 65_535])).unwrap_or(1);
        let ack = success(packet);
        let packet = self.rng.pick(&[
            Packet::PubAck(ack),
            Packet::PubRec(ack),
            Packet::PubRel(ack),
            Packet::PubComp(ack),
        ]);
        self.send_ack(link, &packet, Tag::Other);
    }

    /// More than any Receive Maximum, the same packet identifiers again and again, never a word of acknowledgement.
    fn flood(&mut self, actor: usize, link: usize) {
        let qos = self.rng.pick(&[0, 1, 2]);
        // With large payloads, few of them do the same.
        let most = if self.scenario.heavy { 40 } else { 300 };
        for packet in 1..=self.rng.pick(&[3, 40, most]) {
            let message = self.compose(actor, qos, false);
            // Whether it is taken is not known; if it is, not before now.
            if !self.model.is_unsaid(message) {
                self.model.publish_taken(message);
            }
            self.send_publish(link, message, packet, false);
        }
    }

    fn ping_flood(&mut self, link: usize) {
        let mut bytes = Vec::new();
        for _ in 0..500 {
            Packet::PingReq.encode(ProtocolVersion::V5, &mut bytes);
        }
        self.send(link, &bytes, Tag::Other);
    }

    fn hostile_subscribe(&mut self, link: usize) {
        let filter = self.rng.pick(&["#", "+/+", "$SYS/#", "a/#"]);
        let Ok(filter) = TopicFilter::parse(filter) else { return };
        let qos = QoS::from_u8(self.rng.pick(&[0, 1, 2])).unwrap_or_default();
        let mut list = SubscribeBuf::new(self.links[link].version);
        list.push(filter, SubscriptionOptions { qos, ..SubscriptionOptions::default() });
        let packet =
            Subscribe { packet_id: packet_id(1), properties: Properties::EMPTY, filters: list.as_list() };
        self.send_ack(link, &Packet::Subscribe(packet), Tag::Other);
    }

    fn hostile_unsubscribe(&mut self, link: usize) {
        let Ok(filter) = TopicFilter::parse("never/subscribed") else { return };
        let mut list = FilterBuf::new();
        list.push(filter);
        let packet =
            Unsubscribe { packet_id: packet_id(1), properties: Properties::EMPTY, filters: list.as_list() };
        self.send_ack(link, &Packet::Unsubscribe(packet), Tag::Other);
    }
}
