//! The changes between two maps, without a look at what they share.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Map, Node};

/// An entry that is not in two maps alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Change<'a, K, V> {
    /// Its key.
    pub key: &'a K,
    /// In the earlier map, if it is there.
    pub was: Option<&'a V>,
    /// In the later map, if it is there.
    pub is: Option<&'a V>,
}

/// The changes, in the order of the keys.
pub struct Changes<'a, K, V> {
    old: Cursor<'a, K, V>,
    new: Cursor<'a, K, V>,
    same: fn(&V, &V) -> bool,
}

impl<K: Ord, V: PartialEq> Map<K, V> {
    /// The entries that differ from those of `before`, in order.
    #[must_use]
    pub fn changes_from<'a>(&'a self, before: &'a Self) -> Changes<'a, K, V> {
        self.changes_by(before, V::eq)
    }
}

impl<K: Ord, V> Map<K, V> {
    /// The entries that differ from those of `before` where `same` does not say that two values are one, in order.
    #[must_use]
    pub fn changes_by<'a>(&'a self, before: &'a Self, same: fn(&V, &V) -> bool) -> Changes<'a, K, V> {
        let mut changes = Changes { old: Cursor::default(), new: Cursor::default(), same };
        if !Arc::ptr_eq(&before.root, &self.root) {
            changes.old.enter(&before.root, before.root.height());
            changes.new.enter(&self.root, self.root.height());
        }
        changes
    }
}

/// What is left of a node.
enum Rest<'a, K, V> {
    Items(&'a [(K, V)]),
    /// With the height of the children.
    Children(&'a [(K, Arc<Node<K, V>>)], usize),
}

/// What comes next.
enum Next<'a, K, V> {
    Item(&'a V),
    Subtree(&'a Arc<Node<K, V>>, usize),
}

/// A place between two entries, or before whole subtrees.
struct Cursor<'a, K, V> {
    rests: Vec<Rest<'a, K, V>>,
}

impl<K, V> Default for Cursor<'_, K, V> {
    fn default() -> Self {
        Self { rests: Vec::new() }
    }
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn enter(&mut self, node: &'a Node<K, V>, height: usize) {
        self.rests.push(match node {
            Node::Leaf(items) => Rest::Items(items),
            Node::Branch(children) => Rest::Children(children, height.saturating_sub(1)),
        });
    }

    /// What comes next, with its first key.
    fn peek(&mut self) -> Option<(&'a K, Next<'a, K, V>)> {
        loop {
            match self.rests.last()? {
                Rest::Items([(key, value), ..]) => return Some((key, Next::Item(value))),
                Rest::Children([(key, node), ..], height) => return Some((key, Next::Subtree(node, *height))),
                Rest::Items([]) | Rest::Children([], _) => drop(self.rests.pop()),
            }
        }
    }

    fn skip(&mut self) {
        match self.rests.last_mut() {
            Some(Rest::Items(items)) => *items = items.get(1..).unwrap_or_default(),
            Some(Rest::Children(children, _)) => *children = children.get(1..).unwrap_or_default(),
            None => {}
        }
    }

    fn descend(&mut self, node: &'a Node<K, V>, height: usize) {
        self.skip();
        self.enter(node, height);
    }
}

impl<'a, K: Ord, V> Iterator for Changes<'a, K, V> {
    type Item = Change<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (old, new) = (self.old.peek(), self.new.peek());
            let order = match (&old, &new) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            match (order, old, new) {
                (Ordering::Equal, Some((key, Next::Item(was))), Some((_, Next::Item(is)))) => {
                    self.old.skip();
                    self.new.skip();
                    if !(self.same)(was, is) {
                        return Some(Change { key, was: Some(was), is: Some(is) });
                    }
                }
                (Ordering::Equal, Some((_, Next::Subtree(old, high))), Some((_, Next::Subtree(new, higher)))) => {
                    if Arc::ptr_eq(old, new) {
                        self.old.skip();
                        self.new.skip();
                        continue;
                    }
                    // Down to one height, where the same subtree would meet itself.
                    if high >= higher {
                        self.old.descend(old, high);
                    }
                    if higher >= high {
                        self.new.descend(new, higher);
                    }
                }
                (Ordering::Less | Ordering::Equal, Some((_, Next::Subtree(node, height))), _) => {
                    self.old.descend(node, height);
                }
                (Ordering::Greater | Ordering::Equal, _, Some((_, Next::Subtree(node, height)))) => {
                    self.new.descend(node, height);
                }
                (Ordering::Less, Some((key, Next::Item(was))), _) => {
                    self.old.skip();
                    return Some(Change { key, was: Some(was), is: None });
                }
                (Ordering::Greater, _, Some((key, Next::Item(is)))) => {
                    self.new.skip();
                    return Some(Change { key, was: None, is: Some(is) });
                }
                // The order says that there is one.
                (_, _, _) => return None,
            }
        }
    }
}
