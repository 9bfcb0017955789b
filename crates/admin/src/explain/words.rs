//! One decision in words.

use dunlin_engine::{Decision, Drop, SessionEnd, What};

/// A line of evidence, without its time.
pub(super) fn line(told: &Decision) -> String {
    let Decision { client, topic, count, .. } = told;
    let who = if client.is_empty() { "the broker" } else { client };
    let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
    let detail = if topic.is_empty() { String::new() } else { format!(": {topic}") };
    let text = match told.what {
        What::Connected { resumed: true } => format!("{who} connected, its session was resumed"),
        What::Connected { resumed: false } => format!("{who} connected with a new session"),
        What::Refused(code) => format!("{who} was not let in, code {code:#04x}{detail}"),
        What::Left(0) => format!("{who} disconnected"),
        What::Left(code) => format!("{who} disconnected with code {code:#04x}"),
        What::Closed(code) => format!("{who} was disconnected by the broker, code {code:#04x}{detail}"),
        What::Lost => format!("the connection of {who} was lost"),
        What::SessionEnded { why, lost } => {
            format!("the session of {who} ended ({}), with {lost} messages", end(why))
        }
        What::Subscribed { qos, is_new: true, .. } => {
            format!("{who} subscribed to {topic} with QoS {}", qos as u8)
        }
        What::Subscribed { qos, .. } => format!("{who} subscribed again to {topic} with QoS {}", qos as u8),
        What::NotSubscribed(code) => format!("{who} was refused a subscription to {topic}, code {code:#04x}"),
        What::Unsubscribed => format!("{who} unsubscribed from {topic}"),
        What::Withdrawn => format!("the subscription of {who} to {topic} was taken away: its rights changed"),
        What::WillTakenBack => format!("{who} disconnected and took its will for {topic} back"),
        What::WillForgone => format!("{who} came back in time: its will for {topic} was not sent"),
        What::WillDelayed(0) => format!("the will of {who} for {topic} was due"),
        What::WillDelayed(seconds) => format!("the will of {who} for {topic} was put off by {seconds} s"),
        What::Dropped(bound) => format!("dropped for {who}{detail}: {}", why(bound)),
        What::GroupDropped(bound) => format!("dropped for the shared group of {who}{detail}: {}", why(bound)),
        What::PublishDenied { qos, .. } => {
            format!("{who} was not allowed to publish to {topic} with QoS {}", qos as u8)
        }
        What::WillDenied => format!("{who} was not allowed to have its will published to {topic}"),
        What::PublishRefused(code) => format!("a message of {who} was refused, code {code:#04x}{detail}"),
        What::NoRoom(bound) => format!("a message of {who} was refused{detail}: {}", why(bound)),
        What::Slowed => format!("{who} was slowed: its acknowledgements were withheld"),
        What::Slows => format!("the queue of {who} was half full: those who publish to it were slowed"),
        What::RetainedCleared => format!("the retained message of {topic} was cleared by an empty one"),
        What::Published { qos, retain, receivers } => format!(
            "{who} published to {topic} with QoS {}{}, {receivers} receivers",
            qos as u8,
            if retain { " and RETAIN" } else { "" }
        ),
        What::Written { qos, retain, .. } => {
            format!("sent to {who} with QoS {}{}", qos as u8, if retain { " and RETAIN" } else { "" })
        }
        What::Queued { .. } => format!("put into the queue of {who}"),
        What::Discarded { bound, .. } => format!("dropped from the queue of {who}: {}", why(bound)),
        What::Acknowledged { .. } => format!("acknowledged by {who}"),
        What::NoLocal => format!("not sent to {who}, who published it, because of No Local"),
        What::Dealt => format!("the shared group gave it to {who}"),
        _ => "something happened that this version has no words for".to_owned(),
    };
    text + &times
}

pub(super) const fn end(why: SessionEnd) -> &'static str {
    match why {
        SessionEnd::Expired => "it expired",
        SessionEnd::WithConnection => "it ended with its connection",
        SessionEnd::CleanStart => "a clean start replaced it",
        SessionEnd::Another => "another user came with the client identifier",
        SessionEnd::Revoked => "its rights were revoked",
        SessionEnd::Operator => "an operator ended it",
    }
}

pub(super) const fn why(bound: Drop) -> &'static str {
    match bound {
        Drop::OutputFull => "QoS 0, and the output of the connection was full",
        Drop::QueueFull => "the queue was full",
        Drop::Expired => "its message expiry interval had passed",
        Drop::TooLarge => "larger than the client's maximum packet size",
        Drop::Offline => "QoS 0, and the client was not connected",
        Drop::MemberLost => "the member of the shared group that had it went away",
        Drop::RetainedFull => "the store of retained messages was full",
        Drop::SessionEnded => "the session ended",
        Drop::Damaged => "the log could not read it back",
        Drop::JournalFull => "the log was full",
        Drop::Denied => "the client may not receive it",
        Drop::MemoryFull => "the memory of the broker was full",
    }
}
