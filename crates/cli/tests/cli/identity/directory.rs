//! OpenLDAP's slapd.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::mounts::subscriber_as;
use super::{configure, port, prepared, publish, reload, start};
use crate::secured::Directory;

const CONFIGURATION: &str = "\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
database mdb
suffix dc=example
rootdn cn=root,dc=example
rootpw root-secret
directory FOLDER/slapd
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

dn: uid=eve,dc=example
objectClass: inetOrgPerson
uid: eve
cn: Eve
sn: E
userPassword: eves

dn: cn=ops,dc=example
objectClass: groupOfNames
cn: ops
member: uid=eve,dc=example
";

/// A directory, ended with the test.
struct Slapd {
    child: Child,
    port: u16,
}

impl Slapd {
    fn start(directory: &Directory) -> Self {
        fs::create_dir_all(directory.path().join("slapd")).unwrap();
        let text = CONFIGURATION.replace("FOLDER", directory.path().to_str().unwrap());
        fs::write(directory.path().join("slapd.conf"), text).unwrap();
        fs::write(directory.path().join("entries.ldif"), ENTRIES).unwrap();
        let slapd = (0..5).find_map(|_| run(directory)).expect("slapd starts; run `make setup-tests`");
        let uri = format!("ldap://127.0.0.1:{}", slapd.port);
        let arguments =
            ["-x", "-H", &uri, "-D", "cn=root,dc=example", "-w", "root-secret", "-f", "entries.ldif"];
        let added = directory.other("ldapadd", &arguments);
        assert!(added.status.success(), "{}", crate::secured::both(&added));
        slapd
    }

    fn section(&self) -> String {
        format!(
            "[authentication.ldap]\nurl = \"ldap://127.0.0.1:{}\"\nuser_dn = \"uid=${{username}},dc=example\"\n\
             groups_attribute = \"memberOf\"\n",
            self.port
        )
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// On a port that was free a moment ago; `None` where it is no longer.
fn run(directory: &Directory) -> Option<Slapd> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new("/usr/sbin/slapd")
        .args(["-d", "stats", "-f"])
        .arg(directory.path().join("slapd.conf"))
        .args(["-h", &format!("ldap://127.0.0.1:{port}")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("slapd is there; run `make setup-tests`");
    // It blocks when nobody reads what it says.
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    thread::spawn(move || lines.for_each(drop));
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        thread::yield_now();
    }
    Some(Slapd { child, port })
}

#[test]
fn a_user_binds_to_the_directory_and_has_its_groups() {
    let directory = prepared();
    let slapd = Slapd::start(&directory);
    configure(&directory, "[\"password\", \"ldap\"]", &slapd.section());
    let broker = start(&directory);
    let said = |user, password, topic| publish(&directory, &broker, user, password, topic);
    assert_eq!(said("eve", "eves", "plant/1"), "");
    assert!(said("eve", "eves", "other").contains("Not authorized"));
    assert!(said("eve", "wrong", "plant/1").contains("Bad User Name or Password"));
    assert_eq!(said("amy", super::PASSWORD, "plant/1"), "", "of the file of users");

    drop(slapd);
    for _ in 0..6 {
        assert!(said("eve", "eves", "plant/1").contains("Server unavailable"));
    }
    assert!(broker.logged("rest=Some").contains("directory gives no answer"));

    // It is back, elsewhere.
    fs::remove_dir_all(directory.path().join("slapd")).unwrap();
    let slapd = Slapd::start(&directory);
    configure(&directory, "[\"password\", \"ldap\"]", &slapd.section());
    reload(&broker);
    assert_eq!(said("eve", "eves", "plant/1"), "");
}

#[test]
fn a_user_who_is_locked_in_the_directory_is_disconnected() {
    let directory = prepared();
    let slapd = Slapd::start(&directory);
    fs::write(directory.path().join("broker.password"), "broker-secret\n").unwrap();
    let section = format!(
        "[authentication.ldap]\nurl = \"ldap://127.0.0.1:{}\"\nsearch_base = \"dc=example\"\n\
         search_filter = \"(&(uid=${{username}})(!(description=locked)))\"\nbind_dn = \"cn=broker,dc=example\"\n\
         bind_password_file = \"broker.password\"\ngroups_attribute = \"memberOf\"\nrecheck_seconds = 1\n",
        slapd.port
    );
    configure(&directory, "[\"ldap\"]", &section);
    let broker = start(&directory);
    let login = ["-u", "eve", "-P", "eves"];
    let (mut child, mut lines) = subscriber_as(&directory, &port(&broker), "eve", "plant/#", &login);

    let uri = format!("ldap://127.0.0.1:{}", slapd.port);
    let change = "dn: uid=eve,dc=example\nchangetype: modify\nadd: description\ndescription: locked\n";
    fs::write(directory.path().join("lock.ldif"), change).unwrap();
    let root = ["-x", "-H", &uri, "-D", "cn=root,dc=example", "-w", "root-secret"];
    let locked = directory.other("ldapmodify", &[&root[..], &["-f", "lock.ldif"]].concat());
    assert!(locked.status.success(), "{}", crate::secured::both(&locked));
    assert!(lines.any(|line| line.contains("Received DISCONNECT (135)")), "it is no longer found");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(broker.logged("does so no more").contains("eve"));
    assert!(publish(&directory, &broker, "eve", "eves", "plant/1").contains("Bad User Name or Password"));
}
