//! rumqttc.

use std::net::SocketAddr;

use dunlin_client::QoS;
use rumqttc::v5::mqttbytes::QoS as TheirQoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use crate::cost::{Began, Cost};
use crate::{IN_FLIGHT, PAYLOAD, Task};

async fn client(name: &str, to: SocketAddr) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(name, to.ip().to_string(), to.port());
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    options.set_receive_maximum(Some(IN_FLIGHT));
    let (client, mut events) = AsyncClient::new(options, 256);
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::ConnAck(_))) {}
    (client, events)
}

fn theirs(qos: QoS) -> TheirQoS {
    match qos {
        QoS::AtMostOnce => TheirQoS::AtMostOnce,
        QoS::AtLeastOnce => TheirQoS::AtLeastOnce,
        QoS::ExactlyOnce => TheirQoS::ExactlyOnce,
    }
}

pub(crate) async fn run(task: Task, count: usize, to: SocketAddr) -> Cost {
    if task == Task::Idle {
        return idle(count, to).await;
    }
    let (client, mut events) = client("figures", to).await;
    let began = Began::now();
    match task {
        Task::Publish(qos) => publish(client, events, qos, count).await,
        Task::Receive(qos) => {
            client.subscribe("figures/#", theirs(qos)).await.unwrap();
            let mut left = count;
            while left > 0 {
                if let Event::Incoming(Packet::Publish(publish)) = events.poll().await.unwrap() {
                    assert_eq!(publish.payload.len(), PAYLOAD);
                    left -= 1;
                }
            }
        }
        Task::Idle => {}
    }
    began.cost()
}

async fn publish(client: AsyncClient, mut events: EventLoop, qos: QoS, count: usize) {
    let publishing = tokio::spawn(async move {
        let payload =
            rumqttc::v5::mqttbytes::v5::Publish::new("", TheirQoS::AtMostOnce, vec![b'x'; PAYLOAD], None)
                .payload;
        for _ in 0..count {
            client.publish_bytes("figures/topic", theirs(qos), false, payload.clone()).await.unwrap();
        }
        client
    });
    let mut left = count;
    while left > 0 {
        let done = match events.poll().await.unwrap() {
            Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => qos != QoS::AtMostOnce,
            Event::Outgoing(rumqttc::Outgoing::Publish(_)) => qos == QoS::AtMostOnce,
            _ => false,
        };
        left -= usize::from(done);
    }
    drop(publishing.await.unwrap());
}

async fn idle(count: usize, to: SocketAddr) -> Cost {
    let began = Began::now();
    let mut clients = Vec::new();
    for number in 0..count {
        clients.push(client(&format!("idle-{number}"), to).await);
    }
    began.cost()
}
