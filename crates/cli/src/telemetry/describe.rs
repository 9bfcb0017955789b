//! Spans of the engine under the names of OpenTelemetry's semantic conventions for messaging.

use dunlin_engine::{Span as Found, SpanKind as Of, Time};
use dunlin_observe::otlp::{Attribute, Span, SpanKind};

/// `nanos`: since 1970, of a moment of the engine.
pub(super) fn span(found: Found, shard: usize, nanos: impl Fn(Time) -> u64) -> Span {
    let (name, kind, operation) = match found.kind {
        Of::Publish => ("publish", SpanKind::Consumer, "receive"),
        Of::Route => ("route", SpanKind::Internal, "process"),
        Of::Deliver => ("deliver", SpanKind::Producer, "send"),
        Of::Acknowledge => ("acknowledge", SpanKind::Internal, "settle"),
    };
    let text = |value: &str| Attribute::Text(value.to_owned());
    let integer = |value: usize| Attribute::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let mut attributes = vec![
        ("messaging.system", text("mqtt")),
        ("messaging.operation.type", text(operation)),
        ("messaging.operation.name", text(name)),
        ("messaging.destination.name", text(&found.topic)),
        ("messaging.client.id", text(&found.client_id)),
        ("messaging.message.body.size", integer(found.payload)),
        ("mqtt.qos", integer(found.qos.into())),
        ("dunlin.shard", integer(shard)),
    ];
    if let Some(packet_id) = found.packet_id {
        attributes.push(("mqtt.packet_id", integer(packet_id.into())));
    }
    if let Some(reason) = found.reason {
        attributes.push(("mqtt.reason_code", integer(usize::from(reason as u8))));
    }
    Span {
        name,
        kind,
        trace_id: found.trace_id,
        span_id: found.span_id,
        parent: found.parent,
        state: found.state.as_deref().map(str::to_owned),
        start: nanos(found.start),
        end: nanos(found.end),
        attributes,
        failure: found.reason.filter(|reason| reason.is_failure()).map(|reason| format!("{reason:?}")),
    }
}
