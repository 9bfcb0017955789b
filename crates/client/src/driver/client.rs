//! The handles of the application: publish, subscribe, stop.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::task::{Command, Control, Task};
use super::tls::TlsError;
use super::{Connection, Options, Received};
use crate::disk::{DiskError, Opened};
use crate::session::{Filter, ReauthenticateError, SubscribeError};
use crate::{Message, PublishError, ReasonCode, SettingsError, SubscriptionOptions};

/// Messages on their way from the application to the session. They are few because the session has the queue.
const COMMANDS: usize = 256;

/// Why a client cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings cannot be sent.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The queue on disk cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A client that does not connect yet. What is subscribed to now is known before the first message can come.
pub struct Prepared {
    client: Client,
    task: Task,
    opened: Opened,
}

impl Prepared {
    /// Reads what the options name: certificates, the queue on disk.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn new(options: Options) -> Result<Self, StartError> {
        let (commands, command_receiver) = mpsc::channel(COMMANDS);
        let (control, control_receiver) = mpsc::unbounded_channel();
        let (status, watch) = watch::channel(Connection::Connecting);
        let stored = options.disk.is_some();
        let buffer = options.subscription_buffer.get();
        let (task, opened) =
            Task::new(options, command_receiver, control_receiver, control.downgrade(), status)?;
        Ok(Self { client: Client { commands, control, watch, stored, buffer }, task, opened })
    }

    /// As [`Client::subscribe`].
    #[must_use]
    pub fn subscribe(&self, filters: Vec<Filter>) -> Subscription {
        self.client.subscribe_all(filters)
    }

    /// What the queue on disk held: how many messages, and whether it was damaged.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Begins, on the runtime that this is called on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn connect(self) -> Client {
        self.start().0
    }

    /// Begins; the task ends after the client has stopped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(self) -> (Client, JoinHandle<()>) {
        (self.client, tokio::spawn(self.task.run()))
    }
}

/// A client. Clones are handles of the same one; when the last is gone, it disconnects.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    control: mpsc::UnboundedSender<Control>,
    watch: watch::Receiver<Connection>,
    stored: bool,
    buffer: usize,
}

impl Client {
    /// Begins to connect and returns at once: what is published before there is a connection is queued.
    ///
    /// # Errors
    /// Options that cannot be used. That there is no connection is no error: see [`Client::connected`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: Options) -> Result<Self, StartError> {
        Ok(Prepared::new(options)?.connect())
    }

    /// Waits for the first connection, or the next.
    ///
    /// # Errors
    /// How the client ended.
    pub async fn connected(&self) -> Result<(), Connection> {
        let mut watch = self.watch.clone();
        let done = |state: &Connection| matches!(state, Connection::Connected { .. }) || state.is_final();
        match watch.wait_for(done).await {
            Ok(state) if !state.is_final() => Ok(()),
            Ok(state) => Err(state.clone()),
            Err(_) => Err(self.watch.borrow().clone()),
        }
    }

    /// How it is doing, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Connection> {
        self.watch.clone()
    }

    /// Hands a message to the queue and returns when it is in it; where there is a queue on disk, when it is on disk.
    /// Waits where the queue is full and its policy is to wait. What becomes of the message is what the receipt says.
    ///
    /// # Errors
    /// The client has stopped.
    pub async fn publish(&self, message: Message) -> Result<Receipt, PublishError> {
        let (Publishing(command, receipt), stored) = self.command(message);
        self.commands.send(command).await.map_err(|_| PublishError::Stopped)?;
        if let Some(stored) = stored {
            stored.await.map_err(|_| PublishError::Stopped)?;
        }
        Ok(receipt)
    }

    /// Hands a message to the queue if there is room at once.
    ///
    /// # Errors
    /// The message, if there is none, or the client has stopped.
    pub fn try_publish(&self, message: Message) -> Result<Receipt, Message> {
        match self.commands.try_reserve() {
            Ok(permit) => {
                let (Publishing(command, receipt), _) = self.command(message);
                permit.send(command);
                Ok(receipt)
            }
            Err(_) => Err(message),
        }
    }

    fn command(&self, message: Message) -> (Publishing, Option<oneshot::Receiver<()>>) {
        let (receipt, outcome) = oneshot::channel();
        let (stored, wait) = if self.stored {
            let (sender, receiver) = oneshot::channel();
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        (Publishing(Command { message, receipt, stored }, Receipt(outcome)), wait)
    }

    /// Subscribes to one filter; the rest of the options at their defaults.
    #[must_use]
    pub fn subscribe(&self, filter: &str, qos: crate::QoS) -> Subscription {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        self.subscribe_all(vec![Filter { filter: filter.to_owned(), options }])
    }

    /// Subscribes, now and after each lost Session. Returns at once; [`Subscription::granted`] waits for the Server.
    #[must_use]
    pub fn subscribe_all(&self, filters: Vec<Filter>) -> Subscription {
        let (sender, messages) = mpsc::channel(self.buffer);
        let (granted, outcome) = oneshot::channel();
        let (token, number) = oneshot::channel();
        // A closed channel closes the stream, and `granted` says so.
        let _ = self.control.send(Control::Subscribe { filters, messages: sender, granted, token });
        Subscription {
            client: self.clone(),
            messages,
            granted: Granted(outcome),
            token: number,
            manual: false,
        }
    }

    /// Ends subscriptions that a former process of this client left with the Server; waits for the Server.
    pub async fn forget(&self, filters: Vec<String>) {
        let (done, ended) = oneshot::channel();
        if self.control.send(Control::Forget { filters, done }).is_ok() {
            drop(ended.await);
        }
    }

    /// Authenticates again, on the same connection, with [`crate::Settings::authentication`] (5.0).
    ///
    /// # Errors
    /// That there is no connection, or no method. A Server that refuses ends the connection.
    pub async fn reauthenticate(&self) -> Result<(), ReauthenticateError> {
        let (done, outcome) = oneshot::channel();
        let _ = self.control.send(Control::Reauthenticate { done });
        outcome.await.unwrap_or(Err(ReauthenticateError::Offline))
    }

    /// Stops: waits at most that long for what is queued to be acknowledged, disconnects, and returns when all is done.
    /// What is left in a queue on disk is for the next process.
    pub async fn disconnect(&self, within: Duration) {
        self.leave(within, ReasonCode::Success).await;
    }

    /// As [`Client::disconnect`], and asks the Server to publish the Will (5.0).
    pub async fn disconnect_with_will(&self, within: Duration) {
        self.leave(within, ReasonCode::DisconnectWithWillMessage).await;
    }

    async fn leave(&self, within: Duration, reason: ReasonCode) {
        let _ = self.control.send(Control::Stop { within, reason });
        let mut watch = self.watch.clone();
        while watch.wait_for(|_| false).await.is_ok() {}
    }
}

