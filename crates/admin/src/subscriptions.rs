//! Subscriptions: of a Client, to a filter, for a topic, or all; and what waits for a Client because of them.

use axum::Json;
use axum::extract::State;
use dunlin_codec::{RetainHandling, TopicFilter, TopicName};
use dunlin_engine::{GroupRow, MessageRow, ShardId, Standing, SubscriptionRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Viewer;
use crate::clients::no_client;
use crate::input::{Named, Parameters, rows};
use crate::page::Page;
use crate::problem::Problem;
use crate::router::{Api, Shared};

/// Visits to shards for one page.
const VISITS: usize = 32;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(of_client)).routes(routes!(messages))
}

/// Which Subscriptions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Those to this topic filter, byte for byte; not a shared one
    filter: Option<String>,
    /// Those that a message of this topic is for; either this or `filter`
    topic: Option<String>,
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before
    after: Option<String>,
}

/// A Subscription, which has a `client_id`, or a shared group, which has `members`: groups come where a filter or a topic is asked
/// for, beside the rows that `limit` counts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Subscriber {
    /// Of one Client.
    One(Subscription),
    /// Of those that share it.
    Group(Group),
}

/// A Subscription.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Whose it is.
    pub client_id: String,
    /// The topic filter, `$share/` included.
    pub filter: String,
    /// Most that was granted.
    pub qos: u8,
    /// Not what the client itself published.
    pub no_local: bool,
    /// RETAIN stays as the publisher set it.
    pub retain_as_published: bool,
    /// Which retained messages a SUBSCRIBE fetches: `send`, `send_if_new` or `do_not_send`.
    pub retain_handling: String,
    /// Subscription Identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<u32>,
    /// The filter is wider than what the client may receive: each topic is held against that.
    pub filtered: bool,
}

/// A shared group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// `$share/NAME/FILTER`
    pub filter: String,
    /// Its members,
    pub members: u64,
    /// those of them that are connected,
    pub connected: u64,
    /// messages that wait for a member,
    pub waiting_messages: u64,
    /// and those that one has not acknowledged.
    pub dealt_messages: u64,
}

impl From<SubscriptionRow> for Subscription {
    fn from(row: SubscriptionRow) -> Self {
        let handling = match row.options.retain_handling {
            RetainHandling::Send => "send",
            RetainHandling::SendIfNew => "send_if_new",
            RetainHandling::DoNotSend => "do_not_send",
        };
        Self {
            client_id: row.client_id.into(),
            filter: row.filter.into(),
            qos: row.options.qos as u8,
            no_local: row.options.no_local,
            retain_as_published: row.options.retain_as_published,
            retain_handling: handling.to_owned(),
            identifier: row.identifier,
            filtered: row.filtered,
        }
    }
}

impl From<GroupRow> for Group {
    fn from(row: GroupRow) -> Self {
        Self {
            filter: row.filter,
            members: row.members as u64,
            connected: row.connected as u64,
            waiting_messages: row.waiting as u64,
            dealt_messages: row.dealt as u64,
        }
    }
}

/// A place among the Subscriptions of all shards: `SHARD.SLOT.FILTER`; behind that filter's of that Session, or before all of
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    shard: usize,
    slot: u32,
    filter: Option<String>,
}

impl Place {
    fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::default()) };
        let mut parts = text.splitn(3, '.');
        let parsed = (|| {
            let shard = usize::from(parts.next()?.parse::<u8>().ok()?);
            let slot = parts.next()?.parse().ok()?;
            let filter = parts.next().filter(|filter| !filter.is_empty()).map(str::to_owned);
            Some(Self { shard, slot, filter })
        })();
        parsed.ok_or_else(|| Problem::value("after", text, "`next` of the page before"))
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.shard, self.slot, self.filter.as_deref().unwrap_or_default())
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
enum Which {
    All,
    Filter(String),
    Topic(String),
}

impl Which {
    fn of(wanted: &Wanted) -> Result<Self, Problem> {
        match (&wanted.filter, &wanted.topic) {
            (None, None) => Ok(Self::All),
            (Some(filter), None) => {
                let is_plain = TopicFilter::parse(filter).is_ok_and(|filter| filter.shared().is_none());
                let wrong = || Problem::value("filter", filter, "a topic filter that is not shared");
                if is_plain { Ok(Self::Filter(filter.clone())) } else { Err(wrong()) }
            }
            (None, Some(topic)) => match TopicName::parse(topic) {
                Ok(_) => Ok(Self::Topic(topic.clone())),
                Err(error) => Err(Problem::value("topic", topic, format_args!("a topic name ({error})"))),
            },
            (Some(_), Some(topic)) => Err(Problem::value("topic", topic, "either a topic or a filter")),
        }
    }
}

