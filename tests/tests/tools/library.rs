//! The library against real brokers: what an application sees.
