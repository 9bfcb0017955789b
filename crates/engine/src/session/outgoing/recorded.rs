//! Deliveries and the journal: what is written of them, read back, and found after a restart.
//!
//! Spec:  MQTT 5.0 section 4.1.

use super::*;

impl Outgoing {
    /// The sequence number that was given last.
    pub(crate) fn last(&self) -> u32 {
        low(self.next).wrapping_sub(1)
    }

    /// The record of the delivery that came last will be this one.
    pub(crate) fn set_pending(&mut self, serial: u64) {
        let seq = self.last();
        let last = [self.queue.back_mut(), self.flight.back_mut()];
        if let Some(entry) = last.into_iter().flatten().find(|entry| entry.seq == seq) {
            entry.set_home(Home::Pending(serial));
        }
    }

    /// Is the delivery still wanted? How it goes.
    pub(crate) fn wanted(&self, seq: u32) -> Option<(u64, Options)> {
        let entry = self.find(seq).filter(|entry| entry.phase() != Phase::Ended)?;
        Some((self.full(seq), self.options(entry)))
    }

    fn find(&self, seq: u32) -> Option<&Entry> {
        find(&self.queue, seq)
            .map(|at| &self.queue[at])
            .or_else(|| Some(&self.flight[find(&self.flight, seq)?]))
    }

    /// The record is being written: the message can be read back as soon as the log has taken it. `resident`: a short queue stays in memory.
    pub(crate) fn recorded(&mut self, seq: u32, number: u64, shared: bool, resident: bool) {
        let home = Home::Record { number, shared };
        if let Some(at) = find(&self.queue, seq) {
            self.queue[at].set_home(home);
            if !resident || self.queue_bytes > RESIDENT_BYTES {
                self.queue[at].message = None;
                if self.queue[at].has_extra() && self.deal(&self.queue[at]).is_none() {
                    self.queue[at].set_extra(false);
                    self.extras.remove(seq);
                }
            }
        } else if let Some(at) = find(&self.flight, seq) {
            self.flight[at].set_home(home);
            self.flight[at].message = None;
        }
    }

    /// The next delivery is QoS 2 and gets no record: its number must be safe before it is sent, or a restart gives its
    /// identifier to another message, which the Client takes for this one.
    pub(crate) fn reserve(&mut self) {
        self.reserved.get_or_insert(0);
    }

    /// Is there a delivery whose number is not safe? The number below which all are, once what says so is stored.
    pub(crate) fn to_reserve(&self) -> Option<u64> {
        self.reserved.filter(|reserved| *reserved < self.next).map(|_| self.next)
    }

    /// Numbers below this are not used again.
    pub(crate) fn reserved(&mut self, below: u64) {
        self.reserved = Some(below);
    }

    /// The record is safe.
    pub(crate) fn stored(&mut self, seq: u32) {
        self.safe = self.safe.max(self.full(seq) + 1);
    }

    /// What to read back so that sending can go on: sequence numbers and records.
    pub(crate) fn absent(&self, is_tight: bool) -> Vec<(u32, u64)> {
        let mut bytes = 0;
        let bytes_maximum = if is_tight { READ_BYTES_TIGHT } else { READ_BYTES };
        let ahead = self.flight.iter().skip(self.resent).chain(&self.queue).take(READ_MESSAGES);
        ahead
            .take_while(|entry| {
                let fits = bytes < bytes_maximum;
                bytes += u64::from(entry.weight);
                fits
            })
            .filter(|entry| entry.message.is_none() && entry.is_to_be_sent())
            .filter_map(|entry| match entry.home() {
                Home::Record { number, .. } => Some((entry.seq, number)),
                Home::None | Home::Pending(_) => None,
            })
            .collect()
    }

    /// The record of a delivery, where it has one.
    pub(crate) fn record_of(&self, seq: u32) -> Option<u64> {
        match self.find(seq)?.home() {
            Home::Record { number, .. } => Some(number),
            Home::None | Home::Pending(_) => None,
        }
    }

