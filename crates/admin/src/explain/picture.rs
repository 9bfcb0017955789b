//! What all shards say, as one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dunlin_engine::{
    Decision, Findings, GroupFound, Identity, RetainedFound, SessionFound, Settings, Time, TopicFound, What,
};

use super::Asked;
use super::when::show;

/// A message that was published at most so much later than the time that was asked about is meant, too.
const ABOUT: Duration = Duration::from_secs(2);

/// What happened to others so long before may have to do with the message.
const RECENT: Duration = Duration::from_secs(600);

/// What is known.
pub(super) struct Picture {
    pub(super) client: String,
    pub(super) topic: String,
    findings: Vec<Findings>,
    now: Time,
    wall: SystemTime,
    /// What is later is not asked about.
    until: Time,
    /// Who published last, or wanted to.
    pub(super) publisher: Option<Arc<Identity>>,
}

/// The message that is asked about.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) at: Time,
    pub(super) by: Option<String>,
    /// 0 where it was not followed.
    pub(super) number: u32,
    pub(super) qos: Option<u8>,
}

impl Picture {
    /// `None` without any shard.
    pub(super) fn new(findings: Vec<Findings>, wall: SystemTime, asked: &Asked) -> Option<Self> {
        let now = findings.iter().map(|found| found.now).max()?;
        let back = asked.at.map(|at| wall.duration_since(at).unwrap_or(Duration::ZERO));
        let until = back.map_or(now, |back| {
            let back = u64::try_from(back.as_micros()).unwrap_or(u64::MAX);
            Time::from_micros(now.as_micros().saturating_sub(back)).after(ABOUT)
        });
        let (client, topic) = (asked.client.clone(), asked.topic.clone());
        Some(Self { client, topic, findings, now, wall, until, publisher: None })
    }

    pub(super) fn session(&self) -> Option<&SessionFound> {
        self.findings.iter().find_map(|found| found.session.as_ref())
    }

    pub(super) fn settings(&self) -> &Settings {
        // There is a shard, or there is no picture.
        &self.findings[0].settings
    }

    /// Whom the Client of the question, or the publisher, was recognised as.
    pub(super) fn identity_of(&self, client: &str) -> Option<&Identity> {
        let session = self.session().filter(|_| client == self.client);
        session.and_then(|session| session.identity.as_deref()).or(self.publisher.as_deref())
    }

    /// The newest first; none that is later than what is asked about where `all` is false.
    fn told<'a>(&'a self, of: impl Fn(&'a Findings) -> &'a Vec<Decision>, all: bool) -> Vec<&'a Decision> {
        let told = self.findings.iter().flat_map(of).filter(|told| all || told.at <= self.until);
        let mut told: Vec<&Decision> = told.collect();
        told.sort_by_key(|told| std::cmp::Reverse(told.until));
        told
    }

    /// What became of the Client's Session and Subscriptions.
    pub(super) fn life(&self) -> Vec<&Decision> {
        self.told(|found| &found.life, false)
    }

    /// The same, later events too.
    pub(super) fn whole_life(&self) -> Vec<&Decision> {
        self.told(|found| &found.life, true)
    }

    /// What became of messages of the topic for the Client.
    pub(super) fn decisions(&self) -> Vec<&Decision> {
        self.told(|found| &found.decisions, true)
    }

    pub(super) fn published(&self) -> Vec<&Decision> {
        self.told(|found| &found.published, false)
    }

    pub(super) fn others(&self) -> Vec<&Decision> {
        self.told(|found| &found.others, true)
    }

    /// Of the last minutes, as nobody knows whether they have to do with the topic.
    pub(super) fn troubles(&self) -> Vec<&Decision> {
        let mut troubles = self.told(|found| &found.troubles, false);
        troubles.retain(|told| self.until.since(told.until) < RECENT);
        troubles
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &GroupFound> {
        self.findings.iter().flat_map(|found| &found.groups)
    }

    pub(super) fn retained(&self) -> Option<&RetainedFound> {
        self.findings.iter().find_map(|found| found.retained.as_ref())
    }

    pub(super) fn alike(&self) -> impl Iterator<Item = &TopicFound> {
        self.findings.iter().flat_map(|found| &found.alike)
    }

    pub(super) fn clients_alike(&self) -> Vec<&str> {
        self.findings.iter().flat_map(|found| &found.clients_alike).map(|name| &**name).collect()
    }

    pub(super) fn has_forgotten(&self) -> bool {
        self.findings.iter().any(|found| found.has_forgotten)
    }

    /// From when on losses are known; `None`: since the start.
    pub(super) fn losses_since(&self) -> Option<Time> {
        self.findings.iter().filter_map(|found| found.reach.failures).max()
    }

    /// The last message that is asked about, if any is known.
    pub(super) fn publication(&self) -> Option<Publication> {
        let topics: Vec<_> = self.findings.iter().filter_map(|found| found.topic.as_ref()).collect();
        let last = topics.iter().filter(|topic| topic.last <= self.until).max_by_key(|topic| topic.last);
        let followed = self.published().into_iter().find_map(|told| match told.what {
            What::Published { qos, .. } => Some(Publication {
                at: told.at,
                by: Some(told.client.to_string()).filter(|name| !name.is_empty()),
                number: told.message,
                qos: Some(qos as u8),
            }),
            _ => None,
        });
        let seen = last.map(|topic| Publication {
            at: topic.last,
            by: topic.by.as_ref().map(ToString::to_string),
            number: 0,
            qos: None,
        });
        match (followed, seen) {
            (Some(followed), Some(seen)) if seen.at > followed.at => Some(seen),
            (Some(followed), _) => Some(followed),
            (None, seen) => seen,
        }
    }

    /// As the wall clock shows it.
    pub(super) fn show(&self, at: Time) -> String {
        show(self.wall - self.now.since(at))
    }

    /// `3 minutes ago`, and when that was.
    pub(super) fn ago(&self, at: Time) -> String {
        let seconds = self.now.since(at).as_secs();
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7200 => (seconds / 60, "minute"),
            7200..172_800 => (seconds / 3600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {unit}{plural} ago ({})", self.show(at))
    }
}
