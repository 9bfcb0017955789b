//! The verdict: what is asked first, and what follows from it.
//!
//! First what was refused at the door, then what was recorded for this very Client and topic, then what the Client's Session and
//! Subscriptions say; only where all is well there, that the message was delivered.

use dunlin_engine::{Decision, Time, What};

use super::answer::{Answer, Cause, Evidence, Outcome};
use super::picture::{Picture, Publication};
use super::words;
use super::{Right, Rules};

/// Lines of evidence.
const EVIDENCE: usize = 16;

pub(super) struct Judge<'a> {
    pub(super) picture: &'a Picture,
    pub(super) rules: &'a dyn Rules,
}

impl Judge<'_> {
    pub(super) fn judge(&self) -> Answer {
        let publication = self.picture.publication();
        let mut answer = self
            .refused(publication.as_ref())
            .or_else(|| self.recorded(publication.as_ref()))
            .or_else(|| self.without_session(publication.as_ref()))
            .unwrap_or_else(|| self.with_session(publication.as_ref()));
        self.add_notes(&mut answer, publication.as_ref());
        answer.evidence = self.evidence(publication.as_ref());
        answer
    }

    /// A PUBLISH, or a Will, that came to nothing after the last that was taken.
    fn refused(&self, publication: Option<&Publication>) -> Option<Answer> {
        let picture = self.picture;
        let is_later = |told: &&Decision| publication.is_none_or(|publication| told.until >= publication.at);
        let told = picture.published().into_iter().filter(is_later).find(|told| {
            !matches!(told.what, What::Published { .. } | What::RetainedCleared | What::WillDelayed(0))
        })?;
        let (who, topic, ago) = (&told.client, &picture.topic, picture.ago(told.until));
        Some(match told.what {
            What::PublishDenied { qos, retain } => {
                let retained = if retain { " and RETAIN" } else { "" };
                let summary = format!(
                    "{who} published to {topic} with QoS {}{retained} {ago}, and is not allowed to: the \
                        message went to nobody.",
                    qos as u8
                );
                let denied = Answer::new(Outcome::NotSent, Cause::PublishDenied, summary);
                self.with_rule(denied, who, Right::Publish, topic)
            }
            What::PublishRefused(code) => {
                let (reason, change) = refusal(code, topic);
                let summary = format!(
                    "{who} published to {topic} {ago}, and was refused with \
                    {code:#04x}: {reason}."
                );
                Answer::new(Outcome::NotSent, Cause::PublishRefused, summary).advise(change)
            }
            What::NoRoom(bound) => self.no_room(told, bound),
            What::WillDenied => {
                let summary = format!(
                    "The will of {who} for {topic} was due {ago}, and {who} is not \
                    allowed to publish there."
                );
                self.with_rule(
                    Answer::new(Outcome::NotSent, Cause::WillDenied, summary),
                    who,
                    Right::Publish,
                    topic,
                )
            }
            What::WillTakenBack => Answer::new(
                Outcome::NotPublished,
                Cause::WillTakenBack,
                format!("{who} disconnected {ago} with DISCONNECT, which takes its will for {topic} back."),
            )
            .advise(
                "A will is for connections that are lost. A 5.0 client sends DISCONNECT with 0x04 \
                to have its will published all the same.",
            ),
            What::WillForgone => Answer::new(
                Outcome::NotPublished,
                Cause::WillForgone,
                format!(
                    "{who} came back {ago}, before the delay of its will for {topic} was over: the \
                    will was not sent."
                ),
            )
            .advise("Lower the Will Delay Interval of the client if such gaps should be heard of."),
            What::WillDelayed(seconds) if seconds > 0 => Answer::new(
                Outcome::Waiting,
                Cause::WillDelayed,
                format!(
                    "{who} lost its connection {ago}; its will for {topic} goes out {seconds} s \
                    after that (Will Delay Interval), if it does not come back."
                ),
            )
            .advise("Lower the Will Delay Interval of the client."),
            _ => return None,
        })
    }

    /// Adds the access rule that decides, as the rules are now.
    pub(super) fn with_rule(&self, answer: Answer, client: &str, right: Right, topic: &str) -> Answer {
        let identity = self.picture.identity_of(client);
        let decided = identity.and_then(|identity| self.rules.decide(identity, right, topic));
        match decided {
            Some((false, rule)) => {
                let mut answer = answer;
                answer.summary = format!("{} {rule}.", answer.summary);
                let what = match right {
                    Right::Publish => "publish",
                    Right::Subscribe => "subscribe",
                    Right::Receive => "receive",
                };
                answer.advise(format!(
                    "Allow {client} to {what} {topic} in the access rules, or use another topic."
                ))
            }
            Some((true, rule)) => answer.note(format!("the rules have changed since: {rule}")),
            None => answer.advise(format!(
                "Allow it in the access rules: `dunlin acl can` says which rule decides for {client}."
            )),
        }
    }

    /// What matters beside the verdict.
    fn add_notes(&self, answer: &mut Answer, publication: Option<&Publication>) {
        let picture = self.picture;
        if let Some(told) = picture.decisions().into_iter().find(|told| told.what == What::Slows) {
            answer.notes.push(format!(
                "the queue of {} was more than half full {}: publishers to it are slowed for up to \
                    limits.slow_publisher_maximum_ms = {}",
                picture.client,
                picture.ago(told.until),
                picture.settings().limits.slow_publisher_maximum_ms
            ));
        }
        if let (Some(since), Some(publication)) = (picture.losses_since(), publication)
            && since > publication.at
        {
            let since = picture.show(since);
            answer.notes.push(format!(
                "losses before {since} are not known any more: raise limits.explain_bytes_maximum to \
                    keep more"
            ));
        }
        if answer.outcome == Outcome::NotPublished && picture.has_forgotten() {
            answer.notes.push(
                "some topics are not remembered, as there were too many: it may have been published long ago"
                    .to_owned(),
            );
        }
    }

    fn evidence(&self, publication: Option<&Publication>) -> Vec<Evidence> {
        let picture = self.picture;
        let mut told: Vec<&Decision> = picture.published().into_iter().take(EVIDENCE / 4).collect();
        told.extend(picture.whole_life().into_iter().take(EVIDENCE / 2));
        told.extend(picture.decisions().into_iter().take(EVIDENCE / 2));
        let number = publication.map_or(0, |publication| publication.number);
        told.extend(
            picture.others().into_iter().filter(|told| number != 0 && told.message == number).take(2),
        );
        told.sort_by_key(|told| told.at);
        let line = |told: &Decision| Evidence {
            at: picture.show(told.at),
            micros: told.at.as_micros(),
            what: words::line(told),
        };
        let mut lines: Vec<Evidence> = told.into_iter().map(line).collect();
        lines.dedup();
        lines
    }

    /// `published by p 3 seconds ago (...)`
    pub(super) fn of(&self, publication: &Publication) -> String {
        let by = publication.by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
        format!("published{by} {}", self.picture.ago(publication.at))
    }
}

