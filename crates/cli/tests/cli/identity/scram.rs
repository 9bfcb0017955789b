//! SCRAM-SHA-256 between this project's client and the broker.

use std::time::Duration;

use dunlin_client::{Client, Connection, Keep, Options, ScramSha256, Settings};

use super::{PASSWORD, configure, prepared, start};
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
