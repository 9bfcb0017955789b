//! Wills on their way to other shards: until one is safe in all of them, the journal has it as a Session of its own, which has ended
//! but for this Will.
//!
//! In:    a Will that went out; the news that it is safe wherever it went to.
//! Out:   the records of such a Session, and later that of its end.
//! Never: a Will on its way that only the other shards know of, whatever becomes of the Session that left it.
//!
//! So the Session that had the Will can end at once, or begin anew with another. A start that finds such a Session ends it, which
//! sends its Will again: it may come twice.

use super::Journal;
use super::record::Record;
use super::restore::put;
use crate::session::{Session, Will};
use crate::time::Time;

/// The first of its name, before the Client Identifier; none has it itself [MQTT-1.5.4-2].
const MARK: char = '\0';

/// Such a Session's partition, and its name there.
pub(crate) type Bequest = (u8, u64);

impl Session {
    /// Is there nothing left of it but a Will on its way?
    pub(crate) fn is_bequest(&self) -> bool {
        self.client_id.starts_with(MARK)
    }

    /// The Client that it is of, or whose Will it is.
    pub(crate) fn owner(&self) -> &str {
        self.client_id.strip_prefix(MARK).unwrap_or(&self.client_id)
    }
}

impl Journal {
    /// The Will of a Session went to other shards.
    pub(crate) fn bequeath(&mut self, now: Time, session: &Session, will: &Will) -> Bequest {
        let (partition, key) = (session.partition, self.new_key());
        let client_id = format!("{MARK}{}", session.owner());
        let opened =
            Record::Opened { key, client_id: &client_id, expiry: 0, at: now, will: Some(will.view()) };
        let closed = Record::Closed { key, expiry: 0, at: now, will: true };
        let mut state = Vec::new();
        for record in [opened, closed] {
            self.control(now, partition, &record);
            put(&mut state, &record);
        }
        self.bequests.insert((partition, key), state.into());
        (partition, key)
    }

    /// It is safe wherever it went to.
    pub(crate) fn bequeathed(&mut self, now: Time, bequest: Bequest) {
        let (partition, key) = bequest;
        self.bequests.remove(&bequest);
        self.control(now, partition, &Record::Ended { key });
    }

    /// What a checkpoint says of those of a partition.
    pub(crate) fn bequests_in(&self, partition: u8) -> impl Iterator<Item = &[u8]> {
        self.bequests.range((partition, 0)..=(partition, u64::MAX)).map(|(_, state)| &**state)
    }
}
