//! Records for people: what they say, without what they carry.
//!
//! In:    bytes of a record, which may be anything.
//! Out:   one line of printable text, or nothing where they are no record of this version.
//! Never: a payload, or the text of a Will. Topics, filters and names are shown with everything unprintable escaped.

use std::fmt::Write;

use super::record::{Exchange, Record, Target, WillView, decode};
use crate::message::MessageView;

/// Targets and numbers that are listed; of more the first are, and how many there are.
const LISTED: usize = 8;

/// What a record of the journal says: its kind and its fields, of a message the topic and how long the payload is. `None` for bytes that
/// are no record of this version.
#[must_use]
pub fn describe_record(bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    // A String takes everything.
    let _ = describe(&mut out, &decode(bytes)?);
    Some(out)
}

fn describe(out: &mut String, record: &Record<'_>) -> std::fmt::Result {
    match record {
        Record::Opened { key, client_id, expiry, at, will } => {
            write!(
                out,
                "opened session={key} client={client_id:?} expiry={expiry}s at={}us",
                at.as_micros()
            )?;
            will.as_ref().map_or(Ok(()), |will| describe_will(out, will))
        }
        Record::Closed { key, expiry, at, will } => {
            write!(out, "closed session={key} expiry={expiry}s at={}us will={will}", at.as_micros())
        }
        Record::Ended { key } => write!(out, "ended session={key}"),
        Record::Subscribed { key, options, identifier, filter } => {
            write!(
                out,
                "subscribed session={key} filter={filter:?} options={options:#04x} identifier={identifier}"
            )
        }
        Record::Unsubscribed { key, filter } => write!(out, "unsubscribed session={key} filter={filter:?}"),
        Record::Deliver { exchange, targets, message } => {
            out.push_str("deliver");
            exchange.as_ref().map_or(Ok(()), |exchange| describe_exchange(out, exchange))?;
            describe_targets(out, targets)?;
            describe_message(out, message)
        }
        Record::Progress { key, outgoing, received } => {
            write!(out, "progress session={key} next={} queue_from={}", outgoing.next, outgoing.queue_from)?;
            list(out, "sent", &outgoing.sent)?;
            list(out, "released", &outgoing.released)?;
            list(out, "received", received)
        }
        Record::Released { exchange } => {
            out.push_str("released");
            describe_exchange(out, exchange)
        }
        Record::Retained { message } => {
            out.push_str("retained");
            describe_message(out, message)
        }
        Record::Cleared { topic } => write!(out, "cleared topic={topic:?}"),
        Record::Group { share, filter, message } => {
            write!(out, "group share={share:?} filter={filter:?}")?;
            describe_message(out, message)
        }
        Record::GroupDone { numbers } => {
            out.push_str("group_done");
            list(out, "records", numbers)
        }
        Record::Live { retained, groups } => {
            out.push_str("live");
            list(out, "retained", retained)?;
            list(out, "groups", groups)
        }
        Record::Seen { exchange, number } => {
            out.push_str("seen");
            describe_exchange(out, exchange)?;
            write!(out, " record={number}")
        }
    }
}

fn describe_will(out: &mut String, will: &WillView<'_>) -> std::fmt::Result {
    write!(out, " will delay={}s", will.delay)?;
    if let Some(expiry) = will.expiry.checked_sub(1) {
        write!(out, " will expiry={expiry}s")?;
    }
    describe_message(out, &will.message)
}

fn describe_exchange(out: &mut String, exchange: &Exchange) -> std::fmt::Result {
    let Exchange { partition, key, packet_id } = exchange;
    write!(out, " publisher={partition}/{key} packet_id={}", packet_id.get())
}

fn describe_targets(out: &mut String, targets: &[Target]) -> std::fmt::Result {
    for Target { key, seq, qos, retain, identifiers } in targets.iter().take(LISTED) {
        write!(out, " to={key}#{seq} qos={}", *qos as u8)?;
        if *retain {
            out.push_str(" retain");
        }
        if !identifiers.is_empty() {
            write!(out, " identifiers={identifiers:?}")?;
        }
    }
    if targets.len() > LISTED { write!(out, " ... {} targets", targets.len()) } else { Ok(()) }
}

fn describe_message(out: &mut String, message: &MessageView<'_>) -> std::fmt::Result {
    write!(out, " topic={:?} message_qos={}", message.topic, message.qos as u8)?;
    if message.retain {
        out.push_str(" message_retain");
    }
    if let Some(at) = message.expires_at {
        write!(out, " expires_at={}us", at.as_micros())?;
    }
    write!(out, " properties={}B payload={}B", message.properties.len(), message.payload.len())
}

fn list(out: &mut String, name: &str, numbers: &[u64]) -> std::fmt::Result {
    if numbers.len() <= LISTED {
        return write!(out, " {name}={numbers:?}");
    }
    write!(out, " {name}={:?}... {} of them", &numbers[..LISTED], numbers.len())
}
