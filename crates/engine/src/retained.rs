//! Retained messages: kept in the shard that is home to their topic, fetched in pages for new Subscriptions.
//!
//! Never: an older retained value after a newer live one: topics that were delivered while a snapshot was on its way are
//!        left out of it. Never a value missed: a home answers when it has what the others had posted to it. Never one twice:
//!        a page waits until all that was posted live before it has come.
//! Spec:  MQTT 5.0 sections 3.3.1.3 and 3.8.3.1.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;

use dunlin_codec::{QoS, TopicFilter, TopicName, matches};
use foldhash::fast::FixedState;

use crate::ceiling::Memory;
use crate::connect::is_own;
use crate::counters::Drop;
use crate::durability::Durability;
use crate::engine::Engine;
use crate::explain::What;
use crate::frame::Passing;
use crate::hub::{Cx, Hub};
use crate::mail::Letter;
use crate::message::{Message, MessageView};
use crate::partition::{Partition, ShardId, ShardSet};
use crate::retained_value::RetainedValue;
use crate::session::SessionId;
use crate::session::fetch::{Ask, PAGES_UNDER_WAY};
use crate::session::outgoing::{Extra, Options};
use crate::settings::Limits;
use crate::time::Time;
use crate::topic::{FilterId, Identifiers};

/// Messages that a full store looks at to find expired ones, for each that it has no room for.
const SWEEP_STEPS: usize = 256;
/// A page holds at most this many messages,
const PAGE_MESSAGES: usize = 256;
/// or this many bytes (and one message),
const PAGE_BYTES: usize = 256 * 1024;
/// The same while memory is tight.
const PAGE_BYTES_TIGHT: usize = 16 * 1024;
/// or ends after this many topics that do not match, so that a shard is never busy with one query for long.
const PAGE_STEPS: usize = 4096;

/// The retained messages of the topics that are at home in this shard.
#[derive(Debug, Default)]
pub(crate) struct RetainedStore {
    /// With the record of each, once it has one.
    messages: BTreeMap<RetainedValue, Home>,
    bytes: u64,
    /// How many of them are the Server's own, which no bound counts.
    own: usize,
    /// Where the search for expired messages goes on; from the first, where it is none.
    swept: Option<Box<str>>,
    expired: Vec<(Box<str>, u64)>,
    /// Questions that cannot be answered yet.
    held: Vec<Query>,
}

/// Where the record of a retained message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Home(u64);

impl Home {
    /// It has none yet, or never will.
    const NONE: Self = Self(u64::MAX);
    const PENDING: u64 = 1 << 63;

    /// Not written yet; by its serial number.
    const fn pending(serial: u64) -> Self {
        Self(serial | Self::PENDING)
    }

    const fn record(self) -> Option<u64> {
        if self.0 & Self::PENDING == 0 { Some(self.0) } else { None }
    }
}

/// What came of setting one.
#[derive(Debug, Default)]
struct Set {
    /// Kept from now on.
    is_new: bool,
    /// There was one before.
    was: bool,
    /// Its record.
    old: Option<u64>,
    /// A restart might find it.
    is_kept: bool,
    /// There was no room.
    is_full: bool,
}

/// Part of an answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) home: ShardId,
    pub(crate) messages: Vec<Message>,
    pub(crate) next: Option<Box<str>>,
}

/// A question.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) from: ShardId,
    pub(crate) session: SessionId,
    pub(crate) query: u32,
    pub(crate) filter: Box<str>,
    pub(crate) after: Option<Box<str>>,
    pub(crate) needs: Box<[u64]>,
}

