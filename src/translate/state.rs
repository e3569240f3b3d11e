//! What there is at one time, and what of it each group of nodes gets.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::clusters;
use super::part::{Document, Part, Service, lock};
use super::parts::Parts;
use super::replacement::Replacements;
use super::touched::Touched;
use crate::spec::{NodeIdentity, NodeSelector, Served, SpecSet};
use crate::tree::Map;
use crate::xds::{Assignment, Resource, ResourceType, Snapshot, TypeSet};

/// The selectors a node answers to, by their place in [`State::selectors`]. It is what makes a group: equal audiences
/// see equal documents.
type Audience = BTreeSet<usize>;

/// What there is at one time.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Of all documents, each once, in order.
    selectors: Arc<[Arc<NodeSelector>]>,
    /// What was asked for.
    spec: SpecSet,
    served: Map<Arc<str>, Served>,
    /// What the files make.
    parts: Parts,
    /// Written by the first node of each group that asks.
    groups: Mutex<BTreeMap<Audience, Assignment>>,
    /// One node of each group, also of those that only earlier states had.
    nodes: Mutex<BTreeMap<Arc<str>, NodeIdentity>>,
}

/// What one file makes, as it was and as it is.
pub(super) type Change = (Option<Arc<Part>>, Option<Arc<Part>>);

impl State {
    /// The state after this one. Only what has changed is looked at, and what that makes a difference to.
    pub(super) fn next(&self, spec: &SpecSet, served: &Map<Arc<str>, Served>) -> Self {
        let mut paths: BTreeSet<Arc<str>> =
            spec.files.changes_by(&self.spec.files, Arc::ptr_eq).map(|change| Arc::clone(change.key)).collect();
        let moved = served.changes_from(&self.served);
        paths.extend(moved.flat_map(|change| self.parts.that_name(change.key)).map(|part| Arc::clone(&part.path)));
        let mut parts = self.parts.clone();
        let mut changes: Vec<Change> = Vec::new();
        for path in paths {
            let was = self.parts.get(&path).cloned();
            let is = spec.files.get(&path).map(|file| Part::next(&path, file, served, was.as_ref()));
            if was.as_ref().map(Arc::as_ptr) != is.as_ref().map(Arc::as_ptr) {
                parts.put(&path, is.as_ref());
                changes.push((was, is));
            }
        }

        let kept = changes.iter().all(|(was, is)| selectors(was) == selectors(is));
        let selectors =
            if kept { Arc::clone(&self.selectors) } else { selectors(parts.iter()).into_iter().cloned().collect() };
        let next = Self {
            selectors,
            spec: spec.clone(),
            served: served.clone(),
            parts,
            groups: Mutex::default(),
            nodes: Mutex::new(self.nodes().clone()),
        };
        if kept && let Some(touched) = Touched::of(&changes, &next.parts) {
            let groups = lock(&self.groups).clone();
            let patched = groups.into_iter().map(|(audience, Assignment { group, snapshot })| {
                let snapshot = next.patched(&audience, &snapshot, &touched);
                (audience, Assignment { group, snapshot })
            });
            *lock(&next.groups) = patched.collect();
        }
        next
    }

    /// One node of each group that was ever assigned.
    pub(super) fn nodes(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, NodeIdentity>> {
        lock(&self.nodes)
    }

    /// Whether a document of that type and name sends traffic to `rollout`.
    pub(super) fn names(&self, rollout: &str, ty: ResourceType, name: &str) -> bool {
        let documents = self.parts.that_name(name).flat_map(|part| &part.documents);
        let mut documents = documents.filter(|document| *document.source.name == *name && document.ty() == ty);
        documents.any(|document| document.actions.contains(rollout))
    }

    pub(super) fn assign(&self, identity: &NodeIdentity) -> Assignment {
        let selectors = self.selectors.iter().enumerate();
        let audience = selectors.filter(|(_, selector)| selector.matches(identity)).map(|(place, _)| place).collect();
        let mut groups = lock(&self.groups);
        let made = groups.entry(audience).or_insert_with_key(|audience| {
            let group = self.group_name(audience);
            self.nodes().insert(Arc::clone(&group), identity.clone());
            Assignment { group, snapshot: Arc::new(self.snapshot(audience)) }
        });
        made.clone()
    }

    fn documents(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.parts.iter().flat_map(|part| &part.documents)
    }

    /// Readable, and the same on every replica: the conditions that the group's nodes fulfil.
    fn group_name(&self, audience: &Audience) -> Arc<str> {
        let selectors = audience.iter().filter_map(|place| self.selectors.get(*place));
        let conditional = selectors.filter(|selector| !selector.is_everything());
        let names: Vec<String> = conditional.map(|selector| conditions(selector).join(",")).collect();
        if names.is_empty() { "default".into() } else { names.join("+").into() }
    }

    fn sees(&self, audience: &Audience, nodes: &Arc<NodeSelector>) -> bool {
        self.selectors.binary_search(nodes).is_ok_and(|place| audience.contains(&place))
    }

    /// What stands in place of each rollout for `audience`, and those rollouts: of two with one name the first.
    fn visible<'a>(
        &self,
        audience: &Audience,
        services: impl Iterator<Item = &'a Arc<Service>>,
    ) -> (Replacements, Vec<&'a Arc<Service>>) {
        let (mut replacements, mut visible) = (Replacements::new(), Vec::new());
        for service in services.filter(|service| self.sees(audience, &service.source.nodes)) {
            let Entry::Vacant(vacant) = replacements.entry(Arc::clone(&service.source.name)) else { continue };
            let canary = service.source.convergence.canary_nodes.as_ref();
            let canary = canary.is_some_and(|nodes| self.sees(audience, nodes));
            vacant.insert(Arc::clone(service.ahead.as_ref().filter(|_| canary).unwrap_or(&service.replacement)));
            visible.push(service);
        }
        (replacements, visible)
    }

