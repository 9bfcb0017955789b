//! One delivery of a Session: 24 bytes, without its message.

use dunlin_codec::QoS;

use crate::message::Message;

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In the queue; in flight, where it was sent before a restart or not: nobody knows.
    Waiting,
    /// PUBLISH was sent, and is unacknowledged until PUBACK [MQTT-4.3.2-3] [MQTT311-4.3.2-1], or PUBREC [MQTT-4.3.3-3].
    AwaitAck,
    /// QoS 2: PUBREC was received.
    AwaitComp,
    /// Ended out of turn; the place is kept until those before it end.
    Ended,
}

/// Where the record of a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// There is none: the Session does not outlive the process.
    None,
    /// Not written yet: the serial number of what will be.
    Pending(u64),
    /// In the journal; `shared` with other deliveries.
    Record { number: u64, shared: bool },
}

impl Home {
    pub(crate) const fn is_record(self) -> bool {
        matches!(self, Self::Record { .. })
    }
}

/// A delivery.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Nine bits of flags above the number of the record, or its serial number.
    bits: u64,
    /// `None` where it is not needed again, or can be read back.
    pub(crate) message: Option<Message>,
    /// The low half of the sequence number.
    pub(crate) seq: u32,
    /// What the bound of the queue counts.
    pub(crate) weight: u32,
}

const NUMBER: u64 = (1 << 55) - 1;
const NOTED: u64 = 1 << 55;
const QOS2: u64 = 1 << 56;
const RETAIN: u64 = 1 << 57;
const COUNTED: u64 = 1 << 58;
const EXTRA: u64 = 1 << 59;
const PHASE: u32 = 60;
const HOME: u32 = 62;

impl Entry {
    pub(crate) fn new(seq: u32, qos: QoS, retain: bool, message: Option<Message>, weight: u32) -> Self {
        let bits = if qos == QoS::ExactlyOnce { QOS2 } else { 0 } | if retain { RETAIN } else { 0 };
        Self { bits, message, seq, weight }
    }

    pub(crate) const fn qos(&self) -> QoS {
        if self.bits & QOS2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce }
    }

    pub(crate) const fn retain(&self) -> bool {
        self.bits & RETAIN != 0
    }

    #[inline]
    pub(crate) const fn phase(&self) -> Phase {
        match self.bits >> PHASE & 3 {
            0 => Phase::Waiting,
            1 => Phase::AwaitAck,
            2 => Phase::AwaitComp,
            _ => Phase::Ended,
        }
    }

    /// May its PUBLISH have to be sent, for the first time or again?
    pub(crate) const fn is_to_be_sent(&self) -> bool {
        matches!(self.phase(), Phase::Waiting | Phase::AwaitAck)
    }

    pub(crate) const fn set_phase(&mut self, phase: Phase) {
        self.bits = self.bits & !(3 << PHASE) | (phase as u64) << PHASE;
    }

    /// Its PUBLISH was sent on this connection and took one of the quota, which its end gives back.
    pub(crate) const fn is_counted(&self) -> bool {
        self.bits & COUNTED != 0
    }

    pub(crate) const fn set_counted(&mut self, counted: bool) {
        self.bits = if counted { self.bits | COUNTED } else { self.bits & !COUNTED };
    }

    /// Its end is noted in the ledger.
    #[inline]
    pub(crate) const fn is_noted(&self) -> bool {
        self.bits & NOTED != 0
    }

    pub(crate) const fn set_noted(&mut self) {
        self.bits |= NOTED;
    }

    /// More about it is kept elsewhere.
    #[inline]
    pub(crate) const fn has_extra(&self) -> bool {
        self.bits & EXTRA != 0
    }

    pub(crate) const fn set_extra(&mut self, extra: bool) {
        self.bits = if extra { self.bits | EXTRA } else { self.bits & !EXTRA };
    }

    #[inline]
    pub(crate) const fn home(&self) -> Home {
        let number = self.bits & NUMBER;
        match self.bits >> HOME {
            0 => Home::None,
            1 => Home::Pending(number),
            kind => Home::Record { number, shared: kind == 3 },
        }
    }

    pub(crate) const fn set_home(&mut self, home: Home) {
        let (kind, number) = match home {
            Home::None => (0, 0),
            Home::Pending(serial) => (1, serial),
            Home::Record { number, shared: false } => (2, number),
            Home::Record { number, shared: true } => (3, number),
        };
        self.bits = self.bits & !(NUMBER | 3 << HOME) | number & NUMBER | kind << HOME;
    }

    /// What ended keeps its place only.
    pub(crate) const fn take(&mut self) -> Self {
        let taken =
            Self { bits: self.bits, message: self.message.take(), seq: self.seq, weight: self.weight };
        self.bits = (Phase::Ended as u64) << PHASE;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten million of them wait in the memory of a small machine.
    #[test]
    fn an_entry_is_small_and_keeps_its_parts_apart() {
        assert_eq!(size_of::<Entry>(), 24);
        let mut entry = Entry::new(7, QoS::ExactlyOnce, true, None, 9);
        for home in [Home::Pending(NUMBER), Home::Record { number: 5, shared: true }, Home::None] {
            for phase in [Phase::AwaitComp, Phase::Ended, Phase::AwaitAck, Phase::Waiting] {
                entry.set_home(home);
                entry.set_phase(phase);
                entry.set_counted(phase == Phase::Ended);
                entry.set_extra(phase == Phase::AwaitAck);
                assert_eq!((entry.home(), entry.phase()), (home, phase));
                assert_eq!((entry.qos(), entry.retain()), (QoS::ExactlyOnce, true));
                assert_eq!(entry.is_counted(), phase == Phase::Ended);
                assert_eq!(entry.has_extra(), phase == Phase::AwaitAck);
            }
        }
    }
}