impl RetainedStore {
    pub(crate) fn len(&self) -> usize {
        self.messages.len() - self.own
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Stores or replaces, QoS 0 as well [MQTT-3.3.1-5] [MQTT311-3.3.1-5] [MQTT311-3.3.1-7]; an empty payload clears [MQTT-3.3.1-6] [MQTT-3.3.1-7]
    /// [MQTT311-3.3.1-10] [MQTT311-3.3.1-11]. False where a bound is reached: then a value that was there is gone all the
    /// same, because it is out of date.
    fn set(&mut self, now: Time, view: MessageView<'_>, messages_maximum: usize, bytes_maximum: u64) -> Set {
        let old = self.remove(view.topic);
        let record = old.as_ref().and_then(|(_, home)| home.record());
        let mut set = Set { old: record, was: old.is_some(), ..Set::default() };
        set.is_kept = old.is_some_and(|(old, _)| old.view().durability != Durability::Memory);
        if view.payload.is_empty() {
            return set;
        }
        let is_full = |store: &Self| {
            !is_own(view.topic)
                && (store.len() >= messages_maximum || store.bytes + view.weight() as u64 > bytes_maximum)
        };
        if is_full(self) {
            self.sweep(now);
        }
        if is_full(self) {
            set.is_full = true;
            return set;
        }
        set.is_new = true;
        self.put(view, Home::NONE);
        set
    }

    /// The message of a topic.
    pub(crate) fn get(&self, topic: &str) -> Option<&RetainedValue> {
        Some(self.messages.get_key_value(topic.as_bytes())?.0)
    }

    /// Those from a topic on, by topic.
    pub(crate) fn from<'a>(
        &'a self,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a RetainedValue)> + use<'a> {
        let range = self.messages.range::<[u8], _>((from.map(str::as_bytes), Bound::Unbounded));
        range.map(|(kept, _)| (kept.view().topic, kept))
    }

    /// May it have what a filter matches? False is certain.
    fn may_have(&self, filter: TopicFilter<'_>) -> bool {
        let prefix = literal_prefix(filter);
        if prefix.is_empty() {
            // A wildcard at the first level: not for the topics of the Server [MQTT-4.7.2-1].
            return self.len() > 0;
        }
        let first =
            self.messages.range::<[u8], _>((Bound::Included(prefix.as_bytes()), Bound::Unbounded)).next();
        first.is_some_and(|(kept, _)| kept.view().topic.starts_with(prefix))
    }

    fn expire(&mut self, topics: &[Box<str>]) {
        for topic in topics {
            let record = self.remove(topic).and_then(|(_, home)| home.record());
            self.expired.extend(record.map(|record| (topic.clone(), record)));
        }
    }

    /// Topics whose messages expired, with their records.
    fn take_expired(&mut self) -> Vec<(Box<str>, u64)> {
        std::mem::take(&mut self.expired)
    }

    fn put(&mut self, view: MessageView<'_>, home: Home) {
        if is_own(view.topic) {
            self.own += 1;
        } else {
            self.bytes += view.weight() as u64;
        }
        self.messages.insert(RetainedValue::new(view), home);
    }

    /// As a restart found it.
    pub(crate) fn restore(&mut self, view: &MessageView<'_>, record: u64) {
        self.put(*view, Home(record));
    }

    /// What a restart found is out of date; its record.
    pub(crate) fn forget(&mut self, topic: &str) -> Option<u64> {
        self.remove(topic)?.1.record()
    }

    fn remove(&mut self, topic: &str) -> Option<(RetainedValue, Home)> {
        let old = self.messages.remove_entry(topic.as_bytes())?;
        if is_own(topic) {
            self.own -= 1;
        } else {
            self.bytes -= old.0.view().weight() as u64;
        }
        Some(old)
    }

    /// What was set last will have a record.
    fn pending(&mut self, topic: &str, serial: u64) {
        if let Some(home) = self.messages.get_mut(topic.as_bytes()) {
            *home = Home::pending(serial);
        }
    }

    /// The record with that serial number is being written. False where there is a newer message.
    pub(crate) fn recorded(&mut self, topic: &str, serial: u64, number: u64) -> bool {
        let home = self.messages.get_mut(topic.as_bytes()).filter(|home| **home == Home::pending(serial));
        home.is_some_and(|home| {
            *home = Home(number);
            true
        })
    }

    /// Looks at some messages, others each time, and lets go those that have expired [MQTT-3.3.2-5].
    fn sweep(&mut self, now: Time) {
        let after = self.swept.take();
        let from = after.as_deref().map_or(Bound::Unbounded, |topic| Bound::Excluded(topic.as_bytes()));
        let mut expired = Vec::new();
        let mut last = None;
        for (kept, _) in self.messages.range::<[u8], _>((from, Bound::Unbounded)).take(SWEEP_STEPS) {
            if kept.view().is_expired(now) {
                expired.push(kept.view().topic.into());
            }
            last = Some(kept);
        }
        self.swept = last.map(|kept| kept.view().topic.into());
        self.expire(&expired);
    }

    /// The messages that match, from the topic after `after`. What has expired is removed on the way [MQTT-3.3.2-5].
    fn page(
        &mut self,
        home: ShardId,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        now: Time,
        bytes_maximum: usize,
    ) -> Page {
        let mut page = Page { home, messages: Vec::new(), next: None };
        let mut expired = Vec::new();
        let mut bytes = 0;
        let prefix = literal_prefix(filter);
        let from =
            after.map_or(Bound::Included(prefix.as_bytes()), |topic| Bound::Excluded(topic.as_bytes()));
        for (step, (kept, _)) in self.messages.range::<[u8], _>((from, Bound::Unbounded)).enumerate() {
            let view = kept.view();
            if !view.topic.starts_with(prefix) {
                break;
            }
            if TopicName::parse(view.topic).is_ok_and(|name| matches(filter, name)) {
                if view.is_expired(now) {
                    expired.push(view.topic.into());
                } else {
                    bytes += view.weight();
                    page.messages.push(kept.to_message());
                }
            }
            if step + 1 >= PAGE_STEPS || page.messages.len() >= PAGE_MESSAGES || bytes >= bytes_maximum {
                page.next = Some(view.topic.into());
                break;
            }
        }
        self.expire(&expired);
        page
    }
}

/// What every matching topic begins with: the levels before the first wildcard, without the last `/`, which `a/#` matching
/// `a` does not need.
pub(crate) fn literal_prefix(filter: TopicFilter<'_>) -> &str {
    let text = filter.as_str();
    match text.find(['+', '#']) {
        Some(at) => text[..at].trim_end_matches('/'),
        None => text,
    }
}

impl Engine {
    /// A message with RETAIN whose topic is at home here.
    pub(crate) fn retain(&mut self, cx: &mut Cx<'_>, view: MessageView<'_>) {
        let Limits { retained_messages_maximum: messages, retained_bytes_maximum: bytes, .. } =
            self.hub.settings.limits;
        let shards = self.hub.map.count();
        // Each shard keeps its share of the whole.
        let (messages, bytes) = ((messages as usize).div_ceil(shards), bytes.div_ceil(shards as u64));
        let bytes = if self.hub.memory >= Memory::Scarce { 0 } else { bytes };
        let set = self.retained.set(cx.now, view, messages, bytes);
        if set.is_full {
            let is_own = self.hub.memory < Memory::Scarce;
            let bound = if is_own { Drop::RetainedFull } else { Drop::MemoryFull };
            self.hub.counters.drop(bound);
            self.hub.ledger.failure(cx.now, "", view.topic, What::Dropped(bound), 0);
        }
        if set.was && view.payload.is_empty() && !is_own(view.topic) {
            self.hub.ledger.failure(cx.now, "", view.topic, What::RetainedCleared, 0);
        }
        if view.durability == Durability::Memory {
            // What the log has must not come back in its place.
            if set.is_kept {
                self.hub.journal.retained(cx.now, view.topic, None, set.old);
            }
        } else if (set.is_new || set.was) && !is_own(view.topic) && self.hub.journal.enabled {
            // What the Server says of itself is said anew after a restart.
            let new = set.is_new.then(|| MessageView { exchange: None, ..view }.to_message());
            let serial = self.hub.journal.retained(cx.now, view.topic, new, set.old);
            if set.is_new {
                self.retained.pending(view.topic, serial);
            }
        }
        if set.is_new {
            cx.fx.mail.gave(self.hub.shard, view.topic);
        }
        self.record_expired(cx);
    }

