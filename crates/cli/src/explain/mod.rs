//! `dunlin explain`: why a client did, or did not, get a message.
//!
//! In:    a client identifier, a topic; where the broker is.
//! Out:   the verdict, in words or as JSON; with `--watch`, every step as it happens.
//! Never: a message published, or a setting changed; a control character of a Client on the terminal.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use clap::Args;
use dunlin_admin::explain::{parse, show};
use dunlin_admin::quoted;
use serde_json::Value;

use crate::failure::Failure;
use crate::operate::{Where, plain};
use crate::say;

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
  1  no broker runs there, or it did not answer, or said no
  2  the command line cannot be understood";

/// `dunlin explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Client identifier of whoever should have got the message
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
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
    #[command(flatten)]
    broker: Where,
}

impl Explain {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let answer = self.answer()?;
        say::line(&if self.json { format!("{answer:#}\n") } else { text(&answer) });
        Ok(())
    }

    fn answer(&self) -> Result<Value, Failure> {
        let asker = self.broker.asker()?;
        let question = format!("client={}&topic={}", quoted(&self.client), quoted(&self.topic));
        let Some(duration) = self.watch else {
            let at = self.at.map_or_else(String::new, |at| format!("&at={}", quoted(&show(at))));
            return Ok(asker.get(&format!("/api/v1/explain?{question}{at}"))?);
        };
        let mut verdict = None;
        let mut why = "the broker ended before the verdict".to_owned();
        let target = format!("/api/v1/explain/watch?{question}&seconds={}", duration.as_secs());
        asker.follow(&target, |kind, data| {
            let Ok(event) = serde_json::from_str::<Value>(data) else { return ControlFlow::Continue(()) };
            match kind {
                "step" if !self.json => say::line(&format!("{}\n", evidence(&event))),
                "verdict" => verdict = Some(event),
                "end" => {
                    event["detail"].as_str().unwrap_or_default().clone_into(&mut why);
                    return ControlFlow::Break(());
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        verdict.ok_or(Failure::Ask(why))
    }
}

fn word(value: &Value) -> String {
    plain(value.as_str().unwrap_or_default())
}

fn evidence(line: &Value) -> String {
    format!("{}  {}", word(&line["at"]), word(&line["what"]))
}

/// The answer for people.
fn text(answer: &Value) -> String {
    let lines = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let mut text = format!("{}\n", word(&answer["summary"]));
    for advice in lines("advice") {
        text += &format!("  -> {}\n", word(&advice));
    }
    for note in lines("notes") {
        text += &format!("  note: {}\n", word(&note));
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
    parse(text, SystemTime::now())
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
