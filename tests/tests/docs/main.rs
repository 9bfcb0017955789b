//! The commands of the documentation, run as they stand there.
//!
//! A block fenced as `sh` that is followed by one fenced as `text` is a promise: run by bash against a fresh broker, the
//! first prints the second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod secured;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dunlin_tests::Broker;

/// Where docs/monitoring.md has port 9464.
const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";

/// A command line, and what it prints.
struct Promise {
    line: usize,
    script: String,
    output: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The promises of a page.
fn promises(page: &str) -> Vec<Promise> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line != "```sh" {
            continue;
        }
        let block = |lines: &mut dyn Iterator<Item = (usize, &str)>| {
            lines.take_while(|(_, line)| *line != "```").fold(String::new(), |mut text, (_, line)| {
                let _ = writeln!(text, "{line}");
                text
            })
        };
        let script = block(&mut lines);
        if lines.next().is_some_and(|(_, line)| line == "```text") {
            found.push(Promise { line: at + 1, script, output: block(&mut lines) });
        }
    }
    found
}

/// Runs a script with the mosquitto clients on the broker's port, in an empty directory.
fn run(script: &str, broker: &Broker) -> String {
    let port = broker.address().port();
    let directory = std::env::temp_dir().join(format!("dunlin-docs-{}-{port}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let dunlin = dunlin_tests::binary();
    let prelude = format!(
        "dunlin() {{ '{}' \"$@\"; }}\n\
         mosquitto_pub() {{ command mosquitto_pub -p {port} \"$@\"; }}\n\
         mosquitto_sub() {{ command mosquitto_sub -p {port} \"$@\"; }}\n",
        dunlin.display()
    );
    let prelude = match broker.metrics() {
        Some(address) => {
            format!("{prelude}curl() {{ command curl \"${{@//127.0.0.1:9464/{address}}}\"; }}\n")
        }
        None => prelude,
    };
    let output = Command::new("timeout")
        .args(["30", "bash", "-c", &(prelude + script)])
        .current_dir(&directory)
        .env("DUNLIN_DATA", directory.join("data"))
        .stdin(Stdio::null())
        .output()
        .expect("bash and timeout are part of every system");
    fs::remove_dir_all(&directory).unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn keep(page: &str, shards: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let promises = promises(&text);
    assert!(!promises.is_empty(), "{page} promises nothing");
    for Promise { line, script, output } in promises {
        let broker = Broker::start_with_config(METRICS, &["--shards", shards]);
        assert_eq!(run(&script, &broker), output, "{page}, line {line}:\n{script}");
    }
}

#[test]
fn the_page_on_delivery_keeps_its_promises() {
    keep("docs/delivery.md", "1");
    keep("docs/delivery.md", "3");
}

/// With a data directory, which the page calls `data`.
#[test]
fn the_page_on_explain_keeps_its_promises() {
    let page = fs::read_to_string(root().join("docs/explain.md")).unwrap();
    let promises = promises(&page);
    assert_eq!(promises.len(), 2);
    for (number, Promise { line, script, output }) in promises.into_iter().enumerate() {
        let data = std::env::temp_dir().join(format!("dunlin-docs-data-{}-{number}", std::process::id()));
        let directory = data.to_str().unwrap();
        let broker = Broker::start(&["--shards", "2", "--data", directory]);
        let script = script.replace("--data data", &format!("--data {directory}"));
        assert_eq!(run(&script, &broker), output, "docs/explain.md, line {line}:\n{script}");
        drop(broker);
        fs::remove_dir_all(data).unwrap();
    }
}

#[test]
fn the_page_on_monitoring_keeps_its_promises() {
    keep("docs/monitoring.md", "2");
}

/// The broker that a trace looks at is found by its data directory.
#[test]
fn the_page_on_traces_keeps_its_promises() {
    let text = fs::read_to_string(root().join("docs/trace.md")).unwrap();
    let data = std::env::temp_dir().join(format!("dunlin-docs-trace-{}", std::process::id()));
    for Promise { line, script, output } in promises(&text) {
        let broker = Broker::start(&["--data", data.to_str().unwrap()]);
        let script = format!("export DUNLIN_DATA={data:?}\n{script}");
        assert_eq!(run(&script, &broker), output, "docs/trace.md, line {line}:\n{script}");
    }
    fs::remove_dir_all(&data).unwrap();
}

#[test]
fn the_page_on_access_keeps_its_promises() {
    keep("docs/access.md", "1");
}

/// The README uses three terminals; here they are one script, with the very lines that it shows.
#[test]
fn the_five_minutes_of_the_readme_work() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = [
        "mosquitto_sub -t 'greenhouse/#' -v",
        "mosquitto_pub -t greenhouse/3/temperature -m 21.5 -q 1",
        "mosquitto_pub -V 5 -t greenhouse/3/state -m open -r -D publish user-property source window",
        "mosquitto_sub -V 5 -t 'greenhouse/+/state' -C 1 -F '%t %p %P'",
    ];
    for command in commands {
        assert!(readme.contains(&format!("\n{command}\n")), "the README does not show {command}");
    }
    let [subscribe, publish, retain, look] = commands;
    let broker = Broker::start(&[]);
    let script = format!(
        "{subscribe} -C 1 -W 10 >seen.txt & seen=$!\n\
         while kill -0 $seen 2>/dev/null; do {publish}; done\n\
         cat seen.txt\n{retain}\n{look} -W 10"
    );
    assert_eq!(
        run(&script, &broker),
        "greenhouse/3/temperature 21.5\ngreenhouse/3/state open source:window\n"
    );
}
