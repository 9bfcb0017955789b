//! What goes wrong with a request, as problem details.
//!
//! In:    why something is refused, with the value and what it is held against.
//! Out:   an answer of type `application/problem+json`.
//! Never: a secret, or what only the log may know.
//! Spec:  RFC 9457.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// Why a request was not done. It has no `type`: the status says what kind of problem it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The name of the status.
    #[schema(examples("Not Found"))]
    pub title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this very request.
    #[schema(examples("no client \"pump-7\" has a session"))]
    pub detail: String,
    /// The parameter or the part of the body that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<Box<str>>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub value: Option<Box<str>>,
    /// What is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub allowed: Option<Box<str>>,
    /// Seconds after which it makes sense to try again.
    #[serde(skip)]
    pub(crate) retry_after: Option<u32>,
}

impl Problem {
    /// Of this status.
    pub(crate) fn new(status: StatusCode, detail: impl Display) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Unknown").to_owned(),
            status: status.as_u16(),
            detail: detail.to_string(),
            name: None,
            value: None,
            allowed: None,
            retry_after: None,
        }
    }

    /// A parameter, or a part of the body, that cannot be: 400.
    pub(crate) fn value(name: &str, value: impl Display, allowed: impl Display) -> Self {
        let (value, allowed) = (value.to_string(), allowed.to_string());
        let detail = format!("{name} = {value:?} is not allowed; allowed: {allowed}");
        Self {
            name: Some(name.into()),
            value: Some(value.into()),
            allowed: Some(allowed.into()),
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    /// Nothing of that name: 404.
    pub(crate) fn missing(detail: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The broker does not answer: 503.
    pub(crate) fn unavailable(detail: impl Display) -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Too often: 429.
    pub(crate) fn too_often(detail: impl Display, left: Duration) -> Self {
        Self {
            retry_after: Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }
}

/// What every route that needs credentials may answer, for the document.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = |description: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response = ResponseBuilder::new().description(description);
            response.content("application/problem+json", content).build().into()
        };
        let refused = response("Not allowed, not understood, or not there");
        let failed = response("No answer, or no room");
        [("4XX".to_owned(), refused), ("5XX".to_owned(), failed)].into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"dunlin\", charset=\"UTF-8\""),
            );
        }
        if let Some(seconds) = retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
