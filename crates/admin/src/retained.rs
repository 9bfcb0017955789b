//! Retained messages: browsed by filter, read, taken away.
//!
//! In:    filters and topics.
//! Out:   rows in the order of topics, put together from all shards.
//! Never: rows behind a topic to which some shard has not yet looked: the page ends there, and the next one begins there.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_codec::{Properties, Property, TopicFilter};
use dunlin_engine::{Partition, RetainedPage, RetainedRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Operator, Viewer};
use crate::input::{Parameters, rows};
use crate::page::Page;
use crate::problem::Problem;
use crate::router::{Api, Shared};

/// Bytes of each payload in a page, where the request does not say.
const PAYLOAD: u32 = 256;
/// The most that may be asked for.
const PAYLOAD_MAXIMUM: u32 = 4096;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, delete))
}

/// Which retained messages.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Topic filter; `#` where it is not said, which is all but those of `$SYS`
    filter: Option<String>,
    /// Bytes of each payload that are shown; 256 where it is not said
    #[param(minimum = 0, maximum = 4096)]
    payload_maximum: Option<u32>,
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before: messages of topics behind this one
    after: Option<String>,
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retained {
    /// Topic Name.
    pub topic: String,
    /// As it was published.
    pub qos: u8,
    /// Bytes of the payload.
    pub payload_bytes: u64,
    /// The payload, or its beginning, where that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The same in Base64, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    /// Is only the beginning shown?
    pub shortened: bool,
    /// Seconds until it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Content Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// User Properties; of those with one name, the last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_properties: BTreeMap<String, String>,
}

impl Retained {
    /// The payload, or its beginning; empty where it cannot be read.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.payload, &self.payload_base64) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => STANDARD.decode(text).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

impl From<RetainedRow> for Retained {
    fn from(row: RetainedRow) -> Self {
        let shortened = row.payload.len() < row.payload_bytes;
        let mut payload = row.payload;
        // A character that is cut off is no reason to show the rest in Base64.
        if let Err(error) = std::str::from_utf8(&payload)
            && error.error_len().is_none()
            && shortened
        {
            payload.truncate(error.valid_up_to());
        }
        let (text, base64) = match String::from_utf8(payload) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        let mut retained = Self {
            topic: row.topic.into(),
            qos: row.qos as u8,
            payload_bytes: row.payload_bytes as u64,
            payload: text,
            payload_base64: base64,
            shortened,
            expires_in_seconds: row.expires.map(|left| left.as_secs()),
            content_type: None,
            user_properties: BTreeMap::new(),
        };
        for property in Properties::from_trusted(&row.properties) {
            match property {
                Property::ContentType(text) => retained.content_type = Some(text.to_owned()),
                Property::UserProperty(name, value) => {
                    retained.user_properties.insert(name.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        retained
    }
}

/// Retained messages, in the order of their topics, a page at a time.
#[utoipa::path(
    get, path = "/retained", operation_id = "list_retained", tag = "retained", params(Wanted),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them, in the order of their topics", body = Page<Retained>), Problem)
)]
async fn list(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Page<Retained>>, Problem> {
    let limit = rows(wanted.limit)?;
    let payload = wanted.payload_maximum.unwrap_or(PAYLOAD);
    if payload > PAYLOAD_MAXIMUM {
        return Err(Problem::value("payload_maximum", payload, format_args!("0 to {PAYLOAD_MAXIMUM}")));
    }
    let filter = wanted.filter.unwrap_or_else(|| "#".to_owned());
    if !TopicFilter::parse(&filter).is_ok_and(|filter| filter.shared().is_none()) {
        return Err(Problem::value("filter", filter, "a topic filter that is not shared"));
    }
    let pages = ask_all(&api, &filter, wanted.after.as_deref(), limit, payload as usize).await?;
    let (rows, next) = merge(pages, limit);
    let items = rows.into_iter().map(Retained::from).collect();
    Ok(Json(Page { items, next }))
}

async fn ask_all(
    api: &Api,
    filter: &str,
    after: Option<&str>,
    limit: usize,
    payload: usize,
) -> Result<Vec<RetainedPage>, Problem> {
    let (filter, after) = (filter.to_owned(), after.map(str::to_owned));
    let pages = api.broker.ask_all(move |engine, now, _| {
        let filter = TopicFilter::parse(&filter).ok()?;
        Some(engine.retained_messages(now, filter, after.as_deref(), limit, payload))
    });
    Ok(pages.await?.into_iter().flatten().collect())
}

/// The first `limit` rows of all shards, as far as every shard has looked; and behind which topic to go on.
fn merge(pages: Vec<RetainedPage>, limit: usize) -> (Vec<RetainedRow>, Option<String>) {
    let seen = pages.iter().filter_map(|page| page.seen.clone()).min();
    let mut rows: Vec<RetainedRow> = pages.into_iter().flat_map(|page| page.rows).collect();
    rows.sort_unstable_by(|one, other| one.topic.cmp(&other.topic));
    if let Some(seen) = &seen {
        rows.retain(|row| row.topic <= *seen);
    }
    if rows.len() > limit {
        rows.truncate(limit);
        let next = rows.last().map(|row| row.topic.to_string());
        return (rows, next);
    }
    (rows, seen.map(Into::into))
}

/// One topic.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfTopic {
    /// Topic name
    topic: String,
}

fn nothing(topic: &str) -> Problem {
    Problem::missing(format!("topic {topic:?} has no retained message"))
}

/// The retained message of a topic, whole.
#[utoipa::path(
    get, path = "/retained/message", operation_id = "show_retained", tag = "retained", params(OfTopic),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "The message", body = Retained), Problem)
)]
async fn show(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(OfTopic { topic }): Parameters<OfTopic>,
) -> Result<Json<Retained>, Problem> {
    let home = api.broker.map()?.home(Partition::of_topic(&topic));
    let asked = topic.clone();
    let found = api.broker.ask(home, move |engine, now, _| engine.retained_message(now, &asked)).await?;
    found.map(|row| Json(row.into())).ok_or_else(|| nothing(&topic))
}

