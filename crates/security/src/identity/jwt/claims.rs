//! What the claims of a verified token say: whether it holds now and here, who the Client is, what it may do.
//!
//! In:    claims whose signature was right; the rules of one issuer.
//! Out:   a grant, or why not.
//! Never: a claim of another type than it should have taken for one that is missing.
//! Spec:  RFC 7519 section 4.1.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::identity::attempt::{Attempt, Denial, Grant};
use crate::identity::rule;
use crate::identity::subject::Identity;

/// Longest text of a claim that is taken over, in bytes.
const TEXT_MAXIMUM: usize = 1024;
/// The most groups.
const GROUPS_MAXIMUM: usize = 64;

/// What is asked of claims, and what they become.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// `iss` must be this.
    pub issuer: Option<Box<str>>,
    /// `aud` must name one of these; empty: it is not looked at.
    pub audiences: Vec<Box<str>>,
    /// How far clocks may differ, for `exp` and `nbf`. 30 s.
    pub leeway: Duration,
    /// Whether a token without `exp` is taken. It lives until its key is changed.
    pub without_expiry: bool,
    /// The claim that is the user name. `sub`.
    pub username: Box<str>,
    /// What the token says of the Client Identifier.
    pub client_id: ClientIdClaim,
    /// The claim that lists groups, as an array or as words with spaces between. `groups`.
    pub groups: Box<str>,
    /// The claim that holds rules. `acl`.
    pub acl: Box<str>,
    /// Claims that become attributes, as `claim.NAME`, where they are text, numbers or truth values.
    pub attributes: Vec<Box<str>>,
}

/// What a token says of the Client Identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientIdClaim {
    /// Nothing.
    #[default]
    Free,
    /// It must be what this claim says. An empty one becomes it.
    Match(Box<str>),
    /// It is what this claim says, whatever CONNECT does.
    Assign(Box<str>),
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            leeway: Duration::from_secs(30),
            without_expiry: false,
            username: "sub".into(),
            client_id: ClientIdClaim::Free,
            groups: "groups".into(),
            acl: "acl".into(),
            attributes: Vec::new(),
        }
    }
}

impl ClaimRules {
    /// Whether the token says that it is by another issuer.
    pub(super) fn is_foreign(&self, claims: &Map<String, Value>) -> bool {
        let issuer = claims.get("iss").and_then(Value::as_str);
        self.issuer.as_deref().is_some_and(|own| issuer != Some(own))
    }

    /// What verified claims grant.
    pub(super) fn judge(&self, claims: &Map<String, Value>, attempt: &Attempt) -> Result<Grant, Denial> {
        if self.is_foreign(claims) || !self.is_for_us(claims) {
            return Err(Denial::BadCredentials);
        }
        let expires = self.holds_until(claims, attempt.now)?;
        let username = text(claims, &self.username).ok_or(Denial::BadCredentials)?;
        let client_id = self.client_id(claims, attempt)?;
        let groups = groups(claims.get(&*self.groups)).ok_or(Denial::BadCredentials)?;
        let acl = claims.get(&*self.acl).map(rule::read);
        let rules = acl.transpose().map_err(|_| Denial::BadCredentials)?.unwrap_or_default();
        let attributes = self
            .attributes
            .iter()
            .filter_map(|name| Some((format!("claim.{name}").into(), scalar(claims.get(&**name)?)?)));
        let identity =
            Identity { username: Some(username), client_id, groups, attributes: attributes.collect() };
        Ok(Grant { identity, rules, expires, data: None })
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let ours =
            |name: &Value| name.as_str().is_some_and(|name| self.audiences.iter().any(|own| **own == *name));
        self.audiences.is_empty()
            || match claims.get("aud") {
                Some(Value::Array(names)) => names.iter().any(ours),
                Some(name) => ours(name),
                None => false,
            }
    }

    /// When it expires, if it does.
    fn holds_until(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Denial> {
        if let Some(from) = time(claims, "nbf")?
            && now + self.leeway < from
        {
            return Err(Denial::Expired);
        }
        match time(claims, "exp")? {
            Some(until) if now >= until + self.leeway => Err(Denial::Expired),
            Some(until) => Ok(Some(until)),
            None if self.without_expiry => Ok(None),
            None => Err(Denial::BadCredentials),
        }
    }

    fn client_id(&self, claims: &Map<String, Value>, attempt: &Attempt) -> Result<Box<str>, Denial> {
        let claimed = |name: &str| text(claims, name).ok_or(Denial::BadCredentials);
        match &self.client_id {
            ClientIdClaim::Free => Ok(attempt.client_id.clone()),
            ClientIdClaim::Assign(name) => claimed(name),
            ClientIdClaim::Match(name) => {
                let claimed = claimed(name)?;
                let same = attempt.client_id.is_empty() || attempt.client_id == claimed;
                if same { Ok(claimed) } else { Err(Denial::WrongClientId) }
            }
        }
    }
}

/// A time of a claim, in seconds since 1970; a whole century beyond is too far to be meant.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, Denial> {
    const LATEST: f64 = 100_000_000_000.0;
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..LATEST).contains(seconds));
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.map(Some).ok_or(Denial::BadCredentials)
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<Box<str>> {
    claims.get(name)?.as_str().filter(|text| is_name(text)).map(Box::from)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAXIMUM && !text.contains(char::is_control)
}

fn scalar(value: &Value) -> Option<Box<str>> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    };
    is_name(&text).then(|| text.into())
}

