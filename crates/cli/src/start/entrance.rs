//! Who comes in, and what it may do: the chains of the listeners, the access rules.
//!
//! In:    the data directory, the configuration, the files that it names.
//! Out:   answers for the runtime; a review of those who are in, within a second of a change.
//! Never: older rules, users or chains given up for files that cannot be used.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dunlin_engine::{Authority as Rights, Credentials};
use dunlin_runtime::{Answer, Authentication, Authenticator, Reviewer};
use dunlin_security::identity::password::UserStore;
use dunlin_security::identity::{Door, Rechecked, Watch};
use dunlin_security::policy::{PolicyFile, Rules};
use tracing::{error, info, warn};

use super::proofs::Proofs;
use crate::config::{self, Config, Listener, Proof};
use crate::failure::Failure;

/// The access rules, in the data directory; the built-in ones hold where there is no such file.
pub(crate) const RULES: &str = "access.toml";
/// Files are looked at once a second; more often than that, so that it is not two.
const LOOK: Duration = Duration::from_millis(200);
/// Between reviews for those whom a service lets in no more: where they are many, one is for all of a second.
const BETWEEN: Duration = Duration::from_secs(1);
/// Some hundred questions for each thread.
const WAITING: usize = 2000;

/// A place that is listened at.
#[derive(Clone, Debug)]
pub(crate) struct Doorplate {
    /// What authenticators and the log call it.
    pub(crate) name: String,
    /// The number of its block in the file.
    pub(crate) index: usize,
    /// What was asked for there.
    pub(crate) listener: Listener,
}

impl Doorplate {
    /// What its clients are let in by.
    pub(super) fn proofs<'a>(&'a self, config: &'a config::Authentication) -> &'a [Proof] {
        self.listener.authentication.as_ref().unwrap_or(&config.chain)
    }
}

/// Knows the clients.
pub(crate) struct Entrance {
    data: PathBuf,
    door: Arc<Door>,
    proofs: Mutex<Arc<Proofs>>,
    policy: Mutex<PolicyOnDisk>,
    /// Something else than a watched file has changed.
    changed: AtomicBool,
    /// A service was asked again, and a review is due.
    asked: AtomicBool,
    reviewer: OnceLock<Reviewer>,
}

struct PolicyOnDisk {
    path: PathBuf,
    watch: Watch,
}

impl fmt::Debug for Entrance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Entrance").field("door", &self.door).finish_non_exhaustive()
    }
}

