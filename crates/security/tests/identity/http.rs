//! An HTTP service that judges log-ins.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dunlin_security::identity::http::{
    BreakerLimits, CallOut, CallOutSettings, Client, ClientSettings, Roots,
};
use dunlin_security::identity::{Action, Authenticator, Denial, Outcome, Secret};

use crate::tools::{Folder, Talker, attempt, denied, granted, login, python};

struct Service {
    talker: Talker,
    port: u16,
}

impl Service {
    fn start() -> Self {
        let mut talker = Talker::start(&mut python("service.py"));
        let port = talker.line().parse().unwrap();
        Self { talker, port }
    }

    fn with_tls(certificate: &PathBuf, key: &PathBuf) -> Self {
        let mut talker = Talker::start(python("service.py").arg(certificate).arg(key));
        let port = talker.line().parse().unwrap();
        Self { talker, port }
    }

    fn ask(&self, path: &str, settings: CallOutSettings) -> CallOut {
        let client = ClientSettings { timeout: Duration::from_millis(500), ..ClientSettings::default() };
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        CallOut::new(Client::new(&url, &client).unwrap(), settings).unwrap()
    }
}

#[test]
fn the_service_allows_denies_and_passes() {
    let service = Service::start();
    let call = service.ask("/login", CallOutSettings::default());

    let grant = granted(call.authenticate(&login("amy", "right")));
    assert_eq!(grant.identity.username.as_deref(), Some("amy"));
    assert_eq!(grant.identity.groups, [Box::from("ops")]);
    assert_eq!(denied(call.authenticate(&login("amy", "wrong"))), Denial::BadCredentials);
    assert!(matches!(call.authenticate(&login("nobody", "x")), Outcome::Pass));
    assert!(matches!(call.authenticate(&attempt()), Outcome::Pass), "nothing to ask about");
}

#[test]
fn the_service_says_who_the_client_is_and_what_it_may_do() {
    let service = Service::start();

    let grant = granted(service.ask("/full", CallOutSettings::default()).authenticate(&login("amy", "x")));

    assert_eq!(grant.identity.username.as_deref(), Some("amy@plant"));
    assert_eq!(&*grant.identity.client_id, "pump-17");
    assert_eq!(grant.identity.attributes.get("claim.site").map(|site| &**site), Some("north"));
    assert_eq!(grant.rules[0].action, Action::Publish);
    assert!(grant.expires.is_some());
}

#[test]
fn the_same_question_is_asked_once() {
    let mut service = Service::start();
    let authorization = Some(Secret::new(*b"Bearer us"));
    let call = service.ask("/login", CallOutSettings { authorization, ..CallOutSettings::default() });

    for _ in 0..3 {
        granted(call.authenticate(&login("amy", "right")));
        denied(call.authenticate(&login("amy", "wrong")));
    }
    call.clear_cache();
    granted(call.authenticate(&login("amy", "right")));
    let marker = service.ask("/status/204", CallOutSettings::default());
    granted(marker.authenticate(&login("amy", "right")));

    let login = "POST /login Bearer us";
    for expected in [login, login, login, "POST /status/204 -"] {
        assert_eq!(service.talker.line(), expected);
    }
}

#[test]
fn a_service_out_of_order_lets_nobody_in() {
    let service = Service::start();
    for path in ["/status/500", "/status/302", "/status/404", "/away", "/large", "/slow", "/status/200"] {
        let call = service.ask(path, CallOutSettings::default());
        let start = Instant::now();
        assert_eq!(denied(call.authenticate(&login("amy", "right"))), Denial::Unavailable, "{path}");
        assert!(start.elapsed() < Duration::from_secs(5), "{path}");

        let passing =
            service.ask(path, CallOutSettings { pass_without_answer: true, ..CallOutSettings::default() });
        assert!(matches!(passing.authenticate(&login("amy", "right")), Outcome::Pass), "{path}");
    }
}

#[test]
fn a_service_that_does_not_answer_is_left_alone() {
    let mut service = Service::start();
    let breaker = BreakerLimits { failures: 2, rest: Duration::from_secs(600), ..BreakerLimits::default() };
    let call = service.ask("/status/500", CallOutSettings { breaker, ..CallOutSettings::default() });

    for _ in 0..5 {
        assert_eq!(denied(call.authenticate(&login("amy", "right"))), Denial::Unavailable);
    }
    granted(service.ask("/status/204", CallOutSettings::default()).authenticate(&login("amy", "right")));

    for expected in ["POST /status/500 -", "POST /status/500 -", "POST /status/204 -"] {
        assert_eq!(service.talker.line(), expected);
    }
}

#[test]
fn a_slow_service_holds_no_more_workers_than_it_may() {
    let mut service = Service::start();
    let call = service.ask("/slow", CallOutSettings { in_flight_maximum: 1, ..CallOutSettings::default() });

    std::thread::scope(|scope| {
        let slow = scope.spawn(|| denied(call.authenticate(&login("amy", "right"))));
        assert_eq!(service.talker.line(), "POST /slow -");
        assert_eq!(denied(call.authenticate(&login("bob", "right"))), Denial::Busy);
        assert_eq!(slow.join().unwrap(), Denial::Unavailable);
    });
}

#[test]
fn only_a_trusted_service_is_told_passwords() {
    let folder = Folder::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = folder.file("service.crt", &made.cert.pem());
    let key = folder.file("service.key", &made.signing_key.serialize_pem());
    let service = Service::with_tls(&certificate, &key);
    let url = format!("https://localhost:{}/login", service.port);
    let ask = |roots| {
        let client = Client::new(&url, &ClientSettings { roots, ..ClientSettings::default() }).unwrap();
        CallOut::new(client, CallOutSettings::default()).unwrap().authenticate(&login("amy", "right"))
    };

    granted(ask(Roots::File(certificate)));
    assert_eq!(denied(ask(Roots::System)), Denial::Unavailable);
}
