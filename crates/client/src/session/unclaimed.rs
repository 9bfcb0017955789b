//! Messages that came before anybody asked for them: a Session that is resumed brings what it kept.
//!
//! Never: more than the Receive Maximum; messages of QoS 0, which are nobody's then.

use std::collections::VecDeque;

use super::event::Delivery;

pub(crate) struct Unclaimed {
    kept: VecDeque<Delivery>,
    maximum: usize,
}

impl Unclaimed {
    pub(crate) fn new(receive_maximum: u16) -> Self {
        Self { kept: VecDeque::new(), maximum: receive_maximum.into() }
    }

    /// Keeps it, unacknowledged, or gives it back.
    pub(crate) fn keep(&mut self, delivery: Delivery) -> Option<Delivery> {
        // The last place stays free, so that a Server which waits for an acknowledgement gets one.
        if delivery.id.is_none() || self.kept.len() + 1 >= self.maximum {
            return Some(delivery);
        }
        self.kept.push_back(delivery);
        None
    }

    pub(crate) fn take(&mut self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.kept)
    }
}
