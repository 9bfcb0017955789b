//! Which stream a message goes to, and what waits because a stream is full.
//!
//! Never: more waiting than one read of the transport brings.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Received;
use super::received::Acknowledgement;
use super::task::Control;
use crate::ReasonCode;
use crate::session::{Delivery, SubscribeError, Token};

struct Stream {
    messages: mpsc::Sender<Received>,
    granted: Option<oneshot::Sender<Result<Vec<ReasonCode>, SubscribeError>>>,
    ended: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
pub(crate) struct Router {
    streams: BTreeMap<Token, Stream>,
    next: Token,
    waiting: VecDeque<(Token, Received)>,
}

impl Router {
    pub(crate) fn add(
        &mut self,
        messages: mpsc::Sender<Received>,
        granted: oneshot::Sender<Result<Vec<ReasonCode>, SubscribeError>>,
    ) -> Token {
        let token = self.next;
        self.next += 1;
        self.streams.insert(token, Stream { messages, granted: Some(granted), ended: None });
        token
    }

    /// A subscription without messages, which is being ended.
    pub(crate) fn add_nothing(&mut self, ended: oneshot::Sender<()>) -> Token {
        let token = self.add(mpsc::channel(1).0, oneshot::channel().0);
        self.ending(token, ended);
        token
    }

    pub(crate) fn granted(&mut self, token: Token, result: Result<Vec<ReasonCode>, SubscribeError>) {
        let refused = result.is_err();
        let granted = self.streams.get_mut(&token).and_then(|stream| stream.granted.take());
        if let Some(granted) = granted {
            let _ = granted.send(result);
        }
        if refused {
            self.streams.remove(&token);
        }
    }

    pub(crate) fn ending(&mut self, token: Token, ended: oneshot::Sender<()>) {
        if let Some(stream) = self.streams.get_mut(&token) {
            stream.ended = Some(ended);
        }
    }

    pub(crate) fn ended(&mut self, token: Token) {
        if let Some(ended) = self.streams.remove(&token).and_then(|stream| stream.ended) {
            let _ = ended.send(());
        }
    }

    /// Hands it out, as far as there is room.
    pub(crate) fn deliver(&mut self, delivery: Delivery, control: &mpsc::WeakUnboundedSender<Control>) {
        let Delivery { id, mut to, dup, message } = delivery;
        let acknowledgement =
            id.zip(control.upgrade()).map(|(id, control)| Acknowledgement::new(id, to.len(), control));
        let Some(last) = to.pop() else { return };
        for token in to {
            let received = Received::new(message.clone(), dup, acknowledgement.as_ref().map(Arc::clone));
            self.waiting.push_back((token, received));
        }
        self.waiting.push_back((last, Received::new(message, dup, acknowledgement)));
        self.advance();
    }

    /// Hands out what waits, as far as there is room.
    pub(crate) fn advance(&mut self) {
        while let Some((token, received)) = self.waiting.pop_front() {
            let Some(stream) = self.streams.get(&token) else { continue };
            match stream.messages.try_send(received) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(received)) => {
                    self.waiting.push_front((token, received));
                    return;
                }
                // Nobody takes it: it stays unacknowledged.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns when the stream that is full is no more.
    pub(crate) async fn room(&self) {
        let first = self.waiting.front().and_then(|(token, _)| self.streams.get(token));
        if let Some(stream) = first {
            // Whether there is room or nobody who takes it: `advance` goes on.
            drop(stream.messages.reserve().await);
        }
    }
}
