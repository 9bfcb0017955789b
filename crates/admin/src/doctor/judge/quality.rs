//! QoS: too little where messages are lost, more than anybody has of it.

use dunlin_codec::QoS;
use dunlin_engine::Losses;

use super::super::finding::{Check, Finding, Saving, Severity, counted};
use super::Case;

/// Losses that are no accident.
const LOST: u64 = 10;
/// Messages that are no trial.
const MESSAGES: u64 = 20;

/// Bytes of an acknowledgement without properties.
const ACK: u64 = 4;
/// Packet Identifier.
const IDENTIFIER: u64 = 2;

pub(super) fn qos0_loss(case: &Case<'_>) -> Option<Finding> {
    let Losses { away, slow, by_subscription } = case.client.losses;
    let lost = u64::from(away) + u64::from(slow);
    if lost < LOST || lost * 100 < case.client.traffic.delivered {
        return None;
    }
    let mut what = format!("{} of QoS 0 did not reach it", counted(lost, "message", "messages"));
    what.push_str(&match (away, slow) {
        (_, 0) => ": it was away".to_owned(),
        (0, _) => ": it did not read fast enough".to_owned(),
        (away, slow) => format!(": {away} while it was away, {slow} because it did not read fast enough"),
    });
    let mend = if u64::from(by_subscription) * 2 >= lost {
        let filters = case.client.filters.iter().filter(|(_, qos)| *qos == QoS::AtMostOnce);
        let names: Vec<&str> = filters.map(|(filter, _)| &**filter).take(3).collect();
        let of = if names.is_empty() { String::new() } else { format!(" to {}", names.join(", ")) };
        format!("subscribe{of} with QoS 1: the messages are published with 1 or more, and wait then")
    } else {
        "publish them with QoS 1, and subscribe with it: they wait then. Or end the session with the connection, if it is \
         not to be told of what it missed"
            .to_owned()
    };
    let saves = Saving { messages: lost, ..Saving::default() };
    Some(case.found(Severity::Medium, Check::Qos0Loss, what, mend, saves))
}

pub(super) fn above_subscribers(case: &Case<'_>) -> Option<Finding> {
    let mut saves = Saving::default();
    let mut worst: Option<(&str, QoS, QoS, u32)> = None;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let published = case.client.traffic.published[qos as usize];
        let samples = case.client.samples.iter().zip(case.audiences);
        let known: Vec<_> = samples
            .filter(|(sample, _)| sample.qos == qos)
            .filter_map(|(sample, audience)| {
                let audience = (*audience)?;
                Some((&*sample.topic, audience.best?, audience.receivers))
            })
            .collect();
        let above: Vec<_> = known.iter().filter(|(_, best, _)| *best < qos).collect();
        let Some((topic, best, receivers)) = above.first() else { continue };
        let needless = published * above.len() as u64 / known.len() as u64;
        if needless < MESSAGES {
            continue;
        }
        worst = Some((topic, qos, *best, *receivers));
        let (packets, bytes) = step(qos, *best);
        saves.packets += packets * needless;
        saves.bytes += bytes * needless;
    }
    let (topic, qos, best, receivers) = worst?;
    let what = format!(
        "publishes {} with QoS {}, and of {} nobody asked for more than {}: {topic}, for example",
        counted(case.client.traffic.published[qos as usize], "message", "messages"),
        qos as u8,
        counted(receivers.into(), "subscriber", "subscribers"),
        best as u8,
    );
    let mend = format!(
        "publish with QoS {}; or, if they must not be lost, subscribe with QoS {}",
        best as u8, qos as u8
    );
    Some(case.found(Severity::Low, Check::QosAboveSubscribers, what, mend, saves))
}

/// Whatever the subscribers do: what is retained is replaced by the next, so that having it twice does no harm.
pub(super) fn qos2_unneeded(case: &Case<'_>) -> Option<Finding> {
    let count = case.client.traffic.published[QoS::ExactlyOnce as usize];
    let mut samples = case.client.samples.iter().filter(|sample| sample.qos == QoS::ExactlyOnce).peekable();
    let topic = samples.peek()?.topic.clone();
    if count < MESSAGES || !samples.all(|sample| sample.retain) {
        return None;
    }
    let what = format!(
        "publishes {} with QoS 2 and RETAIN, {topic} for example: each replaces the one before, so that twice does no harm",
        counted(count, "message", "messages")
    );
    let (packets, bytes) = step(QoS::ExactlyOnce, QoS::AtLeastOnce);
    let saves = Saving::traffic(packets * count, bytes * count);
    Some(case.found(Severity::Low, Check::Qos2Unneeded, what, "publish with QoS 1".to_owned(), saves))
}

/// Packets and bytes of a message that a lower QoS does without.
fn step(from: QoS, to: QoS) -> (u64, u64) {
    // PUBACK; PUBREC, PUBREL and PUBCOMP.
    let acks = |qos: QoS| [0, 1, 3][qos as usize];
    let identifier = |qos: QoS| if qos == QoS::AtMostOnce { 0 } else { IDENTIFIER };
    let packets = acks(from) - acks(to);
    (packets, packets * ACK + identifier(from) - identifier(to))
}