/// A message on its way, and what will be known of it.
struct Publishing(Command, Receipt);

/// What became of a message: resolves when the Server has acknowledged it; for QoS 0, when it was sent.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<ReasonCode, PublishError>>);

impl Future for Receipt {
    type Output = Result<ReasonCode, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.0).poll(context);
        outcome.map(|outcome| outcome.unwrap_or(Err(PublishError::Stopped)))
    }
}

/// What the Server said to a subscription: a Reason Code for each filter.
#[derive(Debug)]
pub struct Granted(oneshot::Receiver<Result<Vec<ReasonCode>, SubscribeError>>);

impl Future for Granted {
    type Output = Result<Vec<ReasonCode>, SubscribeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.0).poll(context);
        outcome.map(|outcome| outcome.unwrap_or(Err(SubscribeError::Stopped)))
    }
}

/// The messages of a subscription.
///
/// A subscription that is dropped without [`Subscription::unsubscribe`] leaves what it had not taken unacknowledged, for
/// the next process; and since acknowledgements keep their order, those that come after it, too.
pub struct Subscription {
    client: Client,
    messages: mpsc::Receiver<Received>,
    granted: Granted,
    token: oneshot::Receiver<u64>,
    manual: bool,
}

impl Subscription {
    /// Waits for the Server; once.
    ///
    /// # Errors
    /// Why there is no subscription.
    pub async fn granted(&mut self) -> Result<Vec<ReasonCode>, SubscribeError> {
        (&mut self.granted).await
    }

    /// From now on, messages are acknowledged by [`Received::acknowledge`] alone.
    #[must_use]
    pub fn manual(mut self) -> Self {
        self.manual = true;
        self
    }

    /// The next message; `None` after the end. A message that is not taken is not acknowledged, and when as many as the
    /// buffer holds wait here, the connection is not read. Cancelling loses nothing.
    pub async fn recv(&mut self) -> Option<Received> {
        self.messages.recv().await.map(|received| received.take(self.manual))
    }

    /// The next message, if one is here.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.messages.try_recv().ok().map(|received| received.take(self.manual))
    }

    /// Ends it; waits for the Server. What is still here is acknowledged and gone.
    pub async fn unsubscribe(mut self) {
        let Ok(token) = self.token.await else { return };
        let (done, ended) = oneshot::channel();
        if self.client.control.send(Control::Unsubscribe { token, done }).is_err() {
            return;
        }
        let discard = async {
            while let Some(received) = self.messages.recv().await.map(|r| r.take(false)) {
                drop(received)
            }
        };
        tokio::join!(discard, async { drop(ended.await) });
    }
}
