//! The Topic Filters of a shard and the interest of the others, as one tree of levels.
//!
//! A filter is a way from the root. A node stands for one or more levels, its *label*: filters that go the same way share
//! nodes, and what only one filter has is one node, however many levels that is. With `a/b/+`, `a/b/c/d` and `e/#`:
//!
//! ```text
//! root ─┬─ a/b ─┬─ +
//!       │       └─ c/d
//!       └─ e/#
//! ```
//!
//! A node knows its parent only; from a parent to a child leads one hash table for all of them, by the first level of the
//! child's label. `+` and `#` are levels like others there, and a parent has a flag for each, so that nobody looks in vain.
//!
//! In:    filters with who wants them: local Sessions, shared groups homed here, other shards.
//! Out:   for a Topic Name, who wants all matching filters, in one walk; for a filter, a number that stays its own.
//! Never: more than three look-ups a level and branch, nor one for a wildcard that is not there.
//! Spec:  MQTT 5.0 section 4.7.

use std::hash::BuildHasher;

use dunlin_codec::{TopicFilter, TopicName};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::labels::{LabelId, Labels};
use super::wanted::{Several, Subscriber, Wanted, Wants};
use crate::partition::{ShardId, ShardSet};

const ROOT: u32 = 0;
/// Levels of most topics; deeper ones cost an allocation.
const USUAL_LEVELS: usize = 16;

/// A filter that somebody wants, as long as somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FilterId(u32);

/// What came of a Subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    pub(crate) filter: FilterId,
    /// The Session had none to this filter before.
    pub(crate) is_new: bool,
    /// Nobody of this shard wanted the filter before.
    pub(crate) begins: bool,
}

/// All filters.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    labels: Labels,
    /// Children, by parent and first level.
    edges: HashTable<u32>,
    several: Vec<Several>,
    free_several: Vec<u32>,
    /// How many are wanted.
    filters: usize,
    hasher: FixedState,
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Of a free node [`Node::FREE`].
    parent: u32,
    label: LabelId,
    /// How many, and above that [`PLUS`] and [`HASH`].
    children: u32,
    wanted: Wanted,
}

/// There is a child whose label begins with `+`,
const PLUS: u32 = 1 << 30;
/// or is `#`.
const HASH: u32 = 1 << 31;

/// A level of a topic that is looked for.
#[derive(Clone, Copy)]
struct Level<'a> {
    name: &'a [u8],
    hash: u64,
}

/// Where a label leads a topic.
enum Led {
    /// Nowhere: they differ.
    Astray,
    /// So many levels down.
    To(usize),
    /// To its end, by `#`.
    ToTheEnd,
}

impl Node {
    const FREE: u32 = u32::MAX;

    const fn has(&self, wildcard: u32) -> bool {
        self.children & wildcard != 0
    }

    /// Are there children without a wildcard?
    const fn has_names(&self) -> bool {
        (self.children & !(PLUS | HASH)) > (self.children & (PLUS | HASH)).count_ones()
    }
}

impl Tree {
    pub(crate) fn new(seed: u64) -> Self {
        let mut labels = Labels::default();
        // The root is no child, and counts itself as one, so that it stays.
        let root = Node { parent: ROOT, label: labels.add(b""), children: 1, wanted: Wanted::Nobody };
        Self {
            nodes: vec![root],
            free_nodes: Vec::new(),
            labels,
            edges: HashTable::new(),
            several: Vec::new(),
            free_several: Vec::new(),
            filters: 0,
            hasher: FixedState::with_seed(seed),
            generation: 0,
        }
    }

    /// Filters that somebody wants.
    pub(crate) const fn len(&self) -> usize {
        self.filters
    }

    /// Changes whenever an answer of [`Self::matches`] may have changed.
    #[inline]
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds or replaces a Subscription.
    pub(crate) fn subscribe(&mut self, filter: TopicFilter<'_>, subscriber: Subscriber) -> Planted {
        let node = self.node_or_new(filter);
        let mut is_new = false;
        let begins = self.change(node, |several| {
            match several.local.binary_search_by_key(&subscriber.session, |other| other.session) {
                Ok(at) => several.local[at] = subscriber,
                Err(at) => {
                    several.local.insert(at, subscriber);
                    is_new = true;
                }
            }
        });
        Planted { filter: FilterId(node), is_new, begins }
    }

