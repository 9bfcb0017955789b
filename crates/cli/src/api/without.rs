//! A build without the API of an operator: a configuration that gives it a port is refused.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use dunlin_runtime::Observer;
use dunlin_security::identity::password::UserStore;
use dunlin_store::{DirDisk, Store};

use crate::certificates::Certificates;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::listeners::Listeners;
use crate::metrics::Sources;
use crate::start::Entrance;

/// There is none.
pub(crate) struct Api;

/// Nobody uses it.
pub(crate) struct Doorman;

/// Nobody asks it.
pub(crate) struct Process;

impl Api {
    /// # Errors
    /// None.
    pub(crate) fn bind(_: &config::Api, _: Option<&Path>, _: bool) -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) fn url(&self) -> Option<Infallible> {
        None
    }

    pub(crate) fn add_to(&self, _: &mut Certificates) {}

    /// # Errors
    /// None.
    pub(crate) fn serve(
        self,
        _: Observer,
        _: Doorman,
        _: Process,
        _: Option<&Path>,
    ) -> Result<Self, Failure> {
        Ok(self)
    }

    pub(crate) fn end(self) {}
}

impl Doorman {
    /// # Errors
    /// None.
    pub(crate) fn of(
        _: &Path,
        _: impl Fn() -> Arc<UserStore> + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) fn open() -> Self {
        Self
    }
}

impl Process {
    pub(crate) fn of(
        _: &Config,
        _: &Listeners,
        _: &[String],
        _: &Sources,
        _: Option<&Arc<Store<DirDisk>>>,
        _: Option<&Arc<Entrance>>,
    ) -> Self {
        Self
    }
}
