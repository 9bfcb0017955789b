//! The revocation lists that listeners name: each file once, however many name it.
//!
//! In:    `client_crl` of listeners whose authority is not the built-in one.
//! Out:   for each of these, authenticators that mind the list; whether one has changed.
//! Never: the list of another listener: somebody who was let in by one certificate is not let stay by another's.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use dunlin_security::identity::{Authenticator, RevocationLists, Unlisted, Watched};

use crate::config::Listener;
use crate::failure::Failure;

/// Those of all listeners.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<Arc<Watched<RevocationLists>>>);

impl Lists {
    /// Reads them.
    ///
    /// # Errors
    /// With the first that cannot be used.
    pub(super) fn open<'a>(listeners: impl Iterator<Item = &'a Listener>) -> Result<Self, Failure> {
        let mut lists = Self::default();
        for path in listeners.filter_map(|listener| listener.client_crl.as_deref()) {
            if lists.of(path).is_none() {
                let list = Watched::open(path)
                    .map_err(|error| Failure::Entrance(format!("listener.client_crl: {error}")))?;
                lists.0.push(Arc::new(list));
            }
        }
        Ok(lists)
    }

    fn of(&self, path: &Path) -> Option<&Arc<Watched<RevocationLists>>> {
        self.0.iter().find(|list| list.path() == path)
    }

    /// `proof`, for a listener: what minds its list, and a name under which no listener with another list knows it.
    pub(super) fn mind(
        &self,
        listener: &Listener,
        proof: Arc<dyn Authenticator>,
    ) -> (Cow<'static, str>, Arc<dyn Authenticator>) {
        match listener.client_crl.as_deref().and_then(|path| self.of(path)) {
            None => ("certificate".into(), proof),
            Some(list) => {
                let name = format!("certificate not in {}", list.path().display());
                (name.into(), Arc::new(Unlisted::new(proof, Arc::clone(list))))
            }
        }
    }

    /// Has one changed? Each is asked: none has it noted for the next time.
    pub(super) fn poll(&self) -> bool {
        self.0.iter().filter(|list| list.poll()).count() > 0
    }
}
