//! What the chains of the listeners are made of: authenticators, as the configuration describes them.
//!
//! In:    the data directory, the configuration, the files that it names.
//! Out:   a chain for each listener.
//! Never: half of a change: where something cannot be used, there are no new proofs at all.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dunlin_security::authority::{Files, write_file};
use dunlin_security::identity::http::{CallOut, Client};
use dunlin_security::identity::jwt::{KeySource, Tokens};
use dunlin_security::identity::password::{Passwords, UserStore};
use dunlin_security::identity::scram::Scram;
use dunlin_security::identity::{
    Anonymous, Authenticator, Certificates, Chain, ClientIdRule, Devices, Field, Guard, Recheck, Revoked,
    Secret, Watched,
};
use ring::rand::{SecureRandom, SystemRandom};
use tracing::warn;

use super::devices::{DeviceNames, NoDevice};
use super::entrance::Doorplate;
use super::lists::Lists;
use crate::config::{self, Authentication, Part, Proof};
use crate::failure::Failure;
use crate::user;

/// What SCRAM answers to strangers is made from this, so that it is the same after a restart.
const SEED: &str = "scram.seed";
/// Longest file with a secret, in bytes.
const SECRET_MAXIMUM: u64 = 64 * 1024;

/// An authenticator and its name.
type Link = (Cow<'static, str>, Arc<dyn Authenticator>);

/// What chains are made of.
pub(super) struct Proofs {
    data: PathBuf,
    files: Files,
    config: Authentication,
    guard: Arc<Guard>,
    pub(super) users: Arc<UserStore>,
    pub(super) revoked: Arc<Watched<Revoked>>,
    pub(super) devices: Arc<DeviceNames>,
    pub(super) lists: Lists,
    seed: Secret,
    /// Of each issuer, in the order of the file; empty where no chain has jwt.
    issuers: Vec<Issuer>,
    http: Option<Arc<CallOut>>,
    ldap: Option<Arc<dyn Authenticator>>,
    /// Those of the two that are asked again about whom they let in.
    pub(super) services: Vec<Arc<dyn Recheck>>,
}

/// Whose tokens are taken.
struct Issuer {
    config: config::Jwt,
    keys: Arc<KeySource>,
    tokens: Arc<dyn Authenticator>,
}

impl Proofs {
    /// # Errors
    /// When a file cannot be used.
    pub(super) fn open(data: &Path, config: &Authentication, doors: &[Doorplate]) -> Result<Self, Failure> {
        let files = Files::of(data);
        let users = Arc::new(open_users(&users_of(data, config), config)?);
        let revoked = Watched::open(&files.revoked).map_err(|error| Failure::Entrance(error.to_string()))?;
        let devices = Arc::new(DeviceNames::open(data, &files)?);
        let proofs = Self {
            data: data.to_owned(),
            guard: Arc::new(Guard::new(config.failures.limits())),
            users,
            revoked: Arc::new(revoked),
            devices,
            lists: Lists::default(),
            seed: seed(&data.join(SEED))?,
            issuers: Vec::new(),
            http: None,
            ldap: None,
            services: Vec::new(),
            config: config.clone(),
            files,
        };
        proofs.with_services(doors, &[])
    }

    /// Others, for another configuration, with every file read again. What has not changed goes on: failures and bans that
    /// were counted, users, keys that an issuer publishes.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(super) fn again(&self, config: &Authentication, doors: &[Doorplate]) -> Result<Self, Failure> {
        let path = users_of(&self.data, config);
        let users = if self.users.path() == path {
            Arc::clone(&self.users)
        } else {
            Arc::new(open_users(&path, config)?)
        };
        let guard = if self.config.failures == config.failures {
            Arc::clone(&self.guard)
        } else {
            Arc::new(Guard::new(config.failures.limits()))
        };
        let proofs = Self {
            data: self.data.clone(),
            files: Files::of(&self.data),
            config: config.clone(),
            guard,
            users,
            revoked: Arc::clone(&self.revoked),
            devices: Arc::clone(&self.devices),
            lists: Lists::default(),
            seed: self.seed.clone(),
            issuers: Vec::new(),
            http: None,
            ldap: None,
            services: Vec::new(),
        };
        let proofs = proofs.with_services(doors, &self.issuers)?;
        // Each says in the log what is wrong with its file, and stays as it was.
        proofs.users.reload();
        proofs.revoked.reload();
        proofs.devices.reload();
        proofs.issuers.iter().for_each(|issuer| issuer.keys.refresh());
        Ok(proofs)
    }

    fn with_services(mut self, doors: &[Doorplate], known: &[Issuer]) -> Result<Self, Failure> {
        let listeners = doors.iter().map(|door| &door.listener);
        let others = listeners.filter(|listener| listener.client_ca.as_ref() != Some(&self.files.authority));
        self.lists = Lists::open(others)?;
        let asks = |proof| doors.iter().any(|door| door.proofs(&self.config).contains(&proof));
        for section in config::unused(&self.config, asks) {
            warn!(target: "dunlin::authentication", section, "a proof is set up that no chain has: nobody is asked for it");
        }
        let (jwt, http, ldap) = (asks(Proof::Jwt), asks(Proof::Http), asks(Proof::Ldap));
        // The check of the configuration has refused what is not built.
        if Part::Jwt.is_built() && jwt {
            let issuers = self.config.jwt.iter().map(|jwt| Issuer::open(jwt, known));
            self.issuers = issuers.collect::<Result<_, _>>()?;
        }
        if Part::Http.is_built() && http {
            let service = call_out(&self.config.http)?;
            self.services.push(Arc::clone(&service) as Arc<dyn Recheck>);
            self.http = Some(service);
        }
        if ldap {
            let (authenticator, service) = directory(&self.config.ldap)?;
            self.services.push(service);
            self.ldap = Some(authenticator);
        }
        Ok(self)
    }

    /// The chain of a listener.
    pub(super) fn chain(&self, door: &Doorplate) -> Arc<Chain> {
        let chain = Chain::new(Arc::clone(&self.guard));
        let proofs = door.proofs(&self.config).iter();
        let links = proofs.flat_map(|proof| match proof {
            Proof::Jwt => self.issuers.iter().map(|issuer| self.issuer(issuer)).collect(),
            other => Vec::from_iter(self.authenticator(*other, door)),
        });
        Arc::new(links.fold(chain, |chain, (name, authenticator)| chain.with(&name, authenticator)))
    }

    fn issuer(&self, issuer: &Issuer) -> Link {
        let tokens = NoDevice::new(Arc::clone(&issuer.tokens), Arc::clone(&self.devices));
        (issuer.config.name().into(), Arc::new(tokens))
    }

    fn authenticator(&self, proof: Proof, door: &Doorplate) -> Option<Link> {
        let (name, authenticator): (&str, Arc<dyn Authenticator>) = match proof {
            Proof::Certificate => return Some(self.certificates(door)),
            Proof::Password => ("password", Arc::new(Passwords::new(Arc::clone(&self.users)))),
            Proof::Scram => ("scram", Arc::new(Scram::new(Arc::clone(&self.users), &self.seed))),
            // Each issuer is one of its own.
            Proof::Jwt => return None,
            Proof::Http => ("http", Arc::<CallOut>::clone(self.http.as_ref()?)),
            Proof::Ldap => ("ldap", Arc::clone(self.ldap.as_ref()?)),
            Proof::Anonymous => ("anonymous", Arc::new(Anonymous)),
        };
        Some((name.into(), Arc::new(NoDevice::new(authenticator, Arc::clone(&self.devices)))))
    }

    /// A certificate of the built-in authority names the client: its user name and its client identifier are the Common Name.
    fn certificates(&self, door: &Doorplate) -> Link {
        if door.listener.client_ca.as_ref() == Some(&self.files.authority) {
            let field = Field::CommonName;
            let rules = Certificates { username: field, client_id: ClientIdRule::Match(field) };
            ("device".into(), Arc::new(Devices::new(rules, Arc::clone(&self.revoked))))
        } else {
            self.lists.mind(&door.listener, Arc::new(self.config.certificate.rules()))
        }
    }
}

