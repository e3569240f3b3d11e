//! A sorted map whose copies share what they have in common.
//!
//! What is in force is passed on as whole values, and one edit changes one entry of ten thousand: a copy costs nothing, a
//! change of a copy O(log n), and the changes between two maps of which one came from the other are found without a look
//! at the rest. A B-tree of shared nodes; all leaves are equally deep. Pure.

mod changes;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use changes::{Change, Changes};

/// Entries of a node at most. A change copies one node per level: more would copy more, fewer add levels.
const MAX: usize = 24;

/// A sorted map. Cloning it costs nothing.
pub struct Map<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
}

#[derive(Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    /// Each with the first of its keys. None is empty.
    Branch(Vec<(K, Arc<Node<K, V>>)>),
}

impl<K, V> Map<K, V> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In the order of the keys.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        let mut iter = Iter { branches: Vec::new(), leaf: [].iter(), left: self.len };
        iter.enter(&self.root);
        iter
    }

    /// In their order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// In the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Map<K, V> {
    /// What stands under `key`, with the key as it is there.
    #[must_use]
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Leaf(items) => {
                    let at = items.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
                    return items.get(at).map(|(key, value)| (key, value));
                }
                Node::Branch(children) => node = &children.get(place(children, key))?.1,
            }
        }
    }

    /// What stands under `key`.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Whether anything stands under `key`.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// Puts `value` under `key`; gives what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (before, split) = insert(&mut self.root, key, value);
        if let Some(right) = split
            && let Some(first) = self.root.first().cloned()
        {
            self.root = Arc::new(Node::Branch(vec![(first, Arc::clone(&self.root)), right]));
        }
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes away what stands under `key`; gives it.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let before = remove(&mut self.root, key);
        self.len -= usize::from(before.is_some());
        while let Node::Branch(children) = &*self.root {
            match children.as_slice() {
                [] => self.root = Arc::new(Node::Leaf(Vec::new())),
                [(_, only)] => self.root = Arc::clone(only),
                _ => break,
            }
        }
        before
    }
}

impl<K, V> Node<K, V> {
    fn first(&self) -> Option<&K> {
        match self {
            Self::Leaf(items) => items.first().map(|(key, _)| key),
            Self::Branch(children) => children.first().map(|(key, _)| key),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Branch(children) => children.len(),
        }
    }

    /// How many nodes are below on each way down.
    fn height(&self) -> usize {
        let (mut node, mut height) = (self, 0);
        while let Self::Branch(children) = node
            && let Some((_, child)) = children.first()
        {
            (node, height) = (child, height + 1);
        }
        height
    }
}

/// The child under which `key` stands, or would.
fn place<K: Borrow<Q>, V, Q: Ord + ?Sized>(children: &[(K, Arc<Node<K, V>>)], key: &Q) -> usize {
    children.partition_point(|(first, _)| first.borrow() <= key).saturating_sub(1)
}

/// The upper half of what has grown too large.
fn split<T>(items: &mut Vec<T>) -> Option<Vec<T>> {
    (items.len() > MAX).then(|| items.split_off(items.len() / 2))
}

/// A node with its first key.
type Child<K, V> = (K, Arc<Node<K, V>>);

/// What stood under `key`, and the half of the node that it has no room for.
fn insert<K: Ord + Clone, V: Clone>(node: &mut Arc<Node<K, V>>, key: K, value: V) -> (Option<V>, Option<Child<K, V>>) {
    let (before, right) = match Arc::make_mut(node) {
        Node::Leaf(items) => match items.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => return (Some(std::mem::replace(&mut items[at].1, value)), None),
            Err(at) => {
                items.insert(at, (key, value));
                (None, split(items).map(Node::Leaf))
            }
        },
        Node::Branch(children) => {
            let at = place(children, &key);
            if key < children[at].0 {
                children[at].0 = key.clone();
            }
            let (before, right) = insert(&mut children[at].1, key, value);
            if let Some(right) = right {
                children.insert(at + 1, right);
            }
            (before, split(children).map(Node::Branch))
        }
    };
    let right = right.and_then(|right| Some((right.first()?.clone(), Arc::new(right))));
    (before, right)
}

/// `key` is there. May leave the node empty.
fn remove<K: Ord + Clone + Borrow<Q>, V: Clone, Q: Ord + ?Sized>(node: &mut Arc<Node<K, V>>, key: &Q) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(items) => {
            let at = items.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
            Some(items.remove(at).1)
        }
        Node::Branch(children) => {
            let at = place(children, key);
            let before = remove(&mut children[at].1, key);
            match children[at].1.first().cloned() {
                Some(first) => children[at].0 = first,
                None => drop(children.remove(at)),
            }
            merge(children, at);
            before
        }
    }
}

/// Makes one of the children `at` and after it where both are small, so that what has shrunk is not a string of crumbs.
fn merge<K: Clone, V: Clone>(children: &mut Vec<Child<K, V>>, at: usize) {
    let at = at.min(children.len().saturating_sub(2));
    let Some([(_, left), (_, right)]) = children.get(at..at + 2) else { return };
    if left.len() + right.len() > MAX / 2 {
        return;
    }
    let (_, right) = children.remove(at + 1);
    match (Arc::make_mut(&mut children[at].1), &*right) {
        (Node::Leaf(left), Node::Leaf(right)) => left.extend_from_slice(right),
        (Node::Branch(left), Node::Branch(right)) => left.extend_from_slice(right),
        // Not of one depth: cannot be.
        _ => {}
    }
}

/// The entries of a [`Map`], in order.
pub struct Iter<'a, K, V> {
    branches: Vec<std::slice::Iter<'a, Child<K, V>>>,
    leaf: std::slice::Iter<'a, (K, V)>,
    left: usize,
}

impl<'a, K, V> Iter<'a, K, V> {
    fn enter(&mut self, mut node: &'a Node<K, V>) {
        loop {
            match node {
                Node::Leaf(items) => {
                    self.leaf = items.iter();
                    return;
                }
                Node::Branch(children) => {
                    let mut children = children.iter();
                    let Some((_, first)) = children.next() else { return };
                    self.branches.push(children);
                    node = first;
                }
            }
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                self.left -= 1;
                return Some((key, value));
            }
            match self.branches.last_mut()?.next() {
                Some((_, node)) => self.enter(node),
                None => drop(self.branches.pop()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Of two entries with one key the later counts.
impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries: BTreeMap<K, V> = entries.into_iter().collect();
        let len = entries.len();
        let with_first = |node: Node<K, V>| Some((node.first()?.clone(), Arc::new(node)));
        let mut level: Vec<Child<K, V>> = in_nodes(entries).map(Node::Leaf).filter_map(with_first).collect();
        while level.len() > 1 {
            level = in_nodes(level).map(Node::Branch).filter_map(with_first).collect();
        }
        level.pop().map_or_else(Self::new, |(_, root)| Self { root, len })
    }
}

/// `items` by as many as leave a node room to grow.
fn in_nodes<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        Some(items.by_ref().take(MAX * 3 / 4).collect::<Vec<_>>()).filter(|some| !some.is_empty())
    })
}

impl<K: Ord + Clone, V: Clone, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> std::ops::Index<&Q> for Map<K, V> {
    type Output = V;

    /// # Panics
    /// If nothing stands under `key`, as a `BTreeMap` does.
    #[expect(clippy::expect_used, reason = "the contract of indexing")]
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("no entry under this key")
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// What two maps share is not compared.
impl<K: Ord, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes_from(other).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for Map<K, V> {}

#[cfg(test)]
mod tests;
