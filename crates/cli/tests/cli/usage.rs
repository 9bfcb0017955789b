//! Help, version, and command lines that ask for what cannot be.

use crate::process::{fails, run};

#[test]
fn help_shows_examples_and_exit_codes() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("Examples:\n  dunlin serve") && text.contains("\n  dunlin serve --dev"),
            "{text}"
        );
        assert!(text.contains("Exit codes:\n  0 "), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }
}

#[test]
fn version_is_one_line() {
    let output = run(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("dunlin {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_line_that_cannot_be_understood_is_2() {
    assert!(fails(2, &[]).contains("Usage: dunlin <COMMAND>"));
    assert!(fails(2, &["sevre"]).starts_with("dunlin: error: unrecognized subcommand 'sevre'"));
    assert!(fails(2, &["serve", "--prot", "1"]).starts_with("dunlin: error: unexpected argument '--prot'"));
    assert!(fails(2, &["serve", "--dev", "--shards", "0"]).contains("0 is not in 1..=64"));
}

#[test]
fn a_listener_that_is_none_is_2_and_says_what_is_allowed() {
    let error = fails(2, &["serve", "--dev", "--listen", "localhost"]);
    let start = "dunlin: error: --listen localhost: the port is missing; allowed: HOST:PORT, tcp://";
    assert!(error.starts_with(start), "{error}");
    assert!(error.ends_with("for example 127.0.0.1:1883, [::1]:1883 or localhost:0\n"), "{error}");
}

#[test]
fn a_transport_with_certificates_is_2_on_the_command_line_and_shows_the_file() {
    for scheme in ["tls", "wss", "quic"] {
        let url = format!("{scheme}://127.0.0.1:0");
        let error = fails(2, &["serve", "--dev", "--listen", &url]);
        assert!(
            error.starts_with(&format!("dunlin: error: --listen {url}: TLS needs a certificate")),
            "{error}"
        );
        assert!(error.contains(&format!("[[listener]]\nurl = \"{url}\"\ncertificate = ")), "{error}");
    }
}

#[test]
fn a_listener_that_others_could_read_is_5_and_names_dev() {
    let error = fails(5, &["serve", "--listen", "0.0.0.0:0"]);
    assert!(error.starts_with("dunlin: error: refusing to start: "), "{error}");
    assert!(error.contains("is not encrypted") && error.contains("dunlin serve --dev"), "{error}");
}

#[test]
fn dev_beyond_this_machine_is_5_and_says_how_to_do_it() {
    for url in ["0.0.0.0:1883", "tcp://192.0.2.1:0", "[::]:0"] {
        let error = fails(5, &["serve", "--dev", "--listen", "127.0.0.1:0", "--listen", url]);
        assert!(error.contains("is not a loopback address"), "{error}");
        assert!(error.contains("ssh -L"), "{error}");
    }
}

#[test]
fn errors_are_lines_without_backtraces() {
    for arguments in [
        &["serve", "--listen", "0.0.0.0:0"][..],
        &["serve", "--dev", "--data", "/dev/null/x"],
        &["config", "check", "/nonexistent"],
    ] {
        let error = String::from_utf8(run(arguments).stderr).unwrap();
        assert!(error.starts_with("dunlin: error: ") && error.lines().count() <= 4, "{error}");
        assert!(!error.contains("panicked") && !error.contains("stack backtrace"), "{error}");
    }
}
