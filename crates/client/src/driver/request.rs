//! Questions and answers over MQTT 5.0: a Response Topic of this client's own, Correlation Data for each question.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Client, random_seed};
use crate::session::SubscribeError;
use crate::{Bytes, Message, PublishError, QoS, TopicNameError};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The question was not delivered.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The client ended, or the subscription to the answers.
    #[error("the client ended before the answer came")]
    Stopped,
    /// As many questions are open as may be.
    #[error("{0} requests are waiting for their answers already")]
    TooMany(usize),
}

/// Questions that wait for their answers at once.
const OPEN_MAXIMUM: usize = 10_000;

type Open = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Message>>>>;

/// Asks over one Response Topic.
pub struct Requests {
    client: Client,
    topic: String,
    open: Open,
    next: Mutex<u64>,
    /// Dropping it ends the subscription.
    _alive: oneshot::Sender<()>,
}

impl Requests {
    /// Subscribes to the answers under `topic`, which should be this client's alone.
    ///
    /// # Errors
    /// What is no topic, as the inner error; why there is no subscription, as the outer.
    pub async fn new(client: &Client, topic: &str) -> Result<Result<Self, TopicNameError>, SubscribeError> {
        if let Err(error) = Message::new(topic, Bytes::new()) {
            return Ok(Err(error));
        }
        let mut answers = client.subscribe(topic, QoS::AtLeastOnce);
        answers.granted().await?;
        let open = Open::default();
        let waiting = Arc::downgrade(&open);
        let (alive, mut gone) = oneshot::channel();
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    received = answers.recv() => received,
                    _ = &mut gone => break,
                };
                let Some((received, open)) = received.zip(waiting.upgrade()) else { break };
                let number = received.about().and_then(|about| about.correlation.as_deref()?.try_into().ok());
                let asker = number.and_then(|number: [u8; 8]| {
                    open.lock().ok().and_then(|mut open| open.remove(&u64::from_be_bytes(number)))
                });
                if let Some(asker) = asker {
                    // Whoever gave up does not listen.
                    let _ = asker.send(received.into_message());
                }
            }
            answers.unsubscribe().await;
        });
        // An answer to a former process must not be taken for one to this.
        let next = Mutex::new(random_seed());
        Ok(Ok(Self { client: client.clone(), topic: topic.to_owned(), open, next, _alive: alive }))
    }

    /// Asks, and waits that long for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask(&self, mut question: Message, within: Duration) -> Result<Message, RequestError> {
        let number = self.number();
        question.about_mut().response_topic = Some(self.topic.clone());
        question.about_mut().correlation = Some(Bytes::copy_from_slice(&number.to_be_bytes()));
        let (sender, answer) = oneshot::channel();
        {
            let mut open = self.open.lock().map_err(|_| RequestError::Stopped)?;
            if open.len() >= OPEN_MAXIMUM {
                return Err(RequestError::TooMany(OPEN_MAXIMUM));
            }
            open.insert(number, sender);
        }
        let result = timeout(within, async {
            self.client.publish(question).await?.await?;
            answer.await.map_err(|_| RequestError::Stopped)
        })
        .await;
        if let Ok(mut open) = self.open.lock() {
            open.remove(&number);
        }
        result.unwrap_or(Err(RequestError::Timeout(within)))
    }

    fn number(&self) -> u64 {
        let Ok(mut next) = self.next.lock() else { return random_seed() };
        *next = next.wrapping_add(1);
        *next
    }
}
