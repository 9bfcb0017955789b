//! The Topic Filters of a shard and the interest of the others, as one tree of levels.
//!
//! In:    filters with who wants them: local Sessions, shared groups homed here, other shards.
//! Out:   for a Topic Name, the entries of all matching filters, in one walk.
//! Never: more than one hash table look-up a level and branch: level names are interned, edges are pairs of numbers.
//! Spec:  MQTT 5.0 section 4.7.

use dunlin_codec::{SubscriptionOptions, TopicFilter, TopicName};
use smallvec::SmallVec;

use crate::map::{Map, seeded};
use crate::partition::{ShardId, ShardSet};

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;
/// Levels of most topics; deeper ones cost an allocation.
const USUAL_LEVELS: usize = 16;

/// A Session's Subscription to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    /// Slot of the Session.
    pub(crate) session: u32,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier; 0: none.
    pub(crate) identifier: u32,
    /// The policy of the Session is asked about each topic.
    pub(crate) filtered: bool,
}

/// Who wants one filter.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Ascending by Session.
    pub(crate) local: SmallVec<[Subscriber; 1]>,
    /// Shared groups homed here.
    pub(crate) groups: SmallVec<[u32; 2]>,
    /// Other shards with somebody who wants it.
    pub(crate) remote: ShardSet,
}

/// All filters.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    entries: Vec<Entry>,
    free_entries: Vec<u32>,
    /// (node, level) to child.
    edges: Map<(u32, u32), u32>,
    levels: Levels,
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    level: u32,
    /// Child for `+`.
    plus: u32,
    /// Child for `#`.
    hash: u32,
    /// Children, those two included.
    children: u32,
    entry: u32,
}

/// Level names and their numbers.
#[derive(Debug)]
struct Levels {
    numbers: Map<Box<str>, u32>,
    /// Nodes that use each number.
    uses: Vec<u32>,
    free: Vec<u32>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.local.is_empty() && self.groups.is_empty() && self.remote.is_empty()
    }

    /// Does anybody of this shard want it?
    fn is_wanted_here(&self) -> bool {
        !self.local.is_empty() || !self.groups.is_empty()
    }
}

impl Tree {
    pub(crate) fn new(seed: u64) -> Self {
        let root = Node { parent: NONE, level: NONE, plus: NONE, hash: NONE, children: 1, entry: NONE };
        Self {
            nodes: vec![root],
            free_nodes: Vec::new(),
            entries: Vec::new(),
            free_entries: Vec::new(),
            edges: seeded(seed),
            levels: Levels { numbers: seeded(seed), uses: Vec::new(), free: Vec::new() },
            generation: 0,
        }
    }

