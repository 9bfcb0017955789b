//! Who may use the API: whoever has a token, and users of some groups.
//!
//! In:    what a request shows.
//! Out:   a name and a role; bans after too many failures.
//! Never: a password hashed again for each request of the same user within a minute: that costs 33 ms of a core.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use dunlin_admin::{Caller, Gate, Proof, Refused, Role};
use dunlin_security::identity::password::{Passwords, UserStore};
use dunlin_security::identity::{Attempt, Banned, Chain, Guard, GuardLimits, Secret, Verdict};
use ring::digest::SHA256_OUTPUT_LEN;
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::SystemRandom;

use super::tokens::Tokens;
use crate::failure::Failure;

/// The groups of users that have a role.
const GROUPS: [(&str, Role); 3] =
    [("administrators", Role::Administrator), ("operators", Role::Operator), ("viewers", Role::Viewer)];
/// How long a password that was right need not be hashed again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// So many of them.
const REMEMBERED_MAXIMUM: usize = 64;

/// The users as they are now: a reload may name another file of them.
type Users = Box<dyn Fn() -> Arc<UserStore> + Send + Sync>;

/// Knows who may use the API.
pub(crate) struct Doorman {
    known: Option<Known>,
    guard: Arc<Guard>,
    /// Whoever shows nothing is let in.
    open: bool,
}

struct Known {
    users: Users,
    guard: Arc<Guard>,
    tokens: Tokens,
    key: hmac::Key,
    /// By a hash of name and password under a key that ends with the process: until when, and the stamp of the user.
    right: Mutex<BTreeMap<[u8; SHA256_OUTPUT_LEN], (Instant, u64)>>,
}

impl Doorman {
    /// For these users, and the tokens of a data directory.
    ///
    /// # Errors
    /// Where a file cannot be used.
    pub(crate) fn of(
        data: &Path,
        users: impl Fn() -> Arc<UserStore> + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let guard = Arc::new(Guard::new(GuardLimits::default()));
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Failure::Entrance("the system gives no random bytes".to_owned()))?;
        let tokens = Tokens::open(data)?;
        let users = Box::new(users);
        let known = Known { users, guard: Arc::clone(&guard), tokens, key, right: Mutex::default() };
        Ok(Self { known: Some(known), guard, open: false })
    }

    /// For everybody on this machine.
    pub(crate) fn open() -> Self {
        Self { known: None, guard: Arc::new(Guard::new(GuardLimits::default())), open: true }
    }
}

impl Gate for Doorman {
    fn admit(&self, proof: Proof, from: IpAddr) -> Result<Caller, Refused> {
        if self.open && from.is_loopback() {
            return Ok(Caller { name: "anybody".to_owned(), role: Role::Administrator });
        }
        let known = self.known.as_ref().ok_or(Refused::Unknown)?;
        let name = match &proof {
            Proof::Password { user, .. } => Some(user.clone()),
            Proof::Token(_) | Proof::Nothing => None,
        };
        let banned = || self.guard.check(Some(from), name.as_deref(), Instant::now());
        if let Some(Banned::Address { left } | Banned::Name { left }) = banned() {
            return Err(Refused::Banned(left));
        }
        match proof {
            Proof::Nothing => Err(Refused::Unknown),
            Proof::Token(token) => known.tokens.find(&token).ok_or_else(|| {
                self.guard.failed(Some(from), None, Instant::now());
                Refused::Unknown
            }),
            Proof::Password { user, password } => known.login(&user, password, from),
        }
    }
}

impl Known {
    fn login(&self, user: &str, password: Vec<u8>, from: IpAddr) -> Result<Caller, Refused> {
        let store = (self.users)();
        let users = store.users();
        let stamp = users.get(user).map(dunlin_security::identity::password::User::stamp);
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(user.len() as u64).to_le_bytes());
        context.update(user.as_bytes());
        context.update(&password);
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(context.sign().as_ref());
        if !self.is_remembered(&hash, stamp) {
            let attempt = Attempt {
                listener: "api".into(),
                address: Some(from),
                client_id: "".into(),
                is_assigned: true,
                username: Some(user.into()),
                password: Some(Secret::new(password)),
                certificate: None,
                method: None,
                now: SystemTime::now(),
            };
            let chain = Chain::new(Arc::clone(&self.guard)).with("password", Arc::new(Passwords::new(store)));
            let Verdict::Allow { .. } = chain.judge(&attempt) else { return Err(Refused::Unknown) };
            self.remember(hash, stamp);
        }
        let groups = users.get(user).map_or(&[][..], |user| &user.groups);
        let role = GROUPS.iter().find(|(name, _)| groups.iter().any(|group| &**group == *name));
        let (_, role) = role.ok_or(Refused::NoRole)?;
        Ok(Caller { name: format!("user:{user}"), role: *role })
    }

    fn is_remembered(&self, hash: &[u8; SHA256_OUTPUT_LEN], stamp: Option<u64>) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(hash).is_some_and(|(until, of)| *until > Instant::now() && Some(*of) == stamp)
    }

    fn remember(&self, hash: [u8; SHA256_OUTPUT_LEN], stamp: Option<u64>) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        right.retain(|_, (until, _)| *until > now);
        if let Some(stamp) = stamp.filter(|_| right.len() < REMEMBERED_MAXIMUM) {
            right.insert(hash, (now + REMEMBERED, stamp));
        }
    }
}
