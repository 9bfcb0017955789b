//! SIGHUP: what a new file changes, and that a file with a fault changes nothing.

use rustix::process::Signal;

use crate::process::{Broker, TemporaryFile};

fn serve(file: &TemporaryFile) -> Broker {
    let broker = Broker::start(&["--listen", "127.0.0.1:0", "--config", file.path()]);
    broker.logged("accepting connections");
    broker
}

#[test]
fn a_new_file_is_taken_over() {
    let file = TemporaryFile::new("[limits]\nreceive_maximum = 7");
    let mut broker = serve(&file);
    file.write("[limits]\nreceive_maximum = 8");
    broker.signal(Signal::HUP);
    broker.logged("configuration reloaded");
    broker.signal(Signal::TERM);
    assert_eq!(broker.ends().code(), Some(0));
}

#[test]
fn levels_change_while_it_runs() {
    let file = TemporaryFile::new("log.level = \"info\"");
    let broker = serve(&file);
    file.write("log.level = \"error\"\nshards = 3");
    broker.signal(Signal::HUP);
    // The warning comes before the change; what comes after it is silent, until there is an error.
    broker.logged("needs a restart");
    file.write("log.level = 0");
    broker.signal(Signal::HUP);
    let next = broker.logged("configuration");
    assert!(next.contains("ERROR") && next.contains("configuration not reloaded"), "{next}");

    file.write("log.level = \"error\"\nlog.areas.process = \"info\"");
    broker.signal(Signal::HUP);
    broker.logged("configuration reloaded");
}

#[test]
fn a_file_with_a_fault_changes_nothing_and_the_fault_is_logged() {
    let file = TemporaryFile::new("[limits]\nreceive_maximum = 7");
    let mut broker = serve(&file);
    file.write("log.level = \"off\"\n[limits]\nreceive_maximum = 0");
    broker.signal(Signal::HUP);
    let line = broker.logged("configuration not reloaded");
    for part in ["line=3", "column=19", "limits.receive_maximum", "value=\"0\"", "1 to 65535", file.path()] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    file.write("");
    broker.signal(Signal::HUP);
    broker.logged("configuration reloaded");
    broker.signal(Signal::INT);
    assert_eq!(broker.ends().code(), Some(0));
}

#[test]
fn what_cannot_change_is_named() {
    let file = TemporaryFile::new("shards = 1");
    let broker = Broker::start(&["--listen", "127.0.0.1:0", "--config", file.path()]);
    file.write("shards = 2\nlog.format = \"json\"\n[[listener]]\nurl = \"127.0.0.1:0\"");
    broker.signal(Signal::HUP);
    assert!(broker.logged("needs a restart").contains("shards"));
    assert!(
        broker.logged("needs a restart").contains("log.format"),
        "--listen overrules the file's listeners"
    );
    broker.logged("configuration reloaded");
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let mut broker = Broker::start(&["--listen", "127.0.0.1:0"]);
    broker.signal(Signal::HUP);
    broker.logged("nothing to reload");
    broker.signal(Signal::TERM);
    assert_eq!(broker.ends().code(), Some(0));
}
