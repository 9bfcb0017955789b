//! The names on the edges of the tree, one behind the other in one piece of memory.
//!
//! In:    labels: one or more levels of a Topic Filter, as it has them.
//! Out:   small numbers that stand for them.
//! Never: an allocation for each; more than half of the memory for labels that are gone, once [`Labels::is_sparse`] is heeded.

/// Labels that are gone weigh nothing below this, in bytes.
const SPARSE_MINIMUM: usize = 64 * 1024;
/// Labels begin at multiples of this: 4 bytes of a number reach 8 GiB.
const UNIT: usize = 2;
/// Bytes before a label, which say how long it is.
const HEADER: usize = size_of::<u16>();

/// Where a label is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelId(u32);

/// Labels, each in a place of its own.
#[derive(Debug, Default)]
pub(super) struct Labels {
    bytes: Vec<u8>,
    /// Bytes of those that are gone.
    gone: usize,
}

impl Labels {
    /// Keeps a label, of 65,535 bytes at most as any text of MQTT.
    pub(super) fn add(&mut self, label: &[u8]) -> LabelId {
        let at = u32::try_from(self.bytes.len() / UNIT).unwrap_or_else(|_| unreachable!("8 GiB of labels"));
        let length = u16::try_from(label.len()).unwrap_or_else(|_| unreachable!("no text is that long"));
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(label);
        self.bytes.resize(self.bytes.len().next_multiple_of(UNIT), 0);
        LabelId(at)
    }

    #[inline]
    pub(super) fn get(&self, id: LabelId) -> &[u8] {
        let at = id.0 as usize * UNIT;
        let length = usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]));
        &self.bytes[at + HEADER..at + HEADER + length]
    }

    /// A label is gone; its memory stays until those that are left have moved.
    pub(super) fn forget(&mut self, id: LabelId) {
        self.gone += (HEADER + self.get(id).len()).next_multiple_of(UNIT);
    }

    /// Is most of it gone, so that the others should move?
    pub(super) const fn is_sparse(&self) -> bool {
        self.gone >= SPARSE_MINIMUM && self.gone > self.bytes.len() / 2
    }

    /// Room for those that are left.
    pub(super) fn for_the_rest(&self) -> Self {
        Self { bytes: Vec::with_capacity(self.bytes.len() - self.gone), gone: 0 }
    }

    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        self.bytes.len() - self.gone
    }
}
