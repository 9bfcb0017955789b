//! Log-in by asking an HTTP service.
//!
//! In:    an attempt, sent as JSON by POST; later, if asked to, who was let in, without a password.
//! Out:   what the service says: 200 with JSON, 204 for a plain yes, 401 and 403 for no, as what it cannot make sense of.
//! Never: a guess at what another answer means, nor at none: then the service is out of order, and the Client is refused,
//!        or passed on where that was chosen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::warn;
use zeroize::Zeroizing;

use crate::identity::attempt::{Attempt, Authenticator, Denial, Grant, Known, Outcome, Standing};
use crate::identity::certificate;
use crate::identity::recheck::{Attributes, Person, Recheck, Rechecked, Rechecks};
use crate::identity::rule;
use crate::identity::secret::{NoRandomness, Secret};
use crate::identity::subject::Identity;

use super::breaker::{Breaker, BreakerLimits};
use super::cache::Cache;
use super::client::{Answer, Client};

/// Longest name, group or attribute that a service may give, in bytes.
const TEXT_MAXIMUM: usize = 1024;
/// The most groups, and the most attributes.
const ITEMS_MAXIMUM: usize = 64;

/// How a service is asked about Clients.
#[derive(Clone, Debug)]
pub struct CallOutSettings {
    /// `Authorization` of each request.
    pub authorization: Option<Secret>,
    /// How long a yes is kept. 60 s; 0 keeps none. What the service revokes lives so much longer for new connections.
    pub allow_cached: Duration,
    /// How long a no is kept. 5 s.
    pub deny_cached: Duration,
    /// Answers kept, some 300 bytes each. 10,000.
    pub cache_entries: usize,
    /// Requests under way; more are refused at once, so that a slow service leaves workers to others. 2.
    pub in_flight_maximum: usize,
    /// When it is left alone.
    pub breaker: BreakerLimits,
    /// Whether a Client is passed on to the next authenticator where the service is out of order. Otherwise it is refused.
    pub pass_without_answer: bool,
    /// How often the service is asked whether those whom it let in may stay; 0: never, which is the default.
    pub recheck: Duration,
}

impl Default for CallOutSettings {
    fn default() -> Self {
        Self {
            authorization: None,
            allow_cached: Duration::from_secs(60),
            deny_cached: Duration::from_secs(5),
            cache_entries: 10_000,
            in_flight_maximum: 2,
            breaker: BreakerLimits::default(),
            pass_without_answer: false,
            recheck: Duration::ZERO,
        }
    }
}

/// Authenticates by an HTTP service.
pub struct CallOut {
    client: Client,
    settings: CallOutSettings,
    breaker: Breaker,
    cache: Cache<Said>,
    in_flight: AtomicUsize,
    rechecks: Option<Rechecks>,
}

#[derive(Serialize)]
struct Request<'a> {
    /// Was it let in before?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recheck: bool,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    /// Where the password is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_base64: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    certificate: Attributes,
}

#[derive(Deserialize)]
struct Response {
    result: ResultWord,
    username: Option<Box<str>>,
    client_id: Option<Box<str>>,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    attributes: BTreeMap<Box<str>, Box<str>>,
    acl: Option<Value>,
    /// Seconds.
    expires_in: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResultWord {
    Allow,
    Deny,
    Pass,
}

/// What the service said, as it is kept.
#[derive(Clone, Debug)]
enum Said {
    Yes(Box<Grant>),
    No,
    Nothing,
}

/// Why an answer is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoAnswer {
    #[error("status {0}")]
    Status(u16),
    #[error("body is not the JSON that was asked for")]
    Body,
    #[error(transparent)]
    Rule(#[from] rule::RuleError),
    #[error(
        "a name, group or attribute is too long or holds a control character, or there are too many, or the client identifier is empty"
    )]
    Text,
}

