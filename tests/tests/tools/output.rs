//! What the tools print: decoded payloads, progress, completions, manual pages; and `sub` beside mosquitto_sub.

use std::process::{Command, Stdio};

use dunlin_tests::Broker;

use crate::commands::{Running, dunlin, publish, tool};
use crate::folder::Folder;

#[test]
fn payloads_are_decoded_when_asked() {
    let broker = Broker::start(&["--shards", "1"]);
    let folder = Folder::new();
    let to = broker.address();
    let cbor: &[u8] = &[0xa1, 0x61, b'k', 0x82, 1, 0xf5];
    let msgpack: &[u8] = &[0x81, 0xa1, b'k', 0x92, 1, 0xc3];
    let text = "{\"k\": [1, true]}";
    let zipped = Command::new("gzip")
        .arg("-c")
        .arg(folder.file("text", text))
        .stdin(Stdio::null())
        .output()
        .expect("gzip")
        .stdout;
    let rows: [(&[u8], &[&str], &str); 8] = [
        (cbor, &["--decode"], "{\"k\":[1,true]}"),
        (msgpack, &["--decode"], "{\"k\":[1,true]}"),
        (&zipped, &["--decode"], text),
        (&zipped, &["--decode=gzip,json"], text),
        (cbor, &["--decode=cbor", "-F", "%p %l"], "{\"k\":[1,true]} 14"),
        (text.as_bytes(), &["--pretty", "-F", "%p"], "{"),
        (cbor, &[], "\u{fffd}ak\u{fffd}\u{1}\u{fffd}"),
        (text.as_bytes(), &["--decode=cbor", "--quiet"], text),
    ];
    for (payload, arguments, expected) in rows {
        let running = Running::subscribed(true, to, &[&["-t", "d", "-C", "1"], arguments].concat());
        let file = folder.file("payload", payload);
        assert_eq!(publish(true, to, &["-t", "d", "-f", file.to_str().unwrap()], ""), Some(0));
        let (lines, code) = running.rest();
        assert_eq!((lines[0].as_str(), code), (expected, Some(0)), "{arguments:?}");
    }
}

#[test]
fn what_pub_compresses_says_so() {
    let broker = Broker::start(&["--shards", "1"]);
    let to = broker.address();
    let text = "tick ".repeat(500);
    for how in ["gzip", "zstd"] {
        let format = ["-t", "z", "-C", "1", "-F", "%P %l %p", "--decode"];
        let running = Running::subscribed(true, to, &format);
        assert_eq!(publish(true, to, &["-t", "z", "-s", "--compress", how], &text), Some(0));
        assert_eq!(running.rest().0[0], format!("content-encoding:{how} 2500 {text}"));
    }
    assert_eq!(publish(true, to, &["-t", "z", "-m", "x", "--compress", "gzip", "-V", "311"], ""), Some(2));
}

#[test]
fn progress_is_shown_when_asked_and_not_into_a_file_otherwise() {
    let broker = Broker::start(&["--shards", "1"]);
    let folder = Folder::new();
    let file = folder.file("lines", "line\n".repeat(1000));
    for (arguments, shown) in [(&["--progress"][..], true), (&[], false), (&["--progress", "--quiet"], false)]
    {
        let input = std::fs::File::open(&file).unwrap();
        let mut command = tool(true, "pub", broker.address());
        let output = command.args(["-t", "p", "-l"]).args(arguments).stdin(input).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("1000 messages, 3 KiB") && said.contains("100 %"), shown, "{said:?}");
        assert_eq!(said.is_empty(), !shown);
    }
}

/// Retained messages are there, the live ones come when it has subscribed.
const SUBSCRIBE: [&str; 12] = [
    "-t s/# -C 2 -v",
    "-t s/# -T s/1 -C 1 -v",
    "-t s/# --retained-only -C 2 -N",
    "-t s/+ -t s/1 -C 2 -q 2 -F %t|%q|%r|%l|%x",
    "-t s/1 -C 1 -F \\t%p\\\\%%",
    "-t s/# -R -W 1",
    "-t s/2 -C 1 -V 5 -F %X",
    "-t s/2 -C 1 -V mqttv311 -i fixed -k 20",
    "-t s/1 -E",
    "-t s/1 -C 1 -u name -P word",
    "-t s/1 -C 1 -I prefix --will-topic w --will-payload x --will-qos 1 --will-retain",
    "-t $share/g/s/none -W 1 -V 5",
];

#[test]
fn what_sub_prints_is_what_mosquitto_sub_prints() {
    let broker = Broker::start(&["--shards", "1"]);
    let to = broker.address();
    for number in ["1", "2"] {
        let topic = format!("s/{number}");
        assert_eq!(
            publish(true, to, &["-t", &topic, "-m", &format!("kept {number}"), "-r", "-q", "1"], ""),
            Some(0)
        );
    }
    std::thread::scope(|scope| {
        for arguments in SUBSCRIBE {
            scope.spawn(move || {
                let run = |ours| {
                    let output = tool(ours, "sub", to).args(arguments.split(' ')).output().unwrap();
                    (String::from_utf8(output.stdout).unwrap(), output.status.code())
                };
                let (theirs, ours) = (run(false), run(true));
                // A broker may send retained messages in any order.
                let sorted = |text: &str| {
                    let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
                    lines.sort();
                    lines
                };
                assert_eq!((sorted(&ours.0), ours.1), (sorted(&theirs.0), theirs.1), "{arguments}");
            });
        }
    });
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(dunlin()).args(["completion", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["cafile", "will-topic", "decode", "completion"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    let check = "eval \"$(\"$0\" completion bash)\" && COMP_WORDS=(dunlin pub --will-p) COMP_CWORD=2 \
                 && _dunlin dunlin --will-p pub && printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", check]).arg(dunlin()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "--will-payload\n");
    assert_eq!(Command::new(dunlin()).args(["completion", "cobol"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Folder::new();
    let directory = folder.path().join("man");
    let output = Command::new(dunlin()).arg("man").arg(&directory).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for name in
        ["dunlin", "dunlin-serve", "dunlin-pub", "dunlin-sub", "dunlin-request", "dunlin-config-check"]
    {
        let page = std::fs::read_to_string(directory.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(&name.to_uppercase()), "{name}");
    }
    let page = std::fs::read_to_string(directory.join("dunlin-sub.1")).unwrap();
    for word in ["\\-\\-decode", "Exit codes:", "\\fB\\-W\\fR"] {
        assert!(page.contains(word), "{word}");
    }
    let nowhere = Command::new(dunlin()).args(["man", "/dev/null/man"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
}
