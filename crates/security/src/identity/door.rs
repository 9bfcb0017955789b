//! Where the engine's questions are answered: by the chain of the listener, and the rules.
//!
//! In:    what a Client says of itself; at a review, whom it was recognised as.
//! Out:   an admission with a policy, a refusal, a challenge; whether it may stay, and with which policy.
//! Never: on a shard, but for the review, which neither waits nor allocates where nothing changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use dunlin_codec::ReasonCode;
use dunlin_engine::{
    Admission, Authority, Credentials, Exchange, Identity as Recognised, Outcome, Policy, Review, Step,
};

use crate::policy::{Decision, Request, Rule, Rules};

use super::attempt::{Attempt, Grant, Known, Method, Standing};
use super::chain::{Chain, Pending, Verdict};
use super::rule::GrantedRule;
use super::secret::Secret;
use super::subject::Identity;

/// What the attributes of an identity say of its log-in, for reviews: rules that it carried, when it lapses, when it was,
/// and under which generation of the rules (seconds since 1970, and a number).
const RULES: &str = "login.rules";
const EXPIRES: &str = "login.expires";
const AT: &str = "login.at";
const GENERATION: &str = "login.generation";

/// Grants lapse at the next multiple of this, so that Sessions are not all looked at for each.
const LAPSE_INTERVAL: u64 = 5;
/// How long after a change of the rules, or after a log-in, a Session may still have a policy of before.
const SETTLING: u64 = 60;

type Listeners = Arc<[(Box<str>, Arc<Chain>)]>;

/// Who is let in, by listener, and with which rights.
#[derive(Debug)]
pub struct Door {
    /// By the number of the listener: its name and its chain.
    listeners: RwLock<Listeners>,
    rights: RwLock<Rights>,
    /// The earliest time at which a grant lapses, in seconds since 1970; `u64::MAX` for never.
    lapse: AtomicU64,
}

#[derive(Clone, Debug)]
struct Rights {
    rules: Arc<Rules>,
    generation: u64,
    /// When they became so, in seconds since 1970.
    since: u64,
}

impl Door {
    /// For these listeners, in the order of the configuration, and these rules.
    #[must_use]
    pub fn new(listeners: Vec<(Box<str>, Arc<Chain>)>, rules: Arc<Rules>) -> Self {
        let rights = RwLock::new(Rights { rules, generation: 0, since: 0 });
        Self { listeners: RwLock::new(listeners.into()), rights, lapse: AtomicU64::new(u64::MAX) }
    }

    /// Takes other chains, for the same listeners in the same order. A review ends the connections of those whom none of them
    /// knows any more; exchanges that are under way go on as they began.
    pub fn set_chains(&self, chains: Vec<Arc<Chain>>) {
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(chains.len(), listeners.len(), "as many chains as listeners");
        let names = listeners.iter().map(|(name, _)| name.clone());
        *listeners = names.zip(chains).collect();
    }

