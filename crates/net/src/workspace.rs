//! What the connections of a thread share: memory that each needs only while it is read from or written to.
//!
//! In:    -
//! Out:   scratch, whose contents mean nothing between two calls.
//! Never: memory before the first connection that needs it.

/// Plaintext that is encrypted at once: four full records, one write.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Read at once, and more than the largest record.
const SEALED: usize = 64 * 1024 + 4 * 1024;

/// Scratch of a thread. A plain connection leaves it alone.
#[derive(Debug, Default)]
pub struct Workspace {
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Workspace {
    /// Room for records, encrypted.
    pub(crate) fn sealed(&mut self) -> &mut [u8] {
        self.both().0
    }

    /// Room for records, and an empty buffer for [`CHUNK`] bytes of plaintext.
    pub(crate) fn both(&mut self) -> (&mut [u8], &mut Vec<u8>) {
        if self.sealed.is_empty() {
            self.sealed = vec![0; SEALED];
            self.plain.reserve_exact(CHUNK);
        }
        self.plain.clear();
        (&mut self.sealed, &mut self.plain)
    }
}