    /// Filters that somebody wants.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free_entries.len()
    }

    /// Changes whenever an answer of [`Self::matches`] may have changed.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds or replaces a Subscription. True where this shard's interest in the filter begins.
    pub(crate) fn subscribe(&mut self, filter: TopicFilter<'_>, subscriber: Subscriber) -> bool {
        let entry = self.entry_to_change(filter);
        let was_wanted = entry.is_wanted_here();
        match entry.local.binary_search_by_key(&subscriber.session, |other| other.session) {
            Ok(at) => entry.local[at] = subscriber,
            Err(at) => entry.local.insert(at, subscriber),
        }
        !was_wanted
    }

    /// Takes a Subscription away. True where this shard's interest in the filter ends.
    pub(crate) fn unsubscribe(&mut self, filter: TopicFilter<'_>, session: u32) -> bool {
        self.withdraw(filter, |entry| {
            if let Ok(at) = entry.local.binary_search_by_key(&session, |other| other.session) {
                entry.local.remove(at);
            }
        })
    }

    /// Adds a shared group homed here. True where this shard's interest in the filter begins.
    pub(crate) fn add_group(&mut self, filter: TopicFilter<'_>, group: u32) -> bool {
        let entry = self.entry_to_change(filter);
        let was_wanted = entry.is_wanted_here();
        entry.groups.push(group);
        !was_wanted
    }

    /// Takes a shared group away. True where this shard's interest in the filter ends.
    pub(crate) fn remove_group(&mut self, filter: TopicFilter<'_>, group: u32) -> bool {
        self.withdraw(filter, |entry| entry.groups.retain(|other| *other != group))
    }

    /// Another shard's interest in a filter begins or ends.
    pub(crate) fn set_remote(&mut self, filter: TopicFilter<'_>, shard: ShardId, wanted: bool) {
        if wanted {
            self.entry_to_change(filter).remote.insert(shard);
        } else {
            self.withdraw(filter, |entry| entry.remote.remove(shard));
        }
    }

    /// Calls `each` with the entry of every filter that matches [MQTT-4.7.1-1] [MQTT-4.7.1-2], byte for byte [MQTT-4.7.3-4]
    /// [MQTT311-4.7.3-4].
    pub(crate) fn matches(&self, topic: TopicName<'_>, mut each: impl FnMut(&Entry)) {
        let path: SmallVec<[u32; USUAL_LEVELS]> = topic
            .as_str()
            .split('/')
            .map(|level| self.levels.numbers.get(level).copied().unwrap_or(NONE))
            .collect();
        // Wildcards at the first level do not match topics of the Server [MQTT-4.7.2-1].
        let reserved = topic.is_reserved();
        let mut stack: SmallVec<[(u32, usize); USUAL_LEVELS]> = SmallVec::from_slice(&[(ROOT, 0)]);
        while let Some((at, depth)) = stack.pop() {
            let node = &self.nodes[at as usize];
            let wildcards = depth > 0 || !reserved;
            // `#` also matches the level above it [MQTT-4.7.1-2].
            if node.hash != NONE && wildcards {
                self.visit(node.hash, &mut each);
            }
            let Some(&level) = path.get(depth) else {
                self.visit(at, &mut each);
                continue;
            };
            if node.plus != NONE && wildcards {
                stack.push((node.plus, depth + 1));
            }
            if level != NONE
                && let Some(&child) = self.edges.get(&(at, level))
            {
                stack.push((child, depth + 1));
            }
        }
    }

    /// The entry of a filter, if anybody wants it.
    pub(crate) fn entry(&self, filter: TopicFilter<'_>) -> Option<&Entry> {
        let at = self.nodes[self.find(filter)? as usize].entry;
        (at != NONE).then(|| &self.entries[at as usize])
    }

    /// The filters that match, `most` of them, in no order; for people, where [`Self::matches`] is for messages.
    pub(crate) fn matching(&self, topic: TopicName<'_>, most: usize) -> Vec<String> {
        let levels: Vec<&str> = topic.as_str().split('/').collect();
        let reserved = topic.is_reserved();
        let mut found = Vec::new();
        let mut stack = vec![(ROOT, 0, String::new())];
        while let Some((at, depth, text)) = stack.pop() {
            if found.len() >= most {
                break;
            }
            let node = &self.nodes[at as usize];
            let wildcards = depth > 0 || !reserved;
            let below = |level: &str| if depth == 0 { level.to_owned() } else { format!("{text}/{level}") };
            if node.hash != NONE && wildcards && self.nodes[node.hash as usize].entry != NONE {
                found.push(below("#"));
            }
            let Some(level) = levels.get(depth) else {
                if node.entry != NONE {
                    found.push(text);
                }
                continue;
            };
            if node.plus != NONE && wildcards {
                stack.push((node.plus, depth + 1, below("+")));
            }
            let number = self.levels.numbers.get(*level);
            if let Some(&child) = number.and_then(|number| self.edges.get(&(at, *number))) {
                stack.push((child, depth + 1, below(level)));
            }
        }
        found
    }

    fn visit(&self, node: u32, each: &mut impl FnMut(&Entry)) {
        let entry = self.nodes[node as usize].entry;
        if entry != NONE {
            each(&self.entries[entry as usize]);
        }
    }

    /// The entry of a filter, made where it lacks.
    fn entry_to_change(&mut self, filter: TopicFilter<'_>) -> &mut Entry {
        self.generation += 1;
        let mut at = ROOT;
        for level in filter.as_str().split('/') {
            at = self.child_or_new(at, level);
        }
        if self.nodes[at as usize].entry == NONE {
            let entry = take_slot(&mut self.entries, &mut self.free_entries, Entry::default());
            self.nodes[at as usize].entry = entry;
        }
        let entry = self.nodes[at as usize].entry;
        &mut self.entries[entry as usize]
    }

    /// Changes an entry by taking away. True where this shard wanted the filter before and does not now.
    fn withdraw(&mut self, filter: TopicFilter<'_>, change: impl FnOnce(&mut Entry)) -> bool {
        let Some(node) = self.find(filter) else { return false };
        let at = self.nodes[node as usize].entry;
        if at == NONE {
            return false;
        }
        self.generation += 1;
        let entry = &mut self.entries[at as usize];
        let was_wanted = entry.is_wanted_here();
        change(entry);
        let ended = was_wanted && !entry.is_wanted_here();
        if entry.is_empty() {
            self.free_entries.push(at);
            self.nodes[node as usize].entry = NONE;
            self.prune(node, filter);
        }
        ended
    }

    fn find(&self, filter: TopicFilter<'_>) -> Option<u32> {
        let mut at = ROOT;
        for level in filter.as_str().split('/') {
            at = self.child(at, level)?;
        }
        Some(at)
    }

    fn child(&self, node: u32, level: &str) -> Option<u32> {
        let child = match level {
            "+" => self.nodes[node as usize].plus,
            "#" => self.nodes[node as usize].hash,
            _ => *self.edges.get(&(node, *self.levels.numbers.get(level)?))?,
        };
        (child != NONE).then_some(child)
    }

    fn child_or_new(&mut self, node: u32, level: &str) -> u32 {
        if let Some(child) = self.child(node, level) {
            return child;
        }
        let number = if matches!(level, "+" | "#") { NONE } else { self.levels.take(level) };
        let new = Node { parent: node, level: number, plus: NONE, hash: NONE, children: 0, entry: NONE };
        let child = take_slot(&mut self.nodes, &mut self.free_nodes, new);
        let parent = &mut self.nodes[node as usize];
        parent.children += 1;
        match level {
            "+" => parent.plus = child,
            "#" => parent.hash = child,
            _ => {
                self.edges.insert((node, number), child);
            }
        }
        child
    }

    /// Frees a filter's node if it leads nowhere, and those above it that then do not either. The root counts itself as a child.
    fn prune(&mut self, mut at: u32, filter: TopicFilter<'_>) {
        for name in filter.as_str().rsplit('/') {
            let Node { parent, level, children, entry, .. } = self.nodes[at as usize];
            if children > 0 || entry != NONE {
                return;
            }
            let above = &mut self.nodes[parent as usize];
            above.children -= 1;
            match name {
                "+" => above.plus = NONE,
                "#" => above.hash = NONE,
                _ => {
                    self.edges.remove(&(parent, level));
                    self.levels.give_back(level, name);
                }
            }
            self.free_nodes.push(at);
            at = parent;
        }
    }
}

