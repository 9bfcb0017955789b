//! The library against real brokers: what an application sees on networks that fail.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_client::disk::Sync;
use dunlin_client::{Client, Connection, Message, Prepared, QoS, Requests, Version};
use dunlin_tests::Broker;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::cuts::options;
use crate::folder::Folder;
use crate::mosquitto::Mosquitto;
use crate::proxy::{Fault, Proxy};

fn message(payload: impl ToString) -> Message {
    Message::new("t", payload.to_string()).unwrap()
}

/// Runs it, or fails in time.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

#[tokio::test]
async fn what_is_published_before_there_is_a_broker_arrives() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::connect(options("early", free, Version::V5)).unwrap();
    let receipt = client.publish(message("early").retain(true)).await.unwrap();
    let broker = Broker::start(&["--listen", &free.to_string()]);
    soon(receipt).await.unwrap();
    soon(client.disconnect(PATIENCE)).await;
    assert!(matches!(&*client.status().borrow(), Connection::Stopped(_)));
    assert!(client.publish(message("late")).await.is_err());
    drop(broker);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_given_up() {
    let (broker, mosquitto) = (Broker::start(&["--shards", "1"]), Mosquitto::start());
    for broker in [broker.address(), mosquitto.address()] {
        stalled(broker).await;
    }
}

async fn stalled(broker: SocketAddr) {
    let proxy = Proxy::to(broker);
    proxy.set(Fault::HalfOpen);
    let mut options = options("patient", proxy.address(), Version::V5);
    options.settings.response_timeout = Duration::from_millis(200);
    let client = Client::connect(options).unwrap();
    let mut status = client.status();
    let waiting = |state: &Connection| matches!(state, Connection::Waiting { why, .. } if why.to_string().contains("connack"));
    soon(status.wait_for(waiting)).await.unwrap();
    proxy.set(Fault::None);
    soon(client.connected()).await.unwrap();

    // The link stalls while the application is silent: the ping is not answered.
    let mut quick = crate::cuts::options("quick", proxy.address(), Version::V5);
    quick.settings.keep_alive = Duration::from_secs(1);
    quick.settings.response_timeout = Duration::from_millis(300);
    let client = Client::connect(quick).unwrap();
    soon(client.connected()).await.unwrap();
    proxy.set(Fault::Stall);
    let mut status = client.status();
    let pinged = |state: &Connection| matches!(state, Connection::Waiting { why, .. } if why.to_string().contains("ping"));
    soon(status.wait_for(pinged)).await.unwrap();
    proxy.set(Fault::None);
    soon(client.connected()).await.unwrap();
}

#[tokio::test]
async fn a_slow_link_and_a_slow_reader_lose_nothing() {
    let (broker, mosquitto) = (Broker::start(&["--shards", "1"]), Mosquitto::start());
    for broker in [broker.address(), mosquitto.address()] {
        slow(broker).await;
    }
}

async fn slow(broker: SocketAddr) {
    let proxy = Proxy::to(broker);
    proxy.set(Fault::Slow(400_000));
    let mut narrow = options("slow", proxy.address(), Version::V311);
    narrow.subscription_buffer = 4.try_into().unwrap();
    let prepared = Prepared::new(narrow).unwrap();
    let mut messages = prepared.subscribe(vec![dunlin_client::session::Filter {
        filter: "t".into(),
        options: dunlin_client::SubscriptionOptions { qos: QoS::AtLeastOnce, ..Default::default() },
    }]);
    let client = prepared.connect();
    soon(messages.granted()).await.unwrap();
    let payload = "x".repeat(1_000);
    for number in 0..200 {
        client.publish(message(format!("{number} {payload}"))).await.unwrap();
    }
    for number in 0..200 {
        let received = soon(messages.recv()).await.unwrap();
        assert!(received.payload().starts_with(format!("{number} ").as_bytes()));
        tokio::task::yield_now().await;
    }
    soon(client.disconnect(PATIENCE)).await;
}

#[tokio::test]
async fn unacknowledged_messages_come_again_and_taken_ones_do_not() {
    let broker = Broker::start(&["--shards", "1"]);
    let publisher = Client::connect(options("publisher", broker.address(), Version::V5)).unwrap();
    let open = || {
        let prepared = Prepared::new(options("worker", broker.address(), Version::V5)).unwrap();
        let filter = dunlin_client::session::Filter {
            filter: "t".into(),
            options: dunlin_client::SubscriptionOptions { qos: QoS::AtLeastOnce, ..Default::default() },
        };
        let messages = prepared.subscribe(vec![filter]).manual();
        (messages, prepared.connect())
    };
    let (mut messages, client) = open();
    soon(messages.granted()).await.unwrap();
    for number in 0..3 {
        soon(publisher.publish(message(number)).await.unwrap()).await.unwrap();
    }
    let first = soon(messages.recv()).await.unwrap();
    let second = soon(messages.recv()).await.unwrap();
    first.acknowledge();
    drop(second);
    soon(client.disconnect(Duration::from_millis(300))).await;

    let (mut messages, client) = open();
    for expected in ["1", "2"] {
        let received = soon(messages.recv()).await.unwrap();
        assert_eq!(received.payload(), expected.as_bytes());
        received.acknowledge();
    }
    soon(client.disconnect(PATIENCE)).await;
}

/// Answers each CONNECT with "use another server" and where that is.
fn signpost(to: SocketAddr) -> SocketAddr {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let reference = to.to_string();
            let length = u8::try_from(reference.len()).unwrap();
            let head = [0x20, length + 6, 0, 0x9c, length + 3, 0x1c, 0, length];
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(&[&head, reference.as_bytes()].concat()));
            drop(stream.read(&mut [0; 1]));
        }
    });
    address
}

