//! Where nothing was recorded for the Client and the topic: what its Session, its Subscriptions and what became of them say.

use dunlin_codec::{QoS, RetainHandling, TopicFilter, TopicName, matches};
use dunlin_engine::{Decision, Difference, SessionFound, SubscriptionFound, What};

use super::Right;
use super::answer::{Answer, Cause, Outcome};
use super::picture::Publication;
use super::verdict::{Judge, last_before};

impl Judge<'_> {
    /// The Client has no Session now.
    pub(super) fn without_session(&self, publication: Option<&Publication>) -> Option<Answer> {
        let picture = self.picture;
        if picture.session().is_some() {
            return None;
        }
        let client = &picture.client;
        let life = picture.whole_life();
        let ended = life.iter().find_map(|told| match told.what {
            What::SessionEnded { why, lost } => Some((told, why, lost)),
            _ => None,
        });
        let refused = life.iter().find(|told| matches!(told.what, What::Refused(_)));
        if let Some(refused) = refused.filter(|refused| ended.is_none_or(|(ended, ..)| refused.at > ended.at))
        {
            return Some(self.connect_refused(refused));
        }
        if let Some((told, why, lost)) = ended {
            if let Some(answer) = self.unsubscribed(&life, publication) {
                return Some(answer);
            }
            return Some(self.session_ended(told, why, lost));
        }
        let summary = format!("No client {client:?} is known: none has connected, and none has a session.");
        let mut answer = Answer::new(Outcome::NotSent, Cause::UnknownClient, summary);
        let alike = picture.clients_alike();
        answer = match alike.first() {
            Some(first) => answer.advise(format!(
                "There is a client {first:?}: is that the one? \
                Identifiers are compared character by character."
            )),
            None => answer.advise(
                "Check the client identifier that the client sends in CONNECT, and \
                that it connects to this broker.",
            ),
        };
        Some(answer)
    }

    fn connect_refused(&self, refused: &Decision) -> Answer {
        let What::Refused(code) = refused.what else { unreachable!("it was looked for") };
        let summary = format!(
            "{} could not connect {}: code {code:#04x}, {}.",
            self.picture.client,
            self.picture.ago(refused.until),
            refused.topic
        );
        Answer::new(Outcome::NotSent, Cause::ConnectRefused, summary)
            .advise("See to what the code says; the log of the broker has the address that it came from.")
    }

    /// The Client has a Session, and nothing says what became of the message.
    pub(super) fn with_session(&self, publication: Option<&Publication>) -> Answer {
        let picture = self.picture;
        let Some(session) = picture.session() else { unreachable!("it was looked for") };
        let publishes = picture.published().into_iter().any(|told| *told.client == *picture.client)
            || publication.is_some_and(|publication| publication.by.as_deref() == Some(&*picture.client));
        if let Some(answer) = self.publisher(session).filter(|_| publishes) {
            return answer;
        }
        if session.matching.is_empty() {
            return self.unmatched(session, publication);
        }
        let Some(publication) = publication else { return self.unpublished(session) };
        if let Some(answer) = self.late(session, publication) {
            return answer;
        }
        let is_own = publication.by.as_deref() == Some(&*picture.client);
        if is_own && session.matching.iter().all(|subscription| subscription.no_local) {
            return self.no_local();
        }
        if session.matching.iter().all(|subscription| subscription.filtered) && !session.may_receive {
            let summary = format!(
                "{} subscribed to {}, but is not allowed to receive {}: such messages are left out.",
                picture.client, session.matching[0].filter, picture.topic
            );
            let denied = Answer::new(Outcome::NotSent, Cause::ReceiveDenied, summary);
            return self.with_rule(denied, &picture.client, Right::Receive, &picture.topic);
        }
        if session.matching.iter().all(|subscription| subscription.is_shared) {
            return self.shared(session, publication);
        }
        if let Some(answer) = self.dropped_unnamed(publication) {
            return answer;
        }
        // What the log keeps is not in memory while the Client is away.
        let waits = session.queued_of_topic > 0 || session.connected_since.is_none();
        self.waiting().filter(|_| waits).unwrap_or_else(|| self.presumed(session, publication))
    }

    /// The Client of the question is the publisher, and something holds it up.
    fn publisher(&self, session: &SessionFound) -> Option<Answer> {
        let picture = self.picture;
        let client = &picture.client;
        if session.slowed_by > 0 {
            let summary = format!(
                "{client} is being slowed: it fills the queue of {} slower client{}, so its \
                    acknowledgements are withheld for up to limits.slow_publisher_maximum_ms = {}.",
                session.slowed_by,
                if session.slowed_by == 1 { "" } else { "s" },
                picture.settings().limits.slow_publisher_maximum_ms
            );
            return Some(Answer::new(Outcome::Waiting, Cause::PublisherSlowed, summary).advise(
                "Make the slow subscriber faster or share its load in a group; raise \
                        limits.queue_messages_maximum; or lower limits.slow_publisher_maximum_ms.",
            ));
        }
        if session.unanswered > 0 {
            let summary = format!("{} acknowledgements to {client} wait for the disk.", session.unanswered);
            return Some(
                Answer::new(Outcome::Waiting, Cause::WaitsForDisk, summary)
                    .advise("Look at the disk; the durability of the topic can be lowered."),
            );
        }
        None
    }

    fn unmatched(&self, session: &SessionFound, publication: Option<&Publication>) -> Answer {
        let picture = self.picture;
        let life = picture.whole_life();
        if let Some(answer) = self.unsubscribed(&life, publication) {
            return answer;
        }
        if let Some(answer) = self.ended_since_subscribed(&life) {
            return answer;
        }
        let client = &picture.client;
        let Some((filter, gap)) = session.nearest.first() else {
            let summary = format!("{client} has no subscription at all.");
            return Answer::new(Outcome::NotSent, Cause::NeverSubscribed, summary)
                .advise(format!("Have {client} subscribe to {}.", picture.topic));
        };
        let (cause, how, change) = differs(&gap.difference, gap.level, filter, &picture.topic);
        let summary = format!(
            "None of the {} subscriptions of {client} matches {}. The nearest is {filter}: {how}.",
            session.subscriptions, picture.topic
        );
        let mut answer = Answer::new(Outcome::NotSent, cause, summary).advise(change);
        for (filter, _) in session.nearest.iter().skip(1).take(2) {
            answer.notes.push(format!("it also subscribed to {filter}"));
        }
        if publication.is_none() {
            answer.notes.push(format!("nobody is known to have published to {} either", picture.topic));
        }
        answer
    }

    /// It had a Subscription that matched, or asked for one.
    fn unsubscribed(&self, life: &[&Decision], publication: Option<&Publication>) -> Option<Answer> {
        let picture = self.picture;
        let client = &picture.client;
        let is_about = |told: &&&Decision| {
            matches!(
                told.what,
                What::Unsubscribed | What::Withdrawn | What::NotSubscribed(_) | What::Subscribed { .. }
            ) && is_match(&told.topic, &picture.topic)
        };
        let told = life.iter().find(is_about)?;
        let (filter, ago) = (&told.topic, picture.ago(told.until));
        match told.what {
            What::Unsubscribed => {
                let before = publication.filter(|publication| publication.at >= told.at);
                let then = before.map_or_else(String::new, |publication| {
                    format!(", before the message was {}", self.of(publication))
                });
                let summary = format!("{client} unsubscribed from {filter} {ago}{then}.");
                Some(
                    Answer::new(Outcome::NotSent, Cause::Unsubscribed, summary)
                        .advise(format!("Have {client} subscribe to {filter} again.")),
                )
            }
            What::Withdrawn => {
                let summary = format!(
                    "The subscription of {client} to {filter} was taken away {ago}, when its rights changed."
                );
                let answer = Answer::new(Outcome::NotSent, Cause::SubscriptionWithdrawn, summary);
                Some(self.with_rule(answer, client, Right::Subscribe, filter))
            }
            What::NotSubscribed(0x87) => {
                let summary =
                    format!("{client} asked for {filter} {ago}, and is not allowed to subscribe to it.");
                let answer = Answer::new(Outcome::NotSent, Cause::SubscribeDenied, summary);
                Some(self.with_rule(answer, client, Right::Subscribe, filter))
            }
            What::NotSubscribed(code) => {
                let limits = &picture.settings().limits;
                let summary = format!(
                    "{client} asked for {filter} {ago}, and was refused with {code:#04x} in the SUBACK."
                );
                Some(Answer::new(Outcome::NotSent, Cause::SubscribeRefused, summary).advise(format!(
                    "0x97 is a bound: limits.subscriptions_per_client = {}, the log, or memory. 0x8f is \
                        a filter longer or deeper than allowed.",
                    limits.subscriptions_per_client
                )))
            }
            _ => None,
        }
    }

    /// It had a matching Subscription in a Session before this one.
    fn ended_since_subscribed(&self, life: &[&Decision]) -> Option<Answer> {
        let topic = &self.picture.topic;
        let subscribed = life
            .iter()
            .position(|told| matches!(told.what, What::Subscribed { .. }) && is_match(&told.topic, topic))?;
        life[..subscribed].iter().rev().find_map(|told| match told.what {
            What::SessionEnded { why, lost } => Some(self.session_ended(told, why, lost)),
            _ => None,
        })
    }

    /// Nobody is known to have published to the topic.
    fn unpublished(&self, session: &SessionFound) -> Answer {
        let picture = self.picture;
        let (client, topic) = (&picture.client, &picture.topic);
        let cleared = last_before(&picture.published(), None, |what| what == What::RetainedCleared);
        if let Some(cleared) = cleared {
            return self.cleared(cleared);
        }
        // What the broker says of itself is retained, and followed by nobody.
        if let Some(retained) = picture.retained().filter(|_| topic.starts_with("$SYS/")) {
            let only_shared = session.matching.iter().all(|subscription| subscription.is_shared);
            return self.not_fetched(only_shared, retained.is_expired, &session.matching);
        }
        if let Some(other) = picture.alike().max_by_key(|other| other.last) {
            let by = other.by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
            let summary = format!(
                "Nobody published to {topic}. To {:?}, which is spelled otherwise, {} messages were \
                    published{by}, the last {}.",
                other.topic,
                other.count,
                picture.ago(other.last)
            );
            return Answer::new(Outcome::NotPublished, Cause::OtherSpelling, summary).advise(format!(
                "Publish to {topic:?}, or subscribe to {:?}: topics are compared character by character.",
                other.topic
            ));
        }
        if let Some(trouble) = picture.troubles().into_iter().find(|told| *told.client != **client) {
            let summary = format!(
                "Nobody published to {topic}; but {} {}.",
                super::words::line(trouble),
                picture.ago(trouble.until)
            );
            return Answer::new(Outcome::NotPublished, Cause::PublisherInTrouble, summary).advise(format!(
                "If {} is the publisher, see to that: the broker takes nothing that \
                    breaks the protocol or a limit.",
                trouble.client
            ));
        }
        if let Some(retained) = picture.retained() {
            let only_shared = session.matching.iter().all(|subscription| subscription.is_shared);
            return self.not_fetched(only_shared, retained.is_expired, &session.matching);
        }
        let summary = format!(
            "Nobody published to {topic} since the broker started; {client} is subscribed to {}.",
            session.matching[0].filter
        );
        Answer::new(Outcome::NotPublished, Cause::NeverPublished, summary).advise(
            "Check that the publisher is connected to this broker, and the topic that it publishes to.",
        )
    }

    fn cleared(&self, cleared: &Decision) -> Answer {
        let summary = format!(
            "The retained message of {} was cleared {}, by an empty message with RETAIN.",
            self.picture.topic,
            self.picture.ago(cleared.until)
        );
        Answer::new(Outcome::NotSent, Cause::RetainedCleared, summary)
            .advise("Publish the value again with RETAIN, and do not publish empty payloads with RETAIN.")
    }

    /// All matching Subscriptions are younger than the message.
    fn late(&self, session: &SessionFound, publication: &Publication) -> Option<Answer> {
        let picture = self.picture;
        let life = picture.whole_life();
        let subscribed = session.matching.iter().map(|subscription| {
            let is_it = |told: &&&Decision| {
                matches!(told.what, What::Subscribed { is_new: true, .. })
                    && told.topic == subscription.filter
            };
            life.iter().find(is_it).map(|told| told.at)
        });
        // One of which nothing is known is older than all that is.
        let first = subscribed.min().flatten()?;
        if first <= publication.at {
            return None;
        }
        let published = picture.published();
        let cleared = last_before(&published, Some(first), |what| what == What::RetainedCleared);
        if let Some(cleared) = cleared.filter(|cleared| cleared.at >= publication.at) {
            return Some(self.cleared(cleared));
        }
        let others = picture.others();
        let full = others.iter().find_map(|told| match told.what {
            What::Dropped(bound) if told.client.is_empty() && told.until >= publication.at => {
                Some((told, bound))
            }
            _ => None,
        });
        if let Some((told, bound)) = full {
            return Some(self.no_room(told, bound));
        }
        if let Some(retained) = picture.retained() {
            let only_shared = session.matching.iter().all(|subscription| subscription.is_shared);
            return Some(self.not_fetched(only_shared, retained.is_expired, &session.matching));
        }
        let summary = format!(
            "{} subscribed to {} {}, after the message was {}.",
            picture.client,
            session.matching[0].filter,
            picture.ago(first),
            self.of(publication)
        );
        Some(Answer::new(Outcome::NotSent, Cause::SubscribedLater, summary).advise(
            "Subscribe before it is published; or publish with RETAIN, so that those who subscribe \
                later get the last value; or keep the session (no clean start), which keeps the \
                subscription.",
        ))
    }

    fn not_fetched(&self, only_shared: bool, is_expired: bool, matching: &[SubscriptionFound]) -> Answer {
        let picture = self.picture;
        let (client, topic, filter) = (&picture.client, &picture.topic, &matching[0].filter);
        if only_shared {
            let summary = format!(
                "{topic} has a retained message, but {client} has only the Shared Subscription \
                    {filter}, which gets no retained messages."
            );
            return Answer::new(Outcome::NotSent, Cause::RetainedNotShared, summary)
                .advise("Subscribe without $share beside it to fetch retained values.");
        }
        if is_expired {
            let summary = format!(
                "The retained message of {topic} has expired: its Message Expiry Interval has passed."
            );
            return Answer::new(Outcome::Lost, Cause::Expired, summary)
                .advise("Publish it again, or with a longer Message Expiry Interval.");
        }
        let never = matching.iter().all(|subscription| subscription.retain == RetainHandling::DoNotSend);
        let handling = match matching.iter().find(|subscription| subscription.retain != RetainHandling::Send)
        {
            Some(_) if never => "Retain Handling 2: retained messages are not sent at subscribe",
            Some(_) => {
                "Retain Handling 1: retained messages are sent only where there was no such \
                    subscription before"
            }
            None => {
                let summary = format!(
                    "{client} subscribed to {filter} and {topic} has a retained message, which was sent \
                        to it then."
                );
                return Answer::new(Outcome::Arrived, Cause::Written, summary);
            }
        };
        let summary = format!(
            "{topic} has a retained message, but the subscription of {client} to {filter} has {handling}."
        );
        Answer::new(Outcome::NotSent, Cause::RetainHandling, summary)
            .advise("Subscribe with Retain Handling 0 to get retained messages with every SUBSCRIBE.")
    }

    fn shared(&self, session: &SessionFound, publication: &Publication) -> Answer {
        let picture = self.picture;
        let filter = &session.matching[0].filter;
        let others = picture.others();
        let offline = others
            .iter()
            .find(|told| matches!(told.what, What::GroupDropped(_)) && told.until >= publication.at);
        if let Some(told) = offline {
            let summary = format!(
                "It was dropped for the shared group of {filter} {}: no member was connected, or none \
                    had room.",
                picture.ago(told.until)
            );
            return Answer::new(Outcome::Lost, Cause::SharedOffline, summary).advise(
                "Publish with QoS 1: then messages wait for a member; and keep at least one \
                    member connected.",
            );
        }
        let members = || {
            picture.groups().filter(|group| {
                filter.strip_prefix("$share/") == Some(&format!("{}/{}", group.share, group.filter))
            })
        };
        if let Some(group) = members().find(|group| group.pending > 0) {
            let summary = format!(
                "{} messages wait in the shared group {filter}: none of its {} members ({} connected) \
                    has room.",
                group.pending, group.members, group.connected
            );
            return Answer::new(Outcome::Waiting, Cause::WaitsForGroup, summary)
                .advise("Have members acknowledge what they were sent, or add members.");
        }
        let dealt = others.iter().find(|told| {
            matches!(told.what, What::Dealt)
                && (told.message == publication.number || told.until >= publication.at)
        });
        let count = members().map(|group| group.members).max().unwrap_or(1);
        let to = dealt
            .map_or_else(|| "another member".to_owned(), |told| format!("{}, another member", told.client));
        let summary = format!(
            "The shared group {filter} has {count} members, each message goes to one of them: this one \
                went to {to}."
        );
        let answer = Answer::new(Outcome::NotSent, Cause::SharedToAnother, summary)
            .advise("Subscribe without $share, or with a share name of its own, to get every message.");
        if dealt.is_some() {
            answer
        } else {
            answer.note("it was not followed: --watch follows every message of the topic")
        }
    }

    /// All is well, and nothing went wrong.
    fn presumed(&self, session: &SessionFound, publication: &Publication) -> Answer {
        let picture = self.picture;
        let subscription = &session.matching[0];
        let summary = format!(
            "It was delivered, as far as is known: {} by then, {} has a subscription to {} (QoS {}), \
                and no loss was recorded.",
            self.of(publication),
            picture.client,
            subscription.filter,
            subscription.qos as u8
        );
        let cause =
            match (session.matching.iter().map(|subscription| subscription.qos).max(), session.in_flight) {
                (Some(QoS::AtMostOnce) | None, _) => Cause::Written,
                (_, 0) => Cause::Acknowledged,
                _ => Cause::NotAcknowledged,
            };
        Answer::new(Outcome::Arrived, cause, summary).note(
            "this message was not followed itself: ask with --watch and publish again to see every step",
        )
    }
}

