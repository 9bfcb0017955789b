//! QoS 1 and 2 through a thousand cuts and doubled connections: nothing lost, nothing of QoS 2 twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_client::session::Filter;
use dunlin_client::{
    Address, Client, Message, Options, Prepared, QoS, Retry, Settings, Subscription, SubscriptionOptions,
    Version,
};
use dunlin_tests::Broker;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::mosquitto::Mosquitto;
use crate::proxy::{Fault, Proxy};

/// Messages that the Server has and the subscriber has not: brokers bound their queues.
const AHEAD: usize = 100;

pub(crate) fn address(address: SocketAddr) -> Address {
    address.to_string().parse().unwrap()
}

/// A client that comes back at once.
pub(crate) fn options(name: &str, to: SocketAddr, version: Version) -> Options {
    let mut settings = Settings::new(name);
    settings.version = version;
    settings.retry = Retry {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(5),
        stable_after: Duration::ZERO,
        ..Retry::default()
    };
    Options::new(address(to), settings)
}

fn filter(filter: &str) -> Filter {
    let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
    Filter { filter: filter.to_owned(), options }
}

/// Publishes in turn with QoS 1 and 2 until that many cuts; how many messages.
async fn publish_until(client: &Client, cuts: usize, proxy: &Proxy, ahead: &Arc<Semaphore>) -> usize {
    let mut receipts = Vec::new();
    while proxy.cuts() < cuts {
        ahead.acquire().await.unwrap().forget();
        let number = receipts.len();
        let qos = if number.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let message = Message::new("cuts", number.to_string()).unwrap().qos(qos);
        receipts.push(client.publish(message).await.unwrap());
    }
    proxy.set(Fault::None);
    let count = receipts.len();
    for receipt in receipts {
        receipt.await.unwrap();
    }
    count
}

/// Counts each message until a last one, which is of QoS 2 as its predecessors are.
async fn collect(mut messages: Subscription, ahead: Arc<Semaphore>) -> (BTreeMap<usize, usize>, Vec<usize>) {
    let mut seen = BTreeMap::new();
    let mut order = Vec::new();
    loop {
        let received = messages.recv().await.expect("the stream goes on");
        if received.payload().is_empty() {
            return (seen, order);
        }
        let number: usize = std::str::from_utf8(received.payload()).unwrap().parse().unwrap();
        let times = seen.entry(number).or_default();
        *times += 1;
        if *times == 1 {
            ahead.add_permits(1);
            order.push(number);
        }
    }
}

/// Messages of about 6 KB pass between two cuts, so that most cuts are within an exchange.
const CUT: Fault = Fault::CutWithin(6_000);

async fn survive(broker: SocketAddr, version: Version, fault: Fault, cuts: usize, subscriber_too: bool) {
    let proxy = Proxy::to(broker);
    let way = if subscriber_too { proxy.address() } else { broker };
    let prepared = Prepared::new(options("subscriber", way, version)).unwrap();
    let mut messages = prepared.subscribe(vec![filter("cuts")]);
    let subscriber = prepared.connect();
    messages.granted().await.unwrap();
    let publisher = Client::connect(options("publisher", proxy.address(), version)).unwrap();
    proxy.set(fault);

    let ahead = Arc::new(Semaphore::new(AHEAD));
    let collecting = tokio::spawn(collect(messages, ahead.clone()));
    let count = publish_until(&publisher, cuts, &proxy, &ahead).await;
    let last = Message::new("cuts", "").unwrap().qos(QoS::ExactlyOnce);
    publisher.publish(last).await.unwrap().await.unwrap();
    let (seen, order) = collecting.await.unwrap();

    for number in 0..count {
        let times = seen.get(&number).copied().unwrap_or_default();
        if number.is_multiple_of(2) {
            assert!(times >= 1, "{number} of qos 1 was lost, of {count}");
        } else {
            assert_eq!(times, 1, "{number} of qos 2, of {count}");
        }
    }
    for parity in 0..2 {
        assert!(order.iter().filter(|number| *number % 2 == parity).is_sorted(), "out of order");
    }
    let doubled = proxy.doubled();
    eprintln!("{count} messages, {} cuts, {} connections, {doubled} twice", proxy.cuts(), proxy.accepted());
    publisher.disconnect(PATIENCE).await;
    subscriber.disconnect(PATIENCE).await;
}

/// All of them in `make soak`, a tenth in `make test`.
fn cuts(all: usize) -> usize {
    if soak() { all } else { all / 10 }
}

fn soak() -> bool {
    std::env::var_os("DUNLIN_SOAK").is_some()
}

async fn within_patience(test: impl Future<Output = ()>) {
    let patience = if soak() { 20 * PATIENCE } else { PATIENCE };
    timeout(patience, test).await.expect("it ends in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cuts_with_mqtt_5() {
    let broker = Broker::start(&["--shards", "2"]);
    within_patience(survive(broker.address(), Version::V5, CUT, cuts(1_000), true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cuts_with_mqtt_311() {
    let broker = Broker::start(&["--shards", "2"]);
    within_patience(survive(broker.address(), Version::V311, CUT, cuts(1_000), true)).await;
}

/// A network that brings a connection attempt twice takes the Session over, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_that_come_twice_lose_and_repeat_nothing() {
    let broker = Broker::start(&["--shards", "2"]);
    for version in [Version::V5, Version::V311] {
        let fault = Fault::DoubledWithin(6_000);
        within_patience(survive(broker.address(), version, fault, cuts(200), true)).await;
    }
    // As below: only the publisher, and only with 5.0.
    let broker = Mosquitto::start();
    let fault = Fault::DoubledWithin(6_000);
    within_patience(survive(broker.address(), Version::V5, fault, cuts(200), false)).await;
}

/// Only the publisher is cut, and only with 5.0. mosquitto 2.0 sends a PUBLISH again that it has sent PUBREL for, when it
/// loses its subscriber twice; and of a 3.1.1 publisher it acknowledges and forgets what is beyond its own bound, against
/// which it counts messages of the former connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cuts_of_mosquitto() {
    let broker = Mosquitto::start();
    within_patience(survive(broker.address(), Version::V5, CUT, cuts(1_000), false)).await;
}
