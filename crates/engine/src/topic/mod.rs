//! From a Topic Name to those who want it.

mod labels;
mod route;
mod tree;
mod wanted;

pub(crate) use route::{Identifiers, OwnMessages, Route, RouteError, RouteId, Router, Target};
pub(crate) use tree::{FilterId, Planted, Tree};
pub(crate) use wanted::Subscriber;
