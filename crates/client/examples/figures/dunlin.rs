//! This library.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use dunlin_client::{Address, Client, Message, Options, QoS, Receipt, Settings};

use crate::cost::{Began, Cost};
use crate::{IN_FLIGHT, PAYLOAD, Task};

fn client(name: &str, to: SocketAddr) -> Client {
    let in_flight = NonZeroU16::new(IN_FLIGHT).unwrap();
    let mut settings = Settings::new(name);
    settings.inflight_maximum = Some(in_flight);
    settings.receive_maximum = in_flight;
    let address = Address::tcp(to.ip().to_string(), to.port(), false);
    Client::connect(Options::new(address, settings)).unwrap()
}

pub(crate) async fn run(task: Task, count: usize, to: SocketAddr) -> Cost {
    if task == Task::Idle {
        return idle(count, to).await;
    }
    let client = client("figures", to);
    client.connected().await.unwrap();
    let began = Began::now();
    match task {
        Task::Publish(qos) => publish(&client, qos, count).await,
        Task::Receive(qos) => receive(&client, qos, count).await,
        Task::Idle => {}
    }
    began.cost()
}

async fn publish(client: &Client, qos: QoS, count: usize) {
    let message = Message::new("figures/topic", vec![b'x'; PAYLOAD]).unwrap().qos(qos);
    let mut receipts: VecDeque<Receipt> = VecDeque::new();
    for _ in 0..count {
        receipts.push_back(client.publish(message.clone()).await.unwrap());
        if receipts.len() > 1_000 {
            receipts.pop_front().unwrap().await.unwrap();
        }
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}

async fn receive(client: &Client, qos: QoS, count: usize) {
    let mut messages = client.subscribe("figures/#", qos);
    for _ in 0..count {
        assert_eq!(messages.recv().await.unwrap().payload().len(), PAYLOAD);
    }
}

async fn idle(count: usize, to: SocketAddr) -> Cost {
    let began = Began::now();
    let mut clients = Vec::new();
    for number in 0..count {
        let client = client(&format!("idle-{number}"), to);
        client.connected().await.unwrap();
        clients.push(client);
    }
    began.cost()
}