    fn listeners(&self) -> Listeners {
        Arc::clone(&self.listeners.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes other rules. A review makes them hold for those who are in.
    pub fn set_rules(&self, rules: Arc<Rules>, now: SystemTime) {
        let mut rights = self.rights.write().unwrap_or_else(PoisonError::into_inner);
        *rights = Rights { rules, generation: rights.generation + 1, since: seconds(now) };
    }

    /// Whether a grant lapsed, so that a review is due. Says so once; the review finds out when the next one is.
    #[must_use]
    pub fn is_review_due(&self, now: SystemTime) -> bool {
        let due = self.lapse.load(Ordering::Acquire) <= seconds(now);
        if due {
            self.lapse.store(u64::MAX, Ordering::Release);
        }
        due
    }

    /// Finds out who a Client is. For a worker.
    #[must_use]
    pub fn judge(&self, credentials: Credentials, now: SystemTime) -> Outcome {
        let listeners = self.listeners();
        let Some((listener, chain)) = listeners.get(usize::from(credentials.peer.listener)) else {
            unreachable!("a connection comes through a listener that there is")
        };
        let data = credentials.data.as_ref().map(|data| Secret::new(data.expose()));
        let verdict = match credentials.step {
            Step::Continue(Exchange(pending)) => {
                let Ok(pending) = pending.downcast::<Pending>() else {
                    unreachable!("an exchange is one that we began")
                };
                chain.answer(*pending, data.as_ref().map_or(&[][..], Secret::expose), now)
            }
            Step::Connect | Step::Again(_) => {
                let attempt = Attempt {
                    listener: listener.clone(),
                    address: credentials.peer.address.map(|address| address.ip()),
                    client_id: credentials.client_id,
                    is_assigned: credentials.is_assigned,
                    username: credentials.user_name,
                    password: credentials.password.map(|password| Secret::new(password.expose())),
                    certificate: credentials.certificates.into_iter().next().map(Arc::from),
                    method: credentials.method.map(|name| Method { name, data }),
                    now,
                };
                match credentials.step {
                    Step::Again(before) => chain.judge_again(&attempt, &from_engine(&before)),
                    _ => chain.judge(&attempt),
                }
            }
        };
        self.outcome(verdict, now)
    }

    /// What the rules as they are now say of somebody who logged in before, with the rule that decides; rules that credentials
    /// carried are left out.
    pub fn explain<T>(
        &self,
        recognised: &Recognised,
        request: &Request<'_>,
        tell: impl FnOnce(&Decision<'_>) -> T,
    ) -> T {
        tell(&self.rights().rules.explain(&from_engine(recognised), request))
    }

    fn outcome(&self, verdict: Verdict, now: SystemTime) -> Outcome {
        match verdict {
            Verdict::Allow { grant, .. } => Outcome::Admitted(self.admission(grant, now)),
            Verdict::Deny(denial) => {
                Outcome::Refused { reason: denial.reason_code(), detail: denial.to_string().into() }
            }
            Verdict::Continue(pending) => {
                Outcome::Continue { data: pending.data().into(), exchange: Exchange(Box::new(pending)) }
            }
        }
    }

    fn admission(&self, grant: Grant, now: SystemTime) -> Admission {
        let Grant { mut identity, rules, expires, data } = grant;
        let rights = self.rights();
        let mut note = |name: &str, value: String| {
            identity.attributes.insert(name.into(), value.into());
        };
        note(AT, seconds(now).to_string());
        note(GENERATION, rights.generation.to_string());
        if let Some(expires) = expires {
            let expires = seconds(expires).div_ceil(LAPSE_INTERVAL) * LAPSE_INTERVAL;
            note(EXPIRES, expires.to_string());
            self.lapse.fetch_min(expires, Ordering::AcqRel);
        }
        if !rules.is_empty() {
            let Ok(text) = serde_json::to_string(&rules) else {
                unreachable!("rules are text and truth values")
            };
            note(RULES, text);
        }
        let carried: Vec<Rule> = rules.iter().filter_map(GrantedRule::to_rule).collect();
        let policy = rights.rules.compile_with(&identity, &carried);
        let client_id = Some(identity.client_id.clone());
        Admission { client_id, identity: Arc::new(to_engine(identity)), policy: Some(policy), data }
    }

    fn rights(&self) -> Rights {
        self.rights.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The policy of somebody who logged in before.
    fn policy(rights: &Rights, identity: &Identity) -> Arc<dyn Policy> {
        let text = identity.attributes.get(RULES).map_or("[]", |text| text);
        let Ok(rules) = serde_json::from_str::<Vec<GrantedRule>>(text) else {
            unreachable!("we wrote them ourselves")
        };
        let carried: Vec<Rule> = rules.iter().filter_map(GrantedRule::to_rule).collect();
        rights.rules.compile_with(identity, &carried)
    }

    /// The first chain that knows who vouched for it: authenticators have the same name wherever they are asked.
    fn standing(&self, recognised: &Recognised) -> Standing {
        let known = Known {
            username: Some(&*recognised.name).filter(|name| !name.is_empty()),
            client_id: &recognised.client_id,
            groups: &recognised.groups,
            attributes: &recognised.attributes,
        };
        let listeners = self.listeners();
        let mut standings = listeners.iter().map(|(_, chain)| chain.review(known));
        standings.find(|standing| *standing != Standing::Gone).unwrap_or(Standing::Gone)
    }
}

impl Authority for Door {
    fn review(&self, recognised: &Recognised) -> Review {
        let now = seconds(SystemTime::now());
        let number = |name: &str| recognised.attributes.get(name).and_then(|value| value.parse::<u64>().ok());
        if let Some(expires) = number(EXPIRES) {
            if expires <= now {
                return Review::Revoked(ReasonCode::NotAuthorized);
            }
            self.lapse.fetch_min(expires, Ordering::AcqRel);
        }
        let rights = self.rights();
        match self.standing(recognised) {
            Standing::Gone => return Review::Revoked(ReasonCode::NotAuthorized),
            Standing::Groups(groups) => {
                let identity = Identity { groups, ..from_engine(recognised) };
                return Review::Policy(Some(Self::policy(&rights, &identity)));
            }
            Standing::Same => {}
        }
        // A Session keeps the generation that it came with, though a review has given it another policy since: it is only
        // for a while after a change that the two are taken for each other.
        let settled = now >= rights.since + SETTLING && number(AT).is_some_and(|at| now >= at + SETTLING);
        if number(GENERATION) == Some(rights.generation) || settled {
            return Review::Unchanged;
        }
        Review::Policy(Some(Self::policy(&rights, &from_engine(recognised))))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn to_engine(identity: Identity) -> Recognised {
    Recognised {
        name: identity.username.unwrap_or_default(),
        client_id: identity.client_id,
        groups: identity.groups.into(),
        attributes: identity.attributes,
    }
}

fn from_engine(identity: &Recognised) -> Identity {
    Identity {
        username: Some(identity.name.clone()).filter(|name| !name.is_empty()),
        client_id: identity.client_id.clone(),
        groups: identity.groups.to_vec(),
        attributes: identity.attributes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::attempt::{Authenticator, Denial, Outcome as Said};
    use crate::identity::guard::{Guard, GuardLimits};
    use crate::identity::password::{self, Passwords, UserStore};
    use crate::identity::rule::Action;
    use crate::identity::scram::Scram;
    use crate::identity::scratch::Scratch;
    use crate::policy::PolicyFile;
    use dunlin_codec::{ProtocolVersion, QoS};
    use dunlin_engine::{Peer, SecretBytes};

    /// Lets everybody in, for a minute, with a rule.
    struct Lease;

    impl Authenticator for Lease {
        fn authenticate(&self, attempt: &Attempt) -> Said {
            if attempt.username.as_deref() != Some("lease") {
                return Said::Pass;
            }
            let (username, client_id) = (attempt.username.clone(), attempt.client_id.clone());
            Said::Allow(Grant {
                identity: Identity { username, client_id, ..Identity::default() },
                rules: vec![GrantedRule { allow: true, action: Action::Publish, filter: "leased/#".into() }],
                expires: Some(attempt.now + Duration::from_secs(60)),
                data: None,
            })
        }
    }

    struct House {
        folder: Scratch,
        store: Arc<UserStore>,
        door: Door,
    }

    fn rules(text: &str) -> Arc<Rules> {
        Arc::new(PolicyFile::parse(text).unwrap())
    }

    fn house() -> House {
        let folder = Scratch::new("door");
        let path = folder.path("users");
        password::add(&path, "amy", &Secret::new(*b"pw"), true).unwrap();
        let store = Arc::new(UserStore::open(&path).unwrap());
        let chain = Chain::new(Arc::new(Guard::new(GuardLimits::default())))
            .with("users", Arc::new(Passwords::new(store.clone())))
            .with("scram", Arc::new(Scram::new(store.clone(), &Secret::new([1; 32]))))
            .with("lease", Arc::new(Lease));
        let rules = rules("[[rule]]\nfor = 'user:amy'\nallow = 'publish'\ntopics = 'amy/#'\n");
        let door = Door::new(vec![("tls".into(), Arc::new(chain))], rules);
        House { folder, store, door }
    }

    fn login(name: &str, password: &str) -> Credentials {
        Credentials {
            client_id: "c".into(),
            is_assigned: false,
            user_name: Some(name.into()),
            password: Some(SecretBytes::of(password.as_bytes())),
            peer: Peer { listener: 0, address: None, authenticate: true },
            certificates: Vec::new(),
            version: ProtocolVersion::V5,
            method: None,
            data: None,
            step: Step::Connect,
        }
    }

    fn admitted(outcome: Outcome) -> Admission {
        match outcome {
            Outcome::Admitted(admission) => admission,
            other => panic!("{other:?}"),
        }
    }

    fn publishes(policy: &Option<Arc<dyn Policy>>, topic: &str) -> bool {
        policy.as_ref().unwrap().may_publish(topic, QoS::AtMostOnce, false)
    }

    fn now() -> SystemTime {
        SystemTime::now()
    }

    #[test]
    fn a_user_gets_a_name_and_the_rights_of_the_rules() {
        let house = house();

        let admission = admitted(house.door.judge(login("amy", "pw"), now()));

        assert_eq!((&*admission.identity.name, admission.client_id.as_deref()), ("amy", Some("c")));
        assert!(publishes(&admission.policy, "amy/x") && !publishes(&admission.policy, "bob/x"));
        assert!(matches!(house.door.review(&admission.identity), Review::Unchanged));
    }

    #[test]
    fn a_stranger_is_told_one_reason_and_the_log_another() {
        let house = house();
        let wrong = house.door.judge(login("amy", "wrong"), now());
        let unknown = house.door.judge(login("bob", "pw"), now());

        let told = |outcome: Outcome| match outcome {
            Outcome::Refused { reason, detail } => (reason, detail),
            other => panic!("{other:?}"),
        };
        let (wrong, unknown) = (told(wrong), told(unknown));
        assert_eq!(wrong.0, unknown.0);
        assert_eq!(
            (&*wrong.1, &*unknown.1),
            (&*Denial::BadCredentials.to_string(), &*Denial::Unknown.to_string())
        );
    }

    #[test]
    fn a_user_who_is_removed_may_not_stay() {
        let house = house();
        let admission = admitted(house.door.judge(login("amy", "pw"), now()));
        password::remove(&house.folder.path("users"), "amy").unwrap();
        house.store.reload();

        let review = house.door.review(&admission.identity);

        assert!(matches!(review, Review::Revoked(ReasonCode::NotAuthorized)), "{review:?}");
    }

    #[test]
    fn other_rules_make_another_policy_and_keep_what_the_credentials_carry() {
        let house = house();
        let amy = admitted(house.door.judge(login("amy", "pw"), now()));
        let lease = admitted(house.door.judge(login("lease", ""), now()));
        assert!(publishes(&lease.policy, "leased/x") && !publishes(&lease.policy, "new/x"));

        house.door.set_rules(rules("[[rule]]\nallow = 'publish'\ntopics = 'new/#'\n"), now());

        let reviewed = |admission: &Admission| match house.door.review(&admission.identity) {
            Review::Policy(policy) => policy,
            other => panic!("{other:?}"),
        };
        let (amy, lease) = (reviewed(&amy), reviewed(&lease));
        assert!(publishes(&amy, "new/x") && !publishes(&amy, "amy/x"));
        assert!(publishes(&lease, "new/x") && publishes(&lease, "leased/x"));
    }

    #[test]
    fn a_grant_lapses() {
        let house = house();
        let before = now() - Duration::from_secs(120);
        let lasting = admitted(house.door.judge(login("lease", ""), now()));
        assert!(!house.door.is_review_due(now()));
        let lapsed = admitted(house.door.judge(login("lease", ""), before));

        assert!(house.door.is_review_due(now()) && !house.door.is_review_due(now()));
        assert!(matches!(house.door.review(&lapsed.identity), Review::Revoked(_)));
        assert!(matches!(house.door.review(&lasting.identity), Review::Unchanged));
        assert!(house.door.is_review_due(now() + Duration::from_secs(70)), "the other one is not forgotten");
    }

    #[test]
    fn an_exchange_goes_through_the_door() {
        let house = house();
        let asking = |data: &[u8], step| Credentials {
            user_name: None,
            password: None,
            method: Some("SCRAM-SHA-256".into()),
            data: Some(SecretBytes::of(data)),
            step,
            ..login("amy", "")
        };

        let outcome = house.door.judge(asking(b"n,,n=amy,r=x", Step::Connect), now());
        let Outcome::Continue { data, exchange } = outcome else { panic!("{outcome:?}") };
        assert!(data.starts_with(b"r=x"));
        let outcome = house.door.judge(asking(b"nonsense", Step::Continue(exchange)), now());

        assert!(matches!(outcome, Outcome::Refused { reason: ReasonCode::NotAuthorized, .. }), "{outcome:?}");
    }
}
