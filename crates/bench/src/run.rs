//! Runs a plan to its end.

use std::io;
use std::sync::Arc;

use crate::crew::Watch;
use crate::plan::{Plan, PlanError, Scenario};
use crate::report::Report;
use crate::{backlog, idle, storm, traffic};

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// How much of it is done: 0 to 1.
    pub done: f64,
    /// Deliveries (or connections) a second at the moment, where there are any.
    pub rate: Option<f64>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The plan cannot be carried out.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// Not everybody could connect.
    #[error("{made} of {wanted} connections were made: {reason}")]
    Connect {
        /// Connections that the broker accepted.
        made: u64,
        /// Connections wanted.
        wanted: u64,
        /// Why no more.
        reason: String,
    },
    /// Not everybody could subscribe.
    #[error("{made} of {wanted} filters were granted: {reason}")]
    Subscribe {
        /// Filters that the broker granted.
        made: u64,
        /// Filters wanted.
        wanted: u64,
        /// Why no more.
        reason: String,
    },
    /// The generator itself.
    #[error("the generator failed: {0}")]
    Thread(io::Error),
}

/// Runs a plan to its end; tells `watch` how far it is, several times a second.
///
/// # Errors
/// What made it impossible. A broker that loses messages makes no error but a [`Report`] that says so.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, BenchError> {
    plan.check()?;
    let plan = Arc::new(plan.clone());
    let watch: Watch<'_> = watch;
    match plan.scenario {
        Scenario::Idle => idle::run(&plan, watch),
        Scenario::Connect => storm::run(&plan, watch),
        Scenario::Backlog => backlog::run(&plan, watch),
        Scenario::FanIn | Scenario::FanOut | Scenario::Pairs | Scenario::Shared | Scenario::Wildcards => {
            traffic::run(&plan, watch)
        }
    }
}