/// What a Reason Code says of a PUBLISH, and what helps.
fn refusal(code: u8, topic: &str) -> (&'static str, String) {
    match code {
        0x87 if topic.starts_with('$') => (
            "nobody publishes to $SYS and $share topics but the broker",
            "Publish to a topic that does not begin with $SYS/ or $share/.".to_owned(),
        ),
        0x87 => ("it is not allowed", "Allow it in the access rules.".to_owned()),
        0x90 => (
            "this is no topic name, or it is longer or deeper than allowed",
            "A topic name has no + and no #; limits.topic_length_maximum and \
                limits.topic_levels_maximum bound it."
                .to_owned(),
        ),
        0x97 => ("a quota is exceeded", "See the limits of the broker.".to_owned()),
        0x99 => (
            "its payload is not what it says",
            "Correct the Payload Format Indicator or the payload.".to_owned(),
        ),
        _ => ("see the reason code", "Look at the log of the broker.".to_owned()),
    }
}

/// Is a decision about this publication?
pub(super) fn concerns(told: &Decision, publication: Option<&Publication>) -> bool {
    publication.is_none_or(|publication| {
        if told.message != 0 && publication.number != 0 {
            told.message == publication.number
        } else {
            told.until >= publication.at
        }
    })
}

/// The last of a kind, as it was at a time.
pub(super) fn last_before<'a>(
    life: &[&'a Decision],
    at: Option<Time>,
    is_it: impl Fn(What) -> bool,
) -> Option<&'a Decision> {
    life.iter().copied().find(|told| at.is_none_or(|at| told.at <= at) && is_it(told.what))
}