    fn snapshot(&self, audience: &Audience) -> Snapshot {
        let mut sets: BTreeMap<ResourceType, BTreeMap<Arc<str>, Arc<Resource>>> = BTreeMap::new();
        let services = self.parts.iter().flat_map(|part| part.services.iter().flatten());
        let (replacements, visible) = self.visible(audience, services);
        for (ty, resource) in visible.into_iter().flat_map(|service| &*service.resources) {
            let set = sets.entry(*ty).or_default();
            set.entry(Arc::clone(&resource.name)).or_insert_with(|| Arc::clone(resource));
        }
        for document in self.documents().filter(|document| self.sees(audience, &document.source.nodes)) {
            let set = sets.entry(document.ty()).or_default();
            set.entry(Arc::clone(&document.source.name)).or_insert_with(|| document.encoded(&replacements));
        }
        // A cluster whose endpoints nobody answers for stays warming until Envoy's fetch timeout: an empty answer ends it.
        let clusters = sets.get(&ResourceType::Cluster).into_iter().flat_map(BTreeMap::values);
        let asked: BTreeSet<Arc<str>> = clusters.filter_map(|cluster| cluster.endpoints.clone()).collect();
        let answered = sets.entry(ResourceType::Endpoint).or_default();
        for name in asked {
            answered.entry(name).or_insert_with_key(|name| Arc::new(clusters::assignment(name, &[])));
        }
        Snapshot::new(sets.into_iter().map(|(ty, set)| (ty, Arc::new(TypeSet::new(set.into_values())))))
    }

    /// [`Self::snapshot`], where `before` was that of the state before and all that is `touched` since is this.
    fn patched(&self, audience: &Audience, before: &Arc<Snapshot>, touched: &Touched) -> Arc<Snapshot> {
        let (replacements, visible) = self.visible(audience, touched.services.iter());
        let mut made: BTreeMap<(ResourceType, &str), Arc<Resource>> = BTreeMap::new();
        for (ty, resource) in visible.into_iter().flat_map(|service| &*service.resources) {
            made.entry((*ty, &resource.name)).or_insert_with(|| Arc::clone(resource));
        }
        for document in touched.documents.iter().filter(|document| self.sees(audience, &document.source.nodes)) {
            let place = made.entry((document.ty(), &document.source.name));
            place.or_insert_with(|| document.encoded(&replacements));
        }
        let mut sets = ResourceType::ALL.map(|ty| Arc::clone(before.set(ty)));
        for (ty, names) in &touched.resources {
            let asked = |name: &Arc<str>| {
                let mut clusters = sets[ResourceType::Cluster.index()].iter();
                let asked = *ty == ResourceType::Endpoint && clusters.any(|one| one.endpoints.as_ref() == Some(name));
                asked.then(|| Arc::new(clusters::assignment(name, &[])))
            };
            let is = |name: &Arc<str>| made.get(&(*ty, &**name)).cloned().or_else(|| asked(name));
            let set = before.set(*ty).with(names.iter().map(|name| (name, is(name))));
            sets[ty.index()] = set;
        }
        let same = ResourceType::ALL.into_iter().all(|ty| Arc::ptr_eq(before.set(ty), &sets[ty.index()]));
        if same { Arc::clone(before) } else { Arc::new(Snapshot::new(ResourceType::ALL.into_iter().zip(sets))) }
    }
}

/// Each once, in order.
fn selectors<'a>(parts: impl IntoIterator<Item = &'a Arc<Part>>) -> Vec<&'a Arc<NodeSelector>> {
    let mut all: Vec<_> = parts.into_iter().flat_map(|part| part.selectors()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn conditions(selector: &NodeSelector) -> Vec<String> {
    let NodeSelector { id, cluster, metadata, region, zone, sub_zone } = selector;
    let fields = [("id", id), ("cluster", cluster), ("region", region), ("zone", zone), ("sub_zone", sub_zone)];
    let fields = fields.into_iter().filter_map(|(key, glob)| Some((key, glob.as_ref()?)));
    let metadata = metadata.iter().map(|(key, glob)| (key.as_str(), glob));
    fields.chain(metadata).map(|(key, glob)| format!("{key}={}", glob.as_str())).collect()
}
