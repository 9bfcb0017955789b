//! Every command of docs/bench.md, run: shorter, and against brokers of the test.

use std::path::Path;
use std::process::{Command, Stdio};

use dunlin_tests::Broker;

#[test]
fn the_commands_of_the_manual_work() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    let commands: Vec<&str> =
        blocks.flat_map(|(block, _)| block.lines()).filter(|line| line.starts_with("dunlin bench")).collect();
    assert!(commands.len() >= 8, "the manual shows {commands:?}");

    let (broker, other) = (Broker::start(&[]), Broker::start(&[]));
    let folder = std::env::temp_dir().join(format!("dunlin-bench-manual-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for command in commands {
        let command = command.replace("localhost:1884", &other.address().to_string());
        let arguments = command.strip_prefix("dunlin ").unwrap();
        // The last of a flag counts.
        let shorter = if arguments.contains(" -n ") { "" } else { "-t 0.1 --warm-up 0" };
        let shorter = if arguments.contains("backlog") { "-n 500" } else { shorter };
        let port = broker.address().port();
        let script =
            format!("exec {} {arguments} -h 127.0.0.1 -p {port} {shorter}", crate::binary().display());
        let output = Command::new("timeout")
            .args(["60", "bash", "-c", &script])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command}: {said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
