//! The authenticators of a listener, asked in order.
//!
//! In:    attempts, the answers of exchanges, re-authentications.
//! Out:   a verdict; failures and bans, counted by the [`Guard`].
//! Never: allowed by default: where nobody vouches for a Client it is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::warn;

use super::attempt::{Attempt, Authenticator, Challenge, Denial, Exchange, Grant, Known, Outcome, Standing};
use super::certificate;
use super::guard::Guard;
use super::subject::Identity;

/// Steps after which an exchange ends, however polite it is. SCRAM takes two.
const STEPS_MAXIMUM: u8 = 8;

/// The attribute that names the authenticator that vouched for a Client.
const BY: &str = "login.by";

/// Authenticators in order.
pub struct Chain {
    links: Vec<Link>,
    guard: Arc<Guard>,
}

struct Link {
    name: Box<str>,
    authenticator: Arc<dyn Authenticator>,
}

/// What the chain says.
#[derive(Debug)]
pub enum Verdict {
    /// The Client is who the grant says.
    Allow {
        /// Who, and what the credentials say of its rights.
        grant: Grant,
        /// The name of the authenticator that vouches for it.
        by: Box<str>,
    },
    /// The Client is refused.
    Deny(Denial),
    /// The Client is to answer first: send [`Pending::data`], then [`Chain::answer`].
    Continue(Pending),
}

/// An exchange whose next step is the Client's. Kept with the connection; the connect timeout bounds it.
pub struct Pending {
    data: Box<[u8]>,
    exchange: Box<dyn Exchange>,
    context: Context,
    steps: u8,
}

/// What the end of an exchange needs of its beginning.
struct Context {
    by: Box<str>,
    address: Option<IpAddr>,
    attributes: BTreeMap<Box<str>, Box<str>>,
    /// Who it must be, where it re-authenticates.
    before: Option<Who>,
}

#[derive(PartialEq, Eq)]
struct Who {
    username: Option<Box<str>>,
    client_id: Box<str>,
}

impl Pending {
    /// Authentication Data to send with Reason Code 0x18.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("by", &self.context.by).finish_non_exhaustive()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.links.iter().map(|link| &link.name)).finish()
    }
}

impl Chain {
    /// A chain that refuses everybody.
    #[must_use]
    pub fn new(guard: Arc<Guard>) -> Self {
        Self { links: Vec::new(), guard }
    }

    /// Adds an authenticator at the end. Its name is for the log.
    #[must_use]
    pub fn with(mut self, name: &str, authenticator: Arc<dyn Authenticator>) -> Self {
        self.links.push(Link { name: name.into(), authenticator });
        self
    }

