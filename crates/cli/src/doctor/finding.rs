//! What was found, how bad it is, and what mends it.

use clap::ValueEnum;
use serde_json::json;

/// How bad an exposure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Severity {
    /// Worth knowing
    Low,
    /// Somebody who already has something gets more
    Medium,
    /// Somebody on the way reads or changes what others send
    High,
    /// Anybody gets in
    Critical,
}

/// One exposure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// How bad.
    pub(super) severity: Severity,
    /// Its name for programs; it does not change.
    pub(super) check: &'static str,
    /// Where: a key of a file, a file, an address.
    pub(super) place: String,
    /// What is wrong.
    pub(super) what: String,
    /// The line that mends it: a command, or one for the configuration.
    pub(super) mend: String,
}

/// Everything that was found, and where was looked.
#[derive(Debug, Default)]
pub(super) struct Findings {
    findings: Vec<Finding>,
    looked_at: Vec<String>,
}

impl Severity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn looked_at(&mut self, place: impl ToString) {
        self.looked_at.push(place.to_string());
    }

    /// The worst first.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|one, other| (other.severity, &one.place).cmp(&(one.severity, &other.place)));
    }

    pub(super) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    #[cfg(test)]
    pub(super) fn checks(&self) -> Vec<&'static str> {
        self.findings.iter().map(|finding| finding.check).collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Finding { severity, check, place, what, mend } in &self.findings {
            text.push_str(&format!("{}: {place}: {what} [{check}]\n  mend: {mend}\n", severity.name()));
        }
        let count = match self.findings.len() {
            0 => "nothing found".to_owned(),
            1 => "1 exposure".to_owned(),
            count => format!("{count} exposures"),
        };
        text.push_str(&format!("dunlin: looked at {}: {count}\n", self.looked_at.join(", ")));
        text
    }

    pub(super) fn json(&self) -> String {
        let object = |finding: &Finding| {
            let Finding { severity, check, place, what, mend } = finding;
            json!({ "severity": severity.name(), "check": check, "place": place, "what": what, "mend": mend })
        };
        let findings: Vec<_> = self.findings.iter().map(object).collect();
        format!("{}\n", json!({ "looked_at": self.looked_at, "findings": findings }))
    }
}
