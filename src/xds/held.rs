//! What a client has, as far as this side can know.
//!
//! A client that has settled has what all others of its group have, so it is not written down once more for each stream:
//! [`Holdings`] point at the set they agree with, and keep only what differs from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::subscription::Wanted;
use super::{Resource, TypeSet, Version};

/// What the client has of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The version it was last sent or said it has; `None` after a NACK, which may have been applied in part.
    pub(super) version: Option<Version>,
    /// The resource of that version, where it is known.
    pub(super) body: Option<Arc<Resource>>,
    /// Whether the client acknowledged that version.
    pub(super) acked: bool,
    /// The last resource it acknowledged under this name.
    pub(super) good: Option<Arc<Resource>>,
    /// Whether it came with something under this name whose content this side does not know.
    pub(super) older: bool,
    /// The generation of snapshots in which the name was gone.
    pub(super) vanished: Option<u64>,
}

impl Held {
    /// The client has what it was sent.
    pub(super) fn acked(&mut self) {
        (self.acked, self.older) = (true, false);
        self.good.clone_from(&self.body);
    }

    fn is_settled(&self, on: &Arc<Resource>) -> bool {
        let Self { version, body, acked, good, older, vanished } = self;
        let same = |resource: &Option<Arc<Resource>>| resource.as_ref().is_some_and(|r| r.version == on.version);
        *version == Some(on.version) && *acked && !*older && vanished.is_none() && same(body) && same(good)
    }
}

/// A look at what the client has of one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Having<'a> {
    pub(super) version: Option<Version>,
    pub(super) body: Option<&'a Arc<Resource>>,
    pub(super) acked: bool,
    pub(super) good: Option<&'a Arc<Resource>>,
    pub(super) older: bool,
    pub(super) vanished: Option<u64>,
}

impl<'a> From<&'a Held> for Having<'a> {
    fn from(held: &'a Held) -> Self {
        let Held { version, body, acked, good, older, vanished } = held;
        let (body, good) = (body.as_ref(), good.as_ref());
        Self { version: *version, body, acked: *acked, good, older: *older, vanished: *vanished }
    }
}

impl From<Having<'_>> for Held {
    fn from(having: Having<'_>) -> Self {
        let Having { version, body, acked, good, older, vanished } = having;
        Self { version, body: body.cloned(), acked, good: good.cloned(), older, vanished }
    }
}

/// All that a client has of one type, by name.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// What many have, and this client too unless `own` says otherwise.
    common: Option<Common>,
    /// `None` of a name that is in `common` and that the client does not have.
    own: BTreeMap<Arc<str>, Option<Held>>,
}

/// What a client has that was sent all of a set, or has settled on it: of this set, what it wanted then.
#[derive(Debug)]
struct Common {
    set: Arc<TypeSet>,
    wanted: Wanted,
    /// Whether it has acknowledged that; if not, it had nothing before.
    acked: bool,
}

impl Common {
    fn resource(&self, name: &str) -> Option<&Arc<Resource>> {
        self.set.get(name).filter(|_| self.wanted.covers(name))
    }

    fn get(&self, name: &str) -> Option<Having<'_>> {
        let resource = self.resource(name)?;
        Some(Having {
            version: Some(resource.version),
            body: Some(resource),
            acked: self.acked,
            good: Some(resource).filter(|_| self.acked),
            older: false,
            vanished: None,
        })
    }
}

impl Holdings {
    pub(super) fn get(&self, name: &str) -> Option<Having<'_>> {
        match self.own.get(name) {
            Some(own) => own.as_ref().map(Having::from),
            None => self.common.as_ref()?.get(name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.common.is_none() && self.own.is_empty()
    }

    /// What differs from here on from what others have; nothing of a name that the client does not have.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Held> {
        if !self.own.contains_key(name) {
            let common = self.common.as_ref()?;
            let resource = common.resource(name)?;
            self.own.insert(Arc::clone(&resource.name), common.get(name).map(Held::from));
        }
        self.own.get_mut(name)?.as_mut()
    }

