//! One consistent state of everything that is served, and who gets which part of it.
//!
//! Nodes that answer to the same selectors form a group and share one snapshot. Where two documents that a node sees
//! have one name, the first in path order wins, and what a rollout makes goes before `resources:`. Snapshots are made
//! when the first node of a group asks; the memos hold results of pure functions, so nobody can tell when.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost_reflect::DynamicMessage;

use super::references::{self, References};
use super::replacement::{Replacement, Replacements};
use super::{clusters, resource_type, routes};
use crate::spec::{self, NodeIdentity, NodeSelector, Rollout, Served, SpecSet, canonical, descriptor};
use crate::xds::{Assign, Assignment, Node, Resource, ResourceType, Snapshot, TypeSet};

/// Where a document stands: path of its file, and its place among the documents of its kind.
type Place = (Arc<str>, usize);

/// The selectors a node answers to, by their place in [`State::selectors`]. It is what makes a group: equal audiences
/// see equal documents.
type Audience = BTreeSet<usize>;

/// How many states of the past are remembered, for clients that come back with what they had.
const MAX_EARLIER: usize = 4;

/// One consistent state of everything that is served.
#[derive(Debug, Default)]
pub struct World {
    now: Arc<State>,
    /// Newest first.
    earlier: Vec<Arc<State>>,
}

/// What there is at one time.
#[derive(Debug, Default)]
struct State {
    /// Of all documents, each once, in order.
    selectors: Vec<Arc<NodeSelector>>,
    services: BTreeMap<Place, Service>,
    documents: BTreeMap<Place, Document>,
    /// Written by the first node of each group that asks.
    groups: Mutex<BTreeMap<Audience, Assignment>>,
    /// One node of each group, also of those that only earlier states had.
    nodes: Mutex<BTreeMap<Arc<str>, NodeIdentity>>,
}

/// A group of nodes that see a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// [`Assignment::group`]
    pub group: Arc<str>,
    /// Whether its nodes are `canaryNodes`, which get each change first.
    pub canary: bool,
}

/// A resource as a node gets it, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Its type.
    pub ty: ResourceType,
    /// The name proxies ask for.
    pub name: Arc<str>,
    /// The whole message.
    pub message: DynamicMessage,
}

impl World {
    /// Everything that `spec` asks for. `served` holds the traffic of each rollout by name; a rollout without is not served.
    #[must_use]
    pub fn new(spec: &SpecSet, served: &BTreeMap<Arc<str>, Served>) -> Self {
        Self::default().next(spec, served)
    }

    /// The world after this one: equal to [`Self::new`], but what has not changed is not encoded again.
    #[must_use]
    pub fn next(&self, spec: &SpecSet, served: &BTreeMap<Arc<str>, Served>) -> Self {
        let earlier = std::iter::once(&self.now).chain(&self.earlier).take(MAX_EARLIER).cloned().collect();
        Self { now: Arc::new(self.now.next(spec, served)), earlier }
    }

    /// The groups that see `rollout`, as far as nodes of them have been assigned.
    #[must_use]
    pub fn audience(&self, rollout: &Rollout) -> Vec<Seat> {
        let canary_nodes = rollout.convergence.canary_nodes.as_ref();
        let nodes = lock(&self.now.nodes);
        let seated = nodes.iter().filter(|(_, node)| rollout.nodes.matches(node));
        seated
            .map(|(group, node)| Seat {
                group: Arc::clone(group),
                canary: canary_nodes.is_some_and(|selector| selector.matches(node)),
            })
            .collect()
    }

    /// Whether any node of `group` has been assigned.
    #[must_use]
    pub fn knows(&self, group: &str) -> bool {
        lock(&self.now.nodes).contains_key(group)
    }

    /// Whether the resource of that name has to do with `rollout`: it is a cluster of one of its versions, or names it.
    #[must_use]
    pub fn carries(&self, rollout: &Rollout, ty: ResourceType, name: &str) -> bool {
        if matches!(ty, ResourceType::Cluster | ResourceType::Endpoint) {
            return rollout.versions.iter().any(|version| *version.cluster_name == *name);
        }
        let documents = self.now.documents.values();
        let mut named = documents.filter(|document| *document.source.name == *name);
        named.any(|document| resource_type(document.source.kind) == ty && document.actions.contains(&rollout.name))
    }

