//! `rumqttc` for 3.1.1.

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_tests::Broker;
use rumqttc::{Client, Connection, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode};

use crate::rumqttc::{Message, PATIENCE, Peer, scenarios};

struct V311 {
    client: Client,
    connection: Connection,
    messages: VecDeque<Message>,
    session_present: bool,
}

fn quality(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl V311 {
    /// Lets the connection work until `wanted` gives something; messages are kept.
    fn drive<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event =
                self.connection.recv_timeout(PATIENCE).expect("an event in time").expect("a connection");
            if let Event::Incoming(Packet::Publish(publish)) = &event {
                self.messages.push_back(Message {
                    topic: publish.topic.clone(),
                    payload: publish.payload.to_vec(),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                });
            }
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }
}

impl Peer for V311 {
    fn connect(broker: &Broker, id: &str, lasting: bool, will: Option<&str>) -> Self {
        let mut options = MqttOptions::new(id, "127.0.0.1", broker.address().port());
        options.set_keep_alive(Duration::from_secs(60)).set_clean_session(!lasting);
        options.set_max_packet_size(4 << 20, 4 << 20);
        if let Some(payload) = will {
            options.set_last_will(LastWill::new("will", payload, QoS::AtLeastOnce, false));
        }
        let (client, connection) = Client::new(options, 10);
        let mut peer = Self { client, connection, messages: VecDeque::new(), session_present: false };
        peer.session_present = peer.drive(|event| match event {
            Event::Incoming(Packet::ConnAck(connack)) => Some(connack.session_present),
            _ => None,
        });
        peer
    }

    fn session_present(&self) -> bool {
        self.session_present
    }

    fn subscribe(&mut self, topic: &str, qos: u8) {
        self.client.subscribe(topic, quality(qos)).expect("a request");
        let codes = self.drive(|event| match event {
            Event::Incoming(Packet::SubAck(suback)) => Some(suback.return_codes.clone()),
            _ => None,
        });
        assert_eq!(codes, [SubscribeReasonCode::Success(quality(qos))]);
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) {
        self.client.publish(topic, quality(qos), retain, payload).expect("a request");
        self.drive(|event| match (event, qos) {
            (Event::Outgoing(Outgoing::Publish(_)), 0)
            | (Event::Incoming(Packet::PubAck(_)), 1)
            | (Event::Incoming(Packet::PubComp(_)), 2) => Some(()),
            _ => None,
        });
    }

    fn take(&mut self) -> Message {
        while self.messages.is_empty() {
            self.drive(|event| matches!(event, Event::Incoming(Packet::Publish(_))).then_some(()));
        }
        self.messages.pop_front().expect("a message")
    }

    fn disconnect(mut self) {
        self.client.disconnect().expect("a request");
        self.drive(|event| matches!(event, Event::Outgoing(Outgoing::Disconnect)).then_some(()));
    }
}

scenarios!(V311);
