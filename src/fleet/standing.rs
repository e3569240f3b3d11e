//! How each group of nodes stands on the world in force: what convergence is decided on.
//!
//! Kept up event by event at O(log of the fleet) each; only a new world is looked at by every node. Counts are of nodes,
//! not of streams: a node that has a stream per type is one node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Fleet, Node, Status};
use crate::xds::{Assign, Rejection, ResourceType, Snapshot};

/// How many nodes of a kind are named: enough for people to go and look.
const NAMED: usize = 10;

/// How many rejections of a group are passed on; past that a node that rejected anything counts as one that waits.
const TOLD: usize = 100;

/// The fleet and one world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Which world: the number it was aimed at with, 0 before the first.
    pub world: u64,
    /// By the names of [`crate::xds::Assignment::group`]; those with nodes, also if all of them are away.
    pub groups: BTreeMap<String, GroupStanding>,
}

/// One group of nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupStanding {
    /// Nodes with a stream.
    pub nodes: usize,
    /// Those of them that have not acknowledged something yet.
    pub pending: usize,
    /// The first of those by name.
    pub some_pending: Vec<String>,
    /// Those that have acknowledged everything but what they rejected.
    pub rejecting: usize,
    /// What nodes of this group reject, the first by name.
    pub rejected: Vec<Rejected>,
    /// The node that acknowledged last.
    pub latest: Option<String>,
    /// Whether one of them came with routes that this process did not send.
    pub foreign: bool,
    /// Nodes without a stream, longest gone first.
    pub away: Arc<[Away]>,
}

/// Something that a node rejected and has not been forgiven.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// `node.id`
    pub node: String,
    /// Whether it waits for something else as well.
    pub pending: bool,
    /// What, and why.
    pub rejection: Rejection,
}

/// A node without a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// `node.id`
    pub node: String,
    /// Since when.
    pub since: Duration,
}

/// What a node lacks of the world in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Nothing,
    /// What it rejected, and nothing else.
    Rejected,
    /// It has yet to acknowledge something.
    Pending,
}

/// Where a node is counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    group: String,
    lack: Lack,
    rejects: bool,
}

/// Counts of the nodes with a stream, and what they are counted against.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) number: u64,
    pub(super) world: Option<Arc<dyn Assign>>,
    /// Of `world`, as far as it was asked for.
    wanted: BTreeMap<String, Arc<Snapshot>>,
    groups: BTreeMap<String, Group>,
    /// By group; `None` when the nodes that are away have changed since.
    away: Option<BTreeMap<String, Arc<[Away]>>>,
}

#[derive(Debug, Default)]
struct Group {
    nodes: usize,
    pending: BTreeSet<String>,
    rejecting: BTreeSet<String>,
    /// Nodes that reject anything, also beside what they wait for.
    accused: BTreeSet<String>,
    latest: Option<String>,
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").field("number", &self.number).field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Counts against `world` from now on, which is known by `number`. A node that is still on its way from what is wanted
    /// again to something else counts as having it for the moment.
    pub fn aim(&mut self, number: u64, world: Arc<dyn Assign>) {
        (self.counts.number, self.counts.world) = (number, Some(world));
        self.counts.wanted.clear();
        for group in self.counts.groups.values_mut() {
            group.latest = None;
        }
        for id in self.nodes.keys().cloned().collect::<Vec<_>>() {
            self.count(&id);
        }
    }

    /// How the fleet stands on the world it is aimed at.
    pub fn standing(&mut self) -> Standing {
        let away = self.counts.away.take().unwrap_or_else(|| self.find_away());
        let told = |(id, name, group): (&String, &str, &Group)| {
            let pending = group.pending.contains(id);
            let mut rejections = self.nodes.get(id).map(|node| node.rejections.clone()).unwrap_or_default();
            let wanted = self.counts.wanted.get(name);
            rejections.retain(|rejection| holds(rejection, wanted.map(|wanted| &**wanted)));
            let id = id.clone();
            rejections.into_iter().map(move |rejection| Rejected { node: id.clone(), pending, rejection })
        };
        let one = |name: &str, group: &Group| GroupStanding {
            nodes: group.nodes,
            pending: group.pending.len(),
            some_pending: group.pending.iter().take(NAMED).cloned().collect(),
            rejecting: group.rejecting.len(),
            rejected: group.accused.iter().map(|id| (id, name, group)).flat_map(told).take(TOLD).collect(),
            latest: group.latest.clone(),
            foreign: self.foreign.contains(name),
            away: Arc::default(),
        };
        let with_nodes = self.counts.groups.iter().filter(|(_, group)| group.nodes > 0);
        let mut groups: BTreeMap<_, _> = with_nodes.map(|(name, group)| (name.clone(), one(name, group))).collect();
        for (name, nodes) in &away {
            groups.entry(name.clone()).or_default().away = Arc::clone(nodes);
        }
        self.counts.away = Some(away);
        Standing { world: self.counts.number, groups }
    }

