//! What one group of nodes should have: an immutable set of resources per type.

use std::sync::Arc;

use super::resource::Sum;
use super::{Resource, ResourceType, Version};
use crate::tree::Map;

/// All resources of one type, with the version of the whole. One that was made from another shares with it what is the
/// same.
#[derive(Debug, PartialEq, Eq)]
pub struct TypeSet {
    version: Version,
    sum: Sum,
    resources: Map<Arc<str>, Arc<Resource>>,
}

impl TypeSet {
    /// Takes the resources; of two with one name the later wins.
    #[must_use]
    pub fn new(resources: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let resources: Map<_, _> = resources.into_iter().map(|r| (Arc::clone(&r.name), r)).collect();
        let sum = Sum::of(resources.values().map(|r| (&*r.name, r.version)));
        Self { version: sum.version(), sum, resources }
    }

    /// Hash over names and versions of all resources.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// This set with other content under some names, `None` for none; itself where that is what they have.
    #[must_use]
    pub fn with<'a>(
        self: &Arc<Self>,
        changes: impl IntoIterator<Item = (&'a Arc<str>, Option<Arc<Resource>>)>,
    ) -> Arc<Self> {
        let changes = changes.into_iter().filter(|(name, is)| self.get(name) != is.as_ref());
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() {
            return Arc::clone(self);
        }
        let (mut resources, mut sum) = (self.resources.clone(), self.sum);
        for (name, is) in changes {
            let was = match is {
                Some(resource) => {
                    sum.add(name, resource.version);
                    resources.insert(Arc::clone(name), resource)
                }
                None => resources.remove(name),
            };
            if let Some(was) = was {
                sum.take(name, was.version);
            }
        }
        Arc::new(Self { version: sum.version(), sum, resources })
    }

    /// The names whose resources are not those of `before`, in order. What one was made from the other with is found
    /// without a look at the rest.
    pub fn changes_from<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<str>> {
        self.resources.changes_from(&before.resources).map(|change| change.key)
    }

    /// These resources and those of `old` whose names are not among them: what a client has while it goes from one
    /// to the other.
    #[must_use]
    pub fn over(&self, old: &TypeSet) -> Self {
        let kept = old.iter().filter(|resource| self.get(&resource.name).is_none());
        Self::new(self.iter().chain(kept).cloned())
    }

    /// The resource of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(name)
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

impl Default for TypeSet {
    fn default() -> Self {
        Self::new([])
    }
}

/// What one group of nodes should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    sets: [Arc<TypeSet>; ResourceType::COUNT],
}

impl Snapshot {
    /// One set per type; types not named are empty.
    #[must_use]
    pub fn new(sets: impl IntoIterator<Item = (ResourceType, Arc<TypeSet>)>) -> Self {
        let mut snapshot = Self { sets: std::array::from_fn(|_| Arc::default()) };
        for (ty, set) in sets {
            snapshot.sets[ty.index()] = set;
        }
        snapshot
    }

    /// The set of one type.
    #[must_use]
    pub fn set(&self, ty: ResourceType) -> &Arc<TypeSet> {
        &self.sets[ty.index()]
    }

    /// Version of the whole: changes when any resource of any type does.
    #[must_use]
    pub fn version(&self) -> Version {
        Version::of_all(ResourceType::ALL.into_iter().map(|ty| (ty.short_name(), self.set(ty).version())))
    }
}
