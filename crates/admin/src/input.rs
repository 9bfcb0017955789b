//! What requests say, with problems that name what is wrong.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Rows of a page, where the request does not say.
pub(crate) const ROWS: u16 = 100;
/// Rows of a page at most.
pub(crate) const ROWS_MAXIMUM: u16 = 1000;

/// The parameters after the question mark.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

/// What stands in the path.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) T);

/// The JSON of the body.
#[derive(Clone, Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::try_from_uri(&parts.uri).map_err(|error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            wrong_query(&parts.uri, &why)
        })?;
        Ok(Self(parameters))
    }
}

fn wrong_query(uri: &Uri, why: &str) -> Problem {
    let value = uri.query().map(|query| query.chars().take(256).collect::<String>().into());
    Problem { value, ..Problem::new(StatusCode::BAD_REQUEST, format!("parameters: {why}")) }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named))
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("path: {}", error.body_text())))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(error) => {
                let status = match &error {
                    JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_) => {
                        StatusCode::BAD_REQUEST
                    }
                    other => other.status(),
                };
                Err(Problem::new(status, format!("body: {}", error.body_text())))
            }
        }
    }
}

/// How many rows are wanted.
///
/// # Errors
/// Where it is none, or too many.
pub(crate) fn rows(wanted: Option<u16>) -> Result<usize, Problem> {
    match wanted.unwrap_or(ROWS) {
        rows @ 1..=ROWS_MAXIMUM => Ok(rows.into()),
        other => Err(Problem::value("limit", other, format_args!("1 to {ROWS_MAXIMUM}"))),
    }
}