    fn record_expired(&mut self, cx: &Cx<'_>) {
        for (topic, record) in self.retained.take_expired() {
            self.hub.journal.retained(cx.now, &topic, None, Some(record));
        }
    }

    /// Begins to fetch what a Subscription finds: the first query goes out once it can miss no live message.
    pub(crate) fn plan_fetch(&mut self, session: SessionId, filter: TopicFilter<'_>, id: FilterId) -> u32 {
        // Never 0, which stands for none.
        self.next_query = self.next_query.checked_add(1).unwrap_or(1);
        let query = self.next_query;
        if let Some(session) = self.hub.sessions.get_mut(session) {
            session.fetches.get_or_insert_default().plan(query, filter.as_str(), id);
        }
        query
    }

    /// Asks every shard that can have something, one after the other.
    pub(crate) fn start_fetch(&mut self, cx: &mut Cx<'_>, session: SessionId, query: u32) {
        let fetches = self.hub.sessions.get(session).and_then(|session| session.fetches.as_ref());
        let Some(filter) = fetches.and_then(|fetches| fetches.filter(query)) else { return };
        let homes = self.homes_with(cx, filter);
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        let Some(fetches) = &mut found.fetches else { return };
        if homes.is_empty() {
            fetches.cancel(query);
            if fetches.is_over() {
                found.fetches = None;
            }
            return;
        }
        let ask = |home: ShardId| Ask { home, after: None, needs: self.interest.needed_of(home) };
        fetches.start(query, homes.iter().map(ask).collect());
        self.hub.fetch_more(cx, session.index());
    }

