//! Packet Identifiers of a publisher: one after the other, as clients give them, at most a window of them open.
//!
//! Spec:  MQTT 5.0 section 2.2.1; flow control 4.9.

use dunlin_codec::PacketId;

/// How far an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Free,
    /// PUBLISH was sent.
    Sent,
    /// PUBREL was sent (QoS 2).
    Released,
}

/// The open exchanges of a publisher.
#[derive(Debug)]
pub(crate) struct PacketIds {
    steps: Box<[Step]>,
    next: usize,
    open: u32,
    window: u32,
}

/// An acknowledgement that no exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acknowledgement of packet identifier {0}, which waits for none")]
pub(crate) struct Unexpected(u16);

impl PacketIds {
    /// Room for `window` exchanges; 1 to 65,535.
    pub(crate) fn new(window: u16) -> Self {
        // An identifier rests before it is used again, as with a client that counts to 65,535.
        let ring = (usize::from(window) * 2).clamp(1024, usize::from(u16::MAX));
        let steps = vec![Step::Free; ring].into_boxed_slice();
        Self { steps, next: 0, open: 0, window: u32::from(window.max(1)) }
    }

    /// Exchanges that may still begin.
    pub(crate) const fn room(&self) -> u32 {
        self.window - self.open
    }

    /// Begins one; `None` where the window is full, or the next identifier is still in use.
    pub(crate) fn take(&mut self) -> Option<PacketId> {
        if self.open == self.window || self.steps[self.next] != Step::Free {
            return None;
        }
        let id = u16::try_from(self.next + 1).ok().and_then(PacketId::new)?;
        self.steps[self.next] = Step::Sent;
        self.next = (self.next + 1) % self.steps.len();
        self.open += 1;
        Some(id)
    }

    /// PUBREC: PUBREL has to follow.
    pub(crate) fn release(&mut self, id: PacketId) -> Result<(), Unexpected> {
        *self.step(id, Step::Sent)? = Step::Released;
        Ok(())
    }

    /// PUBACK, or a PUBREC that refuses: the exchange is over.
    pub(crate) fn acknowledged(&mut self, id: PacketId) -> Result<(), Unexpected> {
        *self.step(id, Step::Sent)? = Step::Free;
        self.open -= 1;
        Ok(())
    }

    /// PUBCOMP: the exchange is over.
    pub(crate) fn completed(&mut self, id: PacketId) -> Result<(), Unexpected> {
        *self.step(id, Step::Released)? = Step::Free;
        self.open -= 1;
        Ok(())
    }

    fn step(&mut self, id: PacketId, expected: Step) -> Result<&mut Step, Unexpected> {
        let step = self.steps.get_mut(usize::from(id.get()) - 1).filter(|step| **step == expected);
        step.ok_or(Unexpected(id.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_two_holds_two() {
        let mut ids = PacketIds::new(2);
        let first = ids.take().unwrap();
        let second = ids.take().unwrap();
        assert_eq!((first.get(), second.get(), ids.take(), ids.room()), (1, 2, None, 0));
        assert_eq!(ids.acknowledged(second), Ok(()));
        assert_eq!(ids.acknowledged(second), Err(Unexpected(2)), "once is enough");
        assert_eq!(ids.take().map(PacketId::get), Some(3), "an identifier rests");
    }

    #[test]
    fn qos_2_takes_two_answers_in_order() {
        let mut ids = PacketIds::new(1);
        let id = ids.take().unwrap();
        assert!(ids.completed(id).is_err(), "not released yet");
        assert_eq!(ids.release(id), Ok(()));
        assert!(ids.acknowledged(id).is_err(), "PUBACK is no answer to PUBREL");
        assert_eq!(ids.completed(id), Ok(()));
        assert_eq!(ids.room(), 1);
    }

    #[test]
    fn all_identifiers_can_be_open_at_once() {
        let mut ids = PacketIds::new(u16::MAX);
        for expected in 1..=u16::MAX {
            assert_eq!(ids.take().map(PacketId::get), Some(expected));
        }
        assert_eq!(ids.take(), None);
    }
}
