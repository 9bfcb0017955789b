//! The verdict, for people and for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::judge::{KINDS, Verdict};
use super::run::Run;

/// For people.
pub(crate) fn text(run: &Run, verdict: &Verdict) -> String {
    let mut out = String::new();
    let word = if verdict.is_pass() { "KEPT ITS WORD" } else { "DID NOT KEEP ITS WORD" };
    let Verdict { published, acknowledged, refused, abandoned, delivered, repeated, .. } = verdict;
    // Writing to a String cannot fail.
    let _ =
        writeln!(out, "The broker {word}: {} kills in {:.0} s, seed {}", run.kills, run.seconds, run.seed);
    let _ = writeln!(out, "  started by          {}", run.command);
    let _ = writeln!(out, "  published           {published}");
    let _ = writeln!(out, "  acknowledged        {acknowledged}");
    if *refused > 0 {
        let _ = writeln!(out, "  refused             {refused}");
    }
    if *abandoned > 0 {
        let _ = writeln!(
            out,
            "  given up            {abandoned} (in flight when the publisher's session was forgotten)"
        );
    }
    let _ = writeln!(out, "  delivered           {delivered}");
    let _ = writeln!(out, "  repeated            {repeated} (QoS 1, which may be)");
    let _ = writeln!(out, "  slowest start       {:.0} ms", run.slowest_start.as_secs_f64() * 1000.0);
    for (kind, meaning) in KINDS {
        if let Some(count) = verdict.counts.get(kind) {
            let _ = writeln!(out, "FAULT {count:>7}  {meaning}");
            for fault in verdict.examples.iter().filter(|fault| fault.kind() == kind) {
                let _ = writeln!(out, "               {fault}");
            }
        }
    }
    if let Some(kept) = &run.kept {
        let _ = writeln!(out, "The broker's log and data are in {}", kept.display());
    }
    out
}

/// For programs: one line.
pub(crate) fn json(run: &Run, verdict: &Verdict) -> String {
    let faults: Map<String, Value> = KINDS
        .iter()
        .map(|(kind, _)| ((*kind).to_owned(), json!(verdict.counts.get(kind).unwrap_or(&0))))
        .collect();
    let examples: Vec<_> = verdict
        .examples
        .iter()
        .map(|fault| json!({"kind": fault.kind(), "text": fault.to_string()}))
        .collect();
    let value = json!({
        "passed": verdict.is_pass(),
        "command": run.command,
        "seed": run.seed,
        "kills": run.kills,
        "seconds": run.seconds,
        "slowest_start_seconds": run.slowest_start.as_secs_f64(),
        "published": verdict.published,
        "acknowledged": verdict.acknowledged,
        "refused": verdict.refused,
        "abandoned": verdict.abandoned,
        "delivered": verdict.delivered,
        "repeated_qos1": verdict.repeated,
        "faults": faults,
        "examples": examples,
        "kept": run.kept,
    });
    format!("{value}\n")
}
