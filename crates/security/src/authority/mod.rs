//! The built-in certificate authority, and what it issues.
