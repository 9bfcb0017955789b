//! The client identifiers of devices, which nobody else may have: rules give rights to them.
//!
//! In:    the certificates that the built-in authority has issued.
//! Out:   authenticators that refuse those identifiers to whoever shows no certificate, and let nobody keep one.
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
    #[must_use]
    pub(super) fn poll(&self) -> bool {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_due_and_changed() && self.reload()
    }

    /// Reads them again now; whether there are others.
    pub(super) fn reload(&self) -> bool {
        match names(&self.directory) {
            Ok(new) => {
                let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
                let are_others = **names != new;
                *names = Arc::new(new);
                are_others
            }
            Err(reason) => {
                error!(target: "dunlin::access", %reason, "issued certificates cannot be read, the old names stay");
                false
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
        if self.devices.has(known.client_id) { Standing::Gone } else { self.proof.review(known) }
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

#[cfg(test)]
mod tests {
    use dunlin_security::identity::{Anonymous, Grant, Identity};

    use super::*;

    /// Whoever had the identifier before there was the device would have the device's rights for as long as it stays.
    #[test]
    fn nobody_without_a_certificate_takes_or_keeps_the_identifier_of_a_device() {
        let path = PathBuf::from("issued");
        let watch = Mutex::new(Watch::new(&path));
        let devices = Arc::new(DeviceNames { directory: path, names: RwLock::default(), watch });
        let proof = NoDevice::new(Arc::new(Anonymous), Arc::clone(&devices));
        let attempt = Attempt {
            listener: "tcp".into(),
            address: None,
            client_id: "pump-7".into(),
            is_assigned: false,
            username: None,
            password: None,
            certificate: None,
            method: None,
            now: SystemTime::now(),
        };
        let Outcome::Allow(Grant { identity, .. }) = proof.authenticate(&attempt) else { panic!("anybody") };
        assert_eq!(proof.review(identity.known()), Standing::Same);

        *devices.names.write().unwrap() = Arc::new(BTreeSet::from(["pump-7".to_owned()]));

        assert!(matches!(proof.authenticate(&attempt), Outcome::Deny(Denial::WrongClientId)));
        assert_eq!(proof.review(identity.known()), Standing::Gone);
        let other = Identity { client_id: "pump-8".into(), ..identity };
        assert_eq!(proof.review(other.known()), Standing::Same);
    }
}
