//! What concerns the broker as a whole: its metrics, its configuration, a copy of what it keeps.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use dunlin_observe::Format;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Administrator, Viewer};
use crate::input::Body;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(metrics)).routes(routes!(configuration)).routes(routes!(back_up))
}

/// The page of metrics, for Prometheus; in OpenMetrics where that is asked for.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "broker", security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "All metrics", body = String, content_type = "text/plain"),
        Problem
    )
)]
async fn metrics(_: Viewer, State(api): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or(""));
    let page = spawn_blocking(move || api.host.metrics(format)).await;
    let page = page.map_err(|_| Problem::unavailable("the page cannot be made"))?;
    Ok(([(CONTENT_TYPE, format.content_type())], page).into_response())
}

/// The configuration that the broker was started with. Secrets are not in it.
#[utoipa::path(
    get, path = "/configuration", operation_id = "configuration", tag = "broker",
    security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "As it would stand in the file", body = serde_json::Value),
        Problem
    )
)]
async fn configuration(_: Administrator, State(api): State<Shared>) -> Json<serde_json::Value> {
    Json(api.host.configuration())
}

/// Where a copy goes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackUp {
    /// A directory of the broker's machine, empty or not there yet; absolute.
    #[schema(value_type = String, examples("/var/backups/dunlin/monday"))]
    pub to: PathBuf,
}

/// A copy that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackedUp {
    /// Bytes that were copied.
    pub bytes: u64,
    /// Files that were copied.
    pub segments: u64,
}

/// Copy everything that must survive, while the broker runs. The answer comes when the copy is complete.
#[utoipa::path(
    post, path = "/backup", operation_id = "backup", tag = "broker", request_body = BackUp,
    security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "The copy is complete", body = BackedUp),
        Problem
    )
)]
async fn back_up(
    _: Administrator,
    State(api): State<Shared>,
    Body(BackUp { to }): Body<BackUp>,
) -> Result<Json<BackedUp>, Problem> {
    if !to.is_absolute() {
        return Err(Problem::value("to", to.display(), "an absolute path"));
    }
    let copied = spawn_blocking(move || api.host.back_up(&to)).await;
    let copied = copied.map_err(|_| Problem::unavailable("the copy cannot be made"))?;
    let (bytes, segments) = copied.map_err(|why| Problem::new(StatusCode::CONFLICT, why))?;
    Ok(Json(BackedUp { bytes, segments }))
}
