//! A service that is asked by HTTP.

use std::fs;

use super::mounts::subscriber_as;
use super::{Service, configure, port, prepared, publish, reload, start};
use crate::secured::Directory;

fn section(service: &Service, more: &str) -> String {
    format!(
        "[authentication.http]\nurl = \"http://127.0.0.1:{}/login\"\nauthorization_file = \"authorization\"\n{more}",
        service.port
    )
}

fn with_authorization() -> Directory {
    let directory = prepared();
    fs::write(directory.path().join("authorization"), "Bearer of-the-broker\n").unwrap();
    directory
}

#[test]
fn a_service_is_asked_once_for_the_same_and_passes_on_whom_it_does_not_know() {
    let directory = with_authorization();
    let service = Service::start(&directory);
    configure(&directory, "[\"http\", \"password\"]", &section(&service, ""));
    let broker = start(&directory);
    for _ in 0..3 {
        assert_eq!(publish(&directory, &broker, "amy", "right", "plant/1"), "");
    }
    let wrong = publish(&directory, &broker, "amy", "wrong", "plant/1");
    assert!(wrong.contains("Bad User Name or Password"), "{wrong}");
    let passed_on = publish(&directory, &broker, "nobody", "x", "plant/1");
    assert!(passed_on.contains("Bad User Name or Password"), "{passed_on}");
    let asked = "POST /login Bearer of-the-broker";
    assert_eq!(service.end(), [asked; 3]);
}

#[test]
fn without_an_answer_nobody_is_let_in_and_the_service_is_left_alone() {
    let directory = with_authorization();
    let service = Service::start(&directory);
    let more = "breaker_failures = 2\nbreaker_rest_ms = 600_000\nbreaker_rest_maximum_ms = 600_000\n";
    configure(&directory, "[\"http\", \"password\"]", &section(&service, more));
    let broker = start(&directory);
    assert_eq!(publish(&directory, &broker, "amy", "right", "plant/1"), "");
    service.end();
    assert_eq!(publish(&directory, &broker, "amy", "right", "plant/1"), "", "what it said is kept");
    for _ in 0..4 {
        // A right password, too: whoever can stop the service must not choose what is asked instead.
        let said = publish(&directory, &broker, "amy", super::PASSWORD, "plant/1");
        assert!(said.contains("Server unavailable"), "{said}");
    }
    assert!(broker.logged("authentication service gives no answer").contains("rest=None"));
    assert!(broker.logged("authentication service gives no answer").contains("rest=Some(600s)"));

    // A reload tries again; with another word for it, the next of the chain is asked.
    let service = Service::start(&directory);
    configure(&directory, "[\"http\", \"password\"]", &section(&service, "without_answer = \"pass\"\n"));
    let lines = reload(&broker);
    assert!(!lines.iter().any(|line| line.contains("gives no answer")), "it was left alone: {lines:?}");
    service.end();
    assert_eq!(publish(&directory, &broker, "amy", super::PASSWORD, "plant/1"), "");
}

#[test]
fn whoever_the_service_denies_later_is_disconnected_and_its_password_is_not_kept_for_that() {
    let directory = with_authorization();
    let mut service = Service::start(&directory);
    configure(&directory, "[\"http\"]", &section(&service, "recheck_seconds = 1\n"));
    let broker = start(&directory);
    let login = ["-u", "amy", "-P", "right"];
    let (mut child, mut lines) = subscriber_as(&directory, &port(&broker), "amy", "plant/#", &login);
    // It is asked again and again, and says yes: with a password among what it is asked it would say no.
    let again = "POST /login Bearer of-the-broker again";
    assert_eq!(service.lines.by_ref().filter(|line| line.as_ref().unwrap() == again).take(3).count(), 3);
    assert_eq!(publish(&directory, &broker, "amy", "right", "plant/still"), "");
    assert!(lines.any(|line| line.starts_with("plant/still")), "it is still there");

    fs::write(directory.path().join("disabled"), "amy").unwrap();
    assert!(lines.any(|line| line.contains("Received DISCONNECT (135)")), "it is no longer let in");
    child.kill().unwrap();
    child.wait().unwrap();
    let said = publish(&directory, &broker, "amy", "right", "plant/1");
    assert!(said.contains("Bad User Name or Password"), "what was kept is forgotten: {said}");
}
