//! All routes, and the document that describes them.
//!
//! In:    what each resource has: a file with its routes, which say what they take and give.
//! Out:   one router; OpenAPI.
//! Never: a route without credentials but health and the document.

use std::path::Path;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router, middleware};
use dunlin_observe::Format;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::access::{self, Gate};
use crate::audit::{self, Audit};
use crate::broker::Broker;
use crate::doctor::{self, Wire};
use crate::explain::{self, Rules};
use crate::problem::Problem;
use crate::rights::{self, RightsFiles};
use crate::{clients, health, publish, retained, sessions, subscriptions, topics, trace, whole};

/// What the routes work with.
pub(crate) type Shared = Arc<Api>;

/// Longest body of a request, in bytes: a payload of 1 MiB in Base64, and what stands around it.
const BODY_MAXIMUM: usize = 2 << 20;

/// What the process knows that the engines do not. Some of it may block: it is asked on a thread of its own.
pub trait Host: Rules + 'static {
    /// The URL of a listener, by its index in the configuration.
    fn listener(&self, index: u16) -> Option<String>;

    /// What lies between a listener and its Clients.
    fn wire(&self, index: u16) -> Wire;

    /// The page of metrics.
    fn metrics(&self, format: Format) -> String;

    /// The configuration that is in force, without secrets.
    fn configuration(&self) -> serde_json::Value;

    /// Copies everything that must survive into an empty directory; the bytes and files that were copied.
    ///
    /// # Errors
    /// In words.
    fn back_up(&self, to: &Path) -> Result<(u64, u64), String>;

    /// The files that users and rules stand in.
    fn rights_files(&self) -> RightsFiles;

    /// Reads users, devices and rules again, now.
    ///
    /// # Errors
    /// In words, where one of them cannot be used; the others are.
    fn read_rights_again(&self) -> Result<(), String>;
}

/// What the routes work with.
pub struct Api {
    pub(crate) broker: Broker,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) audit: Option<Audit>,
}

/// The description of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dunlin",
        description = "What an operator sees of a running broker, and has it do.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem)),
    modifiers(&Credentials),
    tags(
        (name = "clients", description = "Clients with a connection or a session"),
        (name = "sessions", description = "What is kept of clients, whether they are connected or not"),
        (name = "subscriptions", description = "Who has subscribed to what"),
        (name = "retained", description = "Retained messages, and the topics that they are of"),
        (name = "messages", description = "Messages that an operator publishes"),
        (name = "rights", description = "Where rights come from, and what they are used for"),
        (name = "explain", description = "Why a client did, or did not, get a message"),
        (name = "trace", description = "Packets while they pass"),
        (name = "broker", description = "The broker as a whole"),
        (name = "health", description = "For orchestrators; without credentials"),
    )
)]
struct Document;

/// Two ways to say who is asking.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme("password", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    }
}

/// Those of every resource below `/api/v1`: a new one is added here.
fn resources() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(clients::routes())
        .merge(doctor::routes())
        .merge(explain::routes())
        .merge(sessions::routes())
        .merge(subscriptions::routes())
        .merge(retained::routes())
        .merge(rights::routes())
        .merge(topics::routes())
        .merge(trace::routes())
        .merge(publish::routes())
        .merge(whole::routes())
}

fn described() -> (Router<Shared>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(health::routes())
        .nest("/api/v1", resources())
        .split_for_parts()
}

/// The document alone.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    described().1
}

/// Everything that is served.
pub(crate) fn router(api: &Shared) -> Router {
    let (resources, _) =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", resources()).split_for_parts();
    let (open, _) = health::routes().split_for_parts();
    // The last one added stands outermost.
    let guarded = resources
        .layer(middleware::from_fn(access::refuse_viewers))
        .layer(middleware::from_fn_with_state(Arc::clone(api), audit::record))
        .layer(middleware::from_fn_with_state(Arc::clone(api), access::authenticate));
    Router::new()
        .merge(guarded)
        .merge(open)
        .route("/api/v1/openapi.json", get(async || Json(document())))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAXIMUM))
        .with_state(Arc::clone(api))
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::missing(format!("there is nothing at {:?}; /api/v1/openapi.json says what there is", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not possible at {:?}", uri.path()))
}
