//! The traffic that a rollout asks for: a function of its file and of where it stands, never kept beside them.
//!
//! Every version of the file has its entry, in the order of the file, also with weight 0: sticky users keep their place
//! and no cluster goes away while anything may still lead to it.

use std::sync::Arc;

use super::record::{Record, Stage};
use super::{blue_green, canary};
use crate::spec::{Rollout, Split, Strategy, TOTAL_WEIGHT, Traffic};

/// What `record` asks for under `spec`.
pub(super) fn of(spec: &Rollout, record: &Record) -> Traffic {
    let stable = &record.stable;
    let mut traffic = match (&record.stage, &spec.strategy) {
        (Stage::Weights, Strategy::Weights(split)) => Traffic::of(split.clone()),
        (Stage::Steps { to, entered, .. }, Strategy::Canary(canary)) => {
            canary::traffic(spec, canary, stable, to, *entered)
        }
        (Stage::Preview { to, .. }, Strategy::BlueGreen(options)) => blue_green::traffic(spec, options, stable, to),
        (Stage::Moving { to }, _) => Traffic::of(whole(spec, to)),
        _ => Traffic::of(whole(spec, stable)),
    };
    if let Strategy::Canary(canary) = &spec.strategy {
        traffic.affinity.clone_from(&canary.affinity);
    }
    traffic
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
