//! What a client may still have of the past.

use std::sync::Arc;

use super::session::Session;
use super::{Resource, ResourceType, TypeSet, Version};

impl Session {
    /// The newest resource of that name that is no longer in the snapshot.
    pub(super) fn former(&self, ty: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.earlier().iter().find_map(|snapshot| snapshot.set(ty).get(name))
    }

    /// What a client has that names this version of a type it has all of.
    pub(super) fn recall(&self, ty: ResourceType, version: Version) -> Option<Arc<TypeSet>> {
        let sets: Vec<&Arc<TypeSet>> = std::iter::once(self.target().set(ty))
            .chain(self.earlier().iter().map(|snapshot| snapshot.set(ty)))
            .collect();
        let known = sets.iter().find(|set| set.version() == version).map(|set| Arc::clone(set));
        known.or_else(|| {
            let pairs = sets.iter().flat_map(|new| sets.iter().map(move |old| new.over(old)));
            pairs.into_iter().find(|set| set.version() == version).map(Arc::new)
        })
    }
}
