//! What tests of authenticators share.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use super::attempt::Attempt;

/// An attempt without credentials, on 14 November 2023.
pub(crate) fn attempt() -> Attempt {
    Attempt {
        is_assigned: false,
        listener: "tls".into(),
        address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        client_id: "sensor-1".into(),
        username: None,
        password: None,
        certificate: None,
        method: None,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    }
}
