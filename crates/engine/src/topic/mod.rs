//! From a Topic Name to those who want it.

mod route;
mod tree;

pub(crate) use route::{Identifiers, OwnMessages, Route, RouteError, RouteId, Router, Target};
pub(crate) use tree::Subscriber;
