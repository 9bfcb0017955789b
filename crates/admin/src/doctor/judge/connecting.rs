//! How a Client connects, stays, and goes.

use std::time::Duration;

use super::super::finding::{Check, Finding, Saving, Severity, counted};
use super::{Case, Wire};

/// A Session without a connection for so long is not waited for.
const AWAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Sessions thrown away that are no accident.
const DISCARDED: u32 = 3;
/// A connection that breaks may go unnoticed for so long, and half as long again.
const LONG: Duration = Duration::from_secs(60 * 60);
/// What most Clients use.
const USUAL: Duration = Duration::from_secs(60);
/// Shorter than this is worth a look at what it costs.
const SHORT: Duration = Duration::from_secs(20);
const PINGS: u64 = 20;
/// Pings for each message beyond which they are the better part of the traffic.
const PINGS_PER_MESSAGE: u64 = 4;
/// PINGREQ and PINGRESP.
const PING: (u64, u64) = (2, 4);
/// Lost connections of a Client that publishes anything at all.
const LOST: u32 = 3;
const PUBLISHED: u64 = 10;
/// Whoever waits 1, 2, 4... seconds comes seven times in a minute; with some jitter not much oftener.
const RECONNECTS: u32 = 12;
const BACKED_OFF: u32 = 7;
/// CONNECT with a short Client Identifier, and CONNACK.
const CONNECT: (u64, u64) = (2, 30);
/// More than a Client with a bad network makes.
const TAKEOVERS: u32 = 4;

pub(super) fn never_resumed(case: &Case<'_>) -> Option<Finding> {
    let client = case.client;
    let discarded = client.history.map_or(0, |history| history.discarded);
    let resumed = client.history.map_or(0, |history| history.resumed).max(client.resumed.into());
    if discarded >= DISCARDED && resumed == 0 {
        let what = format!(
            "asks to keep its session for {} after it goes, and began anew {} times",
            span(Duration::from_secs(client.expiry.into())),
            discarded
        );
        let mend = "Clean Start 0 (Clean Session 0), so that the session is taken up again; or Session Expiry Interval 0 \
                    (Clean Session 1), so that nothing is kept"
            .to_owned();
        let saves = Saving { sessions: discarded.into(), ..Saving::default() };
        return Some(case.found(Severity::Low, Check::SessionNeverResumed, what, mend, saves));
    }
    let away = client.away.filter(|away| *away >= AWAY)?;
    if client.waiting == 0 && resumed > 0 {
        return None;
    }
    let what = format!(
        "has been away for {}, and its session is kept {}",
        span(away),
        match client.waiting {
            0 => "for nothing".to_owned(),
            waiting => format!("with {}", counted(waiting, "message", "messages")),
        }
    );
    let mend = "a Session Expiry Interval of the longest time that it is really away; \
                `session_expiry_interval_maximum` bounds what Clients ask for"
        .to_owned();
    let saves = Saving { messages: client.waiting, bytes: client.waiting_bytes, sessions: 1, packets: 0 };
    Some(case.found(Severity::Low, Check::SessionNeverResumed, what, mend, saves))
}

pub(super) fn keep_alive(case: &Case<'_>) -> Option<Finding> {
    let client = case.client;
    if !client.is_connected {
        return None;
    }
    let found = |what, mend: &str, saves| {
        Some(case.found(Severity::Low, Check::KeepAlive, what, mend.to_owned(), saves))
    };
    let nothing = Saving::default();
    if client.keep_alive.is_zero() {
        let what =
            "Keep Alive is off: a connection that breaks in silence is held for ever, and its Will waits"
                .to_owned();
        return found(what, "a Keep Alive of 60 seconds", nothing);
    }
    if client.keep_alive >= LONG {
        let what = format!(
            "Keep Alive is {}: a broken connection is noticed half as long after that",
            span(client.keep_alive)
        );
        return found(what, "a Keep Alive of 60 to 300 seconds", nothing);
    }
    let pings = client.traffic.pings;
    let messages = case.published() + client.traffic.delivered;
    if client.keep_alive > SHORT || pings < PINGS || pings < messages * PINGS_PER_MESSAGE {
        return None;
    }
    let what = format!(
        "Keep Alive is {}: {} for {}",
        span(client.keep_alive),
        counted(pings, "ping", "pings"),
        counted(messages, "message", "messages")
    );
    let fewer = pings - pings * client.keep_alive.as_secs() / USUAL.as_secs();
    found(what, "a Keep Alive of 60 seconds", Saving::traffic(fewer * PING.0, fewer * PING.1))
}

