//! One consistent state of everything that is served, and who gets which part of it.
//!
//! Nodes that answer to the same selectors form a group and share one snapshot. Where two documents that a node sees
//! have one name, the first in path order wins, and what a rollout makes goes before `resources:`. Snapshots are made
//! when the first node of a group asks, and go on from the state before; the memos hold results of pure functions, so
//! nobody can tell when, or how.

use std::sync::Arc;

use prost_reflect::DynamicMessage;

use super::state::State;
use crate::spec::{NodeIdentity, Rollout, Served, SpecSet, descriptor};
use crate::tree::Map;
use crate::xds::{Assign, Assignment, Node, ResourceType, Snapshot};

/// How many states of the past are remembered, for clients that come back with what they had.
const MAX_EARLIER: usize = 4;

/// One consistent state of everything that is served.
#[derive(Debug, Default)]
pub struct World {
    now: Arc<State>,
    /// Newest first.
    earlier: Vec<Arc<State>>,
    guess: bool,
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
    pub fn new(spec: &SpecSet, served: &Map<Arc<str>, Served>) -> Self {
        Self::default().next(spec, served)
    }

    /// The world after this one: equal to [`Self::new`], but what has not changed is not encoded again.
    #[must_use]
    pub fn next(&self, spec: &SpecSet, served: &Map<Arc<str>, Served>) -> Self {
        let earlier = std::iter::once(&self.now).chain(&self.earlier).take(MAX_EARLIER).cloned().collect();
        Self { now: Arc::new(self.now.next(spec, served)), earlier, guess: false }
    }

    /// The same, as [`Assign::is_guess`] says.
    #[must_use]
    pub fn guess(self, guess: bool) -> Self {
        Self { guess, ..self }
    }

    /// The groups that see `rollout`, as far as nodes of them have been assigned.
    #[must_use]
    pub fn audience(&self, rollout: &Rollout) -> Vec<Seat> {
        let canary_nodes = rollout.convergence.canary_nodes.as_ref();
        let nodes = self.now.nodes();
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
        self.now.nodes().contains_key(group)
    }

    /// Whether the resource of that name has to do with `rollout`: it is a cluster of one of its versions, or names it.
    #[must_use]
    pub fn carries(&self, rollout: &Rollout, ty: ResourceType, name: &str) -> bool {
        if matches!(ty, ResourceType::Cluster | ResourceType::Endpoint) {
            return rollout.versions.iter().any(|version| *version.cluster_name == *name);
        }
        self.now.names(&rollout.name, ty, name)
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

    fn is_guess(&self) -> bool {
        self.guess
    }

    fn group(&self, group: &str) -> Option<Arc<Snapshot>> {
        let node = self.now.nodes().get(group).cloned()?;
        let Assignment { group: now, snapshot } = self.now.assign(&node);
        (*now == *group).then_some(snapshot)
    }
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