impl Entrance {
    /// For these listeners, in the order of the server's.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn open(data: &Path, doors: &[Doorplate], config: &Config) -> Result<Self, Failure> {
        let proofs = Arc::new(Proofs::open(data, &config.authentication, doors)?);
        let chains = doors.iter().map(|door| (door.name.as_str().into(), proofs.chain(door))).collect();
        let path = policy_of(data, config);
        let policy = PolicyOnDisk { watch: Watch::new(&path), path };
        let rules = read_rules(&policy.path, config.access.policy.is_some()).map_err(Failure::Entrance)?;
        Ok(Self {
            data: data.to_owned(),
            door: Arc::new(Door::new(chains, Arc::new(rules))),
            proofs: Mutex::new(proofs),
            policy: Mutex::new(policy),
            changed: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            reviewer: OnceLock::new(),
        })
    }

    /// For the runtime.
    pub(crate) fn authentication(self: &Arc<Self>) -> Authentication {
        let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Authentication { authenticator: Arc::<Self>::clone(self), workers, waiting_maximum: WAITING }
    }

    /// Who has a password.
    pub(crate) fn users(&self) -> Arc<UserStore> {
        Arc::clone(&lock(&self.proofs).users)
    }

    /// The file of rules and the file of users.
    pub(crate) fn paths(&self) -> (PathBuf, PathBuf) {
        (lock(&self.policy).path.clone(), lock(&self.proofs).users.path().to_owned())
    }

    /// Takes another configuration; every file that it names is read again. Where something cannot be used, all stays as it
    /// was, and the log says why.
    pub(crate) fn reload(&self, config: &Config, doors: &[Doorplate]) {
        const WHAT: &str = "the authentication stays as it was";
        let proofs = lock(&self.proofs).again(&config.authentication, doors);
        let path = policy_of(&self.data, config);
        let watch = Watch::new(&path);
        let rules = read_rules(&path, config.access.policy.is_some());
        match proofs {
            Ok(proofs) => {
                self.door.set_chains(doors.iter().map(|door| proofs.chain(door)).collect());
                *lock(&self.proofs) = Arc::new(proofs);
            }
            Err(reason) => error!(target: "dunlin::authentication", %reason, "{WHAT}"),
        }
        match rules {
            Ok(rules) => {
                *lock(&self.policy) = PolicyOnDisk { path, watch };
                self.door.set_rules(Arc::new(rules), SystemTime::now());
            }
            Err(reason) => refuse_rules(&path, &reason),
        }
        self.review_now();
    }

    /// Reads users, devices, what is taken back, and rules again, now: whoever changed them may rely on it afterwards.
    ///
    /// # Errors
    /// In words, where one of them cannot be used; the others are.
    pub(crate) fn read_again(&self) -> Result<(), String> {
        let proofs = Arc::clone(&lock(&self.proofs));
        let read = [(proofs.users.reload(), "users"), (proofs.revoked.reload(), "revoked certificates")];
        proofs.devices.reload();
        let rules = self.read_rules_again();
        self.review_now();
        match read.iter().chain([&(rules, "rules")]).find(|(is_read, _)| !is_read) {
            None => Ok(()),
            Some((_, what)) => Err(format!("the {what} cannot be read; the log of the broker says why")),
        }
    }

    /// Looks at the files from another thread, as long as the server is there.
    pub(crate) fn watch(self: &Arc<Self>, reviewer: Reviewer) {
        let entrance = Arc::clone(self);
        let kept = self.reviewer.get_or_init(|| reviewer.clone()).clone();
        let spawned = thread::Builder::new().name("dunlin-review".to_owned()).spawn(move || {
            let mut asked = Instant::now();
            while kept.is_alive() {
                if entrance.has_changed() {
                    entrance.review_now();
                } else if asked.elapsed() >= BETWEEN && entrance.asked.swap(false, Ordering::AcqRel) {
                    asked = Instant::now();
                    entrance.review();
                }
                // Nobody wakes it; were it woken, it would look once more.
                thread::park_timeout(LOOK);
            }
        });
        if let Err(error) = spawned {
            warn!(target: "dunlin::access", %error, "changes of users, devices and rules are not noticed");
        }
        self.recheck_while(reviewer);
    }

    /// Has services asked again about those whom they let in, from a thread that may wait for them.
    fn recheck_while(self: &Arc<Self>, reviewer: Reviewer) {
        let entrance = Arc::clone(self);
        let spawned = thread::Builder::new().name("dunlin-recheck".to_owned()).spawn(move || {
            while reviewer.is_alive() {
                if !entrance.recheck() {
                    thread::park_timeout(LOOK);
                }
            }
        });
        if let Err(error) = spawned {
            warn!(target: "dunlin::access", %error, "services are not asked again about those whom they let in");
        }
    }

    /// Asks each service about one of those who are due; false where nobody is.
    fn recheck(&self) -> bool {
        let proofs = Arc::clone(&lock(&self.proofs));
        let mut asked = false;
        for service in &proofs.services {
            let rechecked = service.recheck(Instant::now());
            if rechecked == Rechecked::Review {
                self.asked.store(true, Ordering::Release);
            }
            asked |= rechecked != Rechecked::Idle;
        }
        asked
    }

    /// Has every shard look at those who are in, because something changed.
    fn review_now(&self) {
        if self.review() {
            info!(target: "dunlin::access", "users, devices or rules changed: everybody is looked at again");
        }
    }

    /// Has every shard look at those who are in.
    fn review(&self) -> bool {
        let rights: Arc<dyn Rights> = Arc::<Door>::clone(&self.door);
        match self.reviewer.get() {
            Some(reviewer) => reviewer.review(&rights),
            // Soon there is one.
            None => {
                self.changed.store(true, Ordering::Release);
                false
            }
        }
    }

    /// Where a client's credentials become rights.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// What the file of rules is called.
    pub(crate) fn rules_name(&self) -> String {
        let path = lock(&self.policy).path.clone();
        if path.exists() { path.display().to_string() } else { "built-in rules".to_owned() }
    }

    /// Each is asked: none has it noted for the next time.
    fn has_changed(&self) -> bool {
        let now = SystemTime::now();
        let proofs = Arc::clone(&lock(&self.proofs));
        let devices = proofs.devices.poll();
        let users = !proofs.users.poll().is_empty();
        let revoked = proofs.revoked.poll();
        let lists = proofs.lists.poll();
        let is_written = lock(&self.policy).watch.is_due_and_changed();
        let rules = is_written && self.read_rules_again();
        let other = self.changed.swap(false, Ordering::AcqRel);
        self.door.is_review_due(now) || users || devices || revoked || lists || rules || other
    }

    /// False where they cannot be used. Built-in rules that still hold are no change.
    fn read_rules_again(&self) -> bool {
        let mut policy = lock(&self.policy);
        if !policy.path.exists() {
            return true;
        }
        policy.watch.see();
        match PolicyFile::read(&policy.path) {
            Ok(rules) => {
                self.door.set_rules(Arc::new(rules), SystemTime::now());
                info!(target: "dunlin::access", file = %policy.path.display(), "access rules read again");
                true
            }
            Err(reason) => {
                refuse_rules(&policy.path, &reason.to_string());
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

/// The file of rules.
fn policy_of(data: &Path, config: &Config) -> PathBuf {
    config.access.policy.clone().unwrap_or_else(|| data.join(RULES))
}

fn refuse_rules(path: &Path, reason: &str) {
    let file = path.display();
    error!(target: "dunlin::access", %file, %reason, "access rules cannot be used, the old ones stay");
}

/// The rules of a file that must be there, or need not.
fn read_rules(path: &Path, must_be_there: bool) -> Result<Rules, String> {
    if !must_be_there && !path.exists() {
        return Ok(PolicyFile::built_in());
    }
    PolicyFile::read(path).map_err(|error| {
        let key = if must_be_there { "access.policy: " } else { "" };
        format!("{key}{error}")
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