impl Issuer {
    /// Keys that it publishes and that are known already serve on.
    fn open(jwt: &config::Jwt, known: &[Self]) -> Result<Self, Failure> {
        let same = known.iter().find(|other| other.config == *jwt && jwt.jwks_url.is_some());
        let keys =
            same.map_or_else(|| key_source(jwt).map(Arc::new), |issuer| Ok(Arc::clone(&issuer.keys)))?;
        let tokens = Arc::new(Tokens::new(Arc::clone(&keys), jwt.rules(), jwt.field()));
        Ok(Self { config: jwt.clone(), keys, tokens })
    }
}

/// The file of users.
pub(super) fn users_of(data: &Path, config: &Authentication) -> PathBuf {
    config.password.file.clone().unwrap_or_else(|| user::file(data))
}

fn open_users(path: &Path, config: &Authentication) -> Result<UserStore, Failure> {
    UserStore::open(path).map_err(|error| match &config.password.file {
        None => error.into(),
        Some(_) => Failure::Entrance(format!("authentication.password.file: {}: {error}", path.display())),
    })
}

fn key_source(jwt: &config::Jwt) -> Result<KeySource, Failure> {
    let of = |key: &str, error: &dyn std::fmt::Display| {
        Failure::Entrance(format!("authentication.jwt.{key}: {error}"))
    };
    if let Some(path) = &jwt.secret_file {
        let secret = read_secret("authentication.jwt.secret_file", path)?;
        return KeySource::secret(secret)
            .map_err(|error| of("secret_file", &format_args!("{}: {error}", path.display())));
    }
    if let Some(path) = &jwt.key_file {
        return KeySource::file(path).map_err(|error| {
            let named = format!("{}: ", path.display());
            let text = error.to_string();
            let named = if text.starts_with(&named) { "" } else { &named };
            of("key_file", &format_args!("{named}{text}"))
        });
    }
    let url = jwt.jwks_url.as_deref().unwrap_or_default();
    let client = Client::new(url, &jwt.client()).map_err(|error| of("jwks_url", &error))?;
    Ok(KeySource::http(client, Duration::from_secs(jwt.jwks_refresh_seconds.into())))
}