    /// A message was read back.
    pub(crate) fn fill(&mut self, seq: u32, message: Message, identifiers: Identifiers) {
        let at = find(&self.queue, seq).map(|at| &mut self.queue[at]);
        let at = at.or_else(|| find(&self.flight, seq).map(|at| &mut self.flight[at]));
        // The acknowledgement of what the last connection was sent may have come meanwhile.
        let Some(entry) = at.filter(|entry| entry.is_to_be_sent()) else { return };
        entry.message = Some(message);
        if let Some(extra) = Extra::of(identifiers, None) {
            entry.set_extra(true);
            self.extras.insert(seq, extra);
        }
    }

    /// A message cannot be read back any more.
    pub(crate) fn lose(&mut self, seq: u32) -> Option<Gone> {
        if let Some(at) = find(&self.queue, seq) {
            let entry = self.queue.remove(at)?;
            self.queue_bytes -= u64::from(entry.weight);
            return Some(self.gone(&entry));
        }
        let at = find(&self.flight, seq).filter(|at| self.flight[*at].phase() != Phase::Ended)?;
        self.quota += u16::from(self.flight[at].is_counted());
        Some(self.clear(at))
    }

    /// What has not ended, for the journal.
    pub(crate) fn progress(&self) -> Progress {
        // What was released needs no record of its message, and has none after a restart.
        let live = self.flight.iter().filter(|entry| match entry.phase() {
            Phase::Ended => false,
            Phase::AwaitComp => true,
            Phase::Waiting | Phase::AwaitAck => entry.home() != Home::None,
        });
        let mut progress = Progress {
            next: self.next,
            queue_from: self.queue.front().map_or(self.next, |entry| self.full(entry.seq)),
            ..Progress::default()
        };
        for entry in live {
            let list =
                if entry.phase() == Phase::AwaitComp { &mut progress.released } else { &mut progress.sent };
            list.push(self.full(entry.seq));
        }
        progress
    }

    /// How far the Session had come, before anything else that a restart finds.
    pub(crate) fn restore(&mut self, progress: &Progress, record: u64) {
        self.record = Some(record);
        self.next = self.next.max(progress.next);
        for seq in &progress.released {
            let mut entry = Entry::new(low(*seq), QoS::ExactlyOnce, false, None, 0);
            entry.set_phase(Phase::AwaitComp);
            self.flight.push_back(entry);
        }
    }

    /// A delivery as a restart found it.
    pub(crate) fn restore_entry(
        &mut self,
        seq: u64,
        options: &Options,
        number: u64,
        shared: bool,
        weight: usize,
        maybe_sent: bool,
    ) {
        self.next = self.next.max(seq + 1);
        if maybe_sent {
            self.doubtful = self.doubtful.max(seq + 1);
        }
        let weight = u32::try_from(QUEUED_WEIGHT + weight).unwrap_or(u32::MAX);
        let mut entry = Entry::new(low(seq), options.qos, options.retain, None, weight);
        entry.set_home(Home::Record { number, shared });
        if self.flight.iter().all(|other| other.seq != entry.seq) {
            self.push(entry);
        }
    }

    /// A connection came after all that is restored so far: whatever there is may have been sent on it.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = self.next;
    }

    /// Everything is restored. What was in flight is not known: of what may have been sent, the first `window` messages are
    /// taken for it. The rest follows, as what may have been sent before as well.
    pub(crate) fn restored(&mut self, window: u16) {
        self.safe = self.next;
        let next = self.next;
        let order = |entry: &Entry| next - u64::from(low(next).wrapping_sub(entry.seq));
        self.queue.make_contiguous().sort_by_key(order);
        let doubtful = self.queue.partition_point(|entry| order(entry) < self.doubtful);
        let count = usize::from(window).min(doubtful);
        for entry in self.queue.drain(..count) {
            self.queue_bytes -= u64::from(entry.weight);
            self.flight.push_back(entry);
        }
        self.flight.make_contiguous().sort_by_key(order);
        self.resent = 0;
    }
}
