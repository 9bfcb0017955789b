//! Checks of the repository itself, run as `cargo xtask <chore>`.
//!
//! In:    the chore's name; the checkout that it runs in.
//! Out:   one line a finding on standard error and exit status 1; `spec` also writes docs/conformance.md.
//! Never: anything outside the checkout.

mod citation;
mod conformance;
mod counts;
mod deps;
mod lex;
mod outline;
mod report;
mod spec;
mod tidy;
mod workspace;

use report::{Fault, Finding};
use std::process::ExitCode;
use workspace::Workspace;

const USAGE: &str = "usage: cargo xtask <chore>

  spec           write docs/conformance.md from the citations in the sources
  spec --check   fail when it is stale, a citation is unknown or a statement lacks its line or test
  tidy           sizes, module headers, leftovers
  deps           the import table of ARCHITECTURE.md against the manifests
  counts         write bench/counts.toml: instructions for a unit of work
  counts --check fail when one of them became more than a twentieth dearer";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            eprintln!("{} in all", findings.len());
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[&str]) -> Result<Vec<Finding>, Fault> {
    let chore: fn(&Workspace) -> Result<Vec<Finding>, Fault> = match args {
        ["spec"] => spec::write,
        ["spec", "--check"] => spec::check,
        ["tidy"] => tidy::check,
        ["deps"] => deps::check,
        ["counts"] => counts::write,
        ["counts", "--check"] => counts::check,
        _ => return Err(Fault::Usage(USAGE)),
    };
    chore(&Workspace::find()?)
}