    /// Takes a Subscription away. True where this shard's interest in the filter ends.
    pub(crate) fn unsubscribe(&mut self, filter: FilterId, session: u32) -> bool {
        self.change(filter.0, |several| several.local.retain(|other| other.session != session))
    }

    /// Adds a shared group homed here. True where this shard's interest in the filter begins.
    pub(crate) fn add_group(&mut self, filter: TopicFilter<'_>, group: u32) -> bool {
        let node = self.node_or_new(filter);
        self.change(node, |several| several.groups.push(group))
    }

    /// Takes a shared group away. True where this shard's interest in the filter ends.
    pub(crate) fn remove_group(&mut self, filter: TopicFilter<'_>, group: u32) -> bool {
        let Some(FilterId(node)) = self.find(filter) else { return false };
        self.change(node, |several| several.groups.retain(|other| *other != group))
    }

    /// Another shard's interest in a filter begins or ends.
    pub(crate) fn set_remote(&mut self, filter: TopicFilter<'_>, shard: ShardId, wanted: bool) {
        if wanted {
            let node = self.node_or_new(filter);
            self.change(node, |several| several.remote.insert(shard));
        } else if let Some(FilterId(node)) = self.find(filter) {
            self.change(node, |several| several.remote.remove(shard));
        }
    }

