//! The operator's API: HTTP, and what its commands ask of a running Server.
