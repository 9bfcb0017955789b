//! One turn of the loop: do what the session said, wait, tell it what happened.

use super::*;

impl Task {
    /// Does what the session said, until it says no more.
    pub(super) async fn settle(&mut self) -> Result<(), DiskError> {
        loop {
            self.commit().await?;
            self.router.advance();
            let blocked = self.router.is_blocked();
            if blocked != self.paused {
                self.paused = blocked;
                self.event(Event::Paused(blocked));
            }
            if self.effects.actions.is_empty() {
                return if self.effects.records.is_empty() { Ok(()) } else { self.commit().await };
            }
            for action in std::mem::take(&mut self.effects.actions) {
                self.act(action).await?;
            }
        }
    }

    /// Makes durable what has to be before anything else leaves.
    async fn commit(&mut self) -> Result<(), DiskError> {
        if let Some(mut disk) = self.disk.take() {
            self.effects.records.drain(..).for_each(|record| disk.append(&record));
            if disk.will_wait() {
                // The disk may take its time; other tasks of this thread need not.
                let written = tokio::task::spawn_blocking(move || disk.commit().map(|()| disk)).await;
                match written {
                    Ok(written) => disk = written?,
                    Err(_) => return Err(DiskError::Interrupted),
                }
            } else {
                disk.commit()?;
            }
            self.disk = Some(disk);
        } else {
            self.effects.records.clear();
        }
        for stored in self.stored.drain(..) {
            // Whoever gave up does not listen.
            let _ = stored.send(());
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) -> Result<(), DiskError> {
        match action {
            Action::Dial => self.dialling = Some(tokio::spawn(self.dialler.clone().dial())),
            Action::Redirect(redirection) => self.redirect(redirection),
            Action::Reauthenticated(outcome) => {
                for waiting in self.reauthenticating.drain(..) {
                    // Whoever gave up does not listen.
                    let _ = waiting.send(outcome.clone());
                }
            }
            Action::Close => {
                self.commit().await?;
                self.close().await;
                self.event(Event::Closed);
            }
            Action::Deliver(delivery) => self.router.deliver(delivery, &self.control_sender),
            Action::Published(token, outcome) => self.receipts.resolve(token, outcome),
            Action::Subscribed(token, outcome) => self.router.granted(token, outcome),
            Action::Unsubscribed(token) => self.router.ended(token),
            Action::Status(Status::Dropped(_)) => {}
            Action::Status(status) => {
                if let Some(connection) = Connection::of(&status) {
                    self.status.send_replace(connection);
                }
            }
        }
        Ok(())
    }

    /// Where the next connection goes.
    fn redirect(&mut self, redirection: Redirection) {
        match redirection {
            Redirection::Home => self.dialler.address = self.home.clone(),
            Redirection::To { reference, lasting } => {
                // One that names no place leads to where it came from, and the session counts it.
                if let Some(address) = self.dialler.address.referred(&reference) {
                    if lasting {
                        self.home.clone_from(&address);
                    }
                    self.dialler.address = address;
                }
            }
        }
    }

    /// Last words, and the end of the transport.
    async fn close(&mut self) {
        if let Some(dialling) = self.dialling.take() {
            dialling.abort();
        }
        self.reading = None;
        let Some(mut writing) = self.writing.take() else { return };
        let output = std::mem::take(&mut self.effects.output);
        let words = async {
            writing.write_all(&output).await?;
            writing.shutdown().await
        };
        // A transport that does not take them is given up with them.
        let _ = timeout(LAST_WORDS, words).await;
    }

    pub(super) fn arm(&mut self, timer: Pin<&mut Sleep>) {
        let session = self.session.next_deadline().map(|time| self.clock.instant(time));
        let disk = self.disk.as_ref().and_then(|disk| disk.force_at()).map(Instant::from_std);
        let far = Instant::now() + Duration::from_secs(3600);
        let due = [session, disk].into_iter().flatten().min().unwrap_or(far);
        // One that is set too early wakes for nothing, once; setting it anew for each packet would cost more.
        if due < self.armed || timer.is_elapsed() {
            self.armed = due;
            timer.reset(due);
        }
    }

    pub(super) async fn wait(&mut self, batch: &mut Vec<Command>, timer: Pin<&mut Sleep>) -> Wake {
        let takes = !self.stopping
            && self.session.takes_messages()
            && (self.effects.output.len() < OUTPUT_HIGH || !self.session.is_online());
        let Self {
            effects, control, commands, reading, writing, dialling, router, unflushed, abandoned, ..
        } = self;
        let writes = writing.is_some() && !effects.output.is_empty();
        tokio::select! {
            wanted = control.recv(), if !*abandoned => Wake::Control(wanted),
            read = read(reading), if !router.is_blocked() => Wake::Read(read),
            done = write(writing, &effects.output), if writes || *unflushed => done,
            dialled = join(dialling), if dialling.is_some() => Wake::Dialled(dialled),
            count = commands.recv_many(batch, BATCH), if takes => Wake::Commands(count),
            () = router.room(), if router.is_blocked() => Wake::Room,
            () = timer => Wake::Timer,
        }
    }

    pub(super) fn woken(&mut self, wake: Wake, batch: &mut Vec<Command>) {
        match wake {
            Wake::Control(control) => {
                self.control(control);
                // Acknowledgements come many at a time.
                for _ in 0..BATCH {
                    let Ok(control) = self.control.try_recv() else { return };
                    self.control(Some(control));
                }
            }
            // The last handle is gone; the other channel says so too.
            Wake::Commands(0) => self.control(None),
            Wake::Commands(_) => batch.drain(..).for_each(|command| self.publish(command)),
            Wake::Read(Ok(0)) => self.lost("the server closed it".to_owned()),
            Wake::Read(Ok(length)) => {
                INPUT.with_borrow(|input| self.event(Event::Received(&input[..length])));
            }
            Wake::Written(Ok(length @ 1..)) => self.written(length),
            Wake::Written(Ok(0)) => self.lost("nothing can be written".to_owned()),
            Wake::Flushed(Ok(())) => self.unflushed = false,
            Wake::Read(Err(error)) | Wake::Written(Err(error)) | Wake::Flushed(Err(error)) => {
                self.lost(error.to_string());
            }
            Wake::Dialled(Ok((reading, writing))) => {
                self.dialling = None;
                self.reading = Some(reading);
                self.writing = Some(writing);
                self.unflushed = false;
                self.event(Event::Dialled);
            }
            Wake::Dialled(Err(why)) => {
                self.dialling = None;
                self.event(Event::Lost(why));
            }
            Wake::Room => self.router.advance(),
            Wake::Timer => self.event(Event::Timer),
        }
    }

    fn written(&mut self, length: usize) {
        self.unflushed = true;
        if length < self.effects.output.len() {
            self.effects.output.drain(..length);
            self.event(Event::Progress);
        } else {
            self.effects.output.clear();
            self.event(Event::Flushed);
        }
    }

    fn lost(&mut self, why: String) {
        self.reading = None;
        self.writing = None;
        self.event(Event::Lost(why));
    }

    fn publish(&mut self, command: Command) {
        let Command { message, receipt, stored } = command;
        let token = self.receipts.add(receipt);
        self.stored.extend(stored);
        self.event(Event::Publish { token, message });
    }

    /// `None`: nobody is left.
    pub(super) fn control(&mut self, control: Option<Control>) {
        match control {
            Some(Control::Subscribe { filters, messages, granted, token: tell }) => {
                let token = self.router.add(messages, granted);
                let _ = tell.send(token);
                self.event(Event::Subscribe { token, filters });
            }
            Some(Control::Unsubscribe { token, done }) => {
                self.router.ending(token, done);
                self.event(Event::Unsubscribe { token });
            }
            Some(Control::Forget { filters, done }) => {
                let token = self.router.add_nothing(done);
                self.event(Event::Forget { token, filters });
            }
            Some(Control::Reauthenticate { done }) => {
                self.reauthenticating.push(done);
                self.event(Event::Reauthenticate);
            }
            Some(Control::Acknowledge(id)) => self.event(Event::Acknowledge(id)),
            Some(Control::Stop { within, reason }) => self.stop(within, reason),
            None => {
                self.abandoned = true;
                if !self.stopping {
                    self.stop(Duration::ZERO, ReasonCode::Success);
                }
            }
        }
    }

    fn stop(&mut self, within: Duration, reason: ReasonCode) {
        self.stopping = true;
        self.commands.close();
        // What was handed over before is sent before.
        while let Ok(command) = self.commands.try_recv() {
            self.publish(command);
        }
        let within = self.clock.now().after(within);
        self.event(Event::Stop { within, reason });
    }
}

/// Reads into this thread's buffer: whoever awaits it uses that before anything else is awaited.
async fn read(reading: &mut Option<Reading>) -> std::io::Result<usize> {
    let Some(reading) = reading else { return std::future::pending().await };
    std::future::poll_fn(|context| {
        INPUT.with_borrow_mut(|input| {
            let mut buffer = ReadBuf::new(input);
            let read = Pin::new(&mut *reading).poll_read(context, &mut buffer);
            read.map_ok(|()| buffer.filled().len())
        })
    })
    .await
}

/// Writes, or flushes where there is nothing to write: some transports hold back what they were given.
async fn write(writing: &mut Option<Writing>, output: &[u8]) -> Wake {
    match writing {
        Some(writing) if output.is_empty() => Wake::Flushed(writing.flush().await),
        Some(writing) => Wake::Written(writing.write(output).await),
        None => std::future::pending().await,
    }
}

type Dialled = Result<(Reading, Writing), String>;

async fn join(dialling: &mut Option<JoinHandle<Dialled>>) -> Dialled {
    match dialling {
        Some(dialling) => dialling.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}