/// Take the retained message of a topic away. Whoever has subscribed gets an empty one, as when a client does so.
#[utoipa::path(
    delete, path = "/retained/message", operation_id = "delete_retained", tag = "retained", params(OfTopic),
    security(("token" = []), ("password" = [])),
    responses((status = 204, description = "It is gone"), Problem)
)]
async fn delete(
    _: Operator,
    State(api): State<Shared>,
    Parameters(OfTopic { topic }): Parameters<OfTopic>,
) -> Result<StatusCode, Problem> {
    let home = api.broker.map()?.home(Partition::of_topic(&topic));
    let asked = topic.clone();
    let cleared =
        api.broker.ask(home, move |engine, now, fx| engine.clear_retained(now, fx, &asked)).await??;
    if cleared { Ok(StatusCode::NO_CONTENT) } else { Err(nothing(&topic)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::QoS;

    fn page(topics: &[&str], seen: Option<&str>) -> RetainedPage {
        let row = |topic: &&str| RetainedRow {
            topic: (*topic).into(),
            qos: QoS::AtMostOnce,
            payload: Vec::new(),
            payload_bytes: 0,
            properties: Vec::new(),
            expires: None,
        };
        RetainedPage { rows: topics.iter().map(row).collect(), seen: seen.map(Into::into) }
    }

    fn merged(pages: Vec<RetainedPage>, limit: usize) -> (String, Option<String>) {
        let (rows, next) = merge(pages, limit);
        (rows.iter().map(|row| &*row.topic).collect::<Vec<_>>().join(" "), next)
    }

    #[test]
    fn a_page_ends_where_the_first_shard_stopped_looking() {
        assert_eq!(
            merged(vec![page(&["b", "d"], None), page(&["a", "c"], None)], 9),
            ("a b c d".into(), None)
        );
        let short = vec![page(&["b", "d"], None), page(&["a"], Some("b7"))];
        assert_eq!(merged(short, 9), ("a b".into(), Some("b7".into())));
        let none = vec![page(&["x"], None), page(&[], Some("m"))];
        assert_eq!(merged(none, 9), (String::new(), Some("m".into())), "an empty page may have a next one");
        let full = vec![page(&["b", "d"], Some("d")), page(&["a", "c"], Some("c"))];
        assert_eq!(merged(full, 2), ("a b".into(), Some("b".into())));
    }

    #[test]
    fn payloads_are_text_where_they_can_be() {
        let row = |payload: &[u8], bytes| RetainedRow {
            topic: "t".into(),
            qos: QoS::AtMostOnce,
            payload: payload.to_vec(),
            payload_bytes: bytes,
            properties: Vec::new(),
            expires: None,
        };
        let shown = |payload: &[u8], bytes| {
            let retained = Retained::from(row(payload, bytes));
            (retained.payload, retained.payload_base64, retained.shortened)
        };
        assert_eq!(shown(b"21.5", 4), (Some("21.5".into()), None, false));
        assert_eq!(shown("gr\u{fc}".as_bytes().split_at(3).0, 4), (Some("gr".into()), None, true));
        assert_eq!(shown(&[0xff, 0], 2), (None, Some("/wA=".into()), false));
    }
}
