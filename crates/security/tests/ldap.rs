//! The authenticator for directories against OpenLDAP's slapd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dunlin_security::identity::http::Roots;
use dunlin_security::identity::ldap::{Find, Ldap, LdapSettings};
use dunlin_security::identity::{
    Attempt, Authenticator, Denial, Grant, Outcome, Recheck, Rechecked, Secret, Standing,
};

const CONFIGURATION: &str = "\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile FOLDER/slapd.crt
TLSCertificateKeyFile FOLDER/slapd.key
pidfile FOLDER/slapd.pid
database mdb
suffix dc=example
rootdn cn=root,dc=example
rootpw root-secret
directory FOLDER/data
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=broker,dc=example read by self read by * none
";

const ENTRIES: &str = "\
dn: dc=example
objectClass: domain
dc: example

dn: cn=broker,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: broker
userPassword: broker-secret

dn: ou=people,dc=example
objectClass: organizationalUnit
ou: people

dn: uid=amy,ou=people,dc=example
objectClass: inetOrgPerson
uid: amy
cn: Amy
sn: A
departmentNumber: 7
userPassword: right

dn: uid=bob\\, jr.,ou=people,dc=example
objectClass: inetOrgPerson
uid: bob, jr.
cn: Bob
sn: B
userPassword: bobs

dn: uid=kiosk,ou=people,dc=example
objectClass: inetOrgPerson
uid: kiosk
cn: Kiosk
sn: K

dn: cn=ops,dc=example
objectClass: groupOfNames
cn: ops
member: uid=amy,ou=people,dc=example
";

/// A directory, ended with the test.
struct Slapd {
    child: Child,
    folder: PathBuf,
    plain: u16,
    tls: u16,
}

