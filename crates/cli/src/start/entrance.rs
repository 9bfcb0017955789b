//! Who comes in, and what it may do: the file of users, the devices of the built-in authority, the access rules.
//!
//! In:    the data directory; what each listener takes for a proof.
//! Out:   answers for the runtime; a review of those who are in, within a second of a change.
//! Never: older rules or users given up for files that cannot be read.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, SystemTime};

use dunlin_engine::{Authority as Rights, Credentials};
use dunlin_runtime::{Answer, Authentication, Authenticator, Reviewer};
use dunlin_security::authority::{Authority, Files, write_file};
use dunlin_security::identity::password::{Passwords, UserStore};
use dunlin_security::identity::scram::Scram;
use dunlin_security::identity::{
    self, Anonymous, Attempt, Certificates, Chain, Challenge, ClientIdRule, Denial, Devices, Door, Exchange,
    Field, Guard, GuardLimits, Known, Outcome, Revoked, Secret, Standing, Watch,
};
use dunlin_security::policy::{PolicyFile, Rules};
use ring::rand::{SecureRandom, SystemRandom};
use tracing::{error, info, warn};

use crate::config::{Listener, Proof};
use crate::failure::Failure;
use crate::user;

/// The access rules, in the data directory; the built-in ones hold where there is no such file.
const RULES: &str = "access.toml";
/// What SCRAM answers to strangers is made from this, so that it is the same after a restart.
const SEED: &str = "scram.seed";
/// Files are looked at once a second; more often than that, so that it is not two.
const LOOK: Duration = Duration::from_millis(200);
/// Some hundred questions for each thread.
const WAITING: usize = 2000;

/// Knows the clients.
#[derive(Debug)]
pub(crate) struct Entrance {
    door: Arc<Door>,
    users: Arc<UserStore>,
    revoked: Arc<Revoked>,
    devices: Arc<DeviceNames>,
    rules: PathBuf,
    rules_watch: Mutex<Watch>,
}

/// The names that certificates of the built-in authority were issued to.
#[derive(Debug)]
struct DeviceNames {
    directory: PathBuf,
    names: RwLock<Arc<BTreeSet<String>>>,
    watch: Mutex<Watch>,
}

/// Keeps those without a certificate from the client identifiers of devices: rules give rights to these.
struct NoDevice {
    proof: Arc<dyn identity::Authenticator>,
    devices: Arc<DeviceNames>,
}

/// An exchange that ends with a refusal, whatever is proved.
struct InVain(Box<dyn Exchange>);

impl Entrance {
    /// For these listeners, each with its name, in the order of the server's.
    ///
    /// # Errors
    /// When a file of the data directory cannot be used.
    pub(crate) fn open<'a>(
        data: &Path,
        listeners: impl Iterator<Item = (String, &'a Listener)>,
    ) -> Result<Self, Failure> {
        let files = Files::of(data);
        let users = Arc::new(UserStore::open(&user::file(data))?);
        let revoked = Revoked::open(&files.revoked).map_err(|error| Failure::Entrance(error.to_string()))?;
        let (revoked, devices) = (Arc::new(revoked), Arc::new(DeviceNames::open(data, &files)?));
        let proofs = Proofs {
            guard: Arc::new(Guard::new(GuardLimits::default())),
            files,
            users: Arc::clone(&users),
            revoked: Arc::clone(&revoked),
            devices: Arc::clone(&devices),
            seed: seed(&data.join(SEED))?,
        };
        let chains = listeners.map(|(name, listener)| (name.into(), Arc::new(proofs.chain(listener))));
        let rules = data.join(RULES);
        let rules_watch = Mutex::new(Watch::new(&rules));
        let door = Door::new(chains.collect(), Arc::new(read_rules(&rules)?));
        Ok(Self { door: Arc::new(door), users, revoked, devices, rules, rules_watch })
    }

    /// For the runtime.
    pub(crate) fn authentication(self: &Arc<Self>) -> Authentication {
        let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Authentication { authenticator: Arc::<Self>::clone(self), workers, waiting_maximum: WAITING }
    }

    /// Looks at the files from another thread, as long as the server is there.
    pub(crate) fn watch(self: &Arc<Self>, reviewer: Reviewer) {
        let entrance = Arc::clone(self);
        let spawned = thread::Builder::new().name("dunlin-review".to_owned()).spawn(move || {
            let rights: Arc<dyn Rights> = Arc::<Door>::clone(&entrance.door);
            while reviewer.is_alive() {
                if entrance.has_changed() && reviewer.review(&rights) {
                    info!(target: "dunlin::access", "users, devices or rules changed: everybody is looked at again");
                }
                // Nobody wakes it; were it woken, it would look once more.
                thread::park_timeout(LOOK);
            }
        });
        if let Err(error) = spawned {
            warn!(target: "dunlin::access", %error, "changes of users, devices and rules are not noticed");
        }
    }

    /// Where a client's credentials become rights.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// What the file of rules is called.
    pub(crate) fn rules_name(&self) -> String {
        if self.rules.exists() { self.rules.display().to_string() } else { "built-in rules".to_owned() }
    }