fn is_match(filter: &str, topic: &str) -> bool {
    let (filter, topic) = (TopicFilter::parse(filter), TopicName::parse(topic));
    matches!((filter, topic), (Ok(filter), Ok(topic)) if matches(filter, topic))
}

/// How the nearest filter differs: the cause, in words, and what to change.
fn differs(difference: &Difference, level: usize, filter: &str, topic: &str) -> (Cause, String, String) {
    let subscribe = |to: &str| format!("Subscribe to {to}, or publish to a topic that {filter} matches.");
    match difference {
        Difference::Case { filter: has, topic: wanted } => (
            Cause::CaseDiffers,
            format!(
                "level {level} is {has:?} there and {wanted:?} in the topic, which differ in upper and \
                    lower case"
            ),
            subscribe(topic),
        ),
        Difference::Space { filter: has, topic: wanted } => (
            Cause::SpaceDiffers,
            format!("level {level} is {has:?} there and {wanted:?} in the topic, which differ in spaces"),
            subscribe(topic),
        ),
        Difference::Text { filter: has, topic: wanted } => (
            Cause::OtherLevel,
            format!("level {level} is {has:?} there and {wanted:?} in the topic"),
            subscribe(topic),
        ),
        Difference::LeadingSlash { topic_has } | Difference::TrailingSlash { topic_has } => (
            Cause::SlashDiffers,
            format!(
                "{} a slash at level {level} that {} lacks: a slash begins another level, which is empty",
                if *topic_has { "the topic has" } else { "it has" },
                if *topic_has { "it" } else { "the topic" }
            ),
            subscribe(topic),
        ),
        Difference::TopicLonger { plus } => (
            Cause::TopicIsLonger,
            format!(
                "the topic goes on at level {level}, where the filter ends{}",
                if *plus { ", and + stands for one level only" } else { "" }
            ),
            if *plus {
                format!(
                    "Subscribe to {}#, as # stands for all levels that follow.",
                    filter.strip_suffix('+').unwrap_or(filter)
                )
            } else {
                format!("Subscribe to {filter}/#, which matches all levels below.")
            },
        ),
        Difference::TopicShorter => (
            Cause::TopicIsShorter,
            format!("the topic ends before level {level} of the filter"),
            subscribe(topic),
        ),
        Difference::Dollar | Difference::None => (
            Cause::DollarTopic,
            "a wildcard at the first level does not match topics that begin with $".to_owned(),
            format!("Subscribe to {}/# by name, beside {filter}.", topic.split('/').next().unwrap_or(topic)),
        ),
    }
}