    /// Is it certain that a Subscription made now finds nothing? What others gave is known only when its SUBACK leaves.
    pub(crate) fn finds_nothing(&self, cx: &Cx<'_>, filter: &str) -> bool {
        self.hub.map.count() == 1 && self.homes_with(cx, filter).is_empty()
    }

    /// The homes that may have retained messages for a filter, but for those that came live. That all others have none is
    /// known: each shard says in every bag which homes it gave any, and before a SUBACK a bag has come from each that left after
    /// that shard began to send live what the filter matches.
    fn homes_with(&self, cx: &Cx<'_>, filter: &str) -> ShardSet {
        let (map, own) = (self.hub.map, self.hub.shard);
        let mut homes = cx.fx.mail.given().union(self.interest.given());
        if filter.starts_with('$') {
            map.iter().for_each(|home| homes.insert(home));
        }
        if homes.is_empty() {
            return homes;
        }
        let Ok(filter) = TopicFilter::parse(filter) else { return ShardSet::EMPTY };
        if !filter.has_wildcard() {
            // It is a topic.
            let home = map.home(Partition::of(&[filter.as_str()]));
            let others = map.iter().filter(|other| *other != home);
            others.for_each(|other| homes.remove(other));
        }
        let has_all = || self.interest.has_stored(&self.interest.needed_of(own));
        if homes.contains(own) && has_all() && !self.retained.may_have(filter) {
            homes.remove(own);
        }
        homes
    }

    /// A shard asks for a page.
    pub(crate) fn retained_query(&mut self, cx: &mut Cx<'_>, query: Query) {
        if !self.interest.has_stored(&query.needs) {
            return self.retained.held.push(query);
        }
        let Query { from, session, query, filter, after, .. } = query;
        let home = self.hub.shard;
        let page_bytes = if self.hub.is_short_of_output(cx) { PAGE_BYTES_TIGHT } else { PAGE_BYTES };
        let page = match TopicFilter::parse(&filter) {
            Ok(filter) => self.retained.page(home, filter, after.as_deref(), cx.now, page_bytes),
            Err(_) => Page { home, messages: Vec::new(), next: None },
        };
        self.record_expired(cx);
        let Page { messages, next, .. } = page;
        self.hub.post(cx, from, Letter::RetainedPage { session, query, messages, next });
    }

