//! A message in the hands of the application.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::UnboundedSender;

use super::task::Control;
use crate::session::DeliveryId;
use crate::{Bytes, Message};

/// The acknowledgement of a message, once for all subscriptions that it went to.
pub(crate) struct Acknowledgement {
    id: DeliveryId,
    /// Subscriptions that have not taken it yet.
    left: AtomicUsize,
    control: UnboundedSender<Control>,
}

impl Acknowledgement {
    pub(crate) fn new(id: DeliveryId, copies: usize, control: UnboundedSender<Control>) -> Arc<Self> {
        Arc::new(Self { id, left: AtomicUsize::new(copies), control })
    }

    pub(crate) fn one_more(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Nobody listens after the end.
            let _ = self.control.send(Control::Acknowledge(self.id));
        }
    }
}

/// A message that came. It is acknowledged when it is dropped, unless its subscription is one of those that acknowledge
/// by hand ([`super::Subscription::manual`]); a panic acknowledges nothing.
pub struct Received {
    message: Message,
    dup: bool,
    acknowledgement: Option<Arc<Acknowledgement>>,
    manual: bool,
    /// The application has it.
    pub(crate) taken: bool,
}

impl Received {
    pub(crate) fn new(message: Message, dup: bool, acknowledgement: Option<Arc<Acknowledgement>>) -> Self {
        Self { message, dup, acknowledgement, manual: false, taken: false }
    }

    pub(crate) fn take(mut self, manual: bool) -> Self {
        self.taken = true;
        self.manual = manual;
        self
    }

    /// The Server says that it may have sent it before.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.dup
    }

    /// The message is done with. Acknowledgements leave in the order in which the messages came [MQTT-4.6.0-2]: one that
    /// is kept back keeps back those after it.
    pub fn acknowledge(mut self) {
        self.acknowledge_now();
    }

    /// The message alone, acknowledged.
    #[must_use]
    pub fn into_message(mut self) -> Message {
        self.acknowledge_now();
        self.message.clone()
    }

    /// The answer to a request, to be published; `None` if it asks for none.
    #[must_use]
    pub fn reply(&self, payload: impl Into<Bytes>) -> Option<Message> {
        let about = self.message.about()?;
        let mut reply = Message::new(about.response_topic.as_deref()?, payload).ok()?.qos(self.quality());
        if let Some(correlation) = &about.correlation {
            reply.about_mut().correlation = Some(correlation.clone());
        }
        Some(reply)
    }

    fn acknowledge_now(&mut self) {
        if let Some(acknowledgement) = self.acknowledgement.take() {
            acknowledgement.one_more();
        }
    }
}

impl Deref for Received {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received").field("message", &self.message).field("dup", &self.dup).finish()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if self.taken && !self.manual && !std::thread::panicking() {
            self.acknowledge_now();
        }
    }
}
