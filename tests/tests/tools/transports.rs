//! Every transport of the library and of the tools, against Dunlin and against mosquitto.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use dunlin_client::{Address, Client, Connection, Message, Options, QoS, Settings, Tls};
use dunlin_tests::Broker;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::commands::dunlin;
use crate::cuts::options;
use crate::folder::Folder;
use crate::mosquitto::{Mosquitto, free_address};
use crate::proxy::{Fault, Proxy};
use crate::tls::Authority;

/// Messages of many sizes go there and come back; 70,000 bytes are several reads and the longest kind of frame.
async fn echo(address: Address, tls: Tls) {
    let mut options = Options::new(address.clone(), Settings::new("echo"));
    options.tls = tls;
    let client = Client::connect(options).unwrap();
    let mut messages = client.subscribe("echo", QoS::AtLeastOnce);
    let granted = timeout(PATIENCE, messages.granted()).await;
    granted.unwrap_or_else(|_| panic!("{address}: {:?}", *client.status().borrow())).unwrap();
    let sizes = [0, 1, 100, 125, 126, 1_000, 65_535, 65_536, 70_000];
    for size in sizes {
        client.publish(Message::new("echo", vec![7; size]).unwrap()).await.unwrap();
    }
    for size in sizes {
        let received = timeout(PATIENCE, messages.recv()).await.expect("in time").unwrap();
        assert_eq!(received.payload().len(), size, "{address}");
        assert!(received.payload().iter().all(|byte| *byte == 7));
    }
    timeout(PATIENCE, client.disconnect(PATIENCE)).await.expect("in time");
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A broker with every listener; the TLS ones have the certificate `good` of this authority.
fn everywhere(authority: &Authority, folder: &Folder) -> Broker {
    authority.issue("good", "127.0.0.1", 2100);
    let files = format!(
        "certificate = \"{}\"\nkey = \"{}\"\n",
        authority.file("good.pem").display(),
        authority.file("good.key").display()
    );
    let socket = folder.path().join("mqtt.sock");
    let listeners = [
        ("tcp://127.0.0.1:0".to_owned(), ""),
        ("ws://127.0.0.1:0".to_owned(), ""),
        ("tls://127.0.0.1:0".to_owned(), &files),
        ("wss://127.0.0.1:0".to_owned(), &files),
        (format!("unix:{}", socket.display()), ""),
    ];
    let toml: String =
        listeners.iter().map(|(url, more)| format!("[[listener]]\nurl = \"{url}\"\n{more}")).collect();
    Broker::start_with_listeners(&toml, &["--shards", "2"])
}

#[tokio::test]
async fn every_transport_of_dunlin() {
    let (authority, folder) = (Authority::named("authority"), Folder::new());
    let broker = everywhere(&authority, &folder);
    for scheme in ["ws", "wss"] {
        echo(address(&format!("{scheme}://127.0.0.1:{}", broker.port(scheme))), authority.trusted()).await;
    }
    echo(address(&format!("mqtts://127.0.0.1:{}", broker.port("tls"))), authority.trusted()).await;
    echo(address(&format!("unix:{}", folder.path().join("mqtt.sock").display())), Tls::default()).await;
}

#[tokio::test]
async fn websockets_and_unix_sockets_of_mosquitto() {
    let authority = Authority::named("authority");
    authority.issue("good", "127.0.0.1", 2100);
    // It starts no WebSocket listener without another one beside it.
    let to = free_address();
    let listener = format!("allow_anonymous true\nlistener {} 127.0.0.1\nprotocol websockets\n", to.port());
    let _plain = Mosquitto::with(&listener);
    echo(address(&format!("ws://{to}/")), Tls::default()).await;
    let to = free_address();
    let file = |name| authority.file(name).display().to_string();
    let _secure = Mosquitto::with(&format!(
        "allow_anonymous true\nlistener {} 127.0.0.1\nprotocol websockets\ncertfile {}\nkeyfile {}\n",
        to.port(),
        file("good.pem"),
        file("good.key"),
    ));
    echo(address(&format!("wss://{to}/")), authority.trusted()).await;
    let folder = Folder::new();
    let socket = folder.path().join("mosquitto.sock");
    let _unix = Mosquitto::with(&format!("allow_anonymous true\nlistener 0 {}\n", socket.display()));
    echo(address(&format!("unix:{}", socket.display())), Tls::default()).await;
}

/// Why there is no connection.
async fn refusal(to: Address, tls: Tls) -> String {
    let mut options = Options::new(to, Settings::new("refused"));
    options.tls = tls;
    let client = Client::connect(options).unwrap();
    let mut status = client.status();
    let decided = timeout(PATIENCE, status.wait_for(|state| *state != Connection::Connecting)).await;
    match decided.expect("in time").unwrap().clone() {
        Connection::Waiting { why, .. } => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_said() {
    let (authority, folder) = (Authority::named("authority"), Folder::new());
    let broker = everywhere(&authority, &folder);
    let wrong_path = address(&format!("ws://127.0.0.1:{}/elsewhere", broker.port("ws")));
    assert!(refusal(wrong_path, Tls::default()).await.contains("404"));
    let not_web = refusal(address(&format!("ws://{}", broker.address())), Tls::default()).await;
    assert!(not_web.contains("websocket"), "{not_web}");
    let missing =
        refusal(address(&format!("unix:{}", folder.path().join("none").display())), Tls::default()).await;
    assert!(missing.contains("No such file"), "{missing}");
    let stranger = Authority::named("stranger");
    let secure = address(&format!("wss://127.0.0.1:{}", broker.port("wss")));
    let unknown = refusal(secure, stranger.trusted()).await;
    assert!(unknown.contains("no authority that is trusted here"), "{unknown}");
}

#[tokio::test]
async fn a_websocket_that_is_cut_loses_nothing() {
    let (authority, folder) = (Authority::named("authority"), Folder::new());
    let broker = everywhere(&authority, &folder);
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], broker.port("ws"))));
    let mut cut = options("cut", proxy.address(), dunlin_client::Version::V5);
    cut.address = address(&format!("ws://{}", proxy.address()));
    let client = Client::connect(cut).unwrap();
    let watcher = Client::connect(options("watcher", broker.address(), dunlin_client::Version::V5)).unwrap();
    let mut messages = watcher.subscribe("cut", QoS::ExactlyOnce);
    timeout(PATIENCE, messages.granted()).await.unwrap().unwrap();
    proxy.set(Fault::CutWithin(3_000));
    let mut receipts = Vec::new();
    for number in 0..300 {
        let message = Message::new("cut", number.to_string()).unwrap().qos(QoS::ExactlyOnce);
        receipts.push(client.publish(message).await.unwrap());
    }
    for number in 0..300 {
        let received = timeout(PATIENCE, messages.recv()).await.expect("in time").unwrap();
        assert_eq!(received.payload(), number.to_string().as_bytes());
    }
    assert!(proxy.cuts() > 5, "{}", proxy.cuts());
}

