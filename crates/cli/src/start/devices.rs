//! The client identifiers of devices, which nobody else may have: rules give rights to them.
//!
//! In:    the certificates that the built-in authority has issued.
//! Out:   authenticators that refuse those identifiers to whoever shows no certificate.
//! Never: another answer to a guess than elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use dunlin_security::authority::{Authority, Files};
use dunlin_security::identity::{
    Attempt, Authenticator, Challenge, Denial, Exchange, Known, Outcome, Standing, Watch,
};
use tracing::error;

use crate::failure::Failure;

/// The names that certificates of the built-in authority were issued to.
#[derive(Debug)]
pub(super) struct DeviceNames {
    directory: PathBuf,
    names: RwLock<Arc<BTreeSet<String>>>,
    watch: Mutex<Watch>,
}

/// Keeps those without a certificate from the client identifiers of devices.
pub(super) struct NoDevice {
    proof: Arc<dyn Authenticator>,
    devices: Arc<DeviceNames>,
}

/// An exchange that ends with a refusal, whatever is proved.
struct InVain(Box<dyn Exchange>);

impl DeviceNames {
    pub(super) fn open(data: &Path, files: &Files) -> Result<Self, Failure> {
        let watch = Mutex::new(Watch::new(&files.issued));
        let names = RwLock::new(Arc::new(names(data)?));
        Ok(Self { directory: data.to_owned(), names, watch })
    }

    fn has(&self, client_id: &str) -> bool {
        self.names.read().unwrap_or_else(PoisonError::into_inner).contains(client_id)
    }

    /// Looks whether there are others, at most once a second.
    pub(super) fn poll(&self) {
        if self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_due_and_changed() {
            self.reload();
        }
    }

    /// Reads them again now.
    pub(super) fn reload(&self) {
        match names(&self.directory) {
            Ok(names) => *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names),
            Err(reason) => {
                error!(target: "dunlin::access", %reason, "issued certificates cannot be read, the old names stay");
            }
        }
    }
}

fn names(data: &Path) -> Result<BTreeSet<String>, Failure> {
    let issued = Authority::open(data)?.issued()?.into_iter();
    Ok(issued
        .filter(|issued| issued.certificate.for_clients)
        .map(|issued| issued.certificate.subject)
        .collect())
}

impl NoDevice {
    pub(super) fn new(proof: Arc<dyn Authenticator>, devices: Arc<DeviceNames>) -> Self {
        Self { proof, devices }
    }
}

impl Authenticator for NoDevice {
    fn method(&self) -> Option<&'static str> {
        self.proof.method()
    }

    fn review(&self, known: Known<'_>) -> Standing {
        self.proof.review(known)
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let said = self.proof.authenticate(attempt);
        // A token or a service may choose another identifier than the client asked for.
        let chosen = if let Outcome::Allow(grant) = &said { &*grant.identity.client_id } else { "" };
        if self.devices.has(&attempt.client_id) || self.devices.has(chosen) { denied(said) } else { said }
    }
}

/// The same but for whom it would let in: a guess is told no more than elsewhere.
fn denied(said: Outcome) -> Outcome {
    match said {
        Outcome::Allow(_) => Outcome::Deny(Denial::WrongClientId),
        Outcome::Continue(Challenge { data, exchange }) => {
            Outcome::Continue(Challenge { data, exchange: Box::new(InVain(exchange)) })
        }
        other => other,
    }
}

impl Exchange for InVain {
    fn answer(self: Box<Self>, data: &[u8], now: SystemTime) -> Outcome {
        denied(self.0.answer(data, now))
    }

    fn username(&self) -> Option<&str> {
        self.0.username()
    }
}
