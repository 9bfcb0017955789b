//! Is it alive, and may it be sent Clients? For orchestrators, without credentials.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// The answer of a broker that is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `up`: what is not well is a problem.
    #[schema(examples("up"))]
    pub status: String,
}

fn up() -> Json<Health> {
    Json(Health { status: "up".to_owned() })
}

/// Does the process answer?
#[utoipa::path(
    get, path = "/health/live", tag = "health",
    responses((status = 200, description = "It does", body = Health))
)]
async fn live() -> Json<Health> {
    up()
}

/// Does every shard answer?
#[utoipa::path(
    get, path = "/health/ready", tag = "health",
    responses(
        (status = 200, description = "All do: clients may be sent here", body = Health),
        (status = 503, description = "One does not, or the broker is ending", body = Problem, content_type = "application/problem+json")
    )
)]
async fn ready(State(api): State<Shared>) -> Result<Json<Health>, Problem> {
    for shard in api.broker.map()?.iter() {
        api.broker.ask(shard, |_, _, _| ()).await?;
    }
    Ok(up())
}
