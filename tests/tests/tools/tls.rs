//! Certificates: the right one is taken, every other one is refused unless told so by name.

use std::path::PathBuf;

use dunlin_client::{Client, Connection, Message, Options, Settings, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::folder::Folder;
use crate::mosquitto::Mosquitto;

/// An authority and the files of what it issued.
pub(crate) struct Authority {
    folder: Folder,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: Folder::new(), issuer };
        authority.folder.file("ca.pem", authority.issuer.pem());
        authority
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues `NAME.pem` and `NAME.key` for this host; the year in which it expires.
    pub(crate) fn issue(&self, name: &str, host: &str, year: i32) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.folder.file(&format!("{name}.pem"), certificate.pem());
        self.folder.file(&format!("{name}.key"), key.serialize_pem());
    }

    pub(crate) fn broker(&self, name: &str, more: &str) -> Mosquitto {
        Mosquitto::with(&format!(
            "allow_anonymous true\ncertfile {}\nkeyfile {}\ncafile {}\n{more}",
            self.file(&format!("{name}.pem")).display(),
            self.file(&format!("{name}.key")).display(),
            self.file("ca.pem").display(),
        ))
    }

    pub(crate) fn trusted(&self) -> Tls {
        Tls { authorities: vec![self.file("ca.pem")], ..Tls::default() }
    }
}

/// Whether a connection is made, or why not.
async fn attempt(broker: &Mosquitto, tls: Tls) -> Result<(), String> {
    let address = format!("mqtts://127.0.0.1:{}", broker.address().port()).parse().unwrap();
    let mut options = Options::new(address, Settings::new("tls"));
    options.tls = tls;
    let client = Client::connect(options).map_err(|error| error.to_string())?;
    let mut status = client.status();
    let decided = timeout(PATIENCE, status.wait_for(|state| *state != Connection::Connecting)).await;
    let state = decided.expect("in time").unwrap().clone();
    if let Connection::Waiting { why, .. } = state {
        return Err(why.to_string());
    }
    let receipt = client.publish(Message::new("t", "m").unwrap()).await.unwrap();
    timeout(PATIENCE, receipt).await.expect("in time").map_err(|error| error.to_string())?;
    Ok(())
}

#[tokio::test]
async fn the_right_certificate_is_taken_and_every_other_one_is_refused() {
    let authority = Authority::named("authority");
    authority.issue("good", "127.0.0.1", 2100);
    authority.issue("other", "other.example", 2100);
    authority.issue("expired", "127.0.0.1", 2001);
    let good = authority.broker("good", "");
    attempt(&good, authority.trusted()).await.unwrap();
    let stranger = Authority::named("stranger");
    let unknown = attempt(&good, stranger.trusted()).await.unwrap_err();
    assert!(unknown.contains("no authority that is trusted here"), "{unknown}");
    // The system's authorities did not issue it; where there are none, that is said.
    assert!(attempt(&good, Tls::default()).await.is_err());

    let other = authority.broker("other", "");
    let wrong = attempt(&other, authority.trusted()).await.unwrap_err();
    assert!(wrong.contains("it is for another host"), "{wrong}");
    let named = Tls { server_name: Some("other.example".into()), ..authority.trusted() };
    attempt(&other, named).await.unwrap();

    let expired = authority.broker("expired", "");
    let late = attempt(&expired, authority.trusted()).await.unwrap_err();
    assert!(late.contains("it has expired"), "{late}");
    attempt(&expired, Tls { insecure: true, ..Tls::default() }).await.unwrap();
}

#[tokio::test]
async fn a_client_shows_its_own_certificate() {
    let authority = Authority::named("authority");
    authority.issue("good", "127.0.0.1", 2100);
    authority.issue("me", "me.example", 2100);
    let broker = authority.broker("good", "require_certificate true\n");
    assert!(attempt(&broker, authority.trusted()).await.is_err());
    let identity = Some((authority.file("me.pem"), authority.file("me.key")));
    attempt(&broker, Tls { identity, ..authority.trusted() }).await.unwrap();
    let missing = Tls { authorities: vec![authority.file("none.pem")], ..Tls::default() };
    assert!(attempt(&broker, missing).await.unwrap_err().contains("none.pem"));
}

#[test]
fn the_tools_refuse_it_too_unless_insecure() {
    let authority = Authority::named("authority");
    authority.issue("other", "other.example", 2100);
    let broker = authority.broker("other", "");
    let ca = authority.file("ca.pem");
    let publish = |more: &[&str]| {
        let mut command = crate::commands::tool(true, "pub", broker.address());
        let output = command.args(["-t", "a", "-m", "x", "-q", "1"]).args(more).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = publish(&["--cafile", ca.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("it is for another host"), "{said}");
    assert_eq!(publish(&["--insecure"]).0, Some(0));
}
