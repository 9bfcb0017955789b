//! What few have of many: memory only for those.
//!
//! In:    -
//! Out:   the value, or an empty one that all share.
//! Never: memory before somebody changes it.

use std::ops::Deref;

/// What has a value that says "nothing".
pub(crate) trait Empty: Default + 'static {
    /// It.
    const EMPTY: &'static Self;
}

/// See the module; one pointer.
#[derive(Debug)]
pub(crate) struct Rarely<T>(Option<Box<T>>);

impl<T> Default for Rarely<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for Rarely<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> Rarely<T> {
    /// To be changed; made where there is none.
    pub(crate) fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// To be changed where there is one.
    #[inline]
    pub(crate) fn existing(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}
