//! How a client is doing, for whoever watches.

use crate::Time;
use crate::session::{Disconnection, Status};

/// How a client is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connection {
    /// The first attempt is under way.
    Connecting,
    /// There is a connection.
    Connected {
        /// The Server knew the Session.
        session_present: bool,
    },
    /// There is none; another attempt follows.
    Waiting {
        /// Why the last one ended, or failed.
        why: Disconnection,
        /// When it follows.
        retry_at: Time,
    },
    /// There will be none any more.
    Stopped(Disconnection),
    /// The queue on disk failed, so nothing can be promised any more; what it says.
    DiskFailed(String),
}

impl Connection {
    pub(crate) fn of(status: &Status) -> Option<Self> {
        Some(match status {
            Status::Connected { session_present, .. } => {
                Self::Connected { session_present: *session_present }
            }
            Status::Disconnected { why, retry_at } => Self::Waiting { why: why.clone(), retry_at: *retry_at },
            Status::Stopped(why) => Self::Stopped(why.clone()),
            Status::Dropped(_) => return None,
        })
    }

    /// Is it over?
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::DiskFailed(_))
    }
}