impl Slapd {
    fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("dunlin-ldap-{}-{number}", std::process::id()));
        std::fs::create_dir_all(folder.join("data")).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("slapd.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("slapd.key"), made.signing_key.serialize_pem()).unwrap();
        let configuration = CONFIGURATION.replace("FOLDER", folder.to_str().unwrap());
        std::fs::write(folder.join("slapd.conf"), configuration).unwrap();
        let (plain, tls, child) =
            (0..5).find_map(|_| run(&folder)).expect("slapd starts; run `make setup-tests`");
        let slapd = Self { child, folder, plain, tls };
        slapd.add_entries();
        slapd
    }

    /// Through the server, so that its overlays see them.
    fn add_entries(&self) {
        let mut ldap = self.as_root();
        for entry in ENTRIES.split("\n\n") {
            let lines: Vec<(&str, &str)> = entry.lines().map(|line| line.split_once(": ").unwrap()).collect();
            let ((_, dn), rest) = lines.split_first().unwrap();
            let mut attributes: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
            for (name, value) in rest {
                attributes.entry(name).or_default().insert(value);
            }
            let attributes = attributes.into_iter().collect();
            ldap.add(dn, attributes).unwrap().success().unwrap();
        }
        ldap.unbind().unwrap();
    }

    fn settings(&self, find: Find) -> LdapSettings {
        LdapSettings {
            url: format!("ldap://127.0.0.1:{}", self.plain).into(),
            start_tls: false,
            roots: Roots::File(self.folder.join("slapd.crt")),
            insecure: false,
            timeout: Duration::from_secs(5),
            find,
            groups: Some("memberOf".into()),
            attributes: vec!["departmentNumber".into(), "cn".into(), "mail".into()],
            in_flight_maximum: 2,
            recheck: Duration::ZERO,
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs slapd on two ports that were free a moment ago; `None` where they no longer are.
fn run(folder: &std::path::Path) -> Option<(u16, u16, Child)> {
    let [plain, tls] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = [&plain, &tls].map(|listener| listener.local_addr().unwrap().port());
    drop((plain, tls));
    let mut child = Command::new("/usr/sbin/slapd")
        .args(["-d", "stats", "-f"])
        .arg(folder.join("slapd.conf"))
        .arg("-h")
        .arg(format!("ldap://127.0.0.1:{} ldaps://127.0.0.1:{}", ports[0], ports[1]))
        .stderr(Stdio::piped())
        .spawn()
        .expect("slapd is there; run `make setup-tests`");
    // It blocks when nobody reads what it says.
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    thread::spawn(move || lines.for_each(drop));
    while ports.iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        thread::yield_now();
    }
    Some((ports[0], ports[1], child))
}

fn by_dn() -> Find {
    Find::Dn("uid=${username},ou=people,dc=example".into())
}

fn by_search() -> Find {
    Find::Search {
        bind: Some(("cn=broker,dc=example".into(), Secret::new(*b"broker-secret"))),
        base: "ou=people,dc=example".into(),
        filter: "(&(objectClass=inetOrgPerson)(uid=${username}))".into(),
    }
}

fn log_in(settings: &LdapSettings, username: &str, password: &str) -> Outcome {
    Ldap::new(settings.clone()).unwrap().authenticate(&attempt(username, password))
}

fn attempt(username: &str, password: &str) -> Attempt {
    Attempt {
        listener: "tls".into(),
        is_assigned: false,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        client_id: "sensor-1".into(),
        username: Some(username.into()),
        password: Some(Secret::new(password.as_bytes())),
        certificate: None,
        method: None,
        now: SystemTime::now(),
    }
}

#[track_caller]
fn granted(outcome: Outcome) -> Grant {
    match outcome {
        Outcome::Allow(grant) => grant,
        other => panic!("{other:?}"),
    }
}

#[test]
fn users_are_found_by_name_and_by_search_and_bring_their_groups() {
    let slapd = Slapd::start();
    for find in [by_dn(), by_search()] {
        let settings = slapd.settings(find);

        let grant = granted(log_in(&settings, "amy", "right"));
        assert_eq!(grant.identity.username.as_deref(), Some("amy"));
        assert_eq!(grant.identity.groups, [Box::from("ops")]);
        let attributes: Vec<_> =
            grant.identity.attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(attributes, [("ldap.cn", "Amy"), ("ldap.departmentNumber", "7")]);

        // Escaped, or it would be another entry or none.
        let grant = granted(log_in(&settings, "bob, jr.", "bobs"));
        assert_eq!(grant.identity.username.as_deref(), Some("bob, jr."));

        let wrong = log_in(&settings, "amy", "wrong");
        assert!(matches!(wrong, Outcome::Deny(Denial::BadCredentials)), "{wrong:?}");
        let empty = log_in(&settings, "amy", "");
        assert!(matches!(empty, Outcome::Deny(Denial::BadCredentials)), "{empty:?}");
    }
}

#[test]
fn who_is_not_there_is_passed_on_by_search_and_denied_by_name() {
    let slapd = Slapd::start();

    assert!(matches!(log_in(&slapd.settings(by_search()), "eve", "right"), Outcome::Pass));
    // A bind does not tell a name that is not there from a wrong password.
    let outcome = log_in(&slapd.settings(by_dn()), "eve", "right");
    assert!(matches!(outcome, Outcome::Deny(Denial::BadCredentials)), "{outcome:?}");
}

/// Else a stranger could have the directory left alone, and everybody refused.
#[test]
fn a_name_that_the_directory_cannot_take_is_wrong_and_nothing_else() {
    let slapd = Slapd::start();
    let (long, quoted) = ("x".repeat(9000), ",".repeat(usize::from(u16::MAX)));
    for find in [by_dn(), by_search()] {
        let ldap = Ldap::new(slapd.settings(find)).unwrap();
        for name in ["kiosk", " ", "\u{e000}", &long, &quoted] {
            for _ in 0..5 {
                let outcome = ldap.authenticate(&attempt(name, "right"));
                let is_refused = matches!(outcome, Outcome::Deny(Denial::BadCredentials) | Outcome::Pass);
                assert!(is_refused, "{} bytes: {outcome:?}", name.len());
            }
        }
        granted(ldap.authenticate(&attempt("amy", "right")));
    }
}

#[test]
fn a_name_cannot_rewrite_the_search() {
    let slapd = Slapd::start();
    let settings = slapd.settings(by_search());

    for name in ["*", "am*", "amy)(uid=*", "x)(|(uid=amy", "*)(userPassword=*"] {
        let outcome = log_in(&settings, name, "right");
        assert!(matches!(outcome, Outcome::Pass), "{name}: {outcome:?}");
    }
    let outcome = log_in(&slapd.settings(by_dn()), "amy,ou=people,dc=example", "right");
    assert!(matches!(outcome, Outcome::Deny(Denial::BadCredentials)), "{outcome:?}");
}

#[test]
fn a_directory_is_asked_over_tls_if_its_certificate_is_trusted() {
    let slapd = Slapd::start();
    let tls =
        LdapSettings { url: format!("ldaps://localhost:{}", slapd.tls).into(), ..slapd.settings(by_dn()) };
    let start_tls = LdapSettings {
        url: format!("ldap://localhost:{}", slapd.plain).into(),
        start_tls: true,
        ..slapd.settings(by_dn())
    };
    for settings in [tls, start_tls] {
        granted(log_in(&settings, "amy", "right"));

        let others = LdapSettings { roots: Roots::System, ..settings };
        let outcome = log_in(&others, "amy", "right");
        assert!(matches!(outcome, Outcome::Deny(Denial::Unavailable)), "{outcome:?}");
    }
}

impl Slapd {
    fn as_root(&self) -> ldap3::LdapConn {
        let mut ldap = ldap3::LdapConn::new(&format!("ldap://127.0.0.1:{}", self.plain)).unwrap();
        ldap.simple_bind("cn=root,dc=example", "root-secret").unwrap().success().unwrap();
        ldap
    }
}

/// A directory that is asked again about everybody within so many seconds, and who was let in.
fn let_in(slapd: &Slapd, filter: &str, every: u64, names: &[(&str, &str)]) -> (Ldap, Vec<Grant>) {
    let Find::Search { bind, base, .. } = by_search() else { unreachable!() };
    let find = Find::Search { bind, base, filter: filter.into() };
    let settings = LdapSettings { recheck: Duration::from_secs(every), ..slapd.settings(find) };
    let ldap = Ldap::new(settings).unwrap();
    let grants = names.iter().map(|(name, password)| granted(ldap.authenticate(&attempt(name, password))));
    let grants = grants.collect();
    (ldap, grants)
}

/// Asks about everybody, a hundred times the interval later.
fn asked_about_all(ldap: &Ldap) -> usize {
    let later = Instant::now() + Duration::from_secs(60);
    let asked = std::iter::repeat_with(|| ldap.recheck(later)).take_while(|said| *said != Rechecked::Idle);
    asked.take(100).count()
}

#[test]
fn who_is_no_longer_found_may_not_stay() {
    let slapd = Slapd::start();
    let filter = "(&(uid=${username})(!(description=locked)))";
    let people = [("amy", "right"), ("bob, jr.", "bobs")];
    let (ldap, grants) = let_in(&slapd, filter, 60, &people);
    let standing = |at: usize| ldap.review(grants[at].identity.known());
    // Who is there is to be known again, and then each of the two is asked about.
    assert_eq!(asked_about_all(&ldap), 3);
    assert_eq!([standing(0), standing(1)], [Standing::Same, Standing::Same]);

    let locked = ldap3::Mod::Add("description", HashSet::from(["locked"]));
    slapd.as_root().modify("uid=amy,ou=people,dc=example", vec![locked]).unwrap().success().unwrap();
    let (ldap, _) = let_in(&slapd, "(uid=${username})", 60, &people);
    asked_about_all(&ldap);
    assert_eq!(ldap.review(grants[0].identity.known()), Standing::Same, "this filter does not ask for it");
    let (ldap, _) = let_in(&slapd, filter, 60, &people[1..]);
    assert_eq!(ldap.review(grants[0].identity.known()), Standing::Same, "nobody was asked yet");
    asked_about_all(&ldap);
    assert_eq!(ldap.review(grants[0].identity.known()), Standing::Gone);
    assert_eq!(ldap.review(grants[1].identity.known()), Standing::Same);
}

#[test]
fn a_directory_without_an_answer_ends_nobody() {
    let slapd = Slapd::start();
    let (ldap, grants) = let_in(&slapd, "(uid=${username})", 60, &[("amy", "right")]);
    drop(slapd);

    assert!(asked_about_all(&ldap) >= 2);

    assert_eq!(ldap.review(grants[0].identity.known()), Standing::Same);
}

#[test]
fn a_directory_that_refuses_the_broker_lets_nobody_in() {
    let slapd = Slapd::start();
    let Find::Search { base, filter, .. } = by_search() else { unreachable!() };
    let bind = Some(("cn=broker,dc=example".into(), Secret::new(*b"wrong")));

    let outcome = log_in(&slapd.settings(Find::Search { bind, base, filter }), "amy", "right");

    assert!(matches!(outcome, Outcome::Deny(Denial::Unavailable)), "{outcome:?}");
}
