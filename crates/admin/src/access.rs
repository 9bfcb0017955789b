//! Who may ask, and for what.
//!
//! In:    a bearer token, or a name and a password; where the request comes from.
//! Out:   a [`Caller`] with its role; else 401, 403 or 429.
//! Never: a change by a viewer; a change that a page of another site has a browser ask for.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::router::Shared;

/// What somebody may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Disconnect, end, publish, delete.
    Operator,
    /// What concerns the broker as a whole: copies, the configuration.
    Administrator,
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        })
    }
}

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// For the audit log: `user:NAME`, `token:NAME`, `unix:UID`.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The Unix socket of the data directory, from a process of this user.
    Local(u32),
    /// Elsewhere.
    Address(IpAddr),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(_) => out.write_str("unix"),
            Self::Address(address) => address.fmt(out),
        }
    }
}

/// What a request offers as proof. Not `Debug`: it holds secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    Nothing,
    /// `Authorization: Bearer`
    Token(String),
    /// `Authorization: Basic`
    Password {
        /// Of a user of the broker.
        user: String,
        /// Its password.
        password: Vec<u8>,
    },
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody has this token, or this name and password.
    Unknown,
    /// A user of the broker who belongs to none of the groups that may use the API.
    NoRole,
    /// Too many failures: so much longer.
    Banned(Duration),
}

/// Knows who may use the API. It may block: it is asked on a thread of its own.
pub trait Gate: Send + Sync + 'static {
    /// Judges a proof, and counts its failures.
    ///
    /// # Errors
    /// [`Refused`].
    fn admit(&self, proof: Proof, from: IpAddr) -> Result<Caller, Refused>;
}

/// A caller who may look.
#[derive(Clone, Debug)]
pub(crate) struct Viewer;

/// A caller who may change what Clients have.
#[derive(Clone, Debug)]
pub(crate) struct Operator;

/// A caller who may do everything.
#[derive(Clone, Debug)]
pub(crate) struct Administrator;

fn require(parts: &Parts, role: Role) -> Result<(), Problem> {
    let caller = parts.extensions.get::<Caller>().ok_or_else(|| unknown("no credentials"))?;
    if caller.role >= role {
        return Ok(());
    }
    let Caller { name, role: has } = caller;
    Err(Problem::new(StatusCode::FORBIDDEN, format!("this needs the role {role}; {name} has {has}")))
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require(parts, Role::Viewer).map(|()| Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require(parts, Role::Operator).map(|()| Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require(parts, Role::Administrator).map(|()| Self)
    }
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// Stands before every route but those that need no credentials: finds the caller, and lets none pass without.
pub(crate) async fn authenticate(State(api): State<Shared>, mut request: Request, next: Next) -> Response {
    let is_change = is_change(request.method());
    if is_change && is_of_another_site(request.headers()) {
        let detail = "a page of another site asked for this change";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    let (origin, headers) = (request.extensions().get().copied(), request.headers());
    let (proof, is_of_this_machine) = (proof(headers), names_this_machine(headers));
    let caller = match caller(&api, origin, proof, is_of_this_machine).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Stands right before the routes. They say what they need; none of them changes anything for a viewer, should one forget.
pub(crate) async fn refuse_viewers(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    if is_change(request.method()) && caller.is_none_or(|caller| caller.role < Role::Operator) {
        let detail = format!("changes need the role {}", Role::Operator);
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    next.run(request).await
}

pub(crate) fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Does whoever asks think that this machine has its own name? A page of another site can have a browser ask a name of its own,
/// which it has made point here.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Browsers say so.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

async fn caller(
    api: &Shared,
    origin: Option<Origin>,
    proof: Result<Proof, Problem>,
    is_of_this_machine: bool,
) -> Result<Caller, Problem> {
    let from = match origin {
        // Whoever may open the socket owns the data.
        Some(Origin::Local(uid)) => {
            return Ok(Caller { name: format!("unix:{uid}"), role: Role::Administrator });
        }
        Some(Origin::Address(address)) => address,
        None => return Err(unknown("nobody knows where this request comes from")),
    };
    let proof = proof?;
    let is_nothing = proof == Proof::Nothing;
    if is_nothing && !is_of_this_machine {
        return Err(unknown("no credentials: a bearer token, or user name and password"));
    }
    let gate = api.gate.clone();
    let judged = tokio::task::spawn_blocking(move || gate.admit(proof, from)).await;
    judged.map_err(|_| Problem::unavailable("credentials cannot be checked now"))?.map_err(|refused| {
        match refused {
            Refused::Unknown if is_nothing => {
                unknown("no credentials: a bearer token, or user name and password")
            }
            Refused::Unknown => unknown("no such token, or wrong user name or password"),
            Refused::NoRole => {
                let detail = "this user belongs to none of the groups viewers, operators and administrators";
                Problem::new(StatusCode::FORBIDDEN, detail)
            }
            Refused::Banned(left) => {
                let detail =
                    format!("too many failed attempts; the next one in {} seconds", left.as_secs().max(1));
                Problem::too_often(detail, left)
            }
        }
    })
}

fn proof(headers: &HeaderMap) -> Result<Proof, Problem> {
    let Some(offered) = headers.get(AUTHORIZATION) else { return Ok(Proof::Nothing) };
    let offered = offered.to_str().map_err(|_| unknown("the Authorization header is not ASCII"))?;
    let (scheme, rest) = offered.split_once(' ').unwrap_or((offered, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Proof::Token(rest.to_owned()));
    }
    let pair = if scheme.eq_ignore_ascii_case("basic") { STANDARD.decode(rest).ok() } else { None };
    let pair = pair.ok_or_else(|| unknown("the Authorization header is neither Bearer nor Basic"))?;
    let colon = pair.iter().position(|byte| *byte == b':');
    let user = colon.and_then(|at| std::str::from_utf8(&pair[..at]).ok());
    match (user, colon) {
        (Some(user), Some(at)) => {
            Ok(Proof::Password { user: user.to_owned(), password: pair[at + 1..].to_vec() })
        }
        _ => Err(unknown("the Authorization header has no user name and password")),
    }
}
