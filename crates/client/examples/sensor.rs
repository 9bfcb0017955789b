//! A sensor that loses no reading: `cargo run -p dunlin-client --example sensor -- mqtt://localhost pump-7`
//!
//! Readings wait on disk while there is no network, and are sent when there is one; the broker says so if the sensor is
//! lost for longer than a minute.
#![allow(clippy::disallowed_types, clippy::print_stdout, reason = "an application, not the session")]

use std::time::Duration;

use dunlin_client::disk::Sync;
use dunlin_client::{Client, Message, Options, QoS, Settings, Will};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "mqtt://localhost".to_owned());
    let name = arguments.next().unwrap_or_else(|| "sensor".to_owned());

    let state = format!("sensors/{name}/state");
    let mut settings = Settings::new(&name);
    settings.will =
        Some(Will { message: Message::new(&state, "lost")?.retain(true), delay: Duration::from_secs(60) });
    let mut options = Options::new(address.parse()?, settings);
    options.disk = Some((format!("{name}.queue").into(), Sync::Always));

    let client = Client::connect(options)?;
    // Not awaited: that the state is known matters less than that measuring begins.
    drop(client.publish(Message::new(&state, "running")?.retain(true)).await?);
    for number in 0..10 {
        let reading = Message::new(&format!("sensors/{name}/reading"), number.to_string())?
            .qos(QoS::AtLeastOnce)
            .expires_after(Duration::from_secs(86_400));
        // On disk when this returns; the receipt would tell when the broker has it.
        drop(client.publish(reading).await?);
        println!("reading {number} is kept");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    client.disconnect(Duration::from_secs(10)).await;
    Ok(())
}
