//! The doctor as a resource.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::examine::{Doorway, Wanted, examine};
use super::report::Report;
use crate::access::Viewer;
use crate::input::Parameters;
use crate::problem::Problem;
use crate::router::{Api, Shared};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(clients))
}

/// Which Clients.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Patients {
    /// One client; all where it is not said
    client_id: Option<String>,
}

/// What clients do that costs more than it has to, or loses what they want; from how they behaved so far.
#[utoipa::path(
    get, path = "/doctor/clients", operation_id = "examine_clients", tag = "clients", params(Patients),
    security(("token" = []), ("password" = [])),
    responses(
        (status = 200, description = "What was found, the worst first", body = Report),
        (status = "4XX", description = "Not allowed, or not understood", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "No answer", body = Problem, content_type = "application/problem+json")
    )
)]
async fn clients(
    _: Viewer,
    State(api): State<Shared>,
    Parameters(Patients { client_id }): Parameters<Patients>,
) -> Result<Json<Report>, Problem> {
    // It waits for shards, and compresses samples.
    let examined =
        spawn_blocking(move || examine(api.broker.observer(), &doorways(&api), &Wanted { client_id }));
    let report = examined.await.map_err(|_| Problem::unavailable("the clients cannot be examined"))?;
    report.map(Json).map_err(Problem::unavailable)
}

fn doorways(api: &Api) -> Vec<Doorway> {
    let doorway = |index| Some(Doorway { name: api.host.listener(index)?, wire: api.host.wire(index) });
    (0..u16::MAX).map_while(doorway).collect()
}
