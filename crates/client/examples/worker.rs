//! Takes jobs and acknowledges each when it is done: `cargo run -p dunlin-client --example worker -- mqtt://localhost`
//!
//! A job that a killed worker had not finished comes again. Start several with other names: each job goes to one.
#![allow(clippy::print_stdout, reason = "an application, not the session")]

use dunlin_client::session::Filter;
use dunlin_client::{Options, Prepared, QoS, Settings, SubscriptionOptions, local_client_id};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "mqtt://localhost".to_owned());
    let name = arguments.next().unwrap_or_else(|| local_client_id("worker"));

    // Subscribed before connecting: what waited in the session is for this subscription from the first message on.
    let prepared = Prepared::new(Options::new(address.parse()?, Settings::new(name)))?;
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let mut jobs =
        prepared.subscribe(vec![Filter { filter: "$share/workers/jobs/#".to_owned(), options }]).manual();
    let client = prepared.connect();
    while let Some(job) = jobs.recv().await {
        println!("{}: {}", job.topic(), String::from_utf8_lossy(job.payload()));
        if let Some(reply) = job.reply("done") {
            client.publish(reply).await?.await?;
        }
        job.acknowledge();
    }
    Ok(())
}