    /// Calls `each` with who wants every filter that matches [MQTT-4.7.1-1] [MQTT-4.7.1-2], byte for byte [MQTT-4.7.3-4]
    /// [MQTT311-4.7.3-4].
    pub(crate) fn matches(&self, topic: TopicName<'_>, mut each: impl FnMut(Wants<'_>)) {
        self.walk(topic, |node| {
            each(self.lend(node));
            true
        });
    }

    /// The filters that match, `most` of them, in no order; for people, where [`Self::matches`] is for messages.
    pub(crate) fn matching(&self, topic: TopicName<'_>, most: usize) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(topic, |node| {
            found.push(self.text(FilterId(node)));
            found.len() < most
        });
        found
    }

    /// A filter, if anybody wants it.
    pub(crate) fn find(&self, filter: TopicFilter<'_>) -> Option<FilterId> {
        let mut rest = filter.as_str().as_bytes();
        let mut at = ROOT;
        loop {
            at = self.child(at, self.level(first_level(rest)))?;
            let label = self.labels.get(self.nodes[at as usize].label);
            let behind = rest.strip_prefix(label)?;
            rest = match behind {
                [] => {
                    return (!matches!(self.nodes[at as usize].wanted, Wanted::Nobody))
                        .then_some(FilterId(at));
                }
                [b'/', rest @ ..] => rest,
                _ => return None,
            };
        }
    }

    /// Who wants a filter.
    pub(crate) fn wants(&self, filter: FilterId) -> Wants<'_> {
        self.lend(filter.0)
    }

    /// A Session's Subscription to a filter.
    pub(crate) fn subscriber(&self, filter: FilterId, session: u32) -> Option<&Subscriber> {
        let local = self.lend(filter.0).local;
        let at = local.binary_search_by_key(&session, |subscriber| subscriber.session).ok()?;
        local.get(at)
    }

    /// The filters that somebody of this shard wants.
    pub(crate) fn wanted_here(&self) -> impl Iterator<Item = FilterId> {
        let nodes = (ROOT + 1..).zip(&self.nodes[1..]);
        let live = nodes.filter(|(_, node)| node.parent != Node::FREE).map(|(node, _)| node);
        live.filter(|node| self.lend(*node).is_wanted_here()).map(FilterId)
    }

    /// A filter as it was subscribed to.
    pub(crate) fn text(&self, filter: FilterId) -> String {
        let mut way: SmallVec<[u32; USUAL_LEVELS]> = SmallVec::new();
        let mut at = filter.0;
        while at != ROOT {
            way.push(at);
            at = self.nodes[at as usize].parent;
        }
        let mut text = Vec::new();
        for (place, node) in way.iter().rev().enumerate() {
            if place > 0 {
                text.push(b'/');
            }
            text.extend_from_slice(self.labels.get(self.nodes[*node as usize].label));
        }
        String::from_utf8(text).unwrap_or_else(|_| unreachable!("made of whole levels of texts"))
    }

    /// Calls `each` with the node of every filter that matches, until it says false.
    fn walk(&self, topic: TopicName<'_>, mut each: impl FnMut(u32) -> bool) {
        let levels = topic.as_str().as_bytes().split(|byte| *byte == b'/');
        let path: SmallVec<[Level<'_>; USUAL_LEVELS]> = levels.map(|name| self.level(name)).collect();
        let (plus, hash) = (self.level(b"+"), self.level(b"#"));
        // Wildcards at the first level do not match topics of the Server [MQTT-4.7.2-1].
        let reserved = topic.is_reserved();
        let mut stack: SmallVec<[(u32, usize); USUAL_LEVELS]> = SmallVec::from_slice(&[(ROOT, 0)]);
        while let Some((at, depth)) = stack.pop() {
            let node = &self.nodes[at as usize];
            let wildcards = depth > 0 || !reserved;
            // `#` also matches the level above it [MQTT-4.7.1-2].
            if node.has(HASH)
                && wildcards
                && let Some(child) = self.child(at, hash)
                && !each(child)
            {
                return;
            }
            let Some(level) = path.get(depth) else {
                if !matches!(node.wanted, Wanted::Nobody) && !each(at) {
                    return;
                }
                continue;
            };
            let by_plus = if node.has(PLUS) && wildcards { self.child(at, plus) } else { None };
            let by_name = if node.has_names() { self.child(at, *level) } else { None };
            for child in [by_plus, by_name].into_iter().flatten() {
                match self.lead(child, &path, depth) {
                    Led::Astray => {}
                    Led::To(depth) => stack.push((child, depth)),
                    Led::ToTheEnd if each(child) => {}
                    Led::ToTheEnd => return,
                }
            }
        }
    }

    /// Follows a topic through the label of a child whose first level matches.
    #[inline]
    fn lead(&self, child: u32, path: &[Level<'_>], depth: usize) -> Led {
        let label = self.labels.get(self.nodes[child as usize].label);
        let mut depth = depth + 1;
        let mut rest = label.get(first_level(label).len()..).unwrap_or_default();
        while let [b'/', names @ ..] = rest {
            if names == b"#" {
                return Led::ToTheEnd;
            }
            let Some(level) = path.get(depth) else { return Led::Astray };
            rest = match names {
                [b'+', rest @ ..] if matches!(rest, [] | [b'/', ..]) => rest,
                _ => match names.strip_prefix(level.name) {
                    Some(rest @ ([] | [b'/', ..])) => rest,
                    _ => return Led::Astray,
                },
            };
            depth += 1;
        }
        Led::To(depth)
    }

    fn level<'a>(&self, name: &'a [u8]) -> Level<'a> {
        Level { name, hash: self.hasher.hash_one(name) }
    }

    fn edge_hash(&self, parent: u32, level: u64) -> u64 {
        self.hasher.hash_one((level, parent))
    }

    /// The child of a node whose label begins with a level.
    #[inline]
    fn child(&self, parent: u32, level: Level<'_>) -> Option<u32> {
        let hash = self.edge_hash(parent, level.hash);
        let is_it = |child: &u32| {
            let node = &self.nodes[*child as usize];
            node.parent == parent
                && matches!(self.labels.get(node.label).strip_prefix(level.name), Some([] | [b'/', ..]))
        };
        self.edges.find(hash, is_it).copied()
    }

    fn lend(&self, node: u32) -> Wants<'_> {
        match &self.nodes[node as usize].wanted {
            Wanted::Nobody => Wants::NOBODY,
            Wanted::Session(subscriber) => Wants { local: std::slice::from_ref(subscriber), ..Wants::NOBODY },
            Wanted::Shard(shard) => {
                let mut remote = ShardSet::EMPTY;
                remote.insert(*shard);
                Wants { remote, ..Wants::NOBODY }
            }
            Wanted::Several(place) => self.several[*place as usize].lend(),
        }
    }

    /// Changes who wants the filter of a node, and frees it if nobody does. True where this shard's interest begins or ends.
    fn change(&mut self, node: u32, change: impl FnOnce(&mut Several)) -> bool {
        self.generation += 1;
        let mut several = self.take_wanted(node);
        let was_wanted = several.lend().is_wanted_here();
        change(&mut several);
        let is_wanted = several.lend().is_wanted_here();
        let wanted = several.simply().unwrap_or_else(|| {
            Wanted::Several(take_slot(&mut self.several, &mut self.free_several, several))
        });
        self.filters += usize::from(!matches!(wanted, Wanted::Nobody));
        self.nodes[node as usize].wanted = wanted;
        self.prune(node);
        was_wanted != is_wanted
    }

    /// Whoever wants the filter of a node; nobody is left.
    fn take_wanted(&mut self, node: u32) -> Several {
        let mut several = Several::default();
        match std::mem::take(&mut self.nodes[node as usize].wanted) {
            Wanted::Nobody => return several,
            Wanted::Session(subscriber) => several.local.push(subscriber),
            Wanted::Shard(shard) => several.remote.insert(shard),
            Wanted::Several(place) => {
                several = std::mem::take(&mut self.several[place as usize]);
                self.free_several.push(place);
            }
        }
        self.filters -= 1;
        several
    }

    /// The node of a filter, made where it lacks.
    fn node_or_new(&mut self, filter: TopicFilter<'_>) -> u32 {
        let mut rest = filter.as_str().as_bytes();
        let mut at = ROOT;
        loop {
            let Some(child) = self.child(at, self.level(first_level(rest))) else {
                return self.add_child(at, rest);
            };
            let label = self.labels.get(self.nodes[child as usize].label);
            let common = common_levels(label, rest);
            at = if common == label.len() { child } else { self.split(child, common) };
            match &rest[common..] {
                [] => return at,
                behind => rest = &behind[1..],
            }
        }
    }

    fn add_child(&mut self, parent: u32, label: &[u8]) -> u32 {
        let new = Node { parent, label: self.labels.add(label), children: 0, wanted: Wanted::Nobody };
        let child = take_slot(&mut self.nodes, &mut self.free_nodes, new);
        let above = &mut self.nodes[parent as usize];
        above.children = (above.children + 1) | wildcard(label);
        self.link(child);
        child
    }

    /// A new node takes the first `common` bytes of a node's label, and its place; the node is its child.
    fn split(&mut self, child: u32, common: usize) -> u32 {
        let Node { parent, label, .. } = self.nodes[child as usize];
        let whole: SmallVec<[u8; 128]> = SmallVec::from_slice(self.labels.get(label));
        let (upper, lower) = (&whole[..common], &whole[common + 1..]);
        let new = Node {
            parent,
            label: self.labels.add(upper),
            children: 1 | wildcard(lower),
            wanted: Wanted::Nobody,
        };
        let middle = take_slot(&mut self.nodes, &mut self.free_nodes, new);
        let hash = self.edge_hash(parent, self.level(first_level(upper)).hash);
        if let Some(edge) = self.edges.find_mut(hash, |other| *other == child) {
            *edge = middle;
        }
        self.labels.forget(label);
        let label = self.labels.add(lower);
        let node = &mut self.nodes[child as usize];
        (node.parent, node.label) = (middle, label);
        self.link(child);
        middle
    }

    /// Frees a node that leads to no filter, and those above it that then do not either. One that leads to a single one
    /// stays as it is until that is gone.
    fn prune(&mut self, mut at: u32) {
        loop {
            let Node { parent, label, children, wanted } = self.nodes[at as usize];
            if children > 0 || !matches!(wanted, Wanted::Nobody) {
                break;
            }
            let name = self.labels.get(label);
            let hash = self.edge_hash(parent, self.level(first_level(name)).hash);
            let flag = wildcard(name);
            if let Ok(edge) = self.edges.find_entry(hash, |other| *other == at) {
                edge.remove();
            }
            self.labels.forget(label);
            self.nodes[at as usize].parent = Node::FREE;
            self.free_nodes.push(at);
            let above = &mut self.nodes[parent as usize];
            above.children = (above.children - 1) & !flag;
            at = parent;
        }
        if self.labels.is_sparse() {
            self.move_labels();
        }
    }

    fn move_labels(&mut self) {
        let mut labels = self.labels.for_the_rest();
        for node in self.nodes.iter_mut().filter(|node| node.parent != Node::FREE) {
            node.label = labels.add(self.labels.get(node.label));
        }
        self.labels = labels;
    }

    /// Makes a child known to its parent.
    fn link(&mut self, child: u32) {
        let hash = self.hash_of(child);
        if self.edges.len() == self.edges.capacity() {
            self.make_room(child);
        }
        self.edges.insert_unique(hash, child, |_| unreachable!("there is room"));
    }

    fn hash_of(&self, child: u32) -> u64 {
        let Node { parent, label, .. } = self.nodes[child as usize];
        self.edge_hash(parent, self.level(first_level(self.labels.get(label))).hash)
    }

    /// A table of twice the size for all children but one, filled in the order of the nodes: in its own order it would fetch
    /// each from far away.
    #[cold]
    fn make_room(&mut self, new: u32) {
        let known = std::mem::take(&mut self.edges).len();
        let mut edges = HashTable::with_capacity(2 * known.max(2));
        for (child, node) in (ROOT + 1..).zip(&self.nodes[1..]) {
            if node.parent != Node::FREE && child != new {
                edges.insert_unique(self.hash_of(child), child, |_| unreachable!("there is room"));
            }
        }
        self.edges = edges;
    }
}