    /// The Authentication Methods that it knows.
    pub fn methods(&self) -> impl Iterator<Item = &'static str> {
        self.links.iter().filter_map(|link| link.authenticator.method())
    }

    /// What became of somebody whom it let in.
    #[must_use]
    pub fn review(&self, known: Known<'_>) -> Standing {
        let by = known.attributes.get(BY);
        let link = self.links.iter().find(|link| Some(&link.name) == by);
        // Whoever vouched for it is no longer asked by this listener.
        link.map_or(Standing::Gone, |link| link.authenticator.review(known))
    }

    /// Whether an attempt is refused without a look at it: a few hundred nanoseconds, for before the queue.
    #[must_use]
    pub fn refuses(&self, attempt: &Attempt) -> Option<Denial> {
        if let Some(method) = &attempt.method
            && self.methods().all(|known| known != &*method.name)
        {
            return Some(Denial::UnknownMethod);
        }
        let banned = self.guard.check(attempt.address, attempt.username.as_deref(), Instant::now());
        banned.map(|_| Denial::Banned)
    }

    /// Judges an attempt. For a worker: it takes as long as its authenticators do.
    #[must_use]
    pub fn judge(&self, attempt: &Attempt) -> Verdict {
        self.begin(attempt, None)
    }

    /// Judges a re-authentication [MQTT-4.12.1-1]: the method is the one of CONNECT, and the Client stays who it was.
    #[must_use]
    pub fn judge_again(&self, attempt: &Attempt, before: &Identity) -> Verdict {
        self.begin(attempt, Some(Who::of(before)))
    }

    /// Takes the Client's answer.
    #[must_use]
    pub fn answer(&self, pending: Pending, data: &[u8], now: SystemTime) -> Verdict {
        let Pending { exchange, context, steps, .. } = pending;
        let username: Option<Box<str>> = exchange.username().map(Box::from);
        if self.guard.check(context.address, username.as_deref(), Instant::now()).is_some() {
            return Verdict::Deny(Denial::Banned);
        }
        match exchange.answer(data, now) {
            Outcome::Allow(grant) => self.allow(grant, context),
            Outcome::Deny(denial) => self.deny(denial, context.address, username.as_deref()),
            Outcome::Continue(challenge) if steps < STEPS_MAXIMUM => {
                Self::pend(challenge, context, steps + 1)
            }
            Outcome::Continue(_) | Outcome::Pass => {
                self.deny(Denial::BadExchange, context.address, username.as_deref())
            }
        }
    }

    fn begin(&self, attempt: &Attempt, before: Option<Who>) -> Verdict {
        if let Some(denial) = self.refuses(attempt) {
            return Verdict::Deny(denial);
        }
        let method = attempt.method.as_ref().map(|method| &*method.name);
        let (address, username) = (attempt.address, attempt.username.as_deref());
        for link in self.links.iter().filter(|link| link.authenticator.method() == method) {
            let context = |before| Context {
                by: link.name.clone(),
                address,
                attributes: attempt.certificate.as_deref().map(certificate::attributes).unwrap_or_default(),
                before,
            };
            match link.authenticator.authenticate(attempt) {
                Outcome::Allow(grant) => return self.allow(grant, context(before)),
                Outcome::Deny(denial) => return self.deny(denial, address, username),
                Outcome::Continue(challenge) => return Self::pend(challenge, context(before), 1),
                Outcome::Pass => {}
            }
        }
        if attempt.offers_proof() {
            self.deny(Denial::Unknown, address, username)
        } else {
            // Nothing was guessed.
            Verdict::Deny(Denial::Unknown)
        }
    }

    fn pend(challenge: Challenge, context: Context, steps: u8) -> Verdict {
        Verdict::Continue(Pending { data: challenge.data, exchange: challenge.exchange, context, steps })
    }

    fn allow(&self, mut grant: Grant, context: Context) -> Verdict {
        if context.before.is_some_and(|before| before != Who::of(&grant.identity)) {
            return Verdict::Deny(Denial::ChangedIdentity);
        }
        if let Some(username) = grant.identity.username.as_deref() {
            self.guard.succeeded(context.address, username, Instant::now());
        }
        // What an authenticator says of itself must not pass for what TLS has verified.
        grant.identity.attributes.retain(|name, _| !name.starts_with("cert."));
        grant.identity.attributes.extend(context.attributes);
        grant.identity.attributes.insert(BY.into(), context.by.clone());
        grant.identity.groups.sort();
        grant.identity.groups.dedup();
        Verdict::Allow { grant, by: context.by }
    }

    fn deny(&self, denial: Denial, address: Option<IpAddr>, username: Option<&str>) -> Verdict {
        if denial.is_guess()
            && let Some(ban) = self.guard.failed(address, username, Instant::now())
        {
            warn!(target: "dunlin::authentication", ?address, ?username, ?ban, "banned after failed log-ins");
        }
        Verdict::Deny(denial)
    }
}