pub(super) fn no_will(case: &Case<'_>) -> Option<Finding> {
    let (client, history) = (case.client, case.client.history?);
    if client.has_will || history.lost == 0 {
        return None;
    }
    let lost = counted(history.lost.into(), "connection", "connections");
    let what = if client.traffic.retained > 0 {
        format!("lost {lost} and has no Will: what it retained looks as if it were still so")
    } else if history.lost >= LOST && case.published() >= PUBLISHED {
        format!("lost {lost} and has no Will: nobody who gets its messages could know")
    } else {
        return None;
    };
    let mend = "a Will on a topic for its state, retained, and the opposite published there after CONNACK"
        .to_owned();
    Some(case.found(Severity::Low, Check::NoWill, what, mend, Saving::default()))
}

pub(super) fn no_backoff(case: &Case<'_>) -> Option<Finding> {
    let history = case.client.history?;
    let times = history.reconnects_in_a_minute;
    if times < RECONNECTS {
        return None;
    }
    let what = format!(
        "connected {times} times in a minute after its connection was lost or closed, the last time {} ms later",
        history.last_pause_ms
    );
    let mend = "wait 1, 2, 4... seconds up to a minute or more, each with some chance in it, and begin anew only when a \
                connection has lasted"
        .to_owned();
    let fewer = u64::from(times - BACKED_OFF);
    let saves = Saving::traffic(fewer * CONNECT.0, fewer * CONNECT.1);
    Some(case.found(Severity::Medium, Check::NoBackoff, what, mend, saves))
}

pub(super) fn fight(case: &Case<'_>) -> Option<Finding> {
    let history = case.client.history?;
    let times = history.taken_over_in_a_minute;
    if times < TAKEOVERS {
        return None;
    }
    let (one, other) = (case.client.address, case.client.rival);
    let between = match (one, other) {
        (Some(one), Some(other)) if one.ip() == other.ip() => format!(", all from {}", one.ip()),
        (Some(one), Some(other)) => format!(", between {one} and {other}"),
        _ => String::new(),
    };
    let what = format!(
        "connections with this client identifier took over from each other {times} times in a minute{between}"
    );
    let mend =
        "a client identifier of its own for each; or, if it is one, wait before connecting again".to_owned();
    let saves = Saving::traffic(u64::from(times) * CONNECT.0, u64::from(times) * CONNECT.1);
    Some(case.found(Severity::Medium, Check::ClientIdFight, what, mend, saves))
}

/// Behind a proxy nothing can be said of one Client.
pub(super) fn plain_text(case: &Case<'_>) -> Option<Finding> {
    let address = case.client.address.filter(|address| !address.ip().to_canonical().is_loopback())?;
    if case.wire != Wire::Plain {
        return None;
    }
    let what =
        format!("comes from {} without encryption: whoever is on the way reads everything", address.ip());
    let mend = "a listener with TLS: url = \"tls://...:8883\"".to_owned();
    Some(case.found(Severity::High, Check::PlainText, what, mend, Saving::default()))
}

/// In the largest unit that says enough.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if seconds >= u32::MAX.into() => "ever".to_owned(),
        172_800.. => counted(seconds / 86_400, "day", "days"),
        7_200.. => counted(seconds / 3_600, "hour", "hours"),
        120.. => counted(seconds / 60, "minute", "minutes"),
        _ => counted(seconds, "second", "seconds"),
    }
}
