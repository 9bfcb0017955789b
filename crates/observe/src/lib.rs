//! What can be seen of a running broker from outside: the metrics, their names, and the endpoint that shows them.
//!
//! In:    values, from whoever has them.
//! Out:   text that Prometheus reads; the page of the manual that lists the names.
//! Never: a metric that is not in the catalogue; a label with a Client Identifier or a Topic Name.

mod catalogue;
mod endpoint;
mod exposition;
mod load;
pub mod otlp;
mod page;
mod wall;

pub use catalogue::{Kind, Metric};
pub use endpoint::Endpoint;
pub use exposition::{Exposition, Format, Samples};
pub use load::Load;
pub use page::page;
pub use wall::Wall;
