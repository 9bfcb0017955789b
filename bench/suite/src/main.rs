//! Brokers side by side: each started alone, measured, stopped, in turn, over several rounds.
//!
//! In:    a file of brokers and scenarios; `dunlin bench`, which puts the load on and counts every message.
//! Out:   a table on standard output; a page in Markdown and its drawings.
//! Never: a figure of a broker that lost, doubled or disordered what it had promised, without saying so beside it.

mod broker;
mod file;
mod page;
mod plot;
mod relay;
mod results;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use broker::Running;
use file::{Broker, File, Scenario};
use results::{Results, Round};

const USAGE: &str = "usage: dunlin-suite FILE [--only TEXT] [--rounds N] [--page PAGE.md]
       dunlin-suite relay ADDRESS [pairs]

  --only TEXT    scenarios with this in their name
  --rounds N     instead of what the file says
  --page FILE    write the page and, beside it, its drawings
  relay          what no broker can beat: bytes of publishers to subscribers, unread";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("relay") => relay::run(&arguments[1..]),
        Some(path) if !path.starts_with('-') => measure(Path::new(path), &arguments[1..]),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Asked {
    only: Option<String>,
    rounds: Option<usize>,
    page: Option<PathBuf>,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut asked = Self { only: None, rounds: None, page: None };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{flag}: a value is missing\n{USAGE}"))?;
            match flag.as_str() {
                "--only" => asked.only = Some(value.clone()),
                "--page" => asked.page = Some(value.into()),
                "--rounds" => {
                    let rounds = value.parse().ok().filter(|rounds| (1..=100).contains(rounds));
                    asked.rounds = Some(rounds.ok_or_else(|| format!("--rounds {value}: it is 1 to 100"))?);
                }
                _ => return Err(format!("{flag}: there is no such flag\n{USAGE}")),
            }
        }
        Ok(asked)
    }
}

fn measure(path: &Path, arguments: &[String]) -> Result<(), String> {
    let asked = Asked::parse(arguments)?;
    let file = File::read(path)?;
    let rounds = asked.rounds.unwrap_or(file.rounds);
    let there: Vec<&Broker> = file.brokers.iter().filter(|broker| broker.is_installed()).collect();
    for broker in file.brokers.iter().filter(|broker| !broker.is_installed()) {
        eprintln!("{}: {} is not installed; it is left out", broker.name, broker.command[0]);
    }
    let wanted = |scenario: &&Scenario| asked.only.as_ref().is_none_or(|only| scenario.name.contains(only));
    let mut all = Vec::new();
    for scenario in file.scenarios.iter().filter(wanted) {
        let taking_part: Vec<&Broker> =
            there.iter().copied().filter(|broker| scenario.has(&broker.name)).collect();
        let mut results = Results::new(scenario, &taking_part);
        for round in 0..rounds {
            for turn in 0..taking_part.len() {
                let which = (round + turn) % taking_part.len();
                let outcome = one(&file, taking_part[which], scenario);
                if let Err(error) = &outcome {
                    eprintln!("{}: {}: {error}", scenario.name, taking_part[which].name);
                }
                results.add(which, outcome);
            }
        }
        println!("{}", page::table(&results));
        all.push(results);
    }
    asked.page.map_or(Ok(()), |page| page::write(&page, &file, &there, &all, rounds))
}

/// One broker, started for this and stopped again.
fn one(file: &File, broker: &Broker, scenario: &Scenario) -> Result<Round, String> {
    let running = Running::start(broker, scenario)?;
    let mut command = Command::new(&file.generator);
    command.arg("bench").args(scenario.bench.split_whitespace());
    command.args(["-h", "127.0.0.1", "-p", &running.port.to_string(), "--pid", &running.pid().to_string()]);
    command.args(["--json", "--quiet"]);
    let output = command.output().map_err(|error| format!("{}: {error}", file.generator))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.trim().is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let mut round = Round::read(&text)?;
    round.memory = running.memory();
    Ok(round)
}
