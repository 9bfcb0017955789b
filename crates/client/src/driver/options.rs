//! What a client is told before it begins.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::{Address, Tls};
use crate::Settings;
use crate::disk::Sync;

/// Everything a client is told before it begins.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Server.
    pub address: Address,
    /// How to trust the Server and be trusted; used where the address asks for TLS.
    pub tls: Tls,
    /// What the session is told. A `seed` of 0 is replaced by a random one.
    pub settings: Settings,
    /// The queue on disk, and when it is forced to the disk; its folder has to be there. Without it, messages that wait
    /// end with the process.
    pub disk: Option<(PathBuf, Sync)>,
    /// Messages of a subscription that wait for the application. When there are as many, the connection is not read.
    pub subscription_buffer: NonZeroUsize,
}

/// One read of 64 KiB holds about 500 messages of 100 bytes; what does not fit waits in the socket.
const SUBSCRIPTION_BUFFER: NonZeroUsize = match NonZeroUsize::new(256) {
    Some(value) => value,
    None => NonZeroUsize::MIN,
};

impl Options {
    /// For this Server and these settings; everything else at its default.
    #[must_use]
    pub fn new(address: Address, settings: Settings) -> Self {
        Self { address, tls: Tls::default(), settings, disk: None, subscription_buffer: SUBSCRIPTION_BUFFER }
    }
}