impl CallOut {
    /// Asks with this client.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(client: Client, settings: CallOutSettings) -> Result<Self, NoRandomness> {
        let (breaker, cache) = (Breaker::new(settings.breaker), Cache::new(settings.cache_entries)?);
        let rechecks = Rechecks::new(settings.recheck, Instant::now());
        Ok(Self { client, settings, breaker, cache, in_flight: AtomicUsize::new(0), rechecks })
    }

    /// Forgets the answers that are kept.
    pub fn clear_cache(&self) {
        self.cache.clear();
    }

    fn without_answer(&self, denial: Denial) -> Outcome {
        if self.settings.pass_without_answer { Outcome::Pass } else { Outcome::Deny(denial) }
    }

    /// Asks the service, unless too many do or it is left alone.
    fn ask(&self, body: &[u8], attempt: &Attempt) -> Result<Said, Denial> {
        if self.in_flight.fetch_add(1, Ordering::AcqRel) >= self.settings.in_flight_maximum {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(Denial::Busy);
        }
        let said = self.ask_if_it_answers(body, |answer| read(answer, attempt));
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        said.ok_or(Denial::Unavailable)
    }

    fn ask_if_it_answers<T>(
        &self,
        body: &[u8],
        read: impl FnOnce(&Answer) -> Result<T, NoAnswer>,
    ) -> Option<T> {
        if !self.breaker.may_ask(Instant::now()) {
            return None;
        }
        let authorization = self.settings.authorization.as_ref().and_then(Secret::expose_str);
        let reason: Box<dyn std::fmt::Display> = match self.client.post_json(body, authorization) {
            Ok(answer) => match read(&answer) {
                Ok(said) => {
                    self.breaker.answered();
                    return Some(said);
                }
                Err(reason) => Box::new(reason),
            },
            Err(reason) => Box::new(reason),
        };
        let rest = self.breaker.failed(Instant::now());
        warn!(target: "dunlin::authentication", url = self.client.url(), %reason, ?rest, "authentication service gives no answer");
        None
    }

    /// Remembers whom the service let in.
    fn let_in(&self, grant: &Grant, attempt: &Attempt) {
        let Some(rechecks) = &self.rechecks else { return };
        let Identity { username, client_id, .. } = grant.identity.clone();
        let certificate = attempt.certificate.as_deref().map(certificate::attributes).unwrap_or_default();
        rechecks.logged_in(Person { username, client_id }, certificate, Instant::now());
    }
}

impl Recheck for CallOut {
    fn recheck(&self, now: Instant) -> Rechecked {
        let Some(rechecks) = &self.rechecks else { return Rechecked::Idle };
        rechecks.ask_one(now, |person, certificate| {
            let said = self.ask_if_it_answers(&question(person, certificate), may_stay);
            if said == Some(false) {
                // Else what is kept would let it in again.
                self.clear_cache();
            }
            said
        })
    }
}