impl Who {
    fn of(identity: &Identity) -> Self {
        Self { username: identity.username.clone(), client_id: identity.client_id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::anonymous::Anonymous;
    use crate::identity::attempt::Method;
    use crate::identity::guard::GuardLimits;
    use crate::identity::secret::Secret;
    use crate::identity::testing::attempt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Says the same to everybody, and counts how often it was asked.
    struct Fixed {
        says: fn(&Attempt) -> Outcome,
        asked: AtomicUsize,
    }

    impl Fixed {
        fn new(says: fn(&Attempt) -> Outcome) -> Arc<Self> {
            Arc::new(Self { says, asked: AtomicUsize::new(0) })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    impl Authenticator for Fixed {
        fn authenticate(&self, attempt: &Attempt) -> Outcome {
            self.asked.fetch_add(1, Ordering::Relaxed);
            (self.says)(attempt)
        }
    }

    /// The method `ECHO`: asks for the user's name until it gets one.
    struct Echo;

    struct Echoing(Box<str>);

    impl Authenticator for Echo {
        fn method(&self) -> Option<&'static str> {
            Some("ECHO")
        }

        fn authenticate(&self, attempt: &Attempt) -> Outcome {
            ask(attempt.client_id.clone())
        }
    }

    impl Exchange for Echoing {
        fn answer(self: Box<Self>, data: &[u8], _now: SystemTime) -> Outcome {
            match data {
                b"" => ask(self.0),
                b"wrong" => Outcome::Deny(Denial::BadCredentials),
                name => allow(std::str::from_utf8(name).unwrap(), &self.0),
            }
        }

        fn username(&self) -> Option<&str> {
            Some("amy")
        }
    }

    fn ask(client_id: Box<str>) -> Outcome {
        Outcome::Continue(Challenge { data: b"who"[..].into(), exchange: Box::new(Echoing(client_id)) })
    }

    fn allow(username: &str, client_id: &str) -> Outcome {
        let (username, client_id) = (Some(username.into()), client_id.into());
        let identity = Identity { username, client_id, ..Identity::default() };
        Outcome::Allow(Grant { identity, ..Grant::default() })
    }

    fn chain(links: Vec<Arc<dyn Authenticator>>) -> Chain {
        let guard = Arc::new(Guard::new(GuardLimits { entries: 64, ..GuardLimits::default() }));
        let named = |chain: Chain, (at, link): (usize, Arc<dyn Authenticator>)| {
            chain.with(&format!("link{at}"), link)
        };
        links.into_iter().enumerate().fold(Chain::new(guard), named)
    }

    fn login() -> Attempt {
        Attempt { username: Some("amy".into()), password: Some(Secret::new(*b"pw")), ..attempt() }
    }

    fn enhanced(method: &str) -> Attempt {
        Attempt { method: Some(Method { name: method.into(), data: None }), ..attempt() }
    }

    fn denial(verdict: Verdict) -> Denial {
        match verdict {
            Verdict::Deny(denial) => denial,
            other => panic!("{other:?}"),
        }
    }

    fn pending(verdict: Verdict) -> Pending {
        match verdict {
            Verdict::Continue(pending) => pending,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_chain_refuses_everybody() {
        assert_eq!(denial(chain(vec![]).judge(&login())), Denial::Unknown);
        assert_eq!(denial(chain(vec![]).judge(&attempt())), Denial::Unknown);
    }

    #[test]
    fn the_first_that_does_not_pass_decides() {
        let pass = Fixed::new(|_| Outcome::Pass);
        let yes = Fixed::new(|_| allow("amy", "c"));
        let no = Fixed::new(|_| Outcome::Deny(Denial::BadCredentials));

        let verdict = chain(vec![pass.clone(), yes.clone(), no.clone()]).judge(&login());
        assert!(matches!(verdict, Verdict::Allow { by, .. } if &*by == "link1"));
        assert_eq!((pass.asked(), yes.asked(), no.asked()), (1, 1, 0));

        assert_eq!(denial(chain(vec![pass, no, yes.clone()]).judge(&login())), Denial::BadCredentials);
        assert_eq!(yes.asked(), 1);
    }

    #[test]
    fn where_all_pass_the_client_is_refused() {
        let pass = Fixed::new(|_| Outcome::Pass);

        assert_eq!(denial(chain(vec![pass]).judge(&login())), Denial::Unknown);
    }

    #[test]
    fn who_is_banned_costs_nothing() {
        let no = Fixed::new(|_| Outcome::Deny(Denial::BadCredentials));
        let chain = chain(vec![no.clone()]);

        for _ in 0..5 {
            assert_eq!(denial(chain.judge(&login())), Denial::BadCredentials);
        }

        assert_eq!(denial(chain.judge(&login())), Denial::Banned);
        assert_eq!(no.asked(), 5);
    }

    #[test]
    fn what_is_no_guess_leads_to_no_ban() {
        for says in [
            |_: &Attempt| Outcome::Deny(Denial::Unavailable),
            |_: &Attempt| Outcome::Deny(Denial::Expired),
            |_: &Attempt| Outcome::Deny(Denial::WrongClientId),
        ] {
            let fixed = Fixed::new(says);
            let chain = chain(vec![fixed.clone()]);
            for _ in 0..20 {
                assert_ne!(denial(chain.judge(&login())), Denial::Banned);
            }
        }
        let closed = chain(vec![]);
        for _ in 0..20 {
            assert_eq!(denial(closed.judge(&attempt())), Denial::Unknown);
        }
    }

    #[test]
    fn only_who_knows_the_method_is_asked() {
        let yes = Fixed::new(|_| allow("amy", "c"));
        let chain = chain(vec![yes.clone(), Arc::new(Echo), Arc::new(Anonymous)]);

        assert_eq!(denial(chain.judge(&enhanced("GS2-KRB5"))), Denial::UnknownMethod);
        assert_eq!(pending(chain.judge(&enhanced("ECHO"))).data(), b"who");
        assert_eq!(yes.asked(), 0);
        assert!(matches!(chain.judge(&login()), Verdict::Allow { .. }));
    }

    #[test]
    fn an_exchange_ends_in_a_verdict() {
        let chain = chain(vec![Arc::new(Echo)]);
        let now = attempt().now;

        let begun = pending(chain.judge(&enhanced("ECHO")));
        let begun = pending(chain.answer(begun, b"", now));
        let verdict = chain.answer(begun, b"amy", now);
        assert!(matches!(verdict, Verdict::Allow { grant, .. } if &*grant.identity.client_id == "sensor-1"));

        let begun = pending(chain.judge(&enhanced("ECHO")));
        assert_eq!(denial(chain.answer(begun, b"wrong", now)), Denial::BadCredentials);
    }

    #[test]
    fn an_exchange_without_end_is_ended() {
        let chain = chain(vec![Arc::new(Echo)]);
        let mut begun = pending(chain.judge(&enhanced("ECHO")));
        for _ in 1..STEPS_MAXIMUM {
            begun = pending(chain.answer(begun, b"", attempt().now));
        }

        assert_eq!(denial(chain.answer(begun, b"", attempt().now)), Denial::BadExchange);
    }

    #[test]
    fn failures_of_an_exchange_ban_the_name_that_it_claims() {
        let chain = chain(vec![Arc::new(Echo)]);
        for host in 0..5 {
            let address = Some(IpAddr::from([192, 0, 2, host]));
            let begun = pending(chain.judge(&Attempt { address, ..enhanced("ECHO") }));
            assert_eq!(denial(chain.answer(begun, b"wrong", attempt().now)), Denial::BadCredentials);
        }

        let begun = pending(chain.judge(&Attempt { address: None, ..enhanced("ECHO") }));

        assert_eq!(denial(chain.answer(begun, b"amy", attempt().now)), Denial::Banned);
    }

    /// [MQTT-4.12.1-1]
    #[test]
    fn who_re_authenticates_stays_who_it_was() {
        let chain = chain(vec![Arc::new(Echo)]);
        let (username, client_id) = (Some("amy".into()), "sensor-1".into());
        let before = Identity { username, client_id, ..Identity::default() };

        let begun = pending(chain.judge_again(&enhanced("ECHO"), &before));
        assert!(matches!(chain.answer(begun, b"amy", attempt().now), Verdict::Allow { .. }));

        let begun = pending(chain.judge_again(&enhanced("ECHO"), &before));
        assert_eq!(denial(chain.answer(begun, b"eve", attempt().now)), Denial::ChangedIdentity);

        let other = Attempt { client_id: "sensor-2".into(), ..enhanced("ECHO") };
        let begun = pending(chain.judge_again(&other, &before));
        assert_eq!(denial(chain.answer(begun, b"amy", attempt().now)), Denial::ChangedIdentity);
    }

    #[test]
    fn the_certificate_is_known_whoever_vouches() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "pump-17");
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let forge = Fixed::new(|attempt| match allow("amy", &attempt.client_id) {
            Outcome::Allow(mut grant) => {
                let forged = [("cert.cn", "admin"), ("cert.x", "y"), ("site", "north")];
                grant.identity.attributes = forged.map(|(name, value)| (name.into(), value.into())).into();
                Outcome::Allow(grant)
            }
            other => other,
        });
        let with = |certificate| Attempt { certificate, ..login() };

        let verdict = chain(vec![forge]).judge(&with(Some(Arc::from(&**certificate.der()))));

        let Verdict::Allow { grant, .. } = verdict else { panic!("{verdict:?}") };
        let get = |name: &str| grant.identity.attributes.get(name).map(|value| &**value);
        assert_eq!((get("cert.cn"), get("cert.x"), get("site")), (Some("pump-17"), None, Some("north")));
    }
}
