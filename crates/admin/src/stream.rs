//! Answers that go on: events, each written when it happens.
//!
//! In:    what somebody sends into a channel.
//! Out:   `text/event-stream`: `event: KIND`, `data: JSON`; a comment now and then, so that whoever is in between sees life.
//! Never: more events kept for a slow reader than the channel holds: what does not fit is the sender's to count.
//! Spec:  HTML, section 9.2 (server-sent events).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Interval, interval_at};

/// Proxies give a silent connection up after half a minute or more.
const SILENCE: Duration = Duration::from_secs(15);

/// One event, written and ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event(Bytes);

impl Event {
    /// An event of a kind (a word) with something that can be JSON.
    pub(crate) fn new(kind: &str, data: &impl Serialize) -> Self {
        // What is described here has string keys and no failing parts.
        let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
        Self(format!("event: {kind}\ndata: {data}\n\n").into())
    }
}

/// Events until the sender is dropped, or whoever listens goes: then the channel is closed.
#[derive(Debug)]
pub(crate) struct Events {
    receiver: Receiver<Event>,
    silence: Interval,
}

impl Events {
    pub(crate) fn new(receiver: Receiver<Event>) -> Self {
        Self { receiver, silence: interval_at(Instant::now() + SILENCE, SILENCE) }
    }
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = match self.receiver.poll_recv(context) {
            Poll::Ready(Some(Event(event))) => {
                self.silence.reset();
                event
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending if self.silence.poll_tick(context).is_ready() => {
                Bytes::from_static(b": still here\n\n")
            }
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::new(self));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
