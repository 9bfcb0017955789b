//! A SCRAM client of another library logs in.

use std::sync::Arc;
use std::time::SystemTime;

use dunlin_security::identity::password::{self, UserStore};
use dunlin_security::identity::scram::Scram;
use dunlin_security::identity::{
    Attempt, Chain, Denial, Guard, GuardLimits, Method, Pending, Secret, Verdict,
};

use crate::tools::{Folder, Talker, attempt, python};

fn chain(folder: &Folder) -> Chain {
    let path = folder.path("users");
    password::add(&path, "amy", &Secret::new("pässword\u{2168}".as_bytes()), true).unwrap();
    password::add(&path, "bob", &Secret::new(*b"no scram"), false).unwrap();
    let scram = Scram::new(Arc::new(UserStore::open(&path).unwrap()), &Secret::new([3; 32]));
    Chain::new(Arc::new(Guard::new(GuardLimits::default()))).with("users", Arc::new(scram))
}

fn connect(client: &mut Talker) -> Attempt {
    let data = Some(Secret::new(client.line().into_bytes()));
    Attempt { method: Some(Method { name: "SCRAM-SHA-256".into(), data }), ..attempt() }
}

/// Lets client and server talk until the verdict.
fn converse(chain: &Chain, client: &mut Talker, verdict: Verdict) -> Verdict {
    let pending: Pending = match verdict {
        Verdict::Continue(pending) => pending,
        other => return other,
    };
    client.say(std::str::from_utf8(pending.data()).unwrap());
    let answer = client.line();
    chain.answer(pending, answer.as_bytes(), SystemTime::now())
}

fn log_in(chain: &Chain, user: &str, password: &str) -> (Talker, Verdict) {
    let mut client = Talker::start(python("credentials.py").args(["scram", user, password]));
    let attempt = connect(&mut client);
    let verdict = converse(chain, &mut client, chain.judge(&attempt));
    (client, verdict)
}

#[test]
fn client_and_server_prove_that_they_know_the_password() {
    let folder = Folder::new();
    let chain = chain(&folder);

    // The roman nine is prepared to the letters.
    let (mut client, verdict) = log_in(&chain, "amy", "pässwordIX");

    let Verdict::Allow { grant, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(grant.identity.username.as_deref(), Some("amy"));
    client.say(std::str::from_utf8(&grant.data.unwrap()).unwrap());
    assert_eq!(client.line(), "trusted");
}

#[test]
fn a_wrong_password_an_unknown_user_and_one_without_scram_fail_alike() {
    let folder = Folder::new();
    let chain = chain(&folder);

    for (user, password) in [("amy", "wrong"), ("nobody", "x"), ("bob", "no scram")] {
        let (_, verdict) = log_in(&chain, user, password);
        assert!(matches!(verdict, Verdict::Deny(Denial::BadCredentials)), "{user}: {verdict:?}");
    }
}

/// [MQTT-4.12.1-1]
#[test]
fn re_authentication_is_an_exchange_of_its_own() {
    let folder = Folder::new();
    let chain = chain(&folder);
    let (_, verdict) = log_in(&chain, "amy", "pässwordIX");
    let Verdict::Allow { grant, .. } = verdict else { panic!("{verdict:?}") };

    let mut client = Talker::start(python("credentials.py").args(["scram", "amy", "pässwordIX"]));
    let again = connect(&mut client);
    let verdict = converse(&chain, &mut client, chain.judge_again(&again, &grant.identity));

    assert!(matches!(verdict, Verdict::Allow { .. }), "{verdict:?}");
}
