//! Sessions: what is kept of Clients, connected or not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dunlin_engine::{ClientFilter, ClientRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Operator, Viewer};
use crate::clients::{Place, no_client, page};
use crate::input::{Named, Parameters, rows};
use crate::page::Page;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, end))
}

/// Which Sessions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// What the client identifier begins with
    prefix: Option<String>,
    /// The user name that it was begun by
    user: Option<String>,
    /// Only those whose client is connected, or only the others
    connected: Option<bool>,
    /// Rows at most; 100 where it is not said
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next` of the page before
    #[param(max_length = 32)]
    after: Option<String>,
}

/// What is kept of a Client.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Client Identifier.
    pub client_id: String,
    /// The user name that it was begun by; missing where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Is the Client connected?
    pub connected: bool,
    /// Seconds since its last connection ended; missing while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_seconds: Option<u64>,
    /// Seconds until it ends, if the Client does not come back; missing while it is connected, and where it never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in_seconds: Option<u64>,
    /// Does it outlive the process?
    pub durable: bool,
    /// Is there a will to be published?
    pub will: bool,
    /// How many subscriptions it has.
    pub subscriptions: u64,
    /// Messages that wait.
    pub queued_messages: u64,
    /// Their bytes, with what keeping them takes.
    pub queued_bytes: u64,
    /// QoS 1 and 2 messages sent and not acknowledged.
    pub in_flight: u64,
    /// QoS 2 messages received and not released.
    pub receiving: u64,
}

impl From<ClientRow> for Session {
    fn from(row: ClientRow) -> Self {
        let ends_in = row.disconnected.zip(row.expiry).map(|(away, expiry)| expiry.saturating_sub(away));
        Self {
            client_id: row.client_id.into(),
            user: row.user.map(Into::into),
            connected: row.connection.is_some(),
            disconnected_seconds: row.disconnected.map(|away| away.as_secs()),
            ends_in_seconds: ends_in.map(|left| left.as_secs()),
            durable: row.durable,
            will: row.will,
            subscriptions: row.subscriptions as u64,
            queued_messages: row.queued as u64,
            queued_bytes: row.queued_bytes,
            in_flight: row.in_flight as u64,
            receiving: row.receiving as u64,
        }
    }
}

/// Sessions, a page at a time.
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_sessions", tag = "sessions", params(Wanted),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Some of them, in no particular order; none twice, none left out that is there all the while", body = Page<Session>), Problem)
)]
async fn list(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Page<Session>>, Problem> {
    let limit = rows(wanted.limit)?;
    let place = Place::parse(wanted.after.as_deref())?;
    let filter = ClientFilter {
        prefix: wanted.prefix.unwrap_or_default(),
        address: None,
        user: wanted.user,
        connected: wanted.connected,
    };
    let (found, next) = page(&api, &filter, place, limit).await?;
    let items = found.into_iter().map(Session::from).collect();
    Ok(Json(Page { items, next: next.map(|place| place.to_string()) }))
}

/// The session of a client.
#[utoipa::path(
    get, path = "/sessions/{client_id}", operation_id = "show_session", tag = "sessions",
    params(("client_id" = String, Path, description = "Client identifier")),
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "What is kept", body = Session), Problem)
)]
async fn show(
    _: Viewer,
    State(api): State<Shared>,
    Named(client_id): Named<String>,
) -> Result<Json<Session>, Problem> {
    let home = api.broker.home_of_client(&client_id)?;
    let asked = client_id.clone();
    let found = api.broker.ask(home, move |engine, now, _| engine.client(now, &asked)).await?;
    found.map(|row| Json(row.into())).ok_or_else(|| no_client(&client_id))
}

/// End the session of a client, and its connection. Its will is published; what waits for it is dropped.
#[utoipa::path(
    delete, path = "/sessions/{client_id}", operation_id = "end_session", tag = "sessions",
    params(("client_id" = String, Path, description = "Client identifier")),
    security(("token" = []), ("password" = [])),
    responses((status = 204, description = "It has ended"), Problem)
)]
async fn end(
    _: Operator,
    State(api): State<Shared>,
    Named(client_id): Named<String>,
) -> Result<StatusCode, Problem> {
    let home = api.broker.home_of_client(&client_id)?;
    let asked = client_id.clone();
    let ended = api.broker.ask(home, move |engine, now, fx| engine.end_client(now, fx, &asked)).await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(no_client(&client_id)) }
}
