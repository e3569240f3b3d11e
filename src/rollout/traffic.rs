//! The traffic that a rollout asks for: a function of its file and of where it stands, never kept beside them.
//!
//! Every version of the file has its entry, in the order of the file, also with weight 0: sticky users keep their place
//! and no cluster goes away while anything may still lead to it.

use std::sync::Arc;

use super::record::{Record, Stage};
use super::{blue_green, canary};
use crate::spec::{Rollout, Split, Strategy, TOTAL_WEIGHT, Traffic};

/// What `record` wants served under `spec`: to everybody, and to the canary nodes where they are to be ahead.
///
/// Whatever leads to the version under way goes to them first, but for the way back. Meanwhile the others keep what they
/// have, unless it leads to a version that is not under way any more: then all of theirs is on the stable one.
pub(super) fn served(spec: &Rollout, record: &Record) -> (Traffic, Option<Traffic>) {
    let wanted = of(spec, record);
    let stable = &record.stable;
    let resting = with_affinity(spec, Traffic::of(whole(spec, stable)));
    let back = record.rejected.is_some() || record.receding().is_some();
    let to = record.rising().filter(|_| spec.convergence.canary_nodes.is_some() && !back);
    let Some(to) = to.filter(|_| wanted != resting) else { return (wanted, None) };
    let there = |name: &Arc<str>| has(spec, name) && (name == to || name == stable);
    let others = kept(spec, &record.traffic, there).unwrap_or(resting);
    if others == wanted { (wanted, None) } else { (others, Some(wanted)) }
}

/// What `record` has in force under `spec`: after a rejection that holds it, what the fleet had before.
pub(super) fn of(spec: &Rollout, record: &Record) -> Traffic {
    if record.rejected.is_none() {
        return asked(spec, record);
    }
    let good = record.good.as_ref().and_then(|good| kept(spec, good, |name| has(spec, name)));
    with_affinity(spec, good.unwrap_or_else(|| Traffic::of(whole(spec, &record.stable))))
}

/// What the stage of `record` asks for under `spec`.
pub(super) fn asked(spec: &Rollout, record: &Record) -> Traffic {
    let stable = &record.stable;
    let split = record.retreat.as_ref().filter(|_| record.receding().is_some());
    if let Some(kept) = split.and_then(|split| kept(spec, &Traffic::of(split.clone()), |name| has(spec, name))) {
        return with_affinity(spec, kept);
    }
    let traffic = match (&record.stage, &spec.strategy) {
        (Stage::Weights, Strategy::Weights(split)) => Traffic::of(split.clone()),
        (Stage::Steps { to, entered, .. }, Strategy::Canary(canary)) => {
            canary::traffic(spec, canary, stable, to, *entered)
        }
        (Stage::Preview { to, .. }, Strategy::BlueGreen(options)) => blue_green::traffic(spec, options, stable, to),
        (Stage::Moving { to }, _) => Traffic::of(whole(spec, to)),
        (Stage::Stopped { .. }, _) => {
            kept(spec, &record.traffic, |name| has(spec, name)).unwrap_or_else(|| Traffic::of(whole(spec, stable)))
        }
        _ => Traffic::of(whole(spec, stable)),
    };
    with_affinity(spec, traffic)
}

fn with_affinity(spec: &Rollout, mut traffic: Traffic) -> Traffic {
    if let Strategy::Canary(canary) = &spec.strategy {
        traffic.affinity.clone_from(&canary.affinity);
    }
    traffic
}

fn has(spec: &Rollout, version: &Arc<str>) -> bool {
    spec.versions.iter().any(|known| known.name == *version)
}

/// `traffic` with the file's versions, without what leads to others than those that are `there`; `None` if weight does.
fn kept(spec: &Rollout, traffic: &Traffic, there: impl Fn(&Arc<str>) -> bool) -> Option<Traffic> {
    let weight = |name: &Arc<str>| if there(name) { part(traffic, name) } else { 0 };
    let split: Vec<_> = spec.versions.iter().map(|v| (Arc::clone(&v.name), weight(&v.name))).collect();
    let mut kept = Traffic { split: Split(split), ..traffic.clone() };
    kept.header_routes.retain(|(_, version)| there(version));
    kept.mirrors.retain(|(_, version)| there(version));
    (kept.split.0.iter().map(|(_, weight)| weight).sum::<u32>() == TOTAL_WEIGHT).then_some(kept)
}

/// The share of a version, in parts of [`TOTAL_WEIGHT`].
pub(super) fn part(traffic: &Traffic, version: &str) -> u32 {
    traffic.split.0.iter().find(|(name, _)| **name == *version).map_or(0, |(_, weight)| *weight)
}

/// All of it on one version.
pub(super) fn whole(spec: &Rollout, version: &str) -> Split {
    shared(spec, version, version, TOTAL_WEIGHT)
}

/// `weight` parts of [`TOTAL_WEIGHT`] on `to`, the rest on `stable`.
pub(super) fn shared(spec: &Rollout, stable: &str, to: &str, weight: u32) -> Split {
    let weight = weight.min(TOTAL_WEIGHT);
    let part = |version: &str| match version {
        _ if version == to => weight,
        _ if version == stable => TOTAL_WEIGHT - weight,
        _ => 0,
    };
    Split(spec.versions.iter().map(|version| (Arc::clone(&version.name), part(&version.name))).collect())
}
