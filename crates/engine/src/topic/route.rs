//! Routes: for a Topic Name, who gets a message and how, worked out once and kept while Subscriptions stay as they are.
//!
//! Spec:  MQTT 5.0 sections 3.3.4 and 3.8.3.1.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use dunlin_codec::{QoS, TopicFilter, TopicName, TopicNameError};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::tree::Tree;
use super::wanted::Subscriber;
use crate::durability::Durability;
use crate::explain::Seen;
use crate::partition::ShardSet;
use crate::session::Sessions;
use crate::settings::Settings;

/// Memory for kept routes, in bytes: 16 MiB hold a hundred thousand topics, or one with a quarter of a million subscribers.
const KEPT_MAXIMUM: usize = 16 * 1024 * 1024;
/// The same while memory is not ample.
const KEPT_TIGHT: usize = 1024 * 1024;
/// Publishers whose last route is remembered; those with numbers that are the same modulo this share a place.
const RECENT: usize = 256;
/// Bytes of a topic that is remembered beside its route.
const RECENT_LENGTH: usize = 256;
/// What a kept route takes beside its topic and its targets.
const ROUTE_WEIGHT: usize = 128;

/// How one Session gets a message: all its matching Subscriptions taken together, so that it gets one copy
/// (section 3.3.4 allows it), with the highest QoS among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Slot of the Session.
    pub(crate) session: u32,
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifiers, in no particular order [MQTT-3.3.4-4].
    pub(crate) identifiers: Identifiers,
    /// What becomes of messages that this very Session published.
    pub(crate) own: OwnMessages,
}

/// Subscription Identifiers of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Identifiers {
    /// None of the Subscriptions has one.
    #[default]
    None,
    /// One.
    One(u32),
    /// Several.
    Many(Arc<[u32]>),
}

impl Identifiers {
    pub(crate) fn of(identifiers: Vec<u32>) -> Self {
        match identifiers[..] {
            [] => Self::None,
            [one] => Self::One(one),
            _ => Self::Many(identifiers.into()),
        }
    }
}

/// The effect of No Local on the Session's own messages [MQTT-3.8.3-3].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnMessages {
    /// No Subscription has the option.
    Same,
    /// All have it.
    Never,
    /// Some have: as the others say.
    By(Box<Target>),
}

/// Where messages of one topic go.
#[derive(Debug, Default)]
pub(crate) struct Route {
    topic: Box<str>,
    /// Ascending by Session.
    pub(crate) targets: Vec<Target>,
    /// Shared groups homed here.
    pub(crate) groups: Vec<u32>,
    /// Other shards.
    pub(crate) remote: ShardSet,
    /// The topic holds characters that the specification advises against.
    pub(crate) discouraged: bool,
    generation: u64,
    /// What the configuration says of the topic, whatever the listener.
    pub(crate) durability: Option<Durability>,
    /// Of this route alone, for as long as the Router is there; never 0.
    pub(crate) number: u64,
    /// For the ledger.
    pub(crate) seen: Seen,
}

/// A kept route, until it is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteId {
    slot: u32,
    number: u64,
}

/// What a publisher published to last: most of them publish to one topic again and again.
#[derive(Debug, Default)]
struct Recent {
    route: RouteId,
    /// The topic of the route once it was used twice, unless it is long, or lent.
    topic: String,
    /// Is what was lent still the topic of the route?
    is_lent: bool,
}

/// The tree and the routes kept from it.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) tree: Tree,
    routes: Vec<Route>,
    /// Slots in `routes` by topic.
    index: HashTable<u32>,
    hasher: FixedState,
    /// Of publishers, by number.
    recent: Vec<Recent>,
    /// Their weight.
    kept: usize,
    kept_maximum: usize,
    levels_maximum: usize,
    length_maximum: usize,
    /// Routes found so far.
    numbers: u64,
    forgot: bool,
    settings: Arc<Settings>,
}

/// Why a message has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    /// No Topic Name.
    #[error("{0}")]
    Name(TopicNameError),
    #[error("topic of {bytes} bytes, the limit is {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("topic of {levels} levels, the limit is {limit}")]
    TooDeep { levels: usize, limit: usize },
}

impl Target {
    fn weight(&self) -> usize {
        let own = if let OwnMessages::By(other) = &self.own { other.weight() } else { 0 };
        size_of::<Self>() + size_of_val(self.identifiers.as_slice()) + own
    }
}

impl Identifiers {
    /// One after the other.
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(identifier) => std::slice::from_ref(identifier),
            Self::Many(identifiers) => identifiers,
        }
    }
}

impl Route {
    fn weight(&self) -> usize {
        ROUTE_WEIGHT + self.topic.len() + self.targets.iter().map(Target::weight).sum::<usize>()
    }

    /// Is there nobody at all?
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty() && self.remote.is_empty()
    }
}

impl Router {
    /// Bytes that the kept routes weigh.
    pub(crate) const fn kept_bytes(&self) -> u64 {
        self.kept as u64
    }

