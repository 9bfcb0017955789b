//! `dunlin doctor clients`: what clients do that costs more than it has to, or loses what they want.
//!
//! In:    a running broker, by its API.
//! Out:   findings, each with its evidence, the change that mends it, and what that would have saved.
//! Never: a payload shown, a client touched.

use clap::Args;
use dunlin_admin::doctor::{self, Finding, Report};
use dunlin_admin::quoted;

use super::finding::Severity;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::operate::{Where, plain};
use crate::say;

/// `--help`, below the options.
pub(super) const HELP: &str = "\
Examples:
  dunlin doctor clients
      Every client of the broker on the default data directory.
  dunlin doctor clients --data DIR --client pump-7
      One client.
  dunlin doctor clients --api https://broker.example.org:8885 --token-file FILE --json --fail-on low
      For a program.

Exit codes:
  0  nothing as bad as --fail-on was found
  1  the broker does not answer
  2  the command line cannot be understood
  6  something was found";

/// `dunlin doctor clients`
#[derive(Debug, Args)]
pub(crate) struct Clients {
    #[command(flatten)]
    broker: Where,
    /// One client, by its client identifier
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    client: Option<String>,
    /// How bad a finding must be for exit code 6
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Severity::Medium)]
    fail_on: Severity,
    /// One JSON object with everything that was found
    #[arg(long)]
    json: bool,
}

impl Clients {
    /// Asks, and says what was found.
    ///
    /// # Errors
    /// Where the broker does not answer.
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let mut target = "/api/v1/doctor/clients".to_owned();
        if let Some(client_id) = &self.client {
            target.push_str(&format!("?client_id={}", quoted(client_id)));
        }
        let report: Report = self.broker.asker()?.get(&target)?;
        if self.json {
            say::line(&format!("{}\n", serde_json::to_string(&report).unwrap_or_default()));
        } else {
            say::line(&text(&report));
        }
        let worst = report.findings.iter().map(severity).max();
        Ok(if worst >= Some(self.fail_on) { Exit::Exposed } else { Exit::Clean })
    }
}

fn severity(finding: &Finding) -> Severity {
    match finding.severity {
        doctor::Severity::Low => Severity::Low,
        doctor::Severity::Medium => Severity::Medium,
        doctor::Severity::High => Severity::High,
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let Finding { check, who, address, what, mend, saves, .. } = finding;
        let from = address.as_ref().map_or_else(String::new, |address| format!(" ({address})"));
        // Names and topics are the Clients' own.
        let (who, what, mend) = (plain(who), plain(what), plain(mend));
        text.push_str(&format!("{}: {who}{from}: {what} [{}]\n", severity(finding).name(), check.name()));
        text.push_str(&format!("  mend: {mend}\n"));
        let saves = saves.words();
        if !saves.is_empty() {
            text.push_str(&format!("  saves: {saves}\n"));
        }
    }
    let count = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let found = match report.findings.len() {
        0 => "nothing found".to_owned(),
        found => count(found as u64, "finding"),
    };
    let more = match report.left_out {
        0 => String::new(),
        left_out => format!(", and {left_out} more"),
    };
    text.push_str(&format!("dunlin: looked at {}: {found}{more}\n", count(report.clients, "client")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_admin::doctor::{Check, Saving};

    #[test]
    fn a_finding_is_three_lines_and_the_last_line_counts() {
        let finding = Finding {
            severity: doctor::Severity::Medium,
            check: Check::Qos0Loss,
            who: "client pump\n7".to_owned(),
            address: Some("192.0.2.7:4711".to_owned()),
            what: "lost".to_owned(),
            mend: "QoS 1".to_owned(),
            saves: Saving { messages: 12, ..Saving::default() },
        };
        let report = Report { clients: 1, findings: vec![finding], left_out: 0 };
        assert_eq!(
            text(&report),
            "medium: client pump\\n7 (192.0.2.7:4711): lost [qos0-loss]\n  mend: QoS 1\n  saves: 12 messages\n\
             dunlin: looked at 1 client: 1 finding\n"
        );
        let report = Report { clients: 2, findings: Vec::new(), left_out: 0 };
        assert_eq!(text(&report), "dunlin: looked at 2 clients: nothing found\n");
    }
}
