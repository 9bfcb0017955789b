//! `dunlin import mosquitto` against the broker whose files it reads: what mosquitto allows, the imported rules allow, and
//! no more.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::commands::tool;
use crate::folder::Folder;
use crate::mosquitto::Mosquitto;

const ACL: &str = "\
# before any user: for clients without a name
topic read public/#
topic write inbox/+

user admin
topic readwrite #

user anna
topic readwrite plant/#
topic deny plant/secret
topic deny plant/+/key
topic write notes/of anna
topic status
topic read plain/%c

user ben
topic read plant/secret
topic read +/1

pattern write devices/%c/up
pattern read devices/%c/#
pattern readwrite home/%u/%c
pattern read last
";

const TOPICS: [&str; 16] = [
    "public",
    "public/a",
    "inbox/1",
    "plant/1",
    "plant/secret",
    "plant/a/key",
    "notes/of anna",
    "status",
    "plain/%c",
    "plain/c7",
    "devices/c7/up",
    "devices/c8/up",
    "devices/c7",
    "home/anna/c7",
    "home/ben/c8",
    "home/ben",
];

const PASSWORD: &str = "correct horse";

/// User name and Client Identifier.
const CLIENTS: [(Option<&str>, &str); 5] =
    [(None, "c7"), (Some("anna"), "c7"), (Some("anna"), "c8"), (Some("ben"), "c8"), (None, "nobody")];

fn theirs(name: &str, broker: &Mosquitto, user: Option<&str>, client: &str) -> Command {
    let mut command = tool(false, name, broker.address());
    command.args(["-V", "5", "-i", client]);
    if let Some(user) = user {
        command.args(["-u", user, "-P", PASSWORD]);
    }
    command
}

/// The topics that mosquitto lets it publish to: the others are answered with 0x87.
fn published(broker: &Mosquitto, user: Option<&str>, client: &str) -> BTreeSet<&'static str> {
    let may = |topic: &&str| {
        let mut command = theirs("pub", broker, user, client);
        let output = command.args(["-q", "1", "-d", "-r", "-m", "x", "-t", topic]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("received PUBACK"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        !text.contains("RC:135")
    };
    TOPICS.into_iter().filter(may).collect()
}

/// The topics whose retained messages mosquitto sends it, up to the one that everybody is sent.
fn received(broker: &Mosquitto, user: Option<&str>, client: &str) -> BTreeSet<String> {
    let mut command = theirs("sub", broker, user, client);
    command.args(["-F", "%t"]);
    for topic in TOPICS.iter().chain(&["last"]) {
        command.args(["-t", topic]);
    }
    let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let topics: BTreeSet<String> = lines.take_while(|topic| topic != "last").collect();
    child.kill().unwrap();
    child.wait().unwrap();
    topics
}

fn ours(policy: &str, user: Option<&str>, client: &str, action: &str) -> BTreeSet<&'static str> {
    let may = |topic: &&str| {
        let mut command = Command::new(dunlin_tests::binary());
        command.args(["acl", "can", client, action, topic, "--policy", policy]);
        if let Some(user) = user {
            command.args(["--user", user]);
        }
        let output = command.output().unwrap();
        match output.status.code() {
            Some(0) => true,
            Some(1) => false,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    };
    TOPICS.into_iter().filter(may).collect()
}

#[test]
fn imported_rules_allow_what_mosquitto_allows_and_no_more() {
    let folder = Folder::new();
    let acl = folder.file("acl", ACL);
    let passwords = folder.file("passwords", "");
    for user in ["admin", "anna", "ben"] {
        let mut command = Command::new("mosquitto_passwd");
        assert!(command.arg("-b").arg(&passwords).args([user, PASSWORD]).status().unwrap().success());
    }
    let out = folder.path().join("moved");
    let mut import = Command::new(dunlin_tests::binary());
    import.args(["import", "mosquitto", "--acl"]).arg(&acl).arg("--passwords").arg(&passwords);
    let import = import.arg("--out").arg(&out).output().unwrap();
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    let users = fs::read_to_string(out.join("users")).unwrap();
    assert!(fs::read_to_string(&passwords).unwrap().lines().all(|line| users.contains(line)), "{users}");

    let broker = Mosquitto::with(&format!(
        "allow_anonymous true\nacl_file {}\npassword_file {}\n",
        acl.display(),
        passwords.display()
    ));
    assert_eq!(published(&broker, Some("admin"), "admin").len(), TOPICS.len());
    let mut last = theirs("pub", &broker, Some("admin"), "admin");
    assert!(last.args(["-q", "1", "-r", "-m", "x", "-t", "last"]).status().unwrap().success());

    let policy = out.join("access.toml");
    for (user, client) in CLIENTS {
        let imported = |action| ours(policy.to_str().unwrap(), user, client, action);
        assert_eq!(published(&broker, user, client), imported("publish"), "{user:?} {client} publish");
        let received = received(&broker, user, client);
        let received: BTreeSet<&str> = received.iter().map(String::as_str).collect();
        assert_eq!(received, imported("receive"), "{user:?} {client} receive");
    }
    // A name that would be a wildcard gets nothing by it, there and here.
    let hostile = ours(policy.to_str().unwrap(), None, "+", "publish");
    assert_eq!(published(&broker, None, "+"), hostile);
    assert_eq!(hostile, BTreeSet::from(["inbox/1"]));
}