/// `None` where the claim is of another type.
fn groups(claim: Option<&Value>) -> Option<Vec<Box<str>>> {
    let names: Vec<&str> = match claim {
        None => Vec::new(),
        Some(Value::String(words)) => words.split_ascii_whitespace().collect(),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let fits = names.len() <= GROUPS_MAXIMUM && names.iter().all(|name| is_name(name));
    fits.then(|| names.into_iter().map(Box::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::attempt;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000;

    fn judge(rules: &ClaimRules, claims: &Value) -> Result<Grant, Denial> {
        let Value::Object(mut claims) = claims.clone() else { panic!("{claims}") };
        claims.entry("sub").or_insert("amy".into());
        claims.entry("exp").or_insert((NOW + 60).into());
        rules.judge(&claims, &attempt())
    }

    fn denied(rules: &ClaimRules, claims: &Value) -> Denial {
        judge(rules, claims).unwrap_err()
    }

    #[test]
    fn claims_become_an_identity_with_rules() {
        let rules = ClaimRules {
            username: "preferred_username".into(),
            attributes: vec!["site".into(), "floor".into(), "none".into()],
            ..ClaimRules::default()
        };
        let claims = json!({
            "preferred_username": "bob", "groups": ["ops", "night"], "site": "north", "floor": 3,
            "acl": [{"permission": "allow", "action": "publish", "topic": "a/#"}],
        });

        let grant = judge(&rules, &claims).unwrap();

        assert_eq!(grant.identity.username.as_deref(), Some("bob"));
        assert_eq!(grant.identity.groups, ["ops".into(), "night".into()] as [Box<str>; 2]);
        let attributes: Vec<_> =
            grant.identity.attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(attributes, [("claim.floor", "3"), ("claim.site", "north")]);
        assert_eq!(grant.rules.len(), 1);
        assert_eq!(grant.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 60)));
    }

    #[test]
    fn a_token_holds_from_nbf_to_exp_give_or_take_the_leeway() {
        let rules = ClaimRules::default();
        let at = |name: &str, time: i64| judge(&rules, &json!({ name: NOW as i64 + time }));

        assert!(at("exp", -29).is_ok());
        assert_eq!(at("exp", -30).unwrap_err(), Denial::Expired);
        assert!(at("nbf", 30).is_ok());
        assert_eq!(at("nbf", 31).unwrap_err(), Denial::Expired);
        assert!(judge(&rules, &json!({"exp": NOW as f64 + 0.5})).is_ok());
        for exp in [json!("1700000060"), json!(-1), json!(1e30), json!(null), json!([1])] {
            assert_eq!(denied(&rules, &json!({"exp": exp})), Denial::BadCredentials, "{exp}");
        }
    }

    #[test]
    fn a_token_without_expiry_is_taken_only_if_told() {
        let mut claims = Map::new();
        claims.insert("sub".into(), "amy".into());
        let lasting = ClaimRules { without_expiry: true, ..ClaimRules::default() };

        assert_eq!(ClaimRules::default().judge(&claims, &attempt()).unwrap_err(), Denial::BadCredentials);
        assert_eq!(lasting.judge(&claims, &attempt()).unwrap().expires, None);
    }

    #[test]
    fn issuer_and_audience_must_be_ours() {
        let rules = ClaimRules {
            issuer: Some("https://id.example".into()),
            audiences: vec!["mqtt".into(), "other".into()],
            ..ClaimRules::default()
        };
        let with = |iss: Value, aud: Value| judge(&rules, &json!({"iss": iss, "aud": aud})).is_ok();
        let iss = || json!("https://id.example");

        assert!(with(iss(), json!("mqtt")) && with(iss(), json!(["web", "other"])));
        assert!(!with(json!("https://id.example/"), json!("mqtt")));
        assert!(!with(iss(), json!("web")) && !with(iss(), json!([])) && !with(iss(), json!(null)));
        assert_eq!(denied(&rules, &json!({"iss": iss()})), Denial::BadCredentials);
        assert_eq!(denied(&rules, &json!({"aud": "mqtt"})), Denial::BadCredentials);
    }

    #[test]
    fn the_client_identifier_is_bound_if_asked() {
        let rule = |client_id| ClaimRules { client_id, ..ClaimRules::default() };
        let matching = rule(ClientIdClaim::Match("device".into()));
        assert!(judge(&matching, &json!({"device": "sensor-1"})).is_ok());
        assert_eq!(denied(&matching, &json!({"device": "sensor-2"})), Denial::WrongClientId);
        assert_eq!(denied(&matching, &json!({})), Denial::BadCredentials);

        let assigned = rule(ClientIdClaim::Assign("device".into()));
        assert_eq!(&*judge(&assigned, &json!({"device": "x"})).unwrap().identity.client_id, "x");
        assert_eq!(denied(&assigned, &json!({"device": 7})), Denial::BadCredentials);
    }

    #[test]
    fn claims_of_another_type_are_no_missing_claims() {
        let rules = ClaimRules::default();
        for claims in [
            json!({"sub": 7}),
            json!({"sub": ""}),
            json!({"sub": "a\u{0}"}),
            json!({"groups": 7}),
            json!({"groups": ["ops", 7]}),
            json!({"groups": vec!["g"; GROUPS_MAXIMUM + 1]}),
            json!({"acl": "a/#"}),
            json!({"acl": [{"permission": "deny", "action": "publish", "topic": "a/#/b"}]}),
        ] {
            assert_eq!(denied(&rules, &claims), Denial::BadCredentials, "{claims}");
        }
    }

    proptest! {
        #[test]
        fn any_time_is_judged(exp: f64, nbf: i64) {
            let _ = judge(&ClaimRules::default(), &json!({"exp": exp, "nbf": nbf}));
        }
    }
}
