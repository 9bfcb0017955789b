//! What was recorded for the Client and the topic: delivered, waiting, or lost at a bound.

use std::time::Duration;

use dunlin_engine::{Decision, Drop, QueueFull, SessionEnd, What};

use super::answer::{Answer, Cause, Outcome};
use super::picture::Publication;
use super::verdict::{Judge, concerns, last_before};
use super::{Right, words};

/// So long after another connection took an identifier over, that is worth saying.
const TAKEN_OVER: Duration = Duration::from_secs(600);

const LONGER: &str =
    "Raise the Message Expiry Interval of the publisher, or find out why the client was away or slow.";
const MEMBER_LOST: &str =
    "the member of the shared group that had it went away, and QoS 2 is given to nobody else";

impl Judge<'_> {
    /// From what was decided about messages of the topic for the Client since the publication.
    pub(super) fn recorded(&self, publication: Option<&Publication>) -> Option<Answer> {
        let picture = self.picture;
        let decisions = picture.decisions();
        let about: Vec<&Decision> = decisions
            .iter()
            .copied()
            .filter(|told| !told.topic.is_empty() && concerns(told, publication))
            .collect();
        let first = about.first().copied()?;
        // Of one that was followed, how it ended; else the last that is known.
        let told = about.iter().copied().find(|told| matches!(told.what, What::Dropped(_))).unwrap_or(first);
        match told.what {
            What::Dropped(bound) => Some(self.dropped(told, bound, publication)),
            What::Written { qos, delivery: None, .. } => {
                let summary = format!(
                    "It was sent to {} {}, with QoS {}: delivered, as far as the broker can know.",
                    picture.client,
                    picture.ago(told.at),
                    qos as u8
                );
                Some(self.arrived(told, Answer::new(Outcome::Arrived, Cause::Written, summary)))
            }
            What::Written { delivery: Some(delivery), qos, .. } => {
                Some(self.sent(told, delivery, qos as u8, &decisions))
            }
            What::Queued { delivery, .. } => {
                let discarded = decisions.iter().find_map(|other| match other.what {
                    What::Discarded { delivery: this, bound } if this == delivery && other.at >= told.at => {
                        Some((*other, bound))
                    }
                    _ => None,
                });
                match discarded {
                    Some((other, bound)) => Some(self.dropped(other, bound, publication)),
                    None => self.queued(told),
                }
            }
            What::NoLocal => Some(self.no_local()),
            _ => None,
        }
    }

    /// It arrived; but at whom, where the identifier was taken over a short time before?
    fn arrived(&self, told: &Decision, answer: Answer) -> Answer {
        let picture = self.picture;
        let life = picture.life();
        let ends = |what| matches!(what, What::Closed(_) | What::Lost | What::Left(_));
        let taken = last_before(&life, Some(told.at), ends)
            .filter(|last| last.what == What::Closed(0x8e) && told.at.since(last.at) < TAKEN_OVER);
        let Some(taken) = taken else { return answer };
        let summary = format!(
            "It was sent to the connection that took the client identifier {} over {}, when the one before was \
             closed: if that is not the same client come back, two clients use one identifier.",
            picture.client,
            picture.ago(taken.at)
        );
        Answer::new(answer.outcome, Cause::TakenOver, summary)
            .advise("Give every client an identifier of its own: a second connection with the same one closes the first.")
    }

    fn sent(&self, told: &Decision, delivery: u32, qos: u8, decisions: &[&Decision]) -> Answer {
        let picture = self.picture;
        let client = &picture.client;
        let acknowledged = decisions
            .iter()
            .find(|other| other.what == What::Acknowledged { delivery } && other.at >= told.at);
        if let Some(acknowledged) = acknowledged {
            let summary = format!(
                "It did arrive: sent to {client} with QoS {qos} {}, and acknowledged by it {}.",
                picture.ago(told.at),
                picture.ago(acknowledged.at)
            );
            let answer = Answer::new(Outcome::Arrived, Cause::Acknowledged, summary).advise(
                "The client library has it: look at what the application does with it, and whether it \
                    acknowledges before it is done.",
            );
            return self.arrived(told, answer);
        }
        if let Some(ended) = self.ended_since(told) {
            return ended;
        }
        // Newer ones of the topic are held up by it.
        if picture.session().is_some_and(|session| session.queued_of_topic > 0)
            && let Some(waiting) = self.waiting()
        {
            return waiting;
        }
        let summary = format!(
            "It was sent to {client} with QoS {qos} {}, and is not acknowledged: it is sent again when \
                the client connects anew.",
            picture.ago(told.at)
        );
        let answer = Answer::new(Outcome::Arrived, Cause::NotAcknowledged, summary).advise(
            "Look at why the client does not acknowledge: it may hang, or acknowledge only when \
                its application is done.",
        );
        self.arrived(told, answer)
    }

    /// Something was dropped for the Client whose topic only the log knows, and the message is not known to be elsewhere.
    pub(super) fn dropped_unnamed(&self, publication: &Publication) -> Option<Answer> {
        let decisions = self.picture.decisions();
        let (told, bound) = decisions.iter().find_map(|told| match told.what {
            What::Dropped(bound) if told.topic.is_empty() && told.until >= publication.at => {
                Some((*told, bound))
            }
            _ => None,
        })?;
        let answer = self.dropped(told, bound, Some(publication));
        Some(answer.note(format!(
            "{} messages were dropped whose topics only the log on disk had: it was one of them, or is still waiting",
            told.count
        )))
    }

    fn queued(&self, told: &Decision) -> Option<Answer> {
        self.ended_since(told).or_else(|| self.waiting())
    }

    /// The Session ended with what waited in it.
    fn ended_since(&self, told: &Decision) -> Option<Answer> {
        let life = self.picture.whole_life();
        let ended = life.iter().find_map(|later| match later.what {
            What::SessionEnded { why, lost } if later.at >= told.at => Some((later, why, lost)),
            _ => None,
        });
        let (later, why, lost) = ended?;
        Some(self.session_ended(later, why, lost))
    }

    pub(super) fn session_ended(&self, ended: &Decision, why: SessionEnd, lost: u32) -> Answer {
        let picture = self.picture;
        let (client, ago) = (&picture.client, picture.ago(ended.at));
        let limits = &picture.settings().limits;
        let (cause, change) = match why {
            SessionEnd::Expired => (
                Cause::SessionExpired,
                format!(
                    "Raise the Session Expiry Interval of the client (the broker grants up to \
                        limits.session_expiry_interval_maximum = {} s; \
                        limits.session_expiry_interval_v3 = {} s is that of 3.x clients).",
                    limits.session_expiry_interval_maximum, limits.session_expiry_interval_v3
                ),
            ),
            SessionEnd::WithConnection => (
                Cause::SessionEndedWithConnection,
                "Connect without clean session (3.x), or with a Session Expiry Interval (5.0), so that \
                    the session outlives the connection."
                    .to_owned(),
            ),
            SessionEnd::CleanStart => (
                Cause::CleanStart,
                "Connect without clean start (clean session in 3.x): it deletes the session with its \
                    subscriptions and what waits in it."
                    .to_owned(),
            ),
            SessionEnd::Another => (
                Cause::OtherUser,
                "Give every user client identifiers of its own: a session is resumed only by the user \
                    who began it."
                    .to_owned(),
            ),
            SessionEnd::Operator => (
                Cause::EndedByOperator,
                "Have the client subscribe again; the audit log says which operator it was.".to_owned(),
            ),
            SessionEnd::Revoked => (
                Cause::Revoked,
                "Give the client its rights back, or a new certificate or password; then it has to \
                    subscribe again."
                    .to_owned(),
            ),
        };
        let with =
            if lost > 0 { format!(", and {lost} waiting or unacknowledged messages") } else { String::new() };
        let summary = format!(
            "The session of {client} ended {ago}: {}; its subscriptions{with} went with it.",
            words::end(why)
        );
        Answer::new(Outcome::Lost, cause, summary).advise(change)
    }

    pub(super) fn no_local(&self) -> Answer {
        let summary = format!(
            "{0} published it itself, and its subscription has No Local: it is not sent its own messages.",
            self.picture.client
        );
        Answer::new(Outcome::NotSent, Cause::NoLocal, summary)
            .advise("Subscribe without No Local to hear one's own messages, or publish from another client.")
    }

    /// Something waits for the Client; what for?
    pub(super) fn waiting(&self) -> Option<Answer> {
        let picture = self.picture;
        let session = picture.session()?;
        if session.queued == 0 {
            return None;
        }
        let (client, queued) = (&picture.client, session.queued);
        let waiting = |cause, why: String| {
            Answer::new(
                Outcome::Waiting,
                cause,
                format!("It waits in the queue of {client}, which holds {queued} messages: {why}."),
            )
        };
        Some(if session.connected_since.is_none() {
            let expiry = match session.expiry {
                u32::MAX => "never ends".to_owned(),
                seconds => format!("lasts {seconds} s after its connection"),
            };
            let ago = picture.ago(session.disconnected_at);
            waiting(Cause::WaitsForClient, format!("the client disconnected {ago} and its session {expiry}"))
                .advise("The client gets it when it connects without clean start (clean session in 3.x).")
        } else if session.waits_for_disk {
            waiting(
                Cause::WaitsForDisk,
                "the first of them is QoS 2, which is sent once it is written \
                to disk"
                    .to_owned(),
            )
            .advise(
                "Look at the disk: `dunlin_log_sync_seconds` on the metrics page says how long \
                    it takes; the durability of the topic can be lowered.",
            )
        } else if session.in_flight >= usize::from(session.window) {
            waiting(
                Cause::WaitsForAcknowledgements,
                format!(
                    "{} messages were sent and not acknowledged, which is all that its Receive Maximum \
                        allows (the lower of the client's own and limits.inflight_maximum = {})",
                    session.in_flight,
                    picture.settings().limits.inflight_maximum
                ),
            )
            .advise(
                "Make the client acknowledge (PUBACK, PUBCOMP) what it was sent, or raise its \
                Receive Maximum.",
            )
        } else {
            waiting(Cause::WaitsForConnection, "the connection does not take more at the moment".to_owned())
                .advise(
                    "The client or its network is slower than what it subscribed to: subscribe to \
                    less, or share the load in a group.",
                )
        })
    }

    fn dropped(&self, told: &Decision, bound: Drop, publication: Option<&Publication>) -> Answer {
        let picture = self.picture;
        let settings = picture.settings();
        let (client, limits) = (&picture.client, &settings.limits);
        let ago = picture.ago(told.until);
        let count = if told.count > 1 {
            format!(" {} messages since {},", told.count, picture.show(told.at))
        } else {
            String::new()
        };
        let lost = |cause, why: String| {
            Answer::new(Outcome::Lost, cause, format!("It was dropped {ago},{count} because {why}."))
        };
        match bound {
            Drop::OutputFull => lost(
                Cause::OutputFull,
                format!(
                    "it has QoS 0 and more than limits.output_bytes_maximum = {} bytes waited for the connection of \
                     {client} already",
                    limits.output_bytes_maximum
                ),
            )
            .advise(
                "Subscribe with QoS 1, so that messages wait in the queue; raise limits.output_bytes_maximum; or \
                 make the client read faster.",
            ),
            Drop::QueueFull => self.queue_full(lost),
            Drop::Expired => {
                lost(Cause::Expired, format!("its Message Expiry Interval passed before {client} could be sent it"))
                    .advise(LONGER)
            }
            Drop::TooLarge => self.too_large(lost),
            Drop::Offline => self.offline(publication, lost),
            Drop::MemberLost => lost(Cause::MemberLost, MEMBER_LOST.to_owned())
                .advise("Use QoS 1 with Shared Subscriptions, or sessions that outlive their connections."),
            Drop::RetainedFull | Drop::JournalFull | Drop::MemoryFull => self.no_room(told, bound),
            Drop::SessionEnded => lost(Cause::SessionEndedWithConnection, "the session ended".to_owned()),
            Drop::Damaged => lost(Cause::Damaged, "the log could not read it back: it is damaged".to_owned())
                .advise("Check the disk and run `dunlin journal check`."),
            Drop::Denied => {
                let topic = &picture.topic;
                let why = format!("{client} was not allowed to receive {topic} any more when it was to be sent");
                self.with_rule(lost(Cause::ReceiveDenied, why), client, Right::Receive, topic)
            }
        }
    }

    fn too_large(&self, lost: impl Fn(Cause, String) -> Answer) -> Answer {
        let session = self.picture.session();
        let maximum = session.map_or(u32::MAX, |session| session.maximum_packet_size);
        let client = &self.picture.client;
        let why = format!("the packet is larger than the Maximum Packet Size of {client}, {maximum} bytes");
        lost(Cause::TooLargeForClient, why).advise(
            "Raise the Maximum Packet Size that the client sends in CONNECT, or publish smaller messages.",
        )
    }

    fn queue_full(&self, lost: impl Fn(Cause, String) -> Answer) -> Answer {
        let picture = self.picture;
        let (client, limits) = (&picture.client, &picture.settings().limits);
        let policy = match limits.queue_full {
            QueueFull::DropOldest => "drop_oldest: the oldest makes room",
            QueueFull::DropNewest => "drop_newest: the new one is dropped",
            QueueFull::Disconnect => "disconnect: the new one is dropped and the client disconnected",
        };
        let is_long =
            picture.session().is_none_or(|session| session.queued >= limits.queue_messages_maximum as usize);
        let (cause, bound) = if is_long {
            (
                Cause::QueueFullMessages,
                format!("limits.queue_messages_maximum = {}", limits.queue_messages_maximum),
            )
        } else {
            (Cause::QueueFullBytes, format!("limits.queue_bytes_maximum = {}", limits.queue_bytes_maximum))
        };
        let answer =
            lost(cause, format!("the queue of {client} was full ({bound}, limits.queue_full = {policy})"));
        let name = bound.split(' ').next().unwrap_or_default();
        answer.advise(format!(
            "Raise {name}, change limits.queue_full, or have the client connect more \
            often and acknowledge faster."
        ))
    }

    fn offline(&self, publication: Option<&Publication>, lost: impl Fn(Cause, String) -> Answer) -> Answer {
        let picture = self.picture;
        let client = &picture.client;
        let matching = picture.session().into_iter().flat_map(|session| &session.matching);
        let granted = matching.map(|subscription| subscription.qos as u8).max();
        let published = publication.and_then(|publication| publication.qos);
        match (published, granted) {
            (Some(published @ 1..), Some(0)) => lost(
                Cause::QosDowngraded,
                format!(
                    "{client} was not connected, and its subscription has QoS 0: the message was \
                    published with QoS {published}, but the lower of the two counts"
                ),
            )
            .advise(format!("Subscribe with QoS 1 instead of 0: then messages wait while {client} is away.")),
            _ => lost(
                Cause::OfflineQos0,
                format!("it has QoS 0 and {client} was not connected: QoS 0 is for those who are there"),
            )
            .advise(
                "Publish with QoS 1 and subscribe with QoS 1: then messages wait in the session \
                while the client is away.",
            ),
        }
    }

    pub(super) fn no_room(&self, told: &Decision, bound: Drop) -> Answer {
        let picture = self.picture;
        let limits = &picture.settings().limits;
        let ago = picture.ago(told.until);
        let who = if told.client.is_empty() { "it" } else { &told.client };
        let lost = |cause, why: String| {
            Answer::new(Outcome::Lost, cause, format!("The message of {who} was not taken {ago}: {why}."))
        };
        match bound {
            Drop::JournalFull => lost(
                Cause::LogFull,
                "the log on disk is full, so that 5.0 clients get \
                0x97 Quota exceeded and 3.x clients are disconnected"
                    .to_owned(),
            )
            .advise(
                "Raise storage.quota_bytes or free the disk; sessions that nobody fetches hold \
                    what is in it: `dunlin journal stat` says how much.",
            ),
            Drop::RetainedFull => lost(
                Cause::RetainedFull,
                format!(
                    "the store of retained messages is full (limits.retained_messages_maximum = {}, \
                        limits.retained_bytes_maximum = {})",
                    limits.retained_messages_maximum, limits.retained_bytes_maximum
                ),
            )
            .advise(
                "Raise these limits, or clear retained messages that nobody needs (an empty \
                retained message clears one).",
            ),
            _ => lost(
                Cause::MemoryFull,
                format!(
                    "the broker holds as much memory as it may \
                (limits.memory_bytes_maximum = {}, 0 is half of the machine's)",
                    limits.memory_bytes_maximum
                ),
            )
            .advise(
                "Raise limits.memory_bytes_maximum, or lower the queues: docs/limits.md says \
                    what takes it.",
            ),
        }
    }
}