/// Subscriptions of all clients, or to a filter, or for a topic.
#[utoipa::path(
    get, path = "/subscriptions", operation_id = "list_subscriptions", tag = "subscriptions", params(Wanted),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them, in no particular order", body = Page<Subscriber>), Problem)
)]
async fn list(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Page<Subscriber>>, Problem> {
    let limit = rows(wanted.limit)?;
    let which = Which::of(&wanted)?;
    let mut place = Place::parse(wanted.after.as_deref())?;
    let shards = api.broker.map()?.count();
    let mut page = Page::default();
    for _ in 0..VISITS {
        if page.items.len() >= limit || place.shard >= shards {
            break;
        }
        place = visit(&api, &which, place, limit - page.items.len(), &mut page).await?;
    }
    page.next = (place.shard < shards).then(|| place.text());
    Ok(Json(page))
}

/// What one shard has from a place on; where to go on.
async fn visit(
    api: &Api,
    which: &Which,
    place: Place,
    limit: usize,
    page: &mut Page<Subscriber>,
) -> Result<Place, Problem> {
    let Some(shard) = ShardId::new(place.shard) else { return Ok(Place { shard: usize::MAX, ..place }) };
    let (which, Place { shard: number, slot, filter }) = (which.clone(), place);
    let (rows, groups, next) = api
        .broker
        .ask(shard, move |engine, _, _| {
            let behind = filter.as_deref().map(|filter| (filter, slot));
            let found = match &which {
                Which::All => {
                    let page = engine.subscriptions(slot, filter.as_deref(), limit);
                    return (page.rows, Vec::new(), page.next);
                }
                Which::Filter(text) => TopicFilter::parse(text)
                    .map(|filter| engine.subscribers_of_filter(filter, behind, limit))
                    .ok(),
                Which::Topic(text) => {
                    TopicName::parse(text).map(|topic| engine.subscribers_of_topic(topic, behind, limit)).ok()
                }
            };
            let found = found.map(|page| (page.rows, page.groups, page.next));
            let (rows, groups, next) = found.unwrap_or_default();
            (rows, groups, next.map(|(filter, slot)| (slot, Some(filter))))
        })
        .await?;
    page.items.extend(rows.into_iter().map(|row| Subscriber::One(row.into())));
    page.items.extend(groups.into_iter().map(|row| Subscriber::Group(row.into())));
    Ok(match next {
        Some((slot, filter)) => Place { shard: number, slot, filter: filter.map(Into::into) },
        None => Place { shard: number + 1, ..Place::default() },
    })
}

/// Where to go on in what one Client has.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before
    after: Option<String>,
}

/// Subscriptions of a client, in the order of their filters.
#[utoipa::path(
    get, path = "/clients/{client_id}/subscriptions", operation_id = "list_subscriptions_of_client", tag = "clients",
    params(("client_id" = String, Path, description = "Client identifier"), Part),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them", body = Page<Subscription>), Problem)
)]
async fn of_client(
    _: Viewer,
    State(api): State<Shared>,
    Named(client_id): Named<String>,
    Parameters(part): Parameters<Part>,
) -> Result<Json<Page<Subscription>>, Problem> {
    let limit = rows(part.limit)?;
    let home = api.broker.home_of_client(&client_id)?;
    let (asked, after) = (client_id.clone(), part.after);
    let question = move |engine: &mut dunlin_engine::Engine, _, _: &mut _| {
        engine.client_subscriptions(&asked, after.as_deref(), limit)
    };
    let found = api.broker.ask(home, question).await?;
    let (rows, more) = found.ok_or_else(|| no_client(&client_id))?;
    let next = rows.last().filter(|_| more).map(|row| row.filter.to_string());
    let items = rows.into_iter().map(Subscription::from).collect();
    Ok(Json(Page { items, next }))
}

/// A QoS 1 or 2 message for a Client.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// `queued`; `sent`: PUBACK or PUBREC has not come; `released`: PUBCOMP has not come.
    pub standing: String,
    /// Missing where the message lies on disk alone, or is not needed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// As it is delivered.
    pub qos: u8,
    /// As it is delivered.
    pub retain: bool,
    /// Bytes of the payload, where the topic is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<u64>,
    /// Is it on disk?
    pub durable: bool,
}

impl From<MessageRow> for Waiting {
    fn from(row: MessageRow) -> Self {
        let standing = match row.standing {
            Standing::Queued => "queued",
            Standing::Sent => "sent",
            Standing::Released => "released",
        };
        Self {
            standing: standing.to_owned(),
            topic: row.topic.map(Into::into),
            qos: row.qos as u8,
            retain: row.retain,
            payload_bytes: row.payload_bytes.map(|bytes| bytes as u64),
            durable: row.durable,
        }
    }
}

/// What is in flight to a client, and what waits for it; a moment later it is something else.
#[utoipa::path(
    get, path = "/clients/{client_id}/messages", operation_id = "list_messages_of_client", tag = "clients",
    params(("client_id" = String, Path, description = "Client identifier"), Part),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them: those in flight, then those that wait", body = Page<Waiting>), Problem)
)]
async fn messages(
    _: Viewer,
    State(api): State<Shared>,
    Named(client_id): Named<String>,
    Parameters(part): Parameters<Part>,
) -> Result<Json<Page<Waiting>>, Problem> {
    let limit = rows(part.limit)?;
    let after = part.after.as_deref().unwrap_or("0");
    let wrong = || Problem::value("after", after, "`next` of the page before");
    let skipped: u32 = after.parse().map_err(|_| wrong())?;
    let home = api.broker.home_of_client(&client_id)?;
    let asked = client_id.clone();
    let skip = skipped as usize;
    let found = api.broker.ask(home, move |engine, _, _| engine.client_messages(&asked, skip, limit)).await?;
    let found = found.ok_or_else(|| no_client(&client_id))?;
    let next = (found.len() == limit).then(|| (skip + limit).to_string());
    Ok(Json(Page { items: found.into_iter().map(Waiting::from).collect(), next }))
}