    /// All that `node` should have, in push order, decoded from the bytes it would get.
    #[must_use]
    pub fn render(&self, node: &Node) -> Vec<Rendered> {
        let snapshot = self.assign(node).snapshot;
        let resources = ResourceType::ALL.into_iter().flat_map(|ty| snapshot.set(ty).iter().map(move |r| (ty, r)));
        let rendered = resources.filter_map(|(ty, resource)| {
            let message = DynamicMessage::decode(descriptor::message(ty.message_name())?, resource.body.clone());
            Some(Rendered { ty, name: Arc::clone(&resource.name), message: message.ok()? })
        });
        rendered.collect()
    }
}

impl Assign for World {
    fn assign(&self, node: &Node) -> Assignment {
        self.now.assign(&identity(node))
    }

    fn earlier(&self, node: &Node) -> Vec<Arc<Snapshot>> {
        let identity = identity(node);
        self.earlier.iter().map(|state| state.assign(&identity).snapshot).collect()
    }

    fn group(&self, group: &str) -> Option<Arc<Snapshot>> {
        let node = lock(&self.now.nodes).get(group).cloned()?;
        let Assignment { group: now, snapshot } = self.now.assign(&node);
        (*now == *group).then_some(snapshot)
    }
}

impl State {
    fn next(&self, spec: &SpecSet, served: &BTreeMap<Arc<str>, Served>) -> Self {
        let mut next = Self::default();
        for (path, file) in &spec.files {
            for (index, rollout) in file.rollouts.iter().enumerate() {
                let Some(served) = served.get(&rollout.name) else { continue };
                let place = (Arc::clone(path), index);
                let known = self.services.get(&place).filter(|known| Arc::ptr_eq(&known.source, rollout));
                next.services.insert(place, Service::new(rollout, served, known));
            }
        }
        let current: BTreeSet<_> = next.services.values().flat_map(Service::replacements).collect();
        for (path, file) in &spec.files {
            for (index, resource) in file.resources.iter().enumerate() {
                let place = (Arc::clone(path), index);
                let known = self.documents.get(&place).filter(|known| Arc::ptr_eq(&known.source, resource));
                let document = known.map_or_else(|| Document::new(resource), |known| known.with_only(&current));
                next.documents.insert(place, document);
            }
        }
        // Also while nobody is ahead: groups keep their names and their snapshots.
        let of_services = next
            .services
            .values()
            .flat_map(|service| std::iter::once(&service.source.nodes).chain(&service.source.convergence.canary_nodes));
        let of_documents = next.documents.values().map(|document| &document.source.nodes);
        next.selectors = of_services.chain(of_documents).cloned().collect();
        next.selectors.sort_unstable();
        next.selectors.dedup();
        next.nodes = Mutex::new(lock(&self.nodes).clone());
        next
    }

    /// Readable, and the same on every replica: the conditions that the group's nodes fulfil.
    fn group_name(&self, audience: &Audience) -> Arc<str> {
        let selectors = audience.iter().filter_map(|place| self.selectors.get(*place));
        let conditional = selectors.filter(|selector| !selector.is_everything());
        let names: Vec<String> = conditional.map(|selector| conditions(selector).join(",")).collect();
        if names.is_empty() { "default".into() } else { names.join("+").into() }
    }

