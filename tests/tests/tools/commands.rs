//! `dunlin pub|sub|request`: a table of command lines, each given to mosquitto's tool and to ours.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use dunlin_tests::Broker;

use crate::PATIENCE;
use crate::folder::Folder;

/// The binary beside the tests.
pub(crate) fn dunlin() -> std::path::PathBuf {
    if let Some(path) = std::env::var_os("DUNLIN_BIN") {
        return path.into();
    }
    let executable = std::env::current_exe().unwrap();
    executable.ancestors().nth(2).unwrap().join("dunlin")
}

/// A tool of theirs (`mosquitto_pub`) or of ours (`dunlin pub`), to this broker.
pub(crate) fn tool(ours: bool, name: &str, broker: SocketAddr) -> Command {
    let mut command = Command::new(if ours { dunlin() } else { "stdbuf".into() });
    if ours {
        command.arg(name);
    } else {
        // Theirs says what it does by the block, unless told to by the line.
        command.args(["-oL".to_owned(), format!("mosquitto_{name}")]);
    }
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A `sub` that runs until it is dropped or ends by itself.
pub(crate) struct Running {
    child: Child,
    out: Receiver<Vec<u8>>,
    said: Receiver<String>,
}

impl Running {
    /// Subscribed when this returns.
    pub(crate) fn subscribed(ours: bool, broker: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = tool(ours, "sub", broker);
        let mut child = command.args(arguments).arg("-d").spawn().unwrap();
        // mosquitto_sub says what it does on standard output, between its messages.
        let (send, out) = channel();
        let (say, said) = channel();
        let stdout = child.stdout.take().unwrap();
        let tell = say.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).into_owned();
                let of_theirs = !ours && (text.starts_with("Client ") || text.starts_with("Subscribed ("));
                if of_theirs { drop(tell.send(text)) } else { drop(send.send(line)) }
            }
        });
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(say.send(line)));
        });
        let running = Self { child, out, said };
        running.hears("ubscribed");
        running
    }

    fn hears(&self, text: &str) {
        loop {
            let line = self.said.recv_timeout(PATIENCE).expect("it says what it does");
            if line.contains(text) {
                return;
            }
        }
    }

    /// The lines until it ends, and its exit code.
    pub(crate) fn rest(mut self) -> (Vec<String>, Option<i32>) {
        let mut lines = Vec::new();
        while let Ok(line) = self.out.recv_timeout(PATIENCE) {
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        (lines, self.child.wait().unwrap().code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `pub` to its end; its exit code.
pub(crate) fn publish(ours: bool, broker: SocketAddr, arguments: &[&str], input: &str) -> Option<i32> {
    let mut child = tool(ours, "pub", broker).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap().status.code()
}

/// Publishing: arguments, standard input, and the arguments of the subscriber that both must make print the same.
const PUBLISH: [(&str, &str, &str); 13] = [
    ("-t a -m one", "", "-t a -v -C 1"),
    ("-t a/b -m one -q 1", "", "-t a/# -v -C 1 -q 1"),
    ("-t a/b -m one -q 2 -V 5", "", "-t +/b -C 1 -q 2 -F %q|%t|%p|%l|%r"),
    ("-t a -n", "", "-t a -C 1 -F [%p]%l"),
    ("-t a -l", "x\n\ny\nz", "-t a -C 4"),
    ("-t a -n", "", "-t a -C 1 -v"),
    ("-t a -s", "x\ny\n", "-t a -C 1 -N -F %x\\n"),
    ("-t a -m again --repeat 3", "", "-t a -C 3"),
    ("-t a -m -5 -i me -u name -P word -k 10", "", "-t a -C 1"),
    ("-t a -m x -V mqttv311", "", "-t a -C 1 -V mqttv311"),
    (
        "-t a -m x -V 5 -D publish content-type text -D publish user-property k v",
        "",
        "-V 5 -t a -C 1 -F %C|%P",
    ),
    ("-t a -m {\"k\":1} -M 5", "", "-t a -C 1 -F %X"),
    ("-t $SYSX -m x -I prefix", "", "-t # -t $SYSX -C 1 -v"),
];

#[test]
fn what_pub_sends_is_what_mosquitto_pub_sends() {
    let broker = Broker::start(&["--shards", "1"]);
    thread::scope(|scope| {
        for (number, (arguments, input, subscriber)) in PUBLISH.into_iter().enumerate() {
            let broker = broker.address();
            scope.spawn(move || {
                // Each row under a topic of its own, so that they can run side by side.
                let own = |words: &str| -> Vec<String> {
                    let mut topic = false;
                    let words = words.split(' ').map(|word| {
                        let is_topic = std::mem::replace(&mut topic, word == "-t");
                        if is_topic { format!("r{number}/{word}") } else { word.to_owned() }
                    });
                    words.collect()
                };
                let (arguments, subscriber) = (own(arguments), own(subscriber));
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let subscriber: Vec<&str> = subscriber.iter().map(String::as_str).collect();
                let mut results = Vec::new();
                for (publisher_is_ours, subscriber_is_ours) in
                    [(false, false), (true, false), (false, true), (true, true)]
                {
                    let running = Running::subscribed(subscriber_is_ours, broker, &subscriber);
                    let code = publish(publisher_is_ours, broker, &arguments, input);
                    results.push((code, running.rest()));
                }
                for result in &results {
                    assert_eq!(result, &results[0], "{arguments:?} to {subscriber:?} {results:?}");
                }
                assert_eq!(results[0].0, Some(0), "{arguments:?}");
                assert_eq!(results[0].1.1, Some(0), "{subscriber:?}");
            });
        }
    });
}

#[test]
fn exit_codes_are_those_that_scripts_know() {
    let broker = Broker::start(&["--shards", "1"]);
    let code = |ours: bool, name: &str, arguments: &str| {
        let mut command = tool(ours, name, broker.address());
        command.args(arguments.split(' ')).output().unwrap().status.code()
    };
    for ours in [false, true] {
        assert_eq!(code(ours, "sub", "-t nothing -W 1"), Some(27), "the time is over");
        assert_eq!(code(ours, "sub", "-t a -E"), Some(0), "subscribed, and ended");
    }
    let refused = [
        ("pub", "-t a/# -m x"),
        ("pub", "-t a"),
        ("pub", "-m x"),
        ("pub", "-t a -m x -n"),
        ("pub", "-t a -m x -q 3"),
        ("pub", "-t a -m x -V 6"),
        ("sub", "-t a/#/b"),
        ("sub", "-t a -c"),
        ("sub", "-t a -F %z"),
        ("sub", "-q 1"),
        ("request", "-t a -m x -V 311"),
    ];
    for (name, arguments) in refused {
        assert_eq!(code(true, name, arguments), Some(2), "{name} {arguments}");
    }
}

#[test]
fn no_broker_is_an_error_and_is_said() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for name in ["pub", "sub"] {
        let mut command = tool(true, name, free);
        command.args(["-t", "a"]).args(if name == "pub" { &["-n"][..] } else { &[] });
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("refused"), "{output:?}");
    }
}

#[test]
fn files_and_formats() {
    let broker = Broker::start(&["--shards", "1"]);
    let folder = Folder::new();
    let file = folder.file("payload", b"{\"k\": [1, 2]}");
    for (format, expected) in [
        ("text", "{\"k\": [1, 2]}"),
        ("hex", "7b226b223a205b312c20325d7d"),
        ("json", "\"payload\":{\"k\": [1, 2]}}"),
    ] {
        let running =
            Running::subscribed(true, broker.address(), &["-t", "f", "-C", "1", "--format", format]);
        assert_eq!(publish(true, broker.address(), &["-t", "f", "-f", file.to_str().unwrap()], ""), Some(0));
        let (lines, code) = running.rest();
        assert!(lines[0].ends_with(expected), "{lines:?}");
        assert_eq!(code, Some(0));
    }
}

/// -T, -R, --retained-only, --remove-retained, -U, -c
#[test]
fn what_sub_leaves_out_and_what_a_session_keeps() {
    let broker = Broker::start(&["--shards", "1"]);
    let to = broker.address();
    for topic in ["k/1", "k/2"] {
        assert_eq!(publish(true, to, &["-t", topic, "-m", "kept", "-r"], ""), Some(0));
    }
    let output = |arguments: &[&str]| {
        let output = tool(true, "sub", to).args(arguments).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    assert_eq!(output(&["-t", "k/#", "-T", "k/1", "-v", "-C", "1"]), ("k/2 kept\n".into(), Some(0)));
    assert_eq!(output(&["-t", "k/#", "-R", "-W", "0.3"]), (String::new(), Some(27)));
    assert_eq!(output(&["-t", "k/1", "--remove-retained", "-C", "1"]), ("kept\n".into(), Some(0)));
    assert_eq!(output(&["-t", "k/#", "-v", "-C", "1"]), ("k/2 kept\n".into(), Some(0)));

    assert_eq!(output(&["-t", "s", "-q", "1", "-i", "keeper", "-c", "-E"]).1, Some(0));
    assert_eq!(publish(true, to, &["-t", "s", "-m", "while away", "-q", "1"], ""), Some(0));
    assert_eq!(
        output(&["-t", "s", "-q", "1", "-i", "keeper", "-c", "-C", "1"]),
        ("while away\n".into(), Some(0))
    );
    assert_eq!(output(&["-U", "s", "-i", "keeper", "-c"]), (String::new(), Some(0)));
    assert_eq!(publish(true, to, &["-t", "s", "-m", "not wanted", "-q", "1"], ""), Some(0));
    assert_eq!(output(&["-t", "x", "-q", "1", "-i", "keeper", "-c", "-W", "0.3"]), (String::new(), Some(27)));
}

#[test]
fn a_request_is_answered_or_times_out() {
    let broker = Broker::start(&["--shards", "1"]);
    let to = broker.address();
    let running = Running::subscribed(true, to, &["-t", "ask", "-C", "1", "-F", "%R"]);
    let mut asker =
        tool(true, "request", to).args(["-t", "ask", "-m", "?", "-i", "asker", "-W", "20"]).spawn().unwrap();
    let (lines, _) = running.rest();
    assert_eq!(lines, ["dunlin/reply/asker"]);
    // Without the Correlation Data it is no answer.
    assert_eq!(publish(true, to, &["-t", &lines[0], "-m", "not this one"], ""), Some(0));
    asker.kill().unwrap();
    asker.wait().unwrap();
    let late = tool(true, "request", to).args(["-t", "ask", "-n", "-W", "0.3"]).output().unwrap();
    assert_eq!(late.status.code(), Some(27));
}

/// SIGINT: clean end, and the exit code says so.
#[test]
fn an_interrupted_sub_disconnects() {
    let broker = Broker::start(&["--shards", "1"]);
    let will = ["-t", "a", "--will-topic", "gone", "--will-payload", "lost"];
    let watcher = Running::subscribed(true, broker.address(), &["-t", "gone", "-C", "1"]);
    let running = Running::subscribed(true, broker.address(), &will);
    let id = running.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(running.rest().1, Some(130));
    let mut killed = Running::subscribed(
        true,
        broker.address(),
        &["-t", "a", "--will-topic", "gone", "--will-payload", "killed"],
    );
    killed.child.kill().unwrap();
    assert_eq!(watcher.rest().0, ["killed"], "the will of the first was not published");
}
