//! What was found, the worst first, as far as anybody reads.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding::{Check, Finding};

/// Findings that are shown.
const SHOWN: usize = 1_000;

/// What `dunlin doctor clients` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Clients that were looked at.
    pub clients: u64,
    /// The worst first; of those the ones that would save most.
    pub findings: Vec<Finding>,
    /// How many more there are, which are no worse.
    pub left_out: u64,
}

/// Findings as they come.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    left_out: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.kept.push(finding);
        if self.kept.len() > 2 * SHOWN {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let rank = |finding: &Finding| {
            let saves = finding.saves;
            (finding.severity, saves.messages, saves.sessions, saves.bytes, saves.packets)
        };
        self.kept.sort_by(|one, other| {
            let name = |finding: &Finding| (finding.who.clone(), finding.check);
            rank(other).cmp(&rank(one)).then_with(|| name(one).cmp(&name(other)))
        });
        self.left_out += self.kept.len().saturating_sub(SHOWN) as u64;
        self.kept.truncate(SHOWN);
    }
}

impl Report {
    pub(super) fn of(clients: u64, mut findings: Findings) -> Self {
        findings.cut();
        Self { clients, findings: findings.kept, left_out: findings.left_out }
    }

    /// What was found of one kind.
    pub fn of_check(&self, check: Check) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.check == check)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Saving, Severity};
    use super::*;

    #[test]
    fn the_worst_come_first_and_the_rest_is_counted() {
        let mut findings = Findings::default();
        for number in 0..5_000_u64 {
            findings.add(Finding {
                severity: if number == 2_500 { Severity::High } else { Severity::Low },
                check: Check::KeepAlive,
                who: format!("client {number}"),
                address: None,
                what: String::new(),
                mend: String::new(),
                saves: Saving::traffic(number, 0),
            });
        }
        let report = Report::of(9, findings);
        assert_eq!((report.findings.len(), report.left_out), (1_000, 4_000));
        let first: Vec<&str> = report.findings.iter().take(2).map(|found| &*found.who).collect();
        assert_eq!(first, ["client 2500", "client 4999"]);
        assert_eq!(report.of_check(Check::NoWill).count(), 0);
    }
}