    /// Each is asked: none has it noted for the next time.
    fn has_changed(&self) -> bool {
        let now = SystemTime::now();
        self.devices.poll();
        let users = !self.users.poll().is_empty();
        let devices = self.revoked.poll();
        let rules = self.read_changed_rules(now);
        self.door.is_review_due(now) || users || devices || rules
    }

    fn read_changed_rules(&self, now: SystemTime) -> bool {
        if !self.rules_watch.lock().unwrap_or_else(PoisonError::into_inner).is_due_and_changed() {
            return false;
        }
        match PolicyFile::read(&self.rules) {
            Ok(rules) => {
                self.door.set_rules(Arc::new(rules), now);
                info!(target: "dunlin::access", file = %self.rules.display(), "access rules read again");
                true
            }
            Err(reason) => {
                let file = self.rules.display();
                error!(target: "dunlin::access", %file, %reason, "access rules cannot be used, the old ones stay");
                false
            }
        }
    }
}

impl Authenticator for Entrance {
    fn authenticate(&self, credentials: Credentials, answer: Answer) {
        answer.give(self.door.judge(credentials, SystemTime::now()));
    }
}

/// What chains are made of.
struct Proofs {
    guard: Arc<Guard>,
    files: Files,
    users: Arc<UserStore>,
    revoked: Arc<Revoked>,
    devices: Arc<DeviceNames>,
    seed: Secret,
}

impl Proofs {
    fn chain(&self, listener: &Listener) -> Chain {
        let chain = Chain::new(Arc::clone(&self.guard));
        listener.proofs().into_iter().fold(chain, |chain, proof| match proof {
            Proof::Certificate => self.with_certificates(chain, listener),
            Proof::Password => {
                chain.with("password", self.no_device(Arc::new(Passwords::new(Arc::clone(&self.users)))))
            }
            Proof::Scram => {
                chain.with("scram", self.no_device(Arc::new(Scram::new(Arc::clone(&self.users), &self.seed))))
            }
            Proof::Anonymous => chain.with("anonymous", self.no_device(Arc::new(Anonymous))),
        })
    }

    /// A certificate names the client: its user name and its client identifier are the Common Name.
    fn with_certificates(&self, chain: Chain, listener: &Listener) -> Chain {
        let field = Field::CommonName;
        let certificates = Certificates { username: field, client_id: ClientIdRule::Match(field) };
        if listener.client_ca.as_ref() == Some(&self.files.authority) {
            chain.with("device", Arc::new(Devices::new(certificates, Arc::clone(&self.revoked))))
        } else {
            chain.with("certificate", Arc::new(certificates))
        }
    }

    fn no_device(&self, proof: Arc<dyn identity::Authenticator>) -> Arc<NoDevice> {
        Arc::new(NoDevice { proof, devices: Arc::clone(&self.devices) })
    }
}

impl identity::Authenticator for NoDevice {
    fn method(&self) -> Option<&'static str> {
        self.proof.method()
    }

    fn review(&self, known: Known<'_>) -> Standing {
        self.proof.review(known)
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let said = self.proof.authenticate(attempt);
        if self.devices.has(&attempt.client_id) { denied(said) } else { said }
    }
}

/// The same but for whom it would let in: a guess is told no more than elsewhere.
fn denied(said: Outcome) -> Outcome {
    match said {
        Outcome::Allow(_) => Outcome::Deny(Denial::WrongClientId),
        Outcome::Continue(Challenge { data, exchange }) => {
            Outcome::Continue(Challenge { data, exchange: Box::new(InVain(exchange)) })
        }
        other => other,
    }
}

impl Exchange for InVain {
    fn answer(self: Box<Self>, data: &[u8], now: SystemTime) -> Outcome {
        denied(self.0.answer(data, now))
    }

    fn username(&self) -> Option<&str> {
        self.0.username()
    }
}

impl DeviceNames {
    fn open(data: &Path, files: &Files) -> Result<Self, Failure> {
        let watch = Mutex::new(Watch::new(&files.issued));
        let names = RwLock::new(Arc::new(names(data)?));
        Ok(Self { directory: data.to_owned(), names, watch })
    }

    fn has(&self, client_id: &str) -> bool {
        self.names.read().unwrap_or_else(PoisonError::into_inner).contains(client_id)
    }

    fn poll(&self) {
        if !self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_due_and_changed() {
            return;
        }
        match names(&self.directory) {
            Ok(names) => *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names),
            Err(reason) => {
                error!(target: "dunlin::access", %reason, "issued certificates cannot be read, the old names stay");
            }
        }
    }
}

fn names(data: &Path) -> Result<BTreeSet<String>, Failure> {
    let issued = Authority::open(data)?.issued()?.into_iter();
    Ok(issued
        .filter(|issued| issued.certificate.for_clients)
        .map(|issued| issued.certificate.subject)
        .collect())
}

fn read_rules(path: &Path) -> Result<Rules, Failure> {
    if !path.exists() {
        return Ok(PolicyFile::built_in());
    }
    PolicyFile::read(path).map_err(|error| Failure::Entrance(error.to_string()))
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