    pub(crate) fn new(seed: u64, settings: Arc<Settings>) -> Self {
        let mut router = Self {
            tree: Tree::new(seed),
            routes: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            recent: (0..RECENT).map(|_| Recent::default()).collect(),
            kept: 0,
            kept_maximum: KEPT_MAXIMUM,
            levels_maximum: 0,
            length_maximum: 0,
            numbers: 0,
            forgot: false,
            settings: Arc::clone(&settings),
        };
        router.configure(settings);
        router
    }

    pub(crate) fn configure(&mut self, settings: Arc<Settings>) {
        self.levels_maximum = settings.limits.topic_levels_maximum.into();
        self.length_maximum = settings.limits.topic_length_maximum.into();
        self.settings = settings;
        self.forget_all();
    }

    /// Is the filter within the limits?
    pub(crate) fn check_filter(&self, filter: TopicFilter<'_>) -> Result<(), RouteError> {
        self.check_size(filter.as_str())
    }

    /// Is the topic within the limits and a Topic Name?
    pub(crate) fn check_topic<'a>(&self, topic: &'a str) -> Result<TopicName<'a>, RouteError> {
        let name = TopicName::parse(topic).map_err(RouteError::Name)?;
        self.check_size(topic)?;
        Ok(name)
    }

    fn check_size(&self, text: &str) -> Result<(), RouteError> {
        if text.len() > self.length_maximum {
            return Err(RouteError::TooLong { bytes: text.len(), limit: self.length_maximum });
        }
        let levels = 1 + text.bytes().filter(|byte| *byte == b'/').count();
        if levels > self.levels_maximum {
            return Err(RouteError::TooDeep { levels, limit: self.levels_maximum });
        }
        Ok(())
    }

    /// The route of a topic. An error where the text is no Topic Name: a kept route is the proof that it is one.
    #[inline]
    pub(crate) fn route(&mut self, topic: &str, sessions: &Sessions) -> Result<RouteId, RouteError> {
        let hash = self.hasher.hash_one(topic);
        let slot = self.index.find(hash, |slot| *self.routes[*slot as usize].topic == *topic).copied();
        match slot.filter(|slot| self.is_fresh(*slot)) {
            Some(slot) => Ok(self.id(slot)),
            None => self.find(topic, hash, slot, sessions),
        }
    }

    /// The topic that a publisher with this number has used again and again, if there is one: a well-formed string that need not be
    /// checked again. It is to be given back.
    #[inline]
    pub(crate) fn lend_topic(&mut self, publisher: usize) -> String {
        let recent = &mut self.recent[publisher % RECENT];
        recent.is_lent = true;
        std::mem::take(&mut recent.topic)
    }

    /// Takes back what [`Self::lend_topic`] gave.
    #[inline]
    pub(crate) fn take_back(&mut self, publisher: usize, topic: String) {
        let recent = &mut self.recent[publisher % RECENT];
        if recent.is_lent && recent.topic.is_empty() {
            recent.topic = topic;
        }
    }

    /// The same as [`Self::route`] for a publisher with this number. `is_recent`: the topic is what it was lent.
    #[inline]
    pub(crate) fn route_of(
        &mut self,
        publisher: usize,
        topic: &str,
        is_recent: bool,
        sessions: &Sessions,
    ) -> Result<RouteId, RouteError> {
        let route = self.recent[publisher % RECENT].route;
        if self.is_current(route) && (is_recent || *self.routes[route.slot as usize].topic == *topic) {
            if !is_recent {
                self.used_again(publisher, topic);
            }
            return Ok(route);
        }
        let route = self.route(topic, sessions)?;
        self.recent[publisher % RECENT] = Recent { route, ..Recent::default() };
        Ok(route)
    }

    fn used_again(&mut self, publisher: usize, topic: &str) {
        let recent = &mut self.recent[publisher % RECENT];
        if recent.topic.is_empty() && topic.len() <= RECENT_LENGTH {
            recent.topic.push_str(topic);
        }
    }

    /// Is a route that was found before still there, and have Subscriptions stayed as they were?
    #[inline]
    pub(crate) fn is_current(&self, id: RouteId) -> bool {
        let route = self.routes.get(id.slot as usize);
        route.is_some_and(|route| route.number == id.number) && self.is_fresh(id.slot)
    }

    /// What was found just now.
    #[inline]
    pub(crate) fn get(&self, id: RouteId) -> &Route {
        &self.routes[id.slot as usize]
    }

    fn is_fresh(&self, slot: u32) -> bool {
        self.routes[slot as usize].generation == self.tree.generation()
    }

    fn id(&self, slot: u32) -> RouteId {
        RouteId { slot, number: self.routes[slot as usize].number }
    }

    /// `most` of the routes that are kept, from one on, in the order in which their topics came; each with its topic, and whether
    /// it still holds.
    pub(crate) fn kept(&self, from: usize, most: usize) -> impl Iterator<Item = (&str, &Route, bool)> {
        let generation = self.tree.generation();
        let some = self.routes.iter().skip(from).take(most);
        some.map(move |route| (&*route.topic, route, route.generation == generation))
    }

    /// The same, for the ledger.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: RouteId) -> &mut Route {
        &mut self.routes[id.slot as usize]
    }

    /// What is known of the messages of topics that have a kept route.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.routes.iter().map(|route| (&*route.topic, &route.seen))
    }

    /// The same of one topic.
    pub(crate) fn seen_of(&self, topic: &str) -> Option<&Seen> {
        let hash = self.hasher.hash_one(topic);
        let slot = self.index.find(hash, |slot| *self.routes[*slot as usize].topic == *topic)?;
        Some(&self.routes[*slot as usize].seen)
    }

    /// Were kept routes, with what was known of their topics, let go at a bound?
    pub(crate) const fn has_forgotten(&self) -> bool {
        self.forgot
    }

    /// The topics of kept routes, by their numbers.
    pub(crate) fn topics(&self, numbers: &BTreeSet<u64>) -> BTreeMap<u64, &str> {
        let wanted = self.routes.iter().filter(|route| numbers.contains(&route.number));
        wanted.map(|route| (route.number, &*route.topic)).collect()
    }

    /// While memory is not ample, few routes are kept.
    pub(crate) fn set_tight(&mut self, tight: bool) {
        self.kept_maximum = if tight { KEPT_TIGHT } else { KEPT_MAXIMUM };
        if self.kept > self.kept_maximum {
            self.forget_all();
            self.routes.shrink_to_fit();
            self.index = HashTable::new();
        }
    }

    fn forget_all(&mut self) {
        self.routes.clear();
        self.index.clear();
        self.kept = 0;
        self.forgot = self.numbers > 0;
    }

    /// `stale`: where the topic had its route before Subscriptions changed.
    #[cold]
    fn find(
        &mut self,
        topic: &str,
        hash: u64,
        stale: Option<u32>,
        sessions: &Sessions,
    ) -> Result<RouteId, RouteError> {
        let name = self.check_topic(topic)?;
        self.numbers += 1;
        let durability = self.settings.durability.of_topic(name);
        let mut route = Route { number: self.numbers, durability, ..Route::of(&self.tree, name, sessions) };
        if let Some(slot) = stale {
            route.seen = self.routes[slot as usize].seen;
            let old = std::mem::replace(&mut self.routes[slot as usize], route);
            self.kept = self.kept - old.weight() + self.routes[slot as usize].weight();
            return Ok(self.id(slot));
        }
        if self.kept >= self.kept_maximum {
            self.forget_all();
        }
        self.kept += route.weight();
        let slot =
            u32::try_from(self.routes.len()).unwrap_or_else(|_| unreachable!("their weight is bounded"));
        self.routes.push(route);
        let Self { index, routes, hasher, .. } = self;
        index.insert_unique(hash, slot, |slot| hasher.hash_one(&*routes[*slot as usize].topic));
        Ok(self.id(slot))
    }
}

