//! `dunlin acl` and `dunlin import`: files that are wrong, changed by several at once, or in the way. docs/access.md has the rest.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::process::{TemporaryFile, command, fails, run};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dunlin-access-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_fault_of_a_policy_is_named_with_its_place_and_the_code_is_3() {
    let file = TemporaryFile::new("[[rule]]\nallow = 'publihs'\ntopics = 'a'\ntopic = 'b'\n");
    let path = file.path();
    let expected = format!(
        "dunlin: error: {path}:2:9: rule.allow = 'publihs': not one of the choices (did you mean \"publish\"?); \
         allowed: publish, subscribe, receive\n\
         dunlin: error: {path}:4:1: rule.topic: not known (did you mean rule.topics?)\n"
    );

    assert_eq!(fails(3, &["acl", "list", "--policy", path]), expected);
    assert_eq!(fails(3, &["acl", "can", "a", "publish", "a", "--policy", path]), expected);
    assert_eq!(fails(3, &["acl", "remove", "1", "--policy", path]), expected);
    assert_eq!(fails(3, &["acl", "add", "allow", "publish", "a", "--policy", path]), expected);
    let missing = fails(3, &["acl", "list", "--policy", "/nowhere/access.toml"]);
    assert!(missing.starts_with("dunlin: error: cannot read the policy /nowhere/access.toml: "), "{missing}");
}

#[test]
fn a_topic_that_is_none_is_a_mistake_of_the_command_line() {
    assert_eq!(
        fails(2, &["acl", "can", "a", "publish", "a/#"]),
        "dunlin: error: a/#: topic name holds a wildcard at byte 2; allowed: a topic name\n"
    );
    assert!(fails(2, &["acl", "who-can", "subscribe", "a/#/b"]).contains("allowed: a topic filter"));
    assert!(
        fails(2, &["acl", "add", "allow", "publish", "${clientid}", "--policy", "x"])
            .contains("${client_id}")
    );
}

#[test]
fn a_shared_subscription_is_one_to_its_filter() {
    let (code, text) = said(&["acl", "can", "a", "subscribe", "$share/crew/devices/a/#"]);
    assert!(code == Some(0) && text.starts_with("allowed"), "{text}");
}

/// Each waits for the others; none takes back what another did.
#[test]
fn rules_added_at_once_are_all_there() {
    let directory = Directory::new("at-once");
    let path = directory.path("access.toml");
    let topics: Vec<String> = (0..8).map(|number| format!("topic/{number}")).collect();
    let adding = |topic: &String| -> Child {
        let arguments = ["acl", "add", "allow", "publish", topic, "--policy", &path];
        command(&arguments).stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<Child> = topics.iter().map(adding).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }

    let (_, list) = said(&["acl", "list", "--policy", &path]);
    assert_eq!(list.lines().count(), 10, "{list}");
    assert!(topics.iter().all(|topic| list.contains(&format!("of {topic} for everyone"))));
    let left: Vec<_> = fs::read_dir(&directory.0).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_changed_file_keeps_its_mode_its_comments_and_its_place_behind_a_link() {
    let directory = Directory::new("link");
    let (real, link) = (directory.path("real.toml"), directory.path("link.toml"));
    let text = "# ours\n\n[groups] # crew\n\n[[rule]]\nallow = 'publish' # x\ntopics = 'a'\n";
    fs::write(&real, text).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o604)).unwrap();
    symlink(&real, &link).unwrap();

    let (code, _) = said(&["acl", "add", "deny", "subscribe", "b", "--policy", &link]);

    assert_eq!(code, Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o604);
    assert!(fs::read_to_string(&real).unwrap().starts_with(text));
    assert_eq!(said(&["acl", "remove", "9", "--policy", &link]).0, Some(0));
    assert_eq!(fs::read_to_string(&real).unwrap(), text);
}

#[test]
fn lines_that_are_no_decisions_are_named_and_left_out() {
    let directory = Directory::new("strange");
    let seen = directory.path("seen.jsonl");
    fs::write(
        &seen,
        "{\"client\":\"a\",\"action\":\"publish\",\"topic\":\"devices/a/x\",\"time\":1}\n\n{\"client\":\"a\",\"acti",
    )
    .unwrap();
    let new = TemporaryFile::new("");

    let output = run(&["acl", "dry-run", new.path(), "--seen", &seen]);

    assert_eq!(output.status.code(), Some(1));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        out.ends_with("1 of 1 decisions would change, for 1 of 1 clients\n1 lines were left out\n"),
        "{out}"
    );
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("dunlin: warning: {seen}:3: no decision, left out: ")), "{error}");
    fs::write(&seen, "").unwrap();
    assert!(fails(3, &["acl", "dry-run", new.path(), "--seen", &seen]).contains("no decision in 0 lines"));
}

#[test]
fn a_table_with_a_fault_is_named_with_its_line_and_an_empty_one_proves_nothing() {
    let table = TemporaryFile::new("[[expect]]\nclient = 'a'\ncan = [\n 'publish a',\n 'publihs b',\n]\n");
    let error = fails(3, &["acl", "test", table.path()]);
    assert!(error.contains(":5: \"publihs b\""), "{error}");
    table.write("[[expect]]\nclient = 'a'\ncann = []\n");
    assert!(fails(3, &["acl", "test", table.path()]).contains(":3: unknown field `cann`"));
    table.write("");
    assert!(fails(3, &["acl", "test", table.path()]).contains("nothing is expected"));
}

#[test]
fn an_import_overwrites_nothing() {
    let directory = Directory::new("import");
    let out = directory.path("out");
    let acl = directory.path("acl");
    fs::write(&acl, "topic a\n").unwrap();
    let arguments = ["import", "mosquitto", "--acl", &acl, "--out", &out];
    assert_eq!(said(&arguments).0, Some(0));
    let before = fs::read_to_string(format!("{out}/access.toml")).unwrap();
    fs::write(&acl, "topic b\n").unwrap();

    assert!(fails(3, &arguments).contains("is there already; nothing was written"));
    assert_eq!(fs::read_to_string(format!("{out}/access.toml")).unwrap(), before);
    assert!(fails(2, &["import", "mosquitto", "--out", &out]).contains("--acl"));
}