#[test]
fn the_tools_know_every_transport() {
    let (authority, folder) = (Authority::named("authority"), Folder::new());
    let broker = everywhere(&authority, &folder);
    let ca = authority.file("ca.pem").display().to_string();
    let port = |scheme| broker.port(scheme).to_string();
    let socket = folder.path().join("mqtt.sock").display().to_string();
    let host = ["-h", "127.0.0.1", "-p"];
    let flags: [Vec<String>; 7] = [
        ["-L".to_owned(), format!("ws://127.0.0.1:{}/mqtt", port("ws"))].into(),
        ["-L".to_owned(), format!("unix:{socket}")].into(),
        ["-L".to_owned(), format!("wss://127.0.0.1:{}", port("wss")), "--cafile".to_owned(), ca.clone()]
            .into(),
        ["--unix".to_owned(), socket.clone()].into(),
        [&host.map(str::to_owned)[..], &[port("ws"), "--ws".to_owned()]].concat(),
        [
            &host.map(str::to_owned)[..],
            &[port("wss"), "--ws=/mqtt".to_owned(), "--cafile".to_owned(), ca.clone()],
        ]
        .concat(),
        [&host.map(str::to_owned)[..], &[port("tls"), "--cafile".to_owned(), ca]].concat(),
    ];
    for (number, flags) in flags.iter().enumerate() {
        let topic = format!("t/{number}");
        let run = |tool: &str, more: &[&str]| {
            let mut command = Command::new(dunlin());
            command
                .arg(tool)
                .args(flags)
                .args(["-t", &topic])
                .args(more)
                .stdin(Stdio::null())
                .output()
                .unwrap()
        };
        let published = run("pub", &["-m", "here", "-q", "1", "-r"]);
        assert_eq!(published.status.code(), Some(0), "{flags:?} {published:?}");
        let heard = run("sub", &["-C", "1", "-W", "20"]);
        assert_eq!(heard.stdout, b"here\n", "{flags:?} {heard:?}");
    }
}