    fn snapshot(&self, audience: &Audience) -> Snapshot {
        let visible = |nodes: &Arc<NodeSelector>| {
            self.selectors.binary_search(nodes).is_ok_and(|place| audience.contains(&place))
        };
        let mut sets: BTreeMap<ResourceType, BTreeMap<Arc<str>, Arc<Resource>>> = BTreeMap::new();
        let mut replacements = Replacements::new();
        for service in self.services.values().filter(|service| visible(&service.source.nodes)) {
            let Entry::Vacant(vacant) = replacements.entry(Arc::clone(&service.source.name)) else { continue };
            let canary = service.source.convergence.canary_nodes.as_ref().is_some_and(visible);
            vacant.insert(Arc::clone(service.ahead.as_ref().filter(|_| canary).unwrap_or(&service.replacement)));
            for (ty, resource) in &*service.resources {
                let set = sets.entry(*ty).or_default();
                set.entry(Arc::clone(&resource.name)).or_insert_with(|| Arc::clone(resource));
            }
        }
        for document in self.documents.values().filter(|document| visible(&document.source.nodes)) {
            let set = sets.entry(resource_type(document.source.kind)).or_default();
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

    fn assign(&self, identity: &NodeIdentity) -> Assignment {
        let selectors = self.selectors.iter().enumerate();
        let audience = selectors.filter(|(_, selector)| selector.matches(identity)).map(|(place, _)| place).collect();
        let mut groups = lock(&self.groups);
        let made = groups.entry(audience).or_insert_with_key(|audience| {
            let group = self.group_name(audience);
            lock(&self.nodes).insert(Arc::clone(&group), identity.clone());
            Assignment { group, snapshot: Arc::new(self.snapshot(audience)) }
        });
        made.clone()
    }
}

/// A rollout with the traffic of the day.
#[derive(Debug)]
struct Service {
    source: Arc<Rollout>,
    replacement: Arc<Replacement>,
    /// For its canary nodes, while they are ahead.
    ahead: Option<Arc<Replacement>>,
    /// What serves its versions; does not depend on the traffic.
    resources: Arc<[(ResourceType, Arc<Resource>)]>,
}

impl Service {
    fn new(source: &Arc<Rollout>, served: &Served, known: Option<&Self>) -> Self {
        let of = |traffic| Arc::new(Replacement::new(source, traffic));
        let resources = known.map_or_else(|| clusters::of_rollout(source).into(), |known| Arc::clone(&known.resources));
        let (replacement, ahead) = (of(&served.traffic), served.ahead.as_ref().map(of));
        Self { source: Arc::clone(source), replacement, ahead, resources }
    }

    fn replacements(&self) -> impl Iterator<Item = &Arc<Replacement>> {
        std::iter::once(&self.replacement).chain(&self.ahead)
    }
}

/// An Envoy resource of the user's.
#[derive(Debug)]
struct Document {
    source: Arc<spec::Resource>,
    /// Clusters that its route actions name.
    actions: BTreeSet<Arc<str>>,
    /// By what stands in place of some of `actions`. Written by the first group that needs it.
    encoded: Mutex<BTreeMap<Replacements, Arc<Resource>>>,
}

impl Document {
    fn new(source: &Arc<spec::Resource>) -> Self {
        let actions = References::of(&source.message).actions;
        Self { source: Arc::clone(source), actions, encoded: Mutex::default() }
    }

    /// The same document, without what was encoded for traffic of the past.
    fn with_only(&self, current: &BTreeSet<&Arc<Replacement>>) -> Self {
        let mut encoded = lock(&self.encoded).clone();
        encoded.retain(|replacements, _| replacements.values().all(|replacement| current.contains(replacement)));
        Self { source: Arc::clone(&self.source), actions: self.actions.clone(), encoded: Mutex::new(encoded) }
    }

    fn encoded(&self, visible: &Replacements) -> Arc<Resource> {
        let used = self.actions.iter().filter_map(|name| visible.get_key_value(name));
        let used: Replacements = used.map(|(name, used)| (Arc::clone(name), Arc::clone(used))).collect();
        let mut encoded = lock(&self.encoded);
        let made = encoded.entry(used).or_insert_with_key(|used| Arc::new(encode(&self.source, used)));
        Arc::clone(made)
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

fn conditions(selector: &NodeSelector) -> Vec<String> {
    let NodeSelector { id, cluster, metadata, region, zone, sub_zone } = selector;
    let fields = [("id", id), ("cluster", cluster), ("region", region), ("zone", zone), ("sub_zone", sub_zone)];
    let fields = fields.into_iter().filter_map(|(key, glob)| Some((key, glob.as_ref()?)));
    let metadata = metadata.iter().map(|(key, glob)| (key.as_str(), glob));
    fields.chain(metadata).map(|(key, glob)| format!("{key}={}", glob.as_str())).collect()
}

fn identity(node: &Node) -> NodeIdentity {
    NodeIdentity {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        metadata: node.metadata.clone(),
        region: node.region.clone(),
        zone: node.zone.clone(),
        sub_zone: node.sub_zone.clone(),
    }
}

/// Memos are written whole, so one that a panic left behind is as good as any.
fn lock<T>(memo: &Mutex<T>) -> MutexGuard<'_, T> {
    memo.lock().unwrap_or_else(PoisonError::into_inner)
}
