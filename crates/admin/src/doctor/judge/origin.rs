//! What comes from one address, or of one user.

use std::collections::BTreeMap;

use dunlin_engine::{OriginConduct, OriginKey};

use super::super::finding::{Check, Finding, Saving, Severity};

/// New Client Identifiers that are no rollout.
const NEW_IDS: u32 = 8;
/// So many times more of them than connections at a time.
const TURNOVER: u32 = 4;
/// Refused CONNECTs in a minute.
const REFUSED: u32 = 20;
const BACKED_OFF: u32 = 7;
/// CONNECT with a short Client Identifier, and CONNACK.
const CONNECT: (u64, u64) = (2, 30);

/// What several shards know of the same address or user.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Merged(BTreeMap<String, OriginConduct>);

impl Merged {
    /// What one shard knows.
    pub(in crate::doctor) fn add(&mut self, origins: Vec<OriginConduct>) {
        for origin in origins {
            let key = name(&origin.key);
            let Some(sum) = self.0.get_mut(&key) else {
                self.0.insert(key, origin);
                continue;
            };
            sum.connects = sum.connects.saturating_add(origin.connects);
            sum.new_ids = sum.new_ids.saturating_add(origin.new_ids);
            sum.kept = sum.kept.saturating_add(origin.kept);
            // Perhaps not at the same time: at most so many.
            sum.most_open = sum.most_open.saturating_add(origin.most_open);
            sum.refused = sum.refused.saturating_add(origin.refused);
            sum.refused_in_a_minute = sum.refused_in_a_minute.saturating_add(origin.refused_in_a_minute);
            sum.examples.extend(origin.examples);
        }
    }

    pub(in crate::doctor) fn into_all(self) -> impl Iterator<Item = OriginConduct> {
        self.0.into_values()
    }
}

/// Everything that is wrong with it.
pub(in crate::doctor) fn judge(origin: &OriginConduct) -> Vec<Finding> {
    [random_ids(origin), refused(origin)].into_iter().flatten().collect()
}

fn random_ids(origin: &OriginConduct) -> Option<Finding> {
    let OriginConduct { connects, new_ids, kept, most_open, .. } = *origin;
    let is_turnover = new_ids / TURNOVER >= most_open.max(1);
    if new_ids < NEW_IDS || !is_turnover || u64::from(new_ids) * 5 < u64::from(connects) * 4 {
        return None;
    }
    let examples: Vec<&str> = origin.examples.iter().map(|id| &**id).take(3).collect();
    let mut what = format!(
        "{new_ids} of {connects} connections had a new client identifier, as {}",
        examples.join(", ")
    );
    if kept > 0 {
        what.push_str(&format!("; for {kept} of them a session is kept"));
    }
    let mend = "one client identifier for each device, made once and kept: its session and what waits in it are found again, \
                and an old connection ends when a new one comes"
        .to_owned();
    let saves = Saving { sessions: kept.into(), ..Saving::default() };
    let severity = if kept > 0 { Severity::Medium } else { Severity::Low };
    Some(Finding {
        severity,
        check: Check::RandomClientIds,
        who: name(&origin.key),
        address: None,
        what,
        mend,
        saves,
    })
}

fn refused(origin: &OriginConduct) -> Option<Finding> {
    let times = origin.refused_in_a_minute;
    if times < REFUSED {
        return None;
    }
    let what = format!("was refused {times} times in a minute, {} in all", origin.refused);
    let mend = "after a refusal wait 1, 2, 4... seconds; the log of area `connection` says why it is refused"
        .to_owned();
    let fewer = u64::from(times - BACKED_OFF);
    let saves = Saving::traffic(fewer * CONNECT.0, fewer * CONNECT.1);
    let who = name(&origin.key);
    Some(Finding {
        severity: Severity::Medium,
        check: Check::NoBackoff,
        who,
        address: None,
        what,
        mend,
        saves,
    })
}

fn name(key: &OriginKey) -> String {
    match key {
        OriginKey::User(user) => format!("user {user}"),
        OriginKey::Address(address) => format!("address {address}"),
    }
}