#[tokio::test]
async fn a_client_goes_where_it_is_sent_if_it_may() {
    let broker = Broker::start(&["--shards", "1"]);
    // The second post sends to the broker.
    let post = signpost(signpost(broker.address()));
    let mut sent = options("sent", post, Version::V5);
    sent.settings.follow_redirections = true;
    let client = Client::connect(sent).unwrap();
    soon(soon(client.publish(message("here"))).await.unwrap()).await.unwrap();

    let mut stays = options("stays", post, Version::V5);
    stays.settings.follow_redirections = false;
    let client = Client::connect(stays).unwrap();
    let mut status = client.status();
    let state = soon(status.wait_for(|state| *state != Connection::Connecting)).await.unwrap().clone();
    let Connection::Waiting { why, .. } = state else { panic!("{state:?}") };
    assert!(why.to_string().contains("0x9c"), "{why}");
}

#[tokio::test]
async fn questions_get_their_own_answers() {
    let broker = Broker::start(&["--shards", "1"]);
    let server = Client::connect(options("server", broker.address(), Version::V5)).unwrap();
    let mut questions = server.subscribe("double", QoS::AtLeastOnce);
    soon(questions.granted()).await.unwrap();
    let answering = server.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        // In the reverse order, two at a time.
        while let Some(question) = questions.recv().await {
            let number: u32 = std::str::from_utf8(question.payload()).unwrap().parse().unwrap();
            held.push(question.reply((number * 2).to_string()).unwrap());
            if held.len() == 2 {
                for reply in held.drain(..).rev() {
                    answering.publish(reply).await.unwrap();
                }
            }
        }
    });
    let client = Client::connect(options("client", broker.address(), Version::V5)).unwrap();
    let requests = soon(Requests::new(&client, "reply/client")).await.unwrap().unwrap();
    let ask = |number: u32| requests.ask(Message::new("double", number.to_string()).unwrap(), PATIENCE);
    let (one, two) = tokio::join!(ask(1), ask(2));
    assert_eq!((one.unwrap().payload(), two.unwrap().payload()), (&"2".into(), &"4".into()));
    let late = requests.ask(Message::new("nobody", "").unwrap(), Duration::from_millis(200)).await;
    assert!(late.unwrap_err().to_string().contains("no answer"));
}

const APPLICATION: &str = "DUNLIN_TEST_APPLICATION";

/// Not a test of its own: what [`a_killed_application_loses_nothing_that_it_published`] starts and kills.
#[tokio::test]
async fn application() {
    let Ok(arguments) = std::env::var(APPLICATION) else { return };
    let (address, queue) = arguments.split_once(' ').unwrap();
    let mut options = options("killed", address.parse().unwrap(), Version::V5);
    options.disk = Some((queue.into(), Sync::Always));
    let client = Client::connect(options).unwrap();
    let begin: usize = std::env::var("DUNLIN_TEST_BEGIN").unwrap().parse().unwrap();
    for number in begin.. {
        let message = message(number).qos(QoS::ExactlyOnce);
        drop(client.publish(message).await.unwrap());
        // On disk.
        println!("stored {number}");
    }
}

#[test]
fn a_killed_application_loses_nothing_that_it_published() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let broker = Broker::start(&["--shards", "1"]);
    let folder = Folder::new();
    let queue = folder.path().join("queue");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let watcher = runtime.block_on(async {
        let client = Client::connect(options("watcher", broker.address(), Version::V5)).unwrap();
        let mut messages = client.subscribe("t", QoS::ExactlyOnce);
        soon(messages.granted()).await.unwrap();
        messages
    });
    let proxy = Proxy::to(broker.address());
    let mut next = 0;
    for round in 0..4 {
        // In turn with and without a network.
        proxy.set(if round % 2 == 0 { Fault::None } else { Fault::Stall });
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "library::application", "--nocapture"])
            .env(APPLICATION, format!("{} {}", proxy.address(), queue.display()))
            .env("DUNLIN_TEST_BEGIN", next.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| line.rsplit_once("stored ")?.1.parse::<usize>().ok());
        let stored = numbers.take(50).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // It may have stored a few more than it told of.
        next = stored + 1_000;
    }
    proxy.set(Fault::None);
    runtime.block_on(finish(proxy.address(), &queue, watcher, next));
}

/// The last process sends what the killed ones left; each number that was stored is there, once.
async fn finish(
    to: SocketAddr,
    queue: &std::path::Path,
    mut watcher: dunlin_client::Subscription,
    end: usize,
) {
    let mut last = options("killed", to, Version::V5);
    last.disk = Some((queue.to_owned(), Sync::Always));
    let client = Client::connect(last).unwrap();
    soon(client.publish(message(end).qos(QoS::ExactlyOnce)).await.unwrap()).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let received = soon(watcher.recv()).await.unwrap();
        let number: usize = std::str::from_utf8(received.payload()).unwrap().parse().unwrap();
        if number == end {
            break;
        }
        seen.push(number);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "none twice, none out of order");
    // Each process told of fifty, from its first on; it may have stored a few more than it told of.
    let begins = [0, 1_049, 2_098, 3_147];
    for begin in begins {
        for number in begin..begin + 50 {
            assert!(seen.binary_search(&number).is_ok(), "{number} was stored and is missing");
        }
    }
    soon(client.disconnect(PATIENCE)).await;
}
