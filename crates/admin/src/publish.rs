//! Publishes a message, as if a Client that may do everything had sent it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_codec::QoS;
use dunlin_engine::{NotPublished, OperatorMessage, Partition};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Operator;
use crate::audit::Change;
use crate::input::Body;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(publish))
}

/// A message to be published.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Topic Name.
    #[schema(examples("plant/pump-7/set"), min_length = 1, max_length = 65535)]
    pub topic: String,
    /// The payload as text; either this or `payload_base64`, or neither: then it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The payload in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    /// 0, 1 or 2.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// To be kept as the topic's value; with an empty payload, that value is taken away.
    #[serde(default)]
    pub retain: bool,
    /// Message Expiry Interval, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 4294967295_i64)]
    pub expiry_seconds: Option<u32>,
    /// Content Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535)]
    pub content_type: Option<String>,
    /// Response Topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535)]
    pub response_topic: Option<String>,
    /// User Properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_properties: BTreeMap<String, String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Somebody has subscribed to the topic, here or in a shared group.
    pub wanted: bool,
}

impl Message {
    fn checked(self) -> Result<OperatorMessage, Problem> {
        let qos = QoS::from_u8(self.qos).ok_or_else(|| Problem::value("qos", self.qos, "0, 1 or 2"))?;
        let payload = match (self.payload, self.payload_base64) {
            (Some(_), Some(_)) => {
                let detail = "payload and payload_base64 are both there: which of them is the payload?";
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD
                .decode(&text)
                .map_err(|error| Problem::value("payload_base64", error, "Base64 of RFC 4648, padded"))?,
            (None, None) => Vec::new(),
        };
        Ok(OperatorMessage {
            topic: self.topic,
            payload,
            qos,
            retain: self.retain,
            expiry: self.expiry_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation_data: None,
            user_properties: self.user_properties.into_iter().collect(),
        })
    }
}

impl From<NotPublished> for Problem {
    fn from(error: NotPublished) -> Self {
        let status = match error {
            NotPublished::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            NotPublished::Reserved(_) => StatusCode::FORBIDDEN,
            NotPublished::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error)
    }
}

/// Publish a message. It is taken and delivered; that it has reached the disk is not waited for.
#[utoipa::path(
    post, path = "/publish", operation_id = "publish", tag = "messages", request_body = Message,
    security(("token" = []), ("password" = [])),
    responses(
        (status = 202, description = "It is taken", body = Published),
        Problem
    )
)]
async fn publish(
    _: Operator,
    State(api): State<Shared>,
    Body(message): Body<Message>,
) -> Result<(StatusCode, Extension<Change>, Json<Published>), Problem> {
    let message = message.checked()?;
    let change = Change(format!(
        "topic {:?}, {} bytes, QoS {}, retain {}",
        message.topic,
        message.payload.len(),
        message.qos as u8,
        message.retain
    ));
    let home = api.broker.map()?.home(Partition::of_topic(&message.topic));
    let taken = api.broker.ask(home, move |engine, now, fx| engine.publish_for_operator(now, fx, &message));
    let wanted = taken.await??;
    Ok((StatusCode::ACCEPTED, Extension(change), Json(Published { wanted })))
}