    /// Nodes with a stream or without one for less than `memory`, each with its group: to be expected back after a
    /// restart.
    #[must_use]
    pub fn expected(&self, now: Duration, memory: Duration) -> BTreeMap<&str, &str> {
        let known = self.nodes.iter().filter(|(_, node)| !node.streams.is_empty() || now < node.since + memory);
        known.filter_map(|(id, node)| Some((id.as_str(), self.group_of(node)?))).collect()
    }

    /// Expects the nodes that [`Self::expected`] named in an earlier process: they count as away since `now`.
    pub fn expect(&mut self, now: Duration, nodes: BTreeMap<String, String>) {
        for (id, group) in nodes {
            let node = self.nodes.entry(id.clone()).or_default();
            node.expected_in = Some(group);
            node.since = now;
            self.gone.insert((now, id));
        }
        self.counts.away = None;
    }

    /// Counts one node anew, after anything about it has changed.
    pub(super) fn count(&mut self, id: &str) {
        let place = self.place(id);
        let Some(node) = self.nodes.get_mut(id) else { return };
        if place == node.place {
            return;
        }
        let before = std::mem::replace(&mut node.place, place);
        let place = node.place.as_ref();
        if place.is_some() != before.is_some() {
            self.counts.away = None;
        }
        if let Some(before) = &before {
            self.counts.remove(id, before);
        }
        if let Some(place) = place {
            self.counts.add(id, place, before.is_none_or(|before| before.lack == Lack::Pending));
        }
    }

    pub(super) fn place(&mut self, id: &str) -> Option<Place> {
        let node = self.nodes.get(id)?;
        let live: Vec<_> = node.streams.iter().rev().filter_map(|stream| self.streams.get(stream)).collect();
        let group = live.first()?.group.clone();
        let wanted = self.counts.wanted(&group);
        let rejects = |ty| {
            let of_type = node.rejections.iter().filter(|rejection| rejection.ty == ty);
            of_type.into_iter().any(|rejection| holds(rejection, wanted.as_deref()))
        };
        let accused = ResourceType::ALL.into_iter().any(rejects);
        if live.iter().any(|stream| stream.foreign && stream.types[ResourceType::Route.index()].is_none()) {
            return Some(Place { group, lack: Lack::Pending, rejects: accused });
        }
        let mut lack = Lack::Pending;
        for ty in ResourceType::ALL {
            // While a stream is replaced, what the newest says of a type counts.
            let Some(state) = live.iter().find_map(|stream| stream.types[ty.index()].as_ref()) else { continue };
            let has = wanted.as_ref().is_some_and(|wanted| state.settled == Some(wanted.set(ty).version()));
            let this = match state.status {
                _ if has => Lack::Nothing,
                // What is wanted may have changed since, and its session not heard of it.
                Status::Nack if rejects(ty) => Lack::Rejected,
                _ => return Some(Place { group, lack: Lack::Pending, rejects: accused }),
            };
            lack = if this == Lack::Rejected || lack == Lack::Rejected { Lack::Rejected } else { Lack::Nothing };
        }
        Some(Place { group, lack, rejects: accused })
    }

    fn group_of<'a>(&'a self, node: &'a Node) -> Option<&'a str> {
        let newest = node.streams.last().and_then(|stream| self.streams.get(stream));
        let last = node.last.as_ref().map(|(stream, _)| stream);
        newest.or(last).map(|stream| stream.group.as_str()).or(node.expected_in.as_deref())
    }

    fn find_away(&self) -> BTreeMap<String, Arc<[Away]>> {
        let mut away: BTreeMap<String, Vec<Away>> = BTreeMap::new();
        for (since, id) in &self.gone {
            if let Some(group) = self.nodes.get(id).and_then(|node| self.group_of(node)) {
                away.entry(group.to_owned()).or_default().push(Away { node: id.clone(), since: *since });
            }
        }
        away.into_iter().map(|(group, nodes)| (group, nodes.into())).collect()
    }
}

/// Whether a rejection is still about what is wanted.
fn holds(rejection: &Rejection, wanted: Option<&Snapshot>) -> bool {
    wanted.is_none_or(|wanted| rejection.is_about(wanted.set(rejection.ty)))
}

impl Counts {
    fn wanted(&mut self, group: &str) -> Option<Arc<Snapshot>> {
        if let Some(known) = self.wanted.get(group) {
            return Some(Arc::clone(known));
        }
        let wanted = self.world.as_ref()?.group(group)?;
        self.wanted.insert(group.to_owned(), Arc::clone(&wanted));
        Some(wanted)
    }

    fn add(&mut self, id: &str, place: &Place, caught_up: bool) {
        let group = self.groups.entry(place.group.clone()).or_default();
        group.nodes += 1;
        match place.lack {
            Lack::Pending => drop(group.pending.insert(id.to_owned())),
            Lack::Rejected => drop(group.rejecting.insert(id.to_owned())),
            Lack::Nothing if caught_up => group.latest = Some(id.to_owned()),
            Lack::Nothing => {}
        }
        if place.rejects {
            group.accused.insert(id.to_owned());
        }
    }

    fn remove(&mut self, id: &str, place: &Place) {
        let Some(group) = self.groups.get_mut(&place.group) else { return };
        group.nodes -= 1;
        group.pending.remove(id);
        group.rejecting.remove(id);
        group.accused.remove(id);
    }
}
