//! Rights: the files that they come from, and what Clients did that needs one.
//!
//! In:    nothing but the place to go on from.
//! Out:   where users and rules stand; what Clients subscribed and published to; users, devices and rules read again.
//! Never: a shard kept busy: some hundred Sessions at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dunlin_codec::QoS;
use dunlin_engine::{Identity, ShardId, Surveyed};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Administrator;
use crate::clients::Place;
use crate::input::Parameters;
use crate::page::Page;
use crate::problem::Problem;
use crate::router::Shared;

/// Sessions that are looked at for one page.
const SESSIONS: u32 = 256;
/// Attributes that begin with it are the broker's notes about a log-in.
const NOTES: &str = "login.";

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(files)).routes(routes!(read_again)).routes(routes!(seen))
}

/// Files of the broker's machine; they need not be there. None where everybody may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RightsFiles {
    /// The access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("/var/lib/dunlin/access.toml"))]
    pub rules: Option<PathBuf>,
    /// Users with their passwords' hashes and their groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("/var/lib/dunlin/users.toml"))]
    pub users: Option<PathBuf>,
}

/// Something that a Client did, which a right was needed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Seen {
    /// Client Identifier.
    pub client: String,
    /// The user name that it was let in by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Groups of that user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What else is known of it: of a certificate, a token and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// `subscribe` or `publish`.
    #[schema(examples("publish"))]
    pub action: String,
    /// The topic name, or the topic filter.
    pub topic: String,
    /// The most of it.
    pub qos: u8,
    /// With RETAIN.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
}

impl Seen {
    fn all(surveyed: &Surveyed) -> impl Iterator<Item = Self> {
        let of = Self::of(&surveyed.identity);
        let one = move |action: &str, topic: &str, qos: QoS, retain| Self {
            action: action.to_owned(),
            topic: topic.to_owned(),
            qos: qos as u8,
            retain,
            ..of.clone()
        };
        let published = one.clone();
        let subscriptions = surveyed.subscriptions.iter();
        subscriptions.map(move |(filter, qos)| one("subscribe", filter, *qos, false)).chain(
            surveyed
                .published
                .iter()
                .map(move |done| published("publish", &done.topic, done.qos, done.retain)),
        )
    }

    /// Without anything that was done.
    fn of(Identity { name, client_id, groups, attributes }: &Identity) -> Self {
        let attributes = attributes.iter().filter(|(name, _)| !name.starts_with(NOTES));
        Self {
            client: client_id.to_string(),
            user: name.to_string(),
            groups: groups.iter().map(ToString::to_string).collect(),
            attributes: attributes.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            action: String::new(),
            topic: String::new(),
            qos: 0,
            retain: false,
        }
    }
}

/// Where to go on.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// `next` of the page before
    #[param(max_length = 32)]
    after: Option<String>,
}

/// The files that users and rules stand in.
#[utoipa::path(
    get, path = "/rights/files", operation_id = "show_rights_files", tag = "rights",
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Where they are", body = RightsFiles), Problem)
)]
async fn files(_: Administrator, State(api): State<Shared>) -> Json<RightsFiles> {
    Json(api.host.rights_files())
}

/// Read users, devices and rules again, and look at everybody who is connected. Without it the broker does so within a second.
#[utoipa::path(
    post, path = "/rights/reload", operation_id = "reload_rights", tag = "rights",
    security(("token" = []), ("password" = [])),
    responses((status = 204, description = "They hold from now on"), Problem)
)]
async fn read_again(_: Administrator, State(api): State<Shared>) -> Result<StatusCode, Problem> {
    let read = spawn_blocking(move || api.host.read_rights_again()).await;
    let read = read.map_err(|_| Problem::unavailable("the files cannot be read"))?;
    read.map(|()| StatusCode::NO_CONTENT).map_err(|why| Problem::new(StatusCode::CONFLICT, why))
}

/// What clients did that rules are asked about: their subscriptions, and what they published lately. A page has what some hundred
/// clients did; those that may do everything are left out.
#[utoipa::path(
    get, path = "/rights/seen", operation_id = "list_rights_seen", tag = "rights", params(Part),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of it", body = Page<Seen>), Problem)
)]
async fn seen(
    _: Administrator,
    State(api): State<Shared>,
    Parameters(part): Parameters<Part>,
) -> Result<Json<Page<Seen>>, Problem> {
    let place = Place::parse(part.after.as_deref())?;
    let shards = api.broker.map()?.count();
    let Some(shard) = ShardId::new(place.shard).filter(|shard| shard.index() < shards) else {
        return Ok(Json(Page::default()));
    };
    let answer = api.broker.ask(shard, move |engine, _, _| engine.survey(place.slot, SESSIONS));
    let (surveyed, next) = answer.await?;
    let next = next.map_or(Place { shard: place.shard + 1, slot: 0 }, |slot| Place { slot, ..place });
    let items = surveyed.iter().flat_map(Seen::all).collect();
    Ok(Json(Page { items, next: (next.shard < shards).then(|| next.to_string()) }))
}
