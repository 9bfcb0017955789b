//! What the connections of a thread share: memory that each needs only while it is read from or written to.
//!
//! In:    -
//! Out:   scratch, whose contents mean nothing between two calls.
//! Never: memory before the first connection that needs it.

/// Scratch of a thread. A plain connection leaves it alone.
#[derive(Debug, Default)]
pub struct Workspace {}