fn call_out(http: &config::Http) -> Result<Arc<CallOut>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Entrance(format!("authentication.http: {error}"));
    let client = Client::new(http.url.as_deref().unwrap_or_default(), &http.client());
    let mut settings = http.settings();
    if let Some(path) = &http.authorization_file {
        settings.authorization = Some(read_secret("authentication.http.authorization_file", path)?);
    }
    let client = client.map_err(|error| failed(&error))?;
    Ok(Arc::new(CallOut::new(client, settings).map_err(|error| failed(&error))?))
}

/// To log in by, and to be asked again.
type Directory = (Arc<dyn Authenticator>, Arc<dyn Recheck>);

#[cfg(feature = "ldap")]
fn directory(ldap: &config::Ldap) -> Result<Directory, Failure> {
    use dunlin_security::identity::ldap::{Find, Ldap};

    let mut settings = ldap.settings();
    if let (Some(path), Find::Search { bind: Some((_, password)), .. }) =
        (&ldap.bind_password_file, &mut settings.find)
    {
        *password = read_secret("authentication.ldap.bind_password_file", path)?;
    }
    let failed = |error| Failure::Entrance(format!("authentication.ldap: {error}"));
    let directory = Arc::new(Ldap::new(settings).map_err(failed)?);
    Ok((Arc::<Ldap>::clone(&directory), directory))
}

/// The check of the configuration has refused it.
#[cfg(not(feature = "ldap"))]
fn directory(_: &config::Ldap) -> Result<Directory, Failure> {
    Err(Failure::Entrance(Part::Ldap.lack().to_owned()))
}

/// A file with a secret, without the line ends at its end.
fn read_secret(key: &str, path: &Path) -> Result<Secret, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::Entrance(format!("{key}: {}: {why}", path.display()));
    let about = fs::metadata(path).map_err(|error| failed(&error))?;
    if about.len() > SECRET_MAXIMUM {
        return Err(failed(&format_args!("{} bytes, the longest secret has {SECRET_MAXIMUM}", about.len())));
    }
    if about.permissions().mode() & 0o004 != 0 {
        warn!(target: "dunlin::authentication", key, path = %path.display(), "everybody on this machine can read a secret");
    }
    let secret = Secret::new(fs::read(path).map_err(|error| failed(&error))?);
    let bytes = secret.expose();
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    if end == 0 {
        return Err(failed(&"it is empty"));
    }
    Ok(Secret::new(&bytes[..end]))
}

/// The seed of the directory; made where there is none.
fn seed(path: &Path) -> Result<Secret, Failure> {
    let mut seed = [0; 32];
    match fs::read(path) {
        Ok(bytes) if bytes.len() == seed.len() => seed.copy_from_slice(&bytes),
        _ => {
            SystemRandom::new()
                .fill(&mut seed)
                .map_err(|_| Failure::Entrance("the system gives no random bytes".to_owned()))?;
            write_file(path, &seed, 0o600)?;
        }
    }
    Ok(Secret::new(seed))
}
