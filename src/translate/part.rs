//! What one file makes: its rollouts with the traffic of the day, and its documents.
//!
//! Shared by all states of the world in which that is the same, so that what has not changed is not made again.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::references::{self, References};
use super::replacement::{Replacement, Replacements};
use super::{clusters, resource_type, routes};
use crate::spec::{self, FileSpec, NodeSelector, Rollout, Served, canonical};
use crate::tree::Map;
use crate::xds::{Resource, ResourceType};

/// How many encodings of a document are kept: for a few groups, as it is and as it was.
const MAX_ENCODED: usize = 8;

/// What one file makes.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: Arc<str>,
    source: Arc<FileSpec>,
    /// One for each rollout of the file; `None` of one without traffic, which is not served.
    pub(super) services: Vec<Option<Arc<Service>>>,
    pub(super) documents: Vec<Arc<Document>>,
}

impl Part {
    /// What `source` makes. What is the same in `known`, of the same path, is shared with it.
    pub(super) fn next(
        path: &Arc<str>,
        source: &Arc<FileSpec>,
        served: &Map<Arc<str>, Served>,
        known: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        if let Some(known) = known.filter(|known| known.is(source, served)) {
            return Arc::clone(known);
        }
        let service = |(index, rollout): (usize, &Arc<Rollout>)| {
            let known = known.and_then(|known| known.services.get(index)?.as_ref());
            Some(Service::next(rollout, served.get(&rollout.name)?, known))
        };
        let document = |(index, resource): (usize, &Arc<spec::Resource>)| {
            let known = known.and_then(|known| known.documents.get(index));
            let same = known.filter(|known| Arc::ptr_eq(&known.source, resource) || known.source == *resource);
            same.map_or_else(|| Arc::new(Document::new(resource)), Arc::clone)
        };
        let services = source.rollouts.iter().enumerate().map(service).collect();
        let documents = source.resources.iter().enumerate().map(document).collect();
        Arc::new(Self { path: Arc::clone(path), source: Arc::clone(source), services, documents })
    }

    fn is(&self, source: &Arc<FileSpec>, served: &Map<Arc<str>, Served>) -> bool {
        let mut services = self.services.iter().zip(&source.rollouts);
        Arc::ptr_eq(&self.source, source)
            && services
                .all(|(service, rollout)| service.as_ref().map(|service| &service.served) == served.get(&rollout.name))
    }

    /// Every name that it speaks of, of whatever kind: what it makes, and what its routes name.
    pub(super) fn names(&self) -> BTreeSet<&Arc<str>> {
        let rollouts = self.source.rollouts.iter().map(|rollout| &rollout.name);
        let resources = self.services.iter().flatten().flat_map(|service| &*service.resources);
        let documents = self.documents.iter();
        let documents = documents.flat_map(|document| document.actions.iter().chain([&document.source.name]));
        rollouts.chain(resources.map(|(_, resource)| &resource.name)).chain(documents).collect()
    }

    /// Those of all its rollouts and documents.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &Arc<NodeSelector>> {
        // Canary nodes also while nobody is ahead: groups keep their names and their snapshots.
        let services = self.services.iter().flatten();
        let of_services = services
            .flat_map(|service| std::iter::once(&service.source.nodes).chain(&service.source.convergence.canary_nodes));
        of_services.chain(self.documents.iter().map(|document| &document.source.nodes))
    }
}

/// A rollout with the traffic of the day.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) source: Arc<Rollout>,
    served: Served,
    pub(super) replacement: Arc<Replacement>,
    /// For its canary nodes, while they are ahead.
    pub(super) ahead: Option<Arc<Replacement>>,
    /// What serves its versions; does not depend on the traffic.
    pub(super) resources: Arc<[(ResourceType, Arc<Resource>)]>,
}

impl Service {
    fn next(source: &Arc<Rollout>, served: &Served, known: Option<&Arc<Self>>) -> Arc<Self> {
        let same = known.filter(|known| Arc::ptr_eq(&known.source, source) || known.source == *source);
        if let Some(known) = same.filter(|known| known.served == *served) {
            return Arc::clone(known);
        }
        let made = || clusters::of_rollout(source).into();
        let resources = same.map_or_else(made, |known| Arc::clone(&known.resources));
        let before = known.filter(|known| known.resources == resources);
        let resources = before.map_or(resources, |known| Arc::clone(&known.resources));
        let of = |traffic| Arc::new(Replacement::new(source, traffic));
        let (replacement, ahead) = (of(&served.traffic), served.ahead.as_ref().map(of));
        Arc::new(Self { source: Arc::clone(source), served: served.clone(), replacement, ahead, resources })
    }
}

/// An Envoy resource of the user's.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) source: Arc<spec::Resource>,
    /// Clusters that its route actions name.
    pub(super) actions: BTreeSet<Arc<str>>,
    /// By what stands in place of some of `actions`, oldest first. Written by the first group that needs it.
    encoded: Mutex<Vec<(Replacements, Arc<Resource>)>>,
}

impl Document {
    fn new(source: &Arc<spec::Resource>) -> Self {
        let actions = References::of(&source.message).actions;
        Self { source: Arc::clone(source), actions, encoded: Mutex::default() }
    }

    pub(super) fn ty(&self) -> ResourceType {
        resource_type(self.source.kind)
    }

    /// The document as those get it who see `visible` in place of rollouts.
    pub(super) fn encoded(&self, visible: &Replacements) -> Arc<Resource> {
        let used = self.actions.iter().filter_map(|name| visible.get_key_value(name));
        let used: Replacements = used.map(|(name, used)| (Arc::clone(name), Arc::clone(used))).collect();
        let mut encoded = lock(&self.encoded);
        if let Some((_, known)) = encoded.iter().find(|(of, _)| *of == used) {
            return Arc::clone(known);
        }
        let made = Arc::new(encode(&self.source, &used));
        if encoded.len() == MAX_ENCODED {
            encoded.remove(0);
        }
        encoded.push((used, Arc::clone(&made)));
        made
    }
}

fn encode(source: &spec::Resource, replacements: &Replacements) -> Resource {
    let mut message = Cow::Borrowed(&source.message);
    if !replacements.is_empty() {
        routes::replace(message.to_mut(), replacements);
    }
    let ty = resource_type(source.kind);
    let mut resource = Resource::new(Arc::clone(&source.name), canonical::encode(&message));
    if ty == ResourceType::Cluster {
        resource.endpoints = references::endpoints(&message);
    }
    // What is pushed before the clusters, and they themselves, cannot wait for clusters.
    if ty > ResourceType::Endpoint {
        resource.clusters = References::of(&message).clusters.into_iter().collect();
    }
    resource
}

/// Memos are written whole, so one that a panic left behind is as good as any.
pub(super) fn lock<T>(memo: &Mutex<T>) -> MutexGuard<'_, T> {
    memo.lock().unwrap_or_else(PoisonError::into_inner)
}