impl Levels {
    fn take(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            self.uses[number as usize] += 1;
            return number;
        }
        let number = take_slot(&mut self.uses, &mut self.free, 1);
        self.numbers.insert(name.into(), number);
        number
    }

    fn give_back(&mut self, number: u32, name: &str) {
        self.uses[number as usize] -= 1;
        if self.uses[number as usize] == 0 {
            self.free.push(number);
            self.numbers.remove(name);
        }
    }
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
    use dunlin_codec::matches;
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    fn subscriber(session: u32) -> Subscriber {
        Subscriber { session, options: SubscriptionOptions::default(), identifier: 0, filtered: false }
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
        assert!(tree.subscribe(filter("a/b"), subscriber(1)));
        assert!(!tree.subscribe(filter("a/b"), subscriber(2)));
        assert!(!tree.add_group(filter("a/b"), 7));
        assert!(!tree.unsubscribe(filter("a/b"), 1));
        assert!(!tree.unsubscribe(filter("a/b"), 2));
        assert!(tree.remove_group(filter("a/b"), 7));
        assert!(!tree.remove_group(filter("a/b"), 7));
    }

    #[test]
    fn a_tree_that_was_emptied_holds_nothing() {
        let mut tree = Tree::new(1);
        let filters = ["a", "a/b", "a/+/c", "a/#", "+/x", "#", "/", "a//b", "a/b/a"];
        for text in filters {
            tree.subscribe(filter(text), subscriber(1));
        }
        for text in filters {
            tree.unsubscribe(filter(text), 1);
        }
        assert_eq!(tree.nodes.len() - tree.free_nodes.len(), 1);
        assert!(tree.edges.is_empty() && tree.levels.numbers.is_empty());
        assert_eq!(tree.entries.len(), tree.free_entries.len());
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
            let mut model = std::collections::BTreeSet::new();
            for (text, session, add) in &steps {
                let Ok(parsed) = TopicFilter::parse(text) else { continue };
                if *add {
                    tree.subscribe(parsed, subscriber(*session));
                    model.insert((text.clone(), *session));
                } else {
                    tree.unsubscribe(parsed, *session);
                    model.remove(&(text.clone(), *session));
                }
            }
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
