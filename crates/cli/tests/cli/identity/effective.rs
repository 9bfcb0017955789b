//! What a command has changed holds when it returns.

use std::fs;

use super::{PASSWORD, configure, prepared, publish, reload, start};

#[test]
fn a_user_is_known_when_the_command_that_adds_it_returns() {
    let directory = prepared();
    configure(&directory, "[\"password\"]", "");
    let broker = start(&directory);
    for number in 0..3 {
        let name = format!("ben-{number}");
        directory.run(&["user", "add", &name, "--group", "ops", "--password-file", "password"]);
        assert_eq!(publish(&directory, &broker, &name, PASSWORD, "plant/1"), "");
        directory.run(&["user", "remove", &name]);
        assert!(publish(&directory, &broker, &name, PASSWORD, "plant/1").contains("Bad User Name"));
    }
    let said = directory.run(&["device", "add", "pump-7", "--password"]);
    let (_, password) = said.trim().rsplit_once(": ").unwrap();
    assert!(publish(&directory, &broker, "pump-7", password, "plant/1").contains("Not authorized"));
}

#[test]
fn commands_change_and_show_the_files_of_the_running_broker() {
    let directory = prepared();
    fs::rename(directory.path().join("data/users"), directory.path().join("others")).unwrap();
    fs::write(directory.path().join("data/users"), "").unwrap();
    configure(&directory, "[\"password\"]", "[authentication.password]\nfile = \"others\"\n");
    let broker = start(&directory);
    assert_eq!(publish(&directory, &broker, "amy", PASSWORD, "plant/1"), "");
    directory.run(&["user", "add", "ben", "--group", "ops", "--password-file", "password"]);
    assert_eq!(publish(&directory, &broker, "ben", PASSWORD, "plant/1"), "");
    assert!(fs::read_to_string(directory.path().join("others")).unwrap().contains("ben:"));

    let policy = directory.path().join("policy.toml");
    let list = directory.run(&["acl", "list"]);
    assert!(list.contains(&format!("{}:1: allow", policy.display())), "{list}");
    let said = directory.run(&["acl", "add", "allow", "publish", "news/#"]);
    assert!(said.contains(policy.to_str().unwrap()), "{said}");
    assert_eq!(publish(&directory, &broker, "amy", PASSWORD, "news/1"), "");

    // Another policy, at a reload; one that is none changes nothing.
    let configured = directory.path().join("dunlin.toml");
    let text = fs::read_to_string(&configured).unwrap();
    fs::write(directory.path().join("none.toml"), "").unwrap();
    fs::write(&configured, text.replace("policy.toml", "none.toml")).unwrap();
    reload(&broker);
    assert!(publish(&directory, &broker, "amy", PASSWORD, "news/1").contains("Not authorized"));
    fs::write(&configured, text.replace("policy.toml", "missing.toml")).unwrap();
    let log = reload(&broker).join("\n");
    assert!(
        log.contains("access rules cannot be used, the old ones stay") && log.contains("missing.toml"),
        "{log}"
    );
    assert!(publish(&directory, &broker, "amy", PASSWORD, "news/1").contains("Not authorized"));
    assert!(directory.run(&["acl", "list"]).is_empty());
}

#[test]
fn another_chain_ends_the_connections_that_it_would_not_let_in_and_no_others() {
    let directory = prepared();
    configure(&directory, "[\"password\", \"scram\"]", "");
    let broker = start(&directory);
    let (mut child, mut lines) =
        super::mounts::subscriber(&directory, &super::port(&broker), "amy", "plant/#");
    configure(&directory, "[\"scram\", \"password\"]", "");
    reload(&broker);
    assert_eq!(publish(&directory, &broker, "amy", PASSWORD, "plant/still"), "");
    assert!(lines.any(|line| line.starts_with("plant/still")), "it is still there");
    configure(&directory, "[\"scram\"]", "");
    reload(&broker);
    assert!(lines.any(|line| line.contains("DISCONNECT")), "nobody vouches for it any more");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!publish(&directory, &broker, "amy", PASSWORD, "plant/1").is_empty());
}

#[test]
fn before_there_is_a_broker_the_rules_are_those_of_the_data_directory() {
    let directory = prepared();
    assert!(directory.run(&["acl", "list"]).starts_with("built-in policy"));
    directory.run(&["acl", "add", "deny", "publish", "x"]);
    let file = directory.path().join("data/access.toml");
    assert!(directory.run(&["acl", "list"]).contains(&format!("{}:", file.display())));
}