impl Route {
    fn of(tree: &Tree, topic: TopicName<'_>, sessions: &Sessions) -> Self {
        let mut route = Self {
            topic: topic.as_str().into(),
            generation: tree.generation(),
            discouraged: topic.is_discouraged(),
            ..Self::default()
        };
        let mut subscribers: Vec<Subscriber> = Vec::new();
        let mut entries = 0;
        tree.matches(topic, |wants| {
            entries += usize::from(!wants.local.is_empty());
            // Asked once for all the messages that go this way.
            subscribers.extend(wants.local.iter().filter(|subscriber| {
                !subscriber.is_filtered() || sessions.may_receive(subscriber.session, topic.as_str())
            }));
            route.groups.extend_from_slice(wants.groups);
            route.remote = route.remote.union(wants.remote);
        });
        if entries > 1 {
            subscribers.sort_by_key(|subscriber| subscriber.session);
        }
        route.targets =
            subscribers.chunk_by(|one, other| one.session == other.session).filter_map(Target::of).collect();
        route
    }
}

impl Target {
    /// All the Subscriptions of one Session that match: the highest QoS [MQTT-3.3.4-2] [MQTT311-3.3.5-1] and every identifier
    /// [MQTT-3.3.4-3] [MQTT-3.3.4-5] of them.
    fn of(subscriptions: &[Subscriber]) -> Option<Self> {
        let others: Vec<Subscriber> =
            subscriptions.iter().filter(|subscriber| !subscriber.options.no_local).copied().collect();
        let own = if others.len() == subscriptions.len() {
            OwnMessages::Same
        } else {
            Self::of(&others).map_or(OwnMessages::Never, |target| OwnMessages::By(Box::new(target)))
        };
        let identifiers: Vec<u32> =
            subscriptions.iter().map(Subscriber::identifier).filter(|identifier| *identifier != 0).collect();
        Some(Self {
            session: subscriptions.first()?.session,
            qos: subscriptions.iter().map(|subscriber| subscriber.options.qos).max()?,
            retain_as_published: subscriptions
                .iter()
                .any(|subscriber| subscriber.options.retain_as_published),
            identifiers: Identifiers::of(identifiers),
            own,
        })
    }
}
