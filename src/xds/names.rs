//! The names that a client asks for: most clients of a group ask for the same, and one copy serves them all.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::tree::Map;

/// A set of resource names. Cloning it costs nothing, and a change of a copy shares what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(
    /// `None` of no names: a stream has sets for types that its client never asks for.
    Option<Arc<Map<Arc<str>, ()>>>,
);

impl Names {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |names| names.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether anybody else has this very copy.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|names| Arc::strong_count(names) > 1)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().flat_map(|names| names.keys())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|names| names.contains_key(name))
    }

    pub(super) fn insert(&mut self, name: Arc<str>) {
        if !self.contains(&name) {
            Arc::make_mut(self.0.get_or_insert_default()).insert(name, ());
        }
    }

    /// The name as it was there.
    pub(super) fn take(&mut self, name: &str) -> Option<Arc<str>> {
        let names = self.0.as_mut()?;
        let (taken, ()) = names.get_key_value(name)?;
        let taken = Arc::clone(taken);
        Arc::make_mut(names).remove(name);
        if names.is_empty() {
            self.0 = None;
        }
        Some(taken)
    }

    /// The names that are in one of the two and not in the other, in order, with whether they are in this one.
    pub(super) fn changes_from<'a>(&'a self, before: &'a Self) -> Vec<(&'a Arc<str>, bool)> {
        match (&self.0, &before.0) {
            (Some(is), Some(was)) if Arc::ptr_eq(is, was) => Vec::new(),
            (Some(is), Some(was)) => is.changes_from(was).map(|change| (change.key, change.is.is_some())).collect(),
            _ => self.iter().map(|name| (name, true)).chain(before.iter().map(|name| (name, false))).collect(),
        }
    }
}

impl FromIterator<Arc<str>> for Names {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(names: I) -> Self {
        let names: Map<_, _> = names.into_iter().map(|name| (name, ())).collect();
        Self((!names.is_empty()).then(|| Arc::new(names)))
    }
}

impl Hash for Names {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for name in self.iter() {
            name.hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        list.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn a_set_that_has_lost_its_last_name_is_the_empty_one() {
        let mut set = names(&["a"]);
        set.insert("a".into());
        assert_eq!((set.len(), set.take("b"), set.take("a")), (1, None, Some("a".into())));
        assert_eq!(set, names(&[]));
        assert!(set.is_empty() && !set.contains("a"));
    }

    #[test]
    fn a_change_of_a_copy_leaves_the_other_as_it_was() {
        let before = names(&["a", "b"]);
        let mut after = before.clone();
        assert!(before.is_shared() && after.changes_from(&before).is_empty());
        after.insert("c".into());
        after.take("a");
        assert_eq!((before, after), (names(&["a", "b"]), names(&["b", "c"])));
    }

    #[test]
    fn changes_are_told_with_their_direction() {
        let told = |is: &[&str], was: &[&str]| {
            let (is, was) = (names(is), names(was));
            is.changes_from(&was).into_iter().map(|(name, is)| (name.to_string(), is)).collect::<Vec<_>>()
        };
        assert_eq!(told(&["a", "b"], &["b", "c"]), [("a".to_owned(), true), ("c".to_owned(), false)]);
        assert_eq!(told(&["a"], &[]), [("a".to_owned(), true)]);
        assert_eq!(told(&[], &["a"]), [("a".to_owned(), false)]);
    }
}
