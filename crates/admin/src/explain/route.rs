//! The question as a resource: asked once, or watched while it is answered.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use dunlin_codec::TopicName;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Asked, explain, parse, watch};
use crate::access::{Operator, Viewer};
use crate::input::Parameters;
use crate::problem::Problem;
use crate::router::Shared;
use crate::stream::Events;

/// The longest watch, in seconds.
const SECONDS_MAXIMUM: u32 = 24 * 3600;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(ask)).routes(routes!(follow))
}

/// Which message.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Client identifier of whoever should have got it
    client: String,
    /// Its topic name
    #[param(min_length = 1)]
    topic: String,
    /// About when it was published, in UTC: 14:02, 14:02:30 or 2026-11-21T14:02:30Z; the last one where it is not said
    at: Option<String>,
}

/// What to watch.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Watched {
    /// Client identifier of whoever should get messages
    client: String,
    /// Their topic name
    #[param(min_length = 1)]
    topic: String,
    /// End after so many seconds; when whoever listens goes where it is not said
    #[param(minimum = 1, maximum = 86400)]
    seconds: Option<u32>,
}

fn asked(client: String, topic: String, at: Option<SystemTime>) -> Result<Asked, Problem> {
    match TopicName::parse(&topic) {
        Ok(_) => Ok(Asked { client, topic, at }),
        Err(error) => Err(Problem::value("topic", topic, format_args!("a topic name ({error})"))),
    }
}

/// Why a client did, or did not, get a message.
#[utoipa::path(
    get, path = "/explain", operation_id = "explain", tag = "explain", params(Wanted),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "The verdict, and what it was concluded from", body = Answer), Problem)
)]
async fn ask(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(Wanted { client, topic, at }): Parameters<Wanted>,
) -> Result<Json<Answer>, Problem> {
    let wrong = |text| Problem::value("at", text, "14:02, 14:02:30 or 2026-11-21T14:02:30Z, in UTC");
    let at = at.map(|text| parse(&text, SystemTime::now()).ok_or_else(|| wrong(text))).transpose()?;
    explain(&api, &asked(client, topic, at)?).await.map(Json)
}

/// Everything that is published to a topic, step by step as it happens
///
/// Events of the kinds `begin`, `step` (a line of evidence), `verdict` (as of the last message) and `end`. While it is watched, the
/// broker keeps all steps of the topic's messages, which costs it time: this needs the role of an operator.
#[utoipa::path(
    get, path = "/explain/watch", operation_id = "watch_explain", tag = "explain", params(Watched),
    security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "Events until the time is over", body = String, content_type = "text/event-stream"),
        Problem
    )
)]
async fn follow(
    _: Operator,
    State(api): State<Shared>,
    Parameters(Watched { client, topic, seconds }): Parameters<Watched>,
) -> Result<Events, Problem> {
    if let Some(seconds) = seconds.filter(|seconds| !(1..=SECONDS_MAXIMUM).contains(seconds)) {
        return Err(Problem::value("seconds", seconds, format_args!("1 to {SECONDS_MAXIMUM}")));
    }
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    watch::begin(api, asked(client, topic, None)?, until).await
}
