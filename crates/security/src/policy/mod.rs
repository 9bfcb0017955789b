//! The access rules: read, compiled for one identity, asked for each message, explained.
