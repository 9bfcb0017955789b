//! Listeners with a mount point.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{PASSWORD, prepared, start};
use crate::secured::{Directory, both};

/// `mosquitto_sub` of a 5.0 client, and each line that it says, once it is subscribed.
pub(super) fn subscriber(
    directory: &Directory,
    port: &str,
    client: &str,
    filter: &str,
) -> (Child, impl Iterator<Item = String> + use<>) {
    subscriber_with(directory, port, client, filter, &[])
}

fn subscriber_with(
    directory: &Directory,
    port: &str,
    client: &str,
    filter: &str,
    more: &[&str],
) -> (Child, impl Iterator<Item = String> + use<>) {
    let more = [&["-u", "amy", "-P", PASSWORD][..], more].concat();
    subscriber_as(directory, port, client, filter, &more)
}

/// With a name and a password among the arguments.
pub(super) fn subscriber_as(
    directory: &Directory,
    port: &str,
    client: &str,
    filter: &str,
    more: &[&str],
) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec stdbuf -oL mosquitto_sub \"$@\" 2>&1", "sh"])
        .args(["-h", "127.0.0.1", "-p", port, "-V", "5", "-q", "1", "-d"])
        .args(["-i", client, "-t", filter, "-F", "%t %p %R", "-W", "20"])
        .args(more)
        .current_dir(directory.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.starts_with("Subscribed")), "{client} is not subscribed");
    (child, lines.filter(|line| !line.starts_with("Client ") || line.contains("DISCONNECT")))
}

fn publish(directory: &Directory, port: &str, topic: &str, more: &[&str]) -> String {
    let arguments =
        ["-h", "127.0.0.1", "-p", port, "-V", "5", "-u", "amy", "-P", PASSWORD, "-q", "1", "-t", topic];
    both(&directory.other("mosquitto_pub", &[&arguments[..], more].concat()))
}

#[test]
fn clients_of_a_mounted_listener_see_a_part_of_the_topics() {
    let directory = prepared();
    let text = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nauthentication = [\"password\"]\n\
                [[listener]]\nurl = \"tcp://127.0.0.1:0\"\nauthentication = [\"password\"]\nmount_point = \"site1/\"\n\
                versions = [\"5.0\"]\n[access]\npolicy = \"policy.toml\"\n";
    fs::write(directory.path().join("dunlin.toml"), text).unwrap();
    // The rules are about whole names.
    let rules = "[[rule]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"site1/#\", \"a/#\"]\n\
                 [[rule]]\ndeny = \"publish\"\ntopics = \"site1/secret\"\n";
    fs::write(directory.path().join("policy.toml"), rules).unwrap();
    let broker = start(&directory);
    let ports: Vec<String> = broker.addresses().iter().map(|address| address.port().to_string()).collect();
    let [whole, mounted] = &ports[..] else { panic!("{ports:?}") };

    let (mut one, mut outside) = subscriber(&directory, whole, "outside", "site1/#");
    let (mut other, mut inside) = subscriber(&directory, mounted, "inside", "a/#");
    let (mut shared, mut member) = subscriber(&directory, mounted, "member", "$share/g/a/#");
    assert_eq!(
        publish(&directory, mounted, "a/b", &["-m", "1", "-r", "-D", "publish", "response-topic", "reply"]),
        ""
    );
    assert_eq!(outside.next().unwrap(), "site1/a/b 1 site1/reply");
    assert_eq!(inside.next().unwrap(), "a/b 1 reply");
    assert_eq!(member.next().unwrap(), "a/b 1 reply");
    assert_eq!(publish(&directory, whole, "site1/a/c", &["-m", "2"]), "");
    assert_eq!(inside.next().unwrap().trim(), "a/c 2");
    assert_eq!(member.next().unwrap().trim(), "a/c 2");

    assert!(publish(&directory, mounted, "secret", &["-m", "1"]).contains("Not authorized"));
    assert_eq!(publish(&directory, whole, "a/b", &["-m", "elsewhere"]), "");
    let (mut late, mut retained) = subscriber(&directory, mounted, "late", "+/b");
    assert_eq!(retained.next().unwrap(), "a/b 1 reply");

    // A Will, from a client that is killed.
    let will = ["--will-topic", "a/will", "--will-payload", "gone"];
    let (mut dying, _) = subscriber_with(&directory, mounted, "dying", "a/x", &will);
    dying.kill().unwrap();
    dying.wait().unwrap();
    assert_eq!(inside.next().unwrap().trim(), "a/will gone");
    assert!(outside.any(|line| line.trim() == "site1/a/will gone"));
    for child in [&mut one, &mut other, &mut shared, &mut late] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let v3 =
        ["-h", "127.0.0.1", "-p", mounted, "-V", "311", "-u", "amy", "-P", PASSWORD, "-t", "a", "-m", "1"];
    assert!(
        !directory.other("mosquitto_pub", &v3).status.success(),
        "a version that this listener does not speak"
    );
}