    /// More has come: questions that waited for it may be answered.
    pub(crate) fn ask_held_queries(&mut self, cx: &mut Cx<'_>) {
        for query in std::mem::take(&mut self.retained.held) {
            self.retained_query(cx, query);
        }
    }

    /// A page has come. Shards other than its home may have posted live what is in it: that has to come first.
    pub(crate) fn retained_page(&mut self, cx: &mut Cx<'_>, session: SessionId, query: u32, page: Page) {
        let own = self.hub.shard;
        let others: Vec<ShardId> =
            self.hub.map.iter().filter(|shard| *shard != page.home && *shard != own).collect();
        let Some(fetches) = self.hub.sessions.get_mut(session).and_then(|session| session.fetches.as_mut())
        else {
            return;
        };
        if page.messages.is_empty() || others.is_empty() {
            return self.take_page(cx, session, query, page);
        }
        let home = page.home;
        fetches.hold(query, page, others.len());
        for shard in others {
            self.hub.post(cx, shard, Letter::Ping { session, query, home });
        }
    }

    /// A shard has answered: what it posted before is here.
    pub(crate) fn page_may_follow(&mut self, cx: &mut Cx<'_>, session: SessionId, query: u32, home: ShardId) {
        let Some(fetches) = self.hub.sessions.get_mut(session).and_then(|session| session.fetches.as_mut())
        else {
            return;
        };
        if let Some(page) = fetches.answered(query, home) {
            self.take_page(cx, session, query, page);
        }
    }

    fn take_page(&mut self, cx: &mut Cx<'_>, session: SessionId, query: u32, page: Page) {
        let Page { home, messages, next } = page;
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        let Some(fetches) = &mut found.fetches else { return };
        let taken = fetches.take(query, home, next);
        let subscriber = taken.and_then(|(filter, _)| self.router.tree.subscriber(filter, session.index()));
        let (Some((_, since)), Some(&subscriber)) = (taken, subscriber) else {
            // Unsubscribed in the meantime, and perhaps subscribed again [MQTT-3.10.4-2].
            return self.hub.fetch_more(cx, session.index());
        };
        let identifiers = match subscriber.identifier() {
            0 => Identifiers::None,
            identifier => Identifiers::One(identifier),
        };
        for message in &messages {
            // The exchange that brought it is long over, and its identifier another's.
            let view = &MessageView { exchange: None, ..message.view() };
            let mut passing = Passing::of_stored(message, view);
            if subscriber.is_filtered() && !self.hub.sessions.may_receive(session.index(), passing.view.topic)
            {
                continue;
            }
            if self.hub.is_overtaken(session, passing.view.topic, since) {
                continue;
            }
            // [MQTT-3.8.3-3] No Local also holds for what the Client itself had retained.
            let is_own = subscriber.options.no_local && self.hub.is_own(session.index(), passing.view.origin);
            if is_own {
                continue;
            }
            if passing.view.is_expired(cx.now) {
                self.hub.drop_message(cx, session.index(), passing.view.name(), Drop::Expired);
                continue;
            }
            // [MQTT-3.3.1-8] [MQTT311-3.3.1-8]
            let qos = passing.view.qos.min(subscriber.options.qos);
            if qos == QoS::AtMostOnce {
                self.hub.deliver_at_most_once(
                    cx,
                    session.index(),
                    true,
                    identifiers.as_slice(),
                    &mut passing,
                );
            } else {
                let extra = Extra::of(identifiers.clone(), None);
                let options = Options { qos, retain: true, extra };
                self.hub.deliver_acknowledged(cx, session.index(), &options, &mut passing);
            }
        }
        self.hub.pump(cx, session.index());
    }
}

impl Hub {
    /// Asks for the next pages where the Session has sent all it had.
    pub(crate) fn fetch_more(&mut self, cx: &mut Cx<'_>, index: u32) {
        let id = self.sessions.current(index);
        let is_short = self.is_short_of_output(cx);
        let Some(session) = self.sessions.slots.get_mut(index) else { return };
        let Some(to) = session.connection() else { return };
        let Some(fetches) = &mut session.fetches else { return };
        if session.outgoing.as_ref().is_some_and(|outgoing| outgoing.queue_len() > 0) {
            return;
        }
        if cx.fx.outbox.len(to) > if is_short { 0 } else { PAGE_BYTES } {
            cx.fx.outbox.want_drained(to);
            return;
        }
        let pages = if is_short { 1 } else { PAGES_UNDER_WAY };
        while let Some((query, filter, ask)) = fetches.next(pages) {
            let Ask { home, after, needs } = ask;
            // By mail also where it stays here: between two pages others have their turn.
            cx.fx.mail.post(home, Letter::RetainedQuery { session: id, query, filter, after, needs });
        }
        if fetches.is_over() {
            session.fetches = None;
        }
    }

