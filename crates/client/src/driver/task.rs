//! The loop: what the application wants and the network brings goes into the session; what comes out is done.

use std::cell::RefCell;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::clock::Clock;
use super::router::Router;
use super::transport::{Dialler, Reading, Writing};
use super::{Address, Connection, Options, Received, StartError, random_seed};
use crate::disk::{Disk, DiskError, Opened};
use crate::session::{
    Action, DeliveryId, Effects, Event, Filter, ReauthenticateError, Redirection, Session, Status,
    SubscribeError, Token,
};
use crate::{Message, PublishError, ReasonCode};

/// Bytes of one read.
const READ: usize = 64 << 10;
/// Messages of the application taken at once.
const BATCH: usize = 256;
/// How long a connection that is given up may take to be written to.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Output above which the application's messages wait.
const OUTPUT_HIGH: usize = 256 << 10;

thread_local! {
    /// What was read last, by any client of this thread: a thousand that are silent need one buffer, not a thousand.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

type Outcome = Result<ReasonCode, PublishError>;

/// A message of the application.
pub(crate) struct Command {
    pub(crate) message: Message,
    pub(crate) receipt: oneshot::Sender<Outcome>,
    /// Told when it is in the queue on disk.
    pub(crate) stored: Option<oneshot::Sender<()>>,
}

/// Anything else that the application wants.
pub(crate) enum Control {
    Subscribe {
        filters: Vec<Filter>,
        messages: mpsc::Sender<Received>,
        granted: oneshot::Sender<Result<Vec<ReasonCode>, SubscribeError>>,
        token: oneshot::Sender<Token>,
    },
    Unsubscribe {
        token: Token,
        done: oneshot::Sender<()>,
    },
    Forget {
        filters: Vec<String>,
        done: oneshot::Sender<()>,
    },
    Reauthenticate {
        done: oneshot::Sender<Result<(), ReauthenticateError>>,
    },
    Acknowledge(DeliveryId),
    Stop {
        within: Duration,
        reason: ReasonCode,
    },
}

/// Who waits for which message: a slot each, used again.
#[derive(Default)]
struct Receipts {
    slots: Vec<Option<oneshot::Sender<Outcome>>>,
    free: Vec<usize>,
}

impl Receipts {
    fn add(&mut self, receipt: oneshot::Sender<Outcome>) -> Token {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(receipt);
        at as Token
    }

    fn resolve(&mut self, token: Token, outcome: Outcome) {
        let Ok(at) = usize::try_from(token) else { return };
        if let Some(receipt) = self.slots.get_mut(at).and_then(Option::take) {
            self.free.push(at);
            // Nobody has to wait.
            let _ = receipt.send(outcome);
        }
    }
}

pub(crate) struct Task {
    session: Session,
    effects: Effects,
    clock: Clock,
    dialler: Dialler,
    /// The address to go back to after the Server has sent the client elsewhere for a while.
    home: Address,
    commands: mpsc::Receiver<Command>,
    control: mpsc::UnboundedReceiver<Control>,
    /// For acknowledgements, which must not keep the channel open.
    control_sender: mpsc::WeakUnboundedSender<Control>,
    status: watch::Sender<Connection>,
    receipts: Receipts,
    reauthenticating: Vec<oneshot::Sender<Result<(), ReauthenticateError>>>,
    router: Router,
    disk: Option<Disk>,
    stored: Vec<oneshot::Sender<()>>,
    reading: Option<Reading>,
    writing: Option<Writing>,
    /// Bytes were written that the transport may still hold.
    unflushed: bool,
    dialling: Option<JoinHandle<Result<(Reading, Writing), String>>>,
    paused: bool,
    /// No more is taken from the application.
    stopping: bool,
    /// Nobody is left to want anything.
    abandoned: bool,
    /// What the timer is set to.
    armed: Instant,
}

/// What woke the loop.
enum Wake {
    Control(Option<Control>),
    Commands(usize),
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
    Flushed(std::io::Result<()>),
    Dialled(Result<(Reading, Writing), String>),
    Room,
    Timer,
}

impl Task {
    pub(crate) fn new(
        mut options: Options,
        commands: mpsc::Receiver<Command>,
        control: mpsc::UnboundedReceiver<Control>,
        control_sender: mpsc::WeakUnboundedSender<Control>,
        status: watch::Sender<Connection>,
    ) -> Result<(Self, Opened), StartError> {
        options.settings.check()?;
        if options.settings.seed == 0 {
            options.settings.seed = random_seed();
        }
        let tls = match options.address.host().filter(|host| host.encrypted) {
            Some(host) => {
                options.tls.name(&host.name)?;
                Some(options.tls.load()?)
            }
            None => None,
        };
        let (disk, mut opened) = match &options.disk {
            Some((path, sync)) => {
                let (disk, opened) = Disk::open(path, *sync)?;
                (Some(disk), opened)
            }
            None => (None, Opened::default()),
        };
        let remains = std::mem::take(&mut opened.remains);
        opened.remains.taken.clone_from(&remains.taken);
        opened.remains.messages = remains.messages.clone();
        let task = Self {
            session: Session::restore(options.settings, remains),
            effects: Effects::default(),
            clock: Clock::new(),
            home: options.address.clone(),
            dialler: Dialler { address: options.address, tls, trust: options.tls },
            commands,
            control,
            control_sender,
            status,
            receipts: Receipts::default(),
            reauthenticating: Vec::new(),
            router: Router::default(),
            disk,
            stored: Vec::new(),
            reading: None,
            writing: None,
            unflushed: false,
            dialling: None,
            paused: false,
            stopping: false,
            abandoned: false,
            armed: Instant::now(),
        };
        Ok((task, opened))
    }

    /// Until the session has stopped.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        let mut timer = Box::pin(sleep_until(self.armed));
        // Subscriptions of before the start are known before the first connection.
        while let Ok(control) = self.control.try_recv() {
            self.control(Some(control));
        }
        self.event(Event::Start);
        loop {
            if let Err(error) = self.settle().await {
                self.status.send_replace(Connection::DiskFailed(error.to_string()));
                return;
            }
            if self.session.is_stopped() {
                return;
            }
            self.arm(timer.as_mut());
            let wake = self.wait(&mut batch, timer.as_mut()).await;
            // Nothing is awaited in between, so what was read still stands in this thread's buffer.
            self.woken(wake, &mut batch);
        }
    }

    pub(super) fn event(&mut self, event: Event<'_>) {
        self.session.handle(self.clock.now(), event, &mut self.effects);
    }
}

#[path = "turn.rs"]
mod turn;
