//! A configuration file: listeners that show more than they should.

use std::path::Path;

use dunlin_security::authority::Moment;

use super::certificates::{examine_file, examine_secret};
use super::finding::{Finding, Findings, Severity};
use crate::config::{self, Config, Files, Listener, Proof, mode};
use crate::listen;

/// Looks at it.
pub(super) fn examine(config: &Config, path: &Path, now: Moment, findings: &mut Findings) {
    findings.looked_at(path.display());
    for listener in &config.listener {
        let place = format!("{}: [[listener]] {}", path.display(), listener.url);
        exposed(listener, &place, findings);
        files(listener, &place, now, findings);
    }
    unused(config, path, findings);
    not_asked_again(config, path, findings);
}

/// A service that is asked at the log-in alone.
fn not_asked_again(config: &Config, path: &Path, findings: &mut Findings) {
    let (http, ldap) = (&config.authentication.http, &config.authentication.ldap);
    for (section, proof, seconds) in
        [("http", Proof::Http, http.recheck_seconds), ("ldap", Proof::Ldap, ldap.recheck_seconds)]
    {
        if seconds == 0 && config::asks(config, proof) {
            findings.add(Finding {
                severity: Severity::Low,
                check: "no-recheck",
                place: format!("{}: [authentication.{section}]", path.display()),
                what: "who is disabled there gets in no more, but stays connected".to_owned(),
                mend: "recheck_seconds = 300".to_owned(),
            });
        }
    }
}

/// Whoever wrote such a section thinks that clients are held to it.
fn unused(config: &Config, path: &Path, findings: &mut Findings) {
    for section in config::unused(&config.authentication, |proof| config::asks(config, proof)) {
        findings.add(Finding {
            severity: Severity::Low,
            check: "unused-authentication",
            place: format!("{}: [authentication.{section}]", path.display()),
            what: format!("no chain has {section}: nobody is held to what stands there"),
            mend: format!("authentication.chain = [\"{section}\", ...], or without the section"),
        });
    }
}

fn exposed(listener: &Listener, place: &str, findings: &mut Findings) {
    let mut add = |severity, check, what: &str, mend: String| {
        findings.add(Finding { severity, check, place: place.to_owned(), what: what.to_owned(), mend });
    };
    let scheme = listener.url.scheme();
    if listener.url.file().is_none() && !scheme.has_tls() && is_reached_from_elsewhere(listener) {
        let text = listener.url.to_string();
        let encrypted = if scheme.has_frames() { "wss" } else { "tls" };
        let address = text.split_once("://").map_or(text.as_str(), |(_, address)| address);
        let what = "a port without TLS: whoever is on the way reads everything, passwords included";
        add(Severity::High, "no-tls", what, format!("url = \"{encrypted}://{address}\""));
    }
    let is_writable = |bits: u32| bits & 0o002 != 0;
    if listener.permissions.as_deref().and_then(mode).is_some_and(is_writable) {
        let what = "every user of this machine may connect";
        add(Severity::Medium, "socket-open", what, "permissions = \"660\"".to_owned());
    }
    if listener.origins.iter().flatten().any(|origin| origin == "*") {
        let what = "any page that somebody opens may speak to the broker from there";
        add(Severity::Medium, "any-origin", what, "origins = [\"https://your.page.example\"]".to_owned());
    }
    if listener.client_ca.is_some() && listener.client_crl.is_none() {
        let what = "client_ca without client_crl: a certificate that was stolen is good until it ends";
        add(Severity::Medium, "no-revocation", what, "client_crl = \"revoked.crl\"".to_owned());
    }
}

fn files(listener: &Listener, place: &str, now: Moment, findings: &mut Findings) {
    let mend = |key: &str| format!("another file for {key} in {place}");
    for path in listener.certificate.iter().flat_map(Files::list) {
        examine_file(path, &mend("certificate"), now, findings);
    }
    if let Some(path) = &listener.client_ca {
        examine_file(path, &mend("client_ca"), now, findings);
    }
    for path in listener.key.iter().flat_map(Files::list) {
        examine_secret(path, findings);
    }
}

/// A name that cannot be resolved here may be anything.
fn is_reached_from_elsewhere(listener: &Listener) -> bool {
    let addresses = listener.url.resolve();
    addresses.map_or(true, |addresses| addresses.iter().any(|address| !listen::is_loopback(*address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(toml: &str) -> Vec<&'static str> {
        let mut findings = Findings::default();
        examine(&Config::parse(toml).unwrap(), Path::new("x.toml"), Moment::from_unix(0), &mut findings);
        findings.checks()
    }

    #[test]
    fn ports_that_others_reach_need_tls() {
        assert_eq!(found("[[listener]]\nurl = \"tcp://0.0.0.0:1883\""), ["no-tls"]);
        assert_eq!(
            found("[[listener]]\nurl = \"ws://[::]:8083\"\norigins = [\"*\"]"),
            ["no-tls", "any-origin"]
        );
        assert!(found("[[listener]]\nurl = \"tcp://127.0.0.1:1883\"").is_empty());
        assert!(found("[[listener]]\nurl = \"tls://0.0.0.0:8883\"").is_empty());
    }

    #[test]
    fn sections_that_no_chain_asks_for_are_said() {
        let section = "[authentication.http]\nurl = \"https://auth.example/\"";
        assert_eq!(found(section), ["unused-authentication"]);
        let asked = format!("authentication.chain = [\"http\"]\n{section}");
        assert_eq!(found(&asked), ["no-recheck"]);
        assert!(found(&format!("{asked}\nrecheck_seconds = 60")).is_empty());
    }

    #[test]
    fn sockets_are_not_for_everybody() {
        assert_eq!(found("[[listener]]\nurl = \"unix:/run/x\"\npermissions = \"666\""), ["socket-open"]);
        assert!(found("[[listener]]\nurl = \"unix:/run/x\"").is_empty());
    }

    #[test]
    fn authorities_without_a_list_and_files_without_a_certificate_are_said() {
        let toml = "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = \"/nowhere/a\"\nkey = \"/nowhere/b\"\n\
                    client_ca = \"/nowhere/c\"";
        assert_eq!(found(toml), ["no-revocation", "certificate-unreadable", "certificate-unreadable"]);
    }
}