    fn is_short_of_output(&self, cx: &Cx<'_>) -> bool {
        self.memory >= Memory::Tight || !self.has_output_share(cx, 1)
    }

    /// A hash that nobody outside can make collide.
    pub(crate) fn seed_hash(&self, topic: &str) -> u64 {
        FixedState::with_seed(self.seed).hash_one(topic)
    }

    fn is_overtaken(&self, session: SessionId, topic: &str, since: u64) -> bool {
        let fetches = self.sessions.get(session).and_then(|session| session.fetches.as_ref());
        fetches.is_some_and(|fetches| fetches.is_overtaken(self.seed_hash(topic), since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(store: &mut RetainedStore, topic: &str, payload: &[u8], expires_at: Option<Time>) -> bool {
        let view = MessageView {
            topic,
            properties: &[],
            payload,
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at,
            origin: None,
            exchange: None,
            durability: Durability::Synced,
            number: 0,
            sent: None,
        };
        !store.set(Time::ZERO, view, 1000, 10_000).is_full
    }

    fn all(store: &mut RetainedStore, filter: &str, now: Time) -> Vec<String> {
        let filter = TopicFilter::parse(filter).unwrap();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.page(ShardId::FIRST, filter, after.as_deref(), now, PAGE_BYTES);
            found.extend(page.messages.iter().map(|message| message.view().topic.to_owned()));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }

    #[test]
    fn pages_together_hold_every_match_once() {
        let mut store = RetainedStore::default();
        for number in 0..600 {
            assert!(set(&mut store, &format!("a/{number:03}/x"), b"1", None));
        }
        set(&mut store, "a", b"1", None);
        set(&mut store, "a-b", b"1", None);
        set(&mut store, "b", b"1", None);
        assert_eq!(all(&mut store, "a/#", Time::ZERO).len(), 601);
        assert_eq!(all(&mut store, "+/005/x", Time::ZERO), ["a/005/x"]);
        assert_eq!(all(&mut store, "a/005/x", Time::ZERO), ["a/005/x"]);
        assert_eq!(all(&mut store, "#", Time::ZERO).len(), 603);
    }

    /// [MQTT-3.3.1-6]
    #[test]
    fn an_empty_payload_clears_and_bounds_hold() {
        let mut store = RetainedStore::default();
        assert!(set(&mut store, "a", &[1; 9_000], None));
        assert!(!set(&mut store, "b", &[1; 2_000], None));
        assert!(set(&mut store, "a", b"", None));
        assert_eq!((store.len(), store.bytes()), (0, 0));
        assert!(set(&mut store, "b", &[1; 2_000], None));
    }

    /// [MQTT-3.3.2-5]
    #[test]
    fn what_has_expired_is_not_found_and_not_kept() {
        let mut store = RetainedStore::default();
        set(&mut store, "a", b"1", Some(Time::from_micros(10)));
        assert_eq!(all(&mut store, "#", Time::from_micros(9)), ["a"]);
        assert!(all(&mut store, "#", Time::from_micros(10)).is_empty());
        assert_eq!((store.len(), store.bytes()), (0, 0));
    }
}
