//! Topics: level by level, those with retained messages; and those that were published to lately.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use dunlin_engine::{LevelRow, RouteRow, ShardId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Viewer;
use crate::clients::Place;
use crate::input::{Parameters, rows};
use crate::page::Page;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(levels)).routes(routes!(published))
}

/// Which levels.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The topic below which to look; without it, at the first levels
    parent: Option<String>,
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before: levels behind this one
    after: Option<String>,
}

/// A level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Topic {
    /// Its name.
    pub level: String,
    /// The topic down to it.
    pub topic: String,
    /// That topic has a retained message.
    pub retained: bool,
    /// There are topics with retained messages below it.
    pub deeper: bool,
}

/// The levels below a topic that lead to retained messages. Going down costs what is shown, however many topics there are.
#[utoipa::path(
    get, path = "/topics", operation_id = "list_topics", tag = "retained", params(Wanted),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them, in order", body = Page<Topic>), Problem)
)]
async fn levels(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Page<Topic>>, Problem> {
    let limit = rows(wanted.limit)?;
    let mut found: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    let mut is_full = false;
    for shard in api.broker.map()?.iter() {
        let (parent, after) = (wanted.parent.clone(), wanted.after.clone());
        let levels = api.broker.ask(shard, move |engine, _, _| {
            engine.retained_levels(parent.as_deref(), after.as_deref(), limit)
        });
        let levels = levels.await?;
        is_full |= levels.len() == limit;
        for LevelRow { level, retained, deeper } in levels {
            let known = found.entry(level).or_default();
            *known = (known.0 || retained, known.1 || deeper);
        }
    }
    is_full |= found.len() > limit;
    let topic = |(level, (retained, deeper)): (String, (bool, bool))| {
        let topic =
            wanted.parent.as_ref().map_or_else(|| level.clone(), |parent| format!("{parent}/{level}"));
        Topic { level, topic, retained, deeper }
    };
    let items: Vec<Topic> = found.into_iter().take(limit).map(topic).collect();
    let next = items.last().filter(|_| is_full).map(|topic| topic.level.clone());
    Ok(Json(Page { items, next }))
}

/// Where to go on.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before
    #[param(max_length = 32)]
    after: Option<String>,
}

/// A topic that was published to in a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedTopic {
    /// Topic Name.
    pub topic: String,
    /// The shard; a topic may be published to in several.
    pub shard: u64,
    /// Sessions of this shard that get its messages.
    pub sessions: u64,
    /// Shared groups at home in this shard that do.
    pub groups: u64,
    /// Other shards where somebody does.
    pub shards: u64,
    /// Subscriptions have changed since: the next message is looked up anew.
    pub stale: bool,
}

/// Topics that were published to lately, as far as the broker remembers: some hundred thousand, forgotten all at once.
#[utoipa::path(
    get, path = "/topics/published", operation_id = "list_published_topics", tag = "messages", params(Part),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them, in the order in which they were first published to, shard by shard", body = Page<PublishedTopic>), Problem)
)]
async fn published(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(part): Parameters<Part>,
) -> Result<Json<Page<PublishedTopic>>, Problem> {
    let limit = rows(part.limit)?;
    let mut place = Place::parse(part.after.as_deref())?;
    let shards = api.broker.map()?.count();
    let mut items = Vec::new();
    while items.len() < limit {
        let Some(shard) = ShardId::new(place.shard).filter(|shard| shard.index() < shards) else { break };
        let (from, left) = (place.slot as usize, limit - items.len());
        let (rows, next) = api.broker.ask(shard, move |engine, _, _| engine.routes(from, left)).await?;
        items.extend(rows.into_iter().map(|row| PublishedTopic::of(row, shard)));
        let next = next.and_then(|next| u32::try_from(next).ok());
        place = match next {
            Some(slot) => Place { slot, ..place },
            None => Place { shard: place.shard + 1, slot: 0 },
        };
    }
    let next = (place.shard < shards).then(|| place.to_string());
    Ok(Json(Page { items, next }))
}

impl PublishedTopic {
    fn of(row: RouteRow, shard: ShardId) -> Self {
        Self {
            topic: row.topic.into(),
            shard: shard.index() as u64,
            sessions: row.sessions as u64,
            groups: row.groups as u64,
            shards: row.shards as u64,
            stale: row.stale,
        }
    }
}
