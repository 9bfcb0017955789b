//! From facts to findings: pure, and the same for the same facts.
//!
//! In:    what an engine counted of a Client, who gets what it publishes, how it is reached.
//! Out:   findings, each with the numbers it rests on.
//! Never: a finding on a handful of messages; a payload.

mod connecting;
mod content;
mod origin;
mod quality;
#[cfg(test)]
mod tests;

use dunlin_engine::{Audience, ClientConduct};

use super::finding::{Check, Finding, Saving, Severity};
pub(super) use origin::{Merged, judge as judge_origin};

/// What lies between a listener and its Clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// TLS, or a socket of this machine.
    Private,
    /// Neither.
    Plain,
    /// Neither, behind a proxy that may have ended TLS.
    Proxied,
}

/// A Client and what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Case<'a> {
    pub(super) client: &'a ClientConduct,
    /// Who gets each of its samples, as far as that was asked.
    pub(super) audiences: &'a [Option<Audience>],
    pub(super) wire: Wire,
}

/// Everything that is wrong with a Client.
pub(super) fn judge(case: &Case<'_>) -> Vec<Finding> {
    let checks = [
        quality::qos0_loss,
        quality::above_subscribers,
        quality::qos2_unneeded,
        connecting::never_resumed,
        connecting::keep_alive,
        connecting::no_will,
        connecting::no_backoff,
        connecting::fight,
        connecting::plain_text,
        content::payload_shrinks,
        content::retained_misuse,
        content::topic_shape,
    ];
    let mut findings: Vec<Finding> = checks.iter().filter_map(|check| check(case)).collect();
    if findings.iter().any(|finding| finding.check == Check::QosAboveSubscribers) {
        // Of the two the one that says more.
        findings.retain(|finding| finding.check != Check::Qos2Unneeded);
    }
    findings
}

impl Case<'_> {
    fn found(&self, severity: Severity, check: Check, what: String, mend: String, saves: Saving) -> Finding {
        Finding {
            severity,
            check,
            who: format!("client {}", self.client.client_id),
            address: self.client.address.map(|address| address.to_string()),
            what,
            mend,
            saves,
        }
    }

    /// PUBLISH packets of the Client.
    fn published(&self) -> u64 {
        self.client.traffic.published.iter().sum()
    }
}