    /// What the client has of that name, if anything; to be changed.
    pub(super) fn entry(&mut self, name: &Arc<str>) -> &mut Held {
        let common = || self.common.as_ref()?.get(name).map(Held::from);
        self.own.entry(Arc::clone(name)).or_insert_with(common).get_or_insert_default()
    }

    pub(super) fn insert(&mut self, name: Arc<str>, held: Held) {
        self.own.insert(name, Some(held));
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if self.common.as_ref().is_some_and(|common| common.resource(name).is_some()) {
            self.own.insert(Arc::clone(name), None);
        } else {
            self.own.remove(name);
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let gone: Vec<_> = self.names().filter(|name| !keep(name)).cloned().collect();
        for name in &gone {
            self.remove(name);
        }
    }

    /// In no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let common = self.common.iter().flat_map(|common| common.set.iter().filter(|r| common.wanted.covers(&r.name)));
        let common = common.map(|resource| &resource.name).filter(|name| !self.own.contains_key(*name));
        self.own.iter().filter_map(|(name, held)| held.as_ref().map(|_| name)).chain(common)
    }

    /// What is not as others have it.
    pub(super) fn own_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Held)> {
        self.own.iter_mut().filter_map(|(name, held)| Some((name, held.as_mut()?)))
    }

    /// The names that the client has and of which this side does not know the content.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &Arc<str>> {
        let unknown = |held: &Option<Held>| held.as_ref().is_some_and(|held| held.body.is_none());
        self.own.iter().filter(move |(_, held)| unknown(held)).map(|(name, _)| name)
    }

    /// Notes that a client that had nothing was sent all that it wants of the set.
    pub(super) fn sent_all(&mut self, set: &Arc<TypeSet>, wanted: &Wanted) {
        self.common = Some(Common { set: Arc::clone(set), wanted: wanted.clone(), acked: false });
        self.own.clear();
    }

    /// Notes that the client acknowledged what [`Self::sent_all`] noted; false if that is not what it has by now.
    pub(super) fn acked_all(&mut self, set: &Arc<TypeSet>) -> bool {
        let Some(common) = self.common.as_mut().filter(|common| Arc::ptr_eq(&common.set, set)) else { return false };
        common.acked = true;
        for (name, held) in &mut self.own {
            let version = common.resource(name).map(|resource| resource.version);
            if let Some(held) = held.as_mut().filter(|held| version.is_some() && held.version == version) {
                held.acked();
            }
        }
        true
    }

    /// Says the same by another set, which is what the client has by now or nearly so: O(difference of the two sets).
    pub(super) fn rebase(&mut self, set: &Arc<TypeSet>, wanted: &Wanted) {
        let before = self.common.take();
        let empty = Common { set: Arc::default(), wanted: wanted.clone(), acked: true };
        let was = before.as_ref().unwrap_or(&empty);
        let is = Common { set: Arc::clone(set), wanted: wanted.clone(), acked: true };
        if was.acked && was.wanted == is.wanted {
            for name in is.set.changes_from(&was.set) {
                self.own.entry(Arc::clone(name)).or_insert_with(|| was.get(name).map(Held::from));
            }
        } else {
            for name in is.set.iter().chain(was.set.iter()).map(|resource| &resource.name) {
                let version = |common: &Common| common.resource(name).map(|resource| resource.version);
                if !was.acked || version(was) != version(&is) {
                    self.own.entry(Arc::clone(name)).or_insert_with(|| was.get(name).map(Held::from));
                }
            }
        }
        self.own.retain(|name, held| match (held, is.resource(name)) {
            (Some(held), Some(resource)) => !held.is_settled(resource),
            (None, None) => false,
            _ => true,
        });
        self.common = Some(is);
    }
}

#[cfg(test)]
mod tests;
