//! Rights that change while clients are connected, and what another policy would change, as the running broker knows it.

use std::fs;
use std::process::Command;
use std::time::Instant;

use dunlin_tests::{Broker, Connect, DEADLINE, Packet, Publish, Version, Wire, binary};

use crate::passwords::{Folder, add_user};

const V: Version = Version::V5;
const RULES: &str = "[[rule]]\nallow = ['publish', 'subscribe']\ntopics = 'plant/#'\n";
const DENIED: &str = "[[rule]]\nfor = 'user:amy'\ndeny = 'receive'\ntopics = 'plant/secret'\n";

fn house(name: &str) -> (Folder, Broker) {
    let data = Folder::new(name);
    for user in ["amy", "ben"] {
        add_user(&data, user, "right");
    }
    write_rules(&data, RULES);
    let broker = Broker::start_secured(&data.0, "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n");
    (data, broker)
}

fn write_rules(data: &Folder, text: &str) {
    fs::write(data.0.join("access.new"), text).unwrap();
    fs::rename(data.0.join("access.new"), data.0.join("access.toml")).unwrap();
}

fn login(broker: &Broker, name: &str) -> Wire {
    broker.connect_with(&Connect::new(V, name).user_name(name).password("right").lasting(60))
}

#[test]
fn a_user_who_is_removed_is_closed_and_nobody_else() {
    let (data, broker) = house("removed");
    let (mut amy, mut ben) = (login(&broker, "amy"), login(&broker, "ben"));
    let status = Command::new(binary()).args(["user", "remove", "amy", "--data"]).arg(&data.0).status();
    assert!(status.unwrap().success());
    amy.expect_disconnect(0x87);
    ben.ping();
}

/// The messages that are published after that, those that are retained, and those that waited.
#[test]
fn what_is_denied_is_delivered_no_more() {
    let (data, broker) = house("denied");
    let (mut amy, mut ben) = (login(&broker, "amy"), login(&broker, "ben"));
    assert_eq!(amy.subscribe("plant/secret", 1), 1);
    assert_eq!(amy.subscribe("plant/open", 0), 0);
    ben.publish(&Publish::new("plant/secret", "kept").retain().qos(1, 1));
    amy.take("plant/secret", "kept");
    // Unacknowledged: it would be sent again.
    ben.publish(&Publish::new("plant/secret", "unacknowledged").qos(1, 2));
    amy.expect_publish("plant/secret", "unacknowledged");

    write_rules(&data, &[RULES, DENIED].concat());
    let end = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < end, "it is still delivered");
        ben.publish(&Publish::new("plant/secret", "later"));
        ben.publish(&Publish::new("plant/open", "behind it"));
        match amy.packet() {
            Packet::Publish(open) if open.topic == "plant/open" => break,
            Packet::Publish(_) => drop(amy.expect_publish("plant/open", "behind it")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(amy.subscribe("plant/secret", 1), 0x87, "nor is it retained for her");
    amy.cut();
    let mut again = broker.open(V);
    again.send(Connect::new(V, "amy").clean(false).user_name("amy").password("right").lasting(60).bytes());
    assert!(again.expect_connack().session_present);
    again.ping();
}

#[test]
fn another_policy_is_held_against_what_clients_do_now() {
    let (data, broker) = house("dry-run");
    let (mut amy, mut ben) = (login(&broker, "amy"), login(&broker, "ben"));
    assert_eq!(amy.subscribe("plant/secret", 1), 1);
    ben.publish(&Publish::new("plant/valve", "open").qos(1, 1));
    let new = data.0.join("new.toml");
    let valve = "[[rule]]\nfor = 'user:ben'\ndeny = 'publish'\ntopics = 'plant/valve'\n";
    fs::write(&new, [RULES, DENIED, valve].concat()).unwrap();

    let run = |policy: &std::path::Path| {
        let command = Command::new(binary())
            .args(["acl", "dry-run"])
            .arg(policy)
            .args(["--window", "0", "--data"])
            .arg(&data.0)
            .output();
        let output = command.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run(&new);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("amy (amy) subscribe plant/secret: "), "{said}");
    assert!(said.contains("ben (ben) publish plant/valve: "), "{said}");
    assert!(said.contains("2 of 2 decisions would change, for 2 of 2 clients"), "{said}");

    let (code, said) = run(&data.0.join("access.toml"));
    assert_eq!((code, said.trim()), (Some(0), "0 of 2 decisions would change, for 0 of 2 clients"));
    drop(broker);
    let (code, said) = run(&new);
    assert!(code != Some(0) && said.contains("no broker is running on"), "{said}");
}