/// A label's levels are separated as in a filter.
fn first_level(label: &[u8]) -> &[u8] {
    let end = label.iter().position(|byte| *byte == b'/').unwrap_or(label.len());
    &label[..end]
}

/// The flag that a parent has for a child with this label.
fn wildcard(label: &[u8]) -> u32 {
    match first_level(label) {
        b"+" => PLUS,
        b"#" => HASH,
        _ => 0,
    }
}

/// The length of the levels that both begin with; the first is the same.
fn common_levels(one: &[u8], other: &[u8]) -> usize {
    let ends = |text: &[u8], at: usize| text.get(at).is_none_or(|byte| *byte == b'/');
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    (0..=same).rev().find(|at| ends(one, *at) && ends(other, *at)).unwrap_or_default()
}

fn take_slot<T>(slots: &mut Vec<T>, free: &mut Vec<u32>, value: T) -> u32 {
    if let Some(index) = free.pop() {
        slots[index as usize] = value;
        return index;
    }
    slots.push(value);
    u32::try_from(slots.len() - 1).unwrap_or_else(|_| unreachable!("4 billion nodes"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use dunlin_codec::{SubscriptionOptions, matches};
    use proptest::prelude::*;

    use super::*;

    /// Its length.
    const EMPTY_LABEL: usize = 2;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    fn subscriber(session: u32) -> Subscriber {
        Subscriber::new(session, SubscriptionOptions::default(), 0, false)
    }

    fn unsubscribe(tree: &mut Tree, text: &str, session: u32) -> bool {
        tree.find(filter(text)).is_some_and(|filter| tree.unsubscribe(filter, session))
    }

    fn sessions(tree: &Tree, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tree.matches(TopicName::parse(topic).unwrap(), |entry| {
            found.extend(entry.local.iter().map(|other| other.session))
        });
        found.sort_unstable();
        found
    }

    /// [MQTT-4.7.1-1] `#` matches the parent level and any number of levels below; [MQTT-4.7.1-2] `+` exactly one.
    #[test]
    fn wildcards_match_as_the_specification_shows() {
        let mut tree = Tree::new(1);
        for (session, text) in
            ["sport/tennis/player1/#", "sport/+/player1", "#", "+/+", "/+", "+"].iter().enumerate()
        {
            tree.subscribe(filter(text), subscriber(u32::try_from(session).unwrap()));
        }
        assert_eq!(sessions(&tree, "sport/tennis/player1"), [0, 1, 2]);
        assert_eq!(sessions(&tree, "sport/tennis/player1/score/wimbledon"), [0, 2]);
        assert_eq!(sessions(&tree, "/finance"), [2, 3, 4]);
        assert_eq!(sessions(&tree, "finance"), [2, 5]);
    }

    /// [MQTT-4.7.2-1]
    #[test]
    fn wildcards_at_the_first_level_do_not_match_topics_of_the_server() {
        let mut tree = Tree::new(1);
        for (session, text) in ["#", "+/monitor/Clients", "$SYS/#", "$SYS/monitor/+"].iter().enumerate() {
            tree.subscribe(filter(text), subscriber(u32::try_from(session).unwrap()));
        }
        assert_eq!(sessions(&tree, "$SYS/monitor/Clients"), [2, 3]);
    }

    #[test]
    fn interest_begins_with_the_first_and_ends_with_the_last() {
        let mut tree = Tree::new(1);
        assert!(tree.subscribe(filter("a/b"), subscriber(1)).begins);
        assert!(!tree.subscribe(filter("a/b"), subscriber(2)).begins);
        assert!(!tree.add_group(filter("a/b"), 7));
        assert!(!unsubscribe(&mut tree, "a/b", 1));
        assert!(!unsubscribe(&mut tree, "a/b", 2));
        assert!(tree.remove_group(filter("a/b"), 7));
        assert!(!tree.remove_group(filter("a/b"), 7));
    }

    #[test]
    fn a_tree_that_was_emptied_holds_nothing() {
        let mut tree = Tree::new(1);
        let filters = ["a", "a/b", "a/+/c", "a/#", "+/x", "#", "/", "a//b", "a/b/a", "a/b/a/c", "ab"];
        for text in filters {
            tree.subscribe(filter(text), subscriber(1));
        }
        for text in filters {
            unsubscribe(&mut tree, text, 1);
        }
        assert_eq!((tree.nodes.len() - tree.free_nodes.len(), tree.len()), (1, 0));
        assert!(tree.edges.is_empty());
        assert_eq!(tree.labels.live(), EMPTY_LABEL);
        assert_eq!(tree.several.len(), tree.free_several.len());
    }

    /// A million filters are in the memory of a small machine, in each shard that has to do with them.
    #[test]
    fn a_node_takes_24_bytes_and_what_one_filter_has_alone_is_one() {
        assert_eq!(size_of::<Node>(), 24);
        let mut tree = Tree::new(1);
        for number in 0..100 {
            tree.subscribe(filter(&format!("site/7/+/{number}/a/b/#")), subscriber(1));
        }
        // The root, what all have in common, and each.
        assert_eq!(tree.nodes.len(), 102);
    }

    #[test]
    fn labels_that_are_gone_make_room() {
        let mut tree = Tree::new(1);
        let text = |number: u32| format!("{}/{number}", "x".repeat(100));
        tree.subscribe(filter(&text(0)), subscriber(0));
        for number in 1..10_000 {
            tree.subscribe(filter(&text(number)), subscriber(number));
            unsubscribe(&mut tree, &text(number), number);
        }
        assert!(tree.labels.live() < 1024 && !tree.labels.is_sparse());
        assert_eq!(sessions(&tree, &text(0)), [0]);
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["", "a", "b", "$x"])
    }

    fn any_filter() -> impl Strategy<Value = String> {
        let inner = prop::collection::vec(prop_oneof![level(), Just("+")], 1..5);
        (inner, any::<bool>()).prop_map(|(levels, hash)| levels.join("/") + if hash { "/#" } else { "" })
    }

    proptest! {
        #[test]
        fn the_tree_agrees_with_matching_one_filter_at_a_time(
            steps in prop::collection::vec((any_filter(), 0..4_u32, any::<bool>()), 1..40),
            topics in prop::collection::vec(prop::collection::vec(level(), 1..5), 1..10),
        ) {
            let mut tree = Tree::new(1);
            let mut model = BTreeSet::new();
            let mut numbers = BTreeMap::new();
            for (text, session, add) in &steps {
                let Ok(parsed) = TopicFilter::parse(text) else { continue };
                if *add {
                    let found = tree.subscribe(parsed, subscriber(*session));
                    prop_assert_eq!(found.is_new, model.insert((text.clone(), *session)));
                    numbers.insert(text.clone(), found.filter);
                } else {
                    unsubscribe(&mut tree, text, *session);
                    model.remove(&(text.clone(), *session));
                }
            }
            for text in model.iter().map(|(text, _)| text) {
                prop_assert_eq!(tree.find(filter(text)), numbers.get(text).copied(), "its number stays its own");
                prop_assert_eq!(&tree.text(numbers[text]), text);
            }
            let wanted: BTreeSet<String> = tree.wanted_here().map(|filter| tree.text(filter)).collect();
            prop_assert_eq!(wanted, model.iter().map(|(text, _)| text.clone()).collect());
            for topic in topics {
                let topic = topic.join("/");
                let Ok(name) = TopicName::parse(&topic) else { continue };
                let mut expected: Vec<u32> = model.iter().filter(|(text, _)| matches(filter(text), name)).map(|(_, session)| *session).collect();
                expected.sort_unstable();
                prop_assert_eq!(sessions(&tree, &topic), expected, "topic {}", topic);
                let mut filters: Vec<&String> = model.iter().filter(|(text, _)| matches(filter(text), name)).map(|(text, _)| text).collect();
                filters.dedup();
                let mut named = tree.matching(name, 1000);
                named.sort_unstable();
                prop_assert_eq!(named.iter().collect::<Vec<_>>(), filters, "topic {}", topic);
            }
        }
    }
}
