//! SCRAM-SHA-256 between this project's client and the broker.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use dunlin_client::{Client, Connection, Keep, Options, ScramSha256, Settings};

use super::{PASSWORD, configure, port, prepared, start};
use crate::process::Broker;
use std::sync::Arc;

fn options(broker: &Broker, name: &str, password: &str) -> Options {
    let address = format!("mqtt://{}", broker.addresses()[0]).parse().unwrap();
    let mut settings = Settings::new("scram-client");
    settings.keep = Keep::Fresh;
    settings.authentication = Some(Arc::new(ScramSha256::new(name, password).unwrap()));
    Options::new(address, settings)
}

#[tokio::test]
async fn a_client_proves_its_password_without_sending_it_and_does_so_again() {
    let directory = prepared();
    configure(&directory, "[\"scram\"]", "");
    let broker = start(&directory);
    let client = Client::connect(options(&broker, "amy", PASSWORD)).unwrap();
    client.connected().await.unwrap();
    for _ in 0..3 {
        client.reauthenticate().await.unwrap();
    }
    client.disconnect(Duration::from_secs(5)).await;

    for (name, password) in [("amy", "wrong"), ("nobody", PASSWORD)] {
        let client = Client::connect(options(&broker, name, password)).unwrap();
        let mut status = client.status();
        let refused =
            |state: &Connection| matches!(state, Connection::Waiting { .. } | Connection::Stopped(_));
        let state = tokio::time::timeout(Duration::from_secs(20), status.wait_for(refused)).await.unwrap();
        assert!(format!("{:?}", *state.unwrap()).contains("BadUserNameOrPassword"), "{name}");
    }
}

#[test]
fn the_tools_prove_a_password_that_they_do_not_send() {
    let directory = prepared();
    configure(&directory, "[\"scram\"]", "");
    let broker = start(&directory);
    let port = port(&broker);
    let publish = ["pub", "-p", &port, "-u", "amy", "-q", "1", "-t", "plant/1", "-m", "1"];
    directory.run(&[&publish[..], &["-P", PASSWORD, "--scram"]].concat());
    let url = format!("mqtt://amy:{PASSWORD}@127.0.0.1:{port}/plant/1");
    directory.run(&["pub", "-L", &url, "-m", "1", "-q", "1", "--scram"]);
    for (code, more, said) in [
        (1, &["-P", "wrong", "--scram"][..], "0x86"),
        (1, &["-P", PASSWORD], "0x86"),
        (1, &["-P", PASSWORD, "--scram", "-V", "311"], "3.1.1 has no enhanced authentication"),
        (2, &["--scram"], "needs a user name and a password"),
    ] {
        let error = directory.fails(code, &[&publish[..], more].concat());
        assert!(error.contains(said), "{more:?}: {error}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let arguments = ["pub", "-h", "127.0.0.1", "-p", &port, "-u", "amy", "-P", PASSWORD, "--scram"];
    let mut tool = directory.dunlin(&[&arguments[..], &["-t", "t", "-m", "1"]].concat());
    let mut tool = tool.stderr(Stdio::null()).spawn().unwrap();
    let mut packet = [0; 512];
    let length = listener.accept().unwrap().0.read(&mut packet).unwrap();
    tool.kill().unwrap();
    tool.wait().unwrap();
    let packet = String::from_utf8_lossy(&packet[..length]);
    assert!(packet.contains("SCRAM-SHA-256") && packet.contains("n,,n=amy,r="), "{packet:?}");
    assert!(!packet.contains(PASSWORD), "{packet:?}");
}
