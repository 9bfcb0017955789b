//! The Topic Filters of rules as a tree of levels, asked about one Topic Name at a time.
//!
//! In:    filters with what they give and take.
//! Out:   what all filters that match a Topic Name give and take.
//! Never: allocates when asked; compares more than one level's name where a thousand rules differ in it.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::action::{Cases, Marks};

/// Up to this many edges are compared one by one; more are hashed.
const FEW: usize = 8;
/// The root is nobody's child.
const NONE: u32 = 0;

/// Filters, compiled.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Box<[Node]>,
    edges: Box<[Edge]>,
    /// The names of all edges, one after the other.
    text: Box<str>,
    /// Edges of nodes with more than [`FEW`].
    hashed: HashTable<u32>,
}

/// A place in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The filters that end here.
    pub(super) end: Marks,
    /// The filters that go on with `#`: they match here and everywhere below.
    pub(super) hash: Marks,
    /// Everything here and below.
    pub(super) below: Marks,
    /// The child for `+`, or [`NONE`].
    plus: u32,
    /// The other children.
    first: u32,
    count: u32,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    parent: u32,
    node: u32,
    at: u32,
    length: u32,
}

/// What a [`Trie`] is made from.
#[derive(Debug, Default)]
pub(super) struct TrieBuilder {
    end: Marks,
    hash: Marks,
    plus: Option<Box<TrieBuilder>>,
    children: BTreeMap<Box<str>, TrieBuilder>,
}

impl TrieBuilder {
    /// Adds a well-formed filter.
    pub(super) fn insert(&mut self, filter: &str, marks: Marks) {
        let mut node = self;
        for level in filter.split('/') {
            match level {
                "#" => {
                    node.hash = node.hash.with(marks);
                    return;
                }
                "+" => node = node.plus.get_or_insert_default(),
                level => node = node.children.entry(level.into()).or_default(),
            }
        }
        node.end = node.end.with(marks);
    }

    pub(super) fn build(self) -> Trie {
        let is_empty = self.plus.is_none() && self.children.is_empty() && self.hash == Marks::default();
        if is_empty {
            return Trie::default();
        }
        let mut parts = Parts::default();
        parts.add(self);
        let hasher = FixedState::default();
        let mut trie = Trie {
            nodes: parts.nodes.into(),
            edges: parts.edges.into(),
            text: parts.text.into(),
            hashed: HashTable::new(),
        };
        let mut hashed = HashTable::new();
        for node in trie.nodes.iter().filter(|node| node.count as usize > FEW) {
            for at in node.first..node.first + node.count {
                hashed.insert_unique(trie.hash_of(&hasher, at), at, |at| trie.hash_of(&hasher, *at));
            }
        }
        trie.hashed = hashed;
        trie
    }
}

#[derive(Default)]
struct Parts {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    text: String,
}

impl Parts {
    /// Adds a node with all below it; its edges lie together.
    fn add(&mut self, from: TrieBuilder) -> u32 {
        let at = self.nodes.len();
        let first = index(self.edges.len());
        self.nodes.push(Node {
            end: from.end,
            hash: from.hash,
            below: from.end.with(from.hash),
            plus: NONE,
            first,
            count: index(from.children.len()),
        });
        let mut children = Vec::with_capacity(from.children.len());
        for (name, child) in from.children {
            let edge =
                Edge { parent: index(at), node: NONE, at: index(self.text.len()), length: index(name.len()) };
            self.edges.push(edge);
            self.text.push_str(&name);
            children.push(child);
        }
        for (offset, child) in children.into_iter().enumerate() {
            let child = self.add(child);
            self.edges[first as usize + offset].node = child;
            self.nodes[at].below = self.nodes[at].below.with(self.nodes[child as usize].below);
        }
        if let Some(plus) = from.plus {
            let plus = self.add(*plus);
            self.nodes[at].plus = plus;
            self.nodes[at].below = self.nodes[at].below.with(self.nodes[plus as usize].below);
        }
        index(at)
    }
}

impl Trie {
    /// What the filters that match a Topic Name say about a case; at least as much as decides it.
    pub(super) fn marks(&self, topic: &str, case: Cases) -> Marks {
        let mut marks = Marks::default();
        let Some(root) = self.nodes.first() else { return marks };
        if !root.below.concern(case) {
            return marks;
        }
        let (level, rest) = cut(topic);
        if topic.starts_with('$') {
            // [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
            if let Some(child) = self.child(0, level) {
                self.walk(child, rest, case, &mut marks);
            }
        } else {
            self.walk(0, Some(topic), case, &mut marks);
        }
        marks
    }

    fn walk(&self, at: u32, topic: Option<&str>, case: Cases, marks: &mut Marks) {
        let node = &self.nodes[at as usize];
        let is_settled = marks.deny.meets(case) || (marks.allow.meets(case) && !node.below.deny.meets(case));
        if is_settled || !node.below.concern(case) {
            return;
        }
        *marks = marks.with(node.hash);
        let Some(topic) = topic else {
            *marks = marks.with(node.end);
            return;
        };
        let (level, rest) = cut(topic);
        if let Some(child) = self.child(at, level) {
            self.walk(child, rest, case, marks);
        }
        if node.plus != NONE {
            self.walk(node.plus, rest, case, marks);
        }
    }

    /// The root, where there is any rule.
    pub(super) fn root(&self) -> Option<u32> {
        (!self.nodes.is_empty()).then_some(0)
    }

    pub(super) fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    pub(super) fn plus(&self, at: u32) -> Option<u32> {
        let plus = self.nodes[at as usize].plus;
        (plus != NONE).then_some(plus)
    }

    pub(super) fn child(&self, at: u32, level: &str) -> Option<u32> {
        let node = &self.nodes[at as usize];
        let (first, count) = (node.first as usize, node.count as usize);
        if count <= FEW {
            let edges = &self.edges[first..first + count];
            return edges.iter().find(|edge| self.name(edge) == level).map(|edge| edge.node);
        }
        let hash = hash(&FixedState::default(), at, level);
        let is_it = |edge: &u32| {
            let edge = &self.edges[*edge as usize];
            edge.parent == at && self.name(edge) == level
        };
        self.hashed.find(hash, is_it).map(|edge| self.edges[*edge as usize].node)
    }

    /// The names of the children, but not `+`.
    pub(super) fn names(&self, at: u32) -> impl Iterator<Item = &str> {
        let node = &self.nodes[at as usize];
        let edges = &self.edges[node.first as usize..(node.first + node.count) as usize];
        edges.iter().map(|edge| self.name(edge))
    }

    fn name(&self, edge: &Edge) -> &str {
        &self.text[edge.at as usize..(edge.at + edge.length) as usize]
    }

    fn hash_of(&self, hasher: &FixedState, at: u32) -> u64 {
        let edge = &self.edges[at as usize];
        hash(hasher, edge.parent, self.name(edge))
    }
}

fn hash(hasher: &FixedState, parent: u32, level: &str) -> u64 {
    hasher.hash_one((parent, level))
}

/// The first level, and the others where there are any.
pub(super) fn cut(topic: &str) -> (&str, Option<&str>) {
    match topic.as_bytes().iter().position(|byte| *byte == b'/') {
        Some(at) => (&topic[..at], Some(&topic[at + 1..])),
        None => (topic, None),
    }
}

fn index(length: usize) -> u32 {
    // A policy file is at most 16 MiB, and a tree has fewer nodes than its filters have bytes.
    u32::try_from(length).unwrap_or_else(|_| unreachable!("more than 4 GiB of rules"))
}