impl Authenticator for CallOut {
    fn review(&self, known: Known<'_>) -> Standing {
        let Some(rechecks) = &self.rechecks else { return Standing::Same };
        let certificate = || {
            let of_it = known.attributes.iter().filter(|(name, _)| name.starts_with("cert."));
            of_it.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let stays = rechecks.may_stay(&known, known.client_id, certificate, Instant::now());
        if stays { Standing::Same } else { Standing::Gone }
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        if !attempt.offers_proof() && attempt.username.is_none() {
            return Outcome::Pass;
        }
        let body = body(attempt);
        let key = self.cache.key(&body);
        let said = match self.cache.get(&key, Instant::now()) {
            Some(said) => said,
            None => match self.ask(&body, attempt) {
                Ok(said) => {
                    let time = match &said {
                        Said::Yes(grant) => within(self.settings.allow_cached, grant, attempt),
                        Said::No | Said::Nothing => self.settings.deny_cached,
                    };
                    self.cache.put(key, said.clone(), time, Instant::now());
                    said
                }
                Err(denial) => return self.without_answer(denial),
            },
        };
        match said {
            Said::Yes(grant) => {
                self.let_in(&grant, attempt);
                Outcome::Allow(*grant)
            }
            Said::No => Outcome::Deny(Denial::BadCredentials),
            Said::Nothing => Outcome::Pass,
        }
    }
}

/// A yes is kept no longer than it holds.
fn within(time: Duration, grant: &Grant, attempt: &Attempt) -> Duration {
    let left = grant.expires.map(|expires| expires.duration_since(attempt.now).unwrap_or_default());
    left.map_or(time, |left| left.min(time))
}

fn body(attempt: &Attempt) -> Zeroizing<Vec<u8>> {
    let password = attempt.password.as_ref();
    let text = password.and_then(Secret::expose_str);
    let bytes =
        password.filter(|_| text.is_none()).map(|bytes| Zeroizing::new(STANDARD.encode(bytes.expose())));
    json(&Request {
        recheck: false,
        client_id: &attempt.client_id,
        username: attempt.username.as_deref(),
        password: text,
        password_base64: bytes.as_ref().map(|bytes| bytes.as_str()),
        address: attempt.address.map(|address| address.to_string()),
        listener: Some(&attempt.listener),
        certificate: attempt.certificate.as_deref().map(certificate::attributes).unwrap_or_default(),
    })
}

/// About somebody who was let in before.
fn question(person: &Person, certificate: &Attributes) -> Zeroizing<Vec<u8>> {
    json(&Request {
        recheck: true,
        client_id: &person.client_id,
        username: person.username.as_deref(),
        password: None,
        password_base64: None,
        address: None,
        listener: None,
        certificate: certificate.clone(),
    })
}

fn json(request: &Request<'_>) -> Zeroizing<Vec<u8>> {
    match serde_json::to_vec(request) {
        Ok(body) => Zeroizing::new(body),
        Err(_) => unreachable!("text and maps of text are always JSON"),
    }
}

fn read(answer: &Answer, attempt: &Attempt) -> Result<Said, NoAnswer> {
    let plain = || Identity {
        username: attempt.username.clone(),
        client_id: attempt.client_id.clone(),
        ..Identity::default()
    };
    match answer.status {
        200 => {}
        204 => return Ok(Said::Yes(Box::new(Grant { identity: plain(), ..Grant::default() }))),
        // The last three: it answers, but does not take this client's names. Else a stranger could have it left alone.
        401 | 403 | 400 | 413 | 422 => return Ok(Said::No),
        status => return Err(NoAnswer::Status(status)),
    }
    let response: Response = serde_json::from_slice(&answer.body).map_err(|_| NoAnswer::Body)?;
    match response.result {
        ResultWord::Deny => return Ok(Said::No),
        ResultWord::Pass => return Ok(Said::Nothing),
        ResultWord::Allow => {}
    }
    check(&response)?;
    let attributes = response.attributes.into_iter();
    let identity = Identity {
        username: response.username.or_else(|| attempt.username.clone()),
        client_id: response.client_id.unwrap_or_else(|| attempt.client_id.clone()),
        groups: response.groups,
        attributes: attributes.map(|(name, value)| (format!("claim.{name}").into(), value)).collect(),
    };
    let rules = response.acl.as_ref().map(rule::read).transpose()?.unwrap_or_default();
    let expires = response.expires_in.map(|seconds| attempt.now + Duration::from_secs(seconds.into()));
    Ok(Said::Yes(Box::new(Grant { identity, rules, expires, data: None })))
}

/// Whether somebody who was let in may stay. A service that passes vouches for it no more.
fn may_stay(answer: &Answer) -> Result<bool, NoAnswer> {
    match answer.status {
        200 => {
            let response: Response = serde_json::from_slice(&answer.body).map_err(|_| NoAnswer::Body)?;
            Ok(matches!(response.result, ResultWord::Allow))
        }
        204 => Ok(true),
        401 | 403 => Ok(false),
        status => Err(NoAnswer::Status(status)),
    }
}

fn check(response: &Response) -> Result<(), NoAnswer> {
    if response.client_id.as_deref() == Some("") {
        return Err(NoAnswer::Text);
    }
    let names = [&response.username, &response.client_id].into_iter().flatten();
    let attributes = response.attributes.iter().flat_map(|(name, value)| [name, value]);
    let mut texts = names.chain(&response.groups).chain(attributes);
    let few = response.groups.len() <= ITEMS_MAXIMUM && response.attributes.len() <= ITEMS_MAXIMUM;
    let fits = |text: &str| text.len() <= TEXT_MAXIMUM && !text.contains(char::is_control);
    if few && texts.all(|text| fits(text)) { Ok(()) } else { Err(NoAnswer::Text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::attempt;
    use proptest::prelude::*;
    use serde_json::json;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into_bytes() }
    }

    #[test]
    fn a_full_answer_is_read() {
        let body = json!({
            "result": "allow", "username": "amy", "client_id": "other", "groups": ["ops"],
            "attributes": {"site": "north"}, "acl": {"pub": ["a/#"]}, "expires_in": 60,
        });

        let said = read(&answer(200, &body), &attempt()).unwrap();

        let Said::Yes(grant) = said else { panic!("{said:?}") };
        assert_eq!(grant.identity.username.as_deref(), Some("amy"));
        assert_eq!(&*grant.identity.client_id, "other");
        assert_eq!(grant.identity.attributes.get("claim.site").map(|site| &**site), Some("north"));
        assert_eq!(grant.rules.len(), 1);
        assert_eq!(grant.expires, Some(attempt().now + Duration::from_secs(60)));
    }

    #[test]
    fn each_status_means_what_it_means() {
        let none = json!({});
        assert!(matches!(read(&answer(204, &none), &attempt()), Ok(Said::Yes(_))));
        for status in [401, 403, 400, 413, 422] {
            assert!(matches!(read(&answer(status, &none), &attempt()), Ok(Said::No)), "{status}");
        }
        assert_eq!(read(&answer(200, &none), &attempt()).unwrap_err(), NoAnswer::Body);
        for status in [201, 301, 302, 404, 429, 500, 503] {
            let body = json!({"result": "allow"});
            assert_eq!(read(&answer(status, &body), &attempt()).unwrap_err(), NoAnswer::Status(status));
        }
    }

    #[test]
    fn whoever_was_let_in_stays_unless_the_service_says_otherwise() {
        let said = |status, body: &Value| may_stay(&answer(status, body));
        assert_eq!(said(204, &json!(null)), Ok(true));
        assert_eq!(said(200, &json!({"result": "allow"})), Ok(true));
        for word in ["deny", "pass"] {
            assert_eq!(said(200, &json!({"result": word})), Ok(false));
        }
        assert_eq!((said(401, &json!(null)), said(403, &json!(null))), (Ok(false), Ok(false)));
        // What is no answer ends nobody.
        assert_eq!(said(200, &json!({})), Err(NoAnswer::Body));
        for status in [301, 404, 429, 500, 503] {
            assert_eq!(said(status, &json!({"result": "deny"})), Err(NoAnswer::Status(status)));
        }
        let person = Person { username: Some("amy".into()), client_id: "c".into() };
        let sent: Value = serde_json::from_slice(&question(&person, &Attributes::new())).unwrap();
        assert_eq!(sent, json!({"recheck": true, "username": "amy", "client_id": "c"}));
        assert_eq!(serde_json::from_slice::<Value>(&body(&attempt())).unwrap().get("recheck"), None);
    }

    #[test]
    fn an_answer_that_cannot_be_understood_allows_nobody() {
        let broken = [
            json!({"result": "ALLOW"}),
            json!({"result": true}),
            json!({"result": "allow", "groups": "ops"}),
            json!({"result": "allow", "username": "a\u{0}b"}),
            json!({"result": "allow", "client_id": ""}),
            json!({"result": "allow", "groups": vec!["g"; ITEMS_MAXIMUM + 1]}),
            json!({"result": "allow", "acl": {"pub": ["a/#/b"]}}),
        ];
        for body in broken {
            assert!(read(&answer(200, &body), &attempt()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_password_that_is_no_text_travels_as_base64() {
        let password = Some(Secret::new([0xff, 0]));
        let sent: Value = serde_json::from_slice(&body(&Attempt { password, ..attempt() })).unwrap();

        assert_eq!(sent["password_base64"], "/wA=");
        assert_eq!(sent.get("password"), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&Answer { status, body }, &attempt());
        }
    }
}
