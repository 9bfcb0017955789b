//! `dunlin explain`: why a client did, or did not, get a message.
//!
//! In:    a client identifier, a topic; the broker that runs on a data directory.
//! Out:   the verdict, in words or as JSON; with `--watch`, every step as it happens.
//! Never: a message published, or a setting changed.

mod serve;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use serde_json::{Value, json};

use crate::control::{self, Ask};
use crate::data::Data;
use crate::exit::Exit;
use crate::say;

pub(crate) use serve::Explaining;

/// How often a watch looks.
const LOOK: Duration = Duration::from_millis(250);

/// `--help`, below the options.
pub(crate) const HELP: &str = "\
Examples:
  dunlin explain --client pump-7 --topic plant/line1/valve
      Why pump-7 did, or did not, get the last message that was published to the topic.
  dunlin explain --client pump-7 --topic plant/line1/valve --at 14:02
      The same of the message that was published about then (UTC; or 2026-11-21T14:02:00Z).
  dunlin explain --client pump-7 --topic plant/line1/valve --watch 60s
      Prints every step of what is published to the topic in the next minute, then the verdict.

The broker keeps what went wrong in any case, and the first message of each topic in a second; --watch keeps all.

Exit codes:
  0  answered
  1  the broker was asked and did not answer
  2  the command line cannot be understood
  5  no broker runs on the data directory";

/// `dunlin explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    data: Data,
    /// Client identifier of whoever should have got the message
    #[arg(long, value_name = "ID")]
    client: String,
    /// Topic name of the message
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    topic: String,
    /// About when it was published, in UTC: 14:02, 14:02:30 or 2026-11-21T14:02:30Z
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "last")]
    at: Option<SystemTime>,
    /// The last message of the topic; the default
    #[arg(long)]
    last: bool,
    /// Keep everything about the topic for so long, printing each step: 30s, 5m or 1h
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "at")]
    watch: Option<Duration>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Asks, and prints the answer.
    pub(crate) fn run(&self) -> Exit {
        match self.answer() {
            Ok(answer) if self.json => say::line(&format!("{answer:#}\n")),
            Ok(answer) => say::line(&text(&answer)),
            Err((exit, why)) => {
                say::error(&why);
                return exit;
            }
        }
        Exit::Clean
    }

    fn answer(&self) -> Result<Value, (Exit, String)> {
        let directory = self.data.directory().map_err(|failure| (failure.exit(), failure.to_string()))?;
        let ask = |request: &str, arguments: &Value| {
            control::ask(&directory, request, arguments).map_err(|error| match error {
                Ask::NotRunning => (
                    Exit::Refused,
                    format!("no broker runs on {}; --data names another", directory.display()),
                ),
                Ask::Refused(why) | Ask::Failed(why) => (Exit::Failed, why),
            })
        };
        let at = self.at.map(dunlin_admin::explain::show);
        let question = json!({ "client": self.client, "topic": self.topic, "at": at });
        if let Some(duration) = self.watch {
            ask("watch", &json!({ "filter": self.topic, "seconds": duration.as_secs() }))?;
            let end = Instant::now() + duration;
            let mut shown = BTreeSet::new();
            while Instant::now() < end {
                self.show_new(&ask("explain", &question)?, &mut shown);
                thread::park_timeout(LOOK.min(end.saturating_duration_since(Instant::now())));
            }
        }
        ask("explain", &question)
    }

    /// Prints the lines that were not there before.
    fn show_new(&self, answer: &Value, shown: &mut BTreeSet<(u64, String)>) {
        for line in answer["evidence"].as_array().into_iter().flatten() {
            let what = line["what"].as_str().unwrap_or_default().to_owned();
            let is_new = shown.insert((line["micros"].as_u64().unwrap_or_default(), what));
            if is_new && !self.json {
                say::line(&format!("{}\n", evidence(line)));
            }
        }
    }
}

fn evidence(line: &Value) -> String {
    format!("{}  {}", line["at"].as_str().unwrap_or_default(), line["what"].as_str().unwrap_or_default())
}

/// The answer for people.
fn text(answer: &Value) -> String {
    let lines = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let mut text = format!("{}\n", answer["summary"].as_str().unwrap_or_default());
    for advice in lines("advice") {
        text += &format!("  -> {}\n", advice.as_str().unwrap_or_default());
    }
    for note in lines("notes") {
        text += &format!("  note: {}\n", note.as_str().unwrap_or_default());
    }
    for line in lines("evidence") {
        text += &format!("  {}\n", evidence(&line));
    }
    text
}

fn topic(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['+', '#']) {
        return Err("a topic name is asked about, which has no wildcard and is not empty".to_owned());
    }
    Ok(text.to_owned())
}

fn time(text: &str) -> Result<SystemTime, String> {
    dunlin_admin::explain::parse(text, SystemTime::now())
        .ok_or_else(|| "no time: 14:02, 14:02:30 or 2026-11-21T14:02:30Z, in UTC".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=24 * 3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "no duration from 1s to 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for text in ["", "0s", "25h", "5d", "-1s", "s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
