//! `spec.strategy`: exactly one of canary, blueGreen, weights.

use std::sync::Arc;

use super::scalar::{shown, weight};
use super::{blue_green, canary, known_version};
use crate::spec::Reporter;
use crate::spec::fields::{mapping, one_of};
use crate::spec::strategy::{Split, Strategy, TOTAL_WEIGHT};
use crate::spec::yaml::Node;

/// Reads the value of `strategy:`, or reports what is wrong with it. `versions` are the names that weights may use;
/// empty if they could not be read.
pub(super) fn read(node: &Node, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Strategy> {
    let entry = one_of(node, "spec.strategy", &["canary", "blueGreen", "weights"], reporter)?;
    match entry.key.as_str() {
        "weights" => weights(&entry.value, versions, reporter).map(Strategy::Weights),
        "blueGreen" => Some(Strategy::BlueGreen(blue_green::read(&entry.value, reporter))),
        _ => Some(Strategy::Canary(canary::read(&entry.value, reporter))),
    }
}

fn weights(node: &Node, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Split> {
    let errors = reporter.errors();
    let mut split = Split(versions.iter().map(|version| (version.clone(), 0)).collect());
    let mut sum = 0;
    for entry in mapping(node, "weights", reporter)? {
        let version = known_version(&entry.key, entry.position, versions, reporter);
        let Some(weight) = weight(&entry.value, reporter) else { continue };
        sum += u64::from(weight);
        if let Some((_, slot)) = split.0.iter_mut().find(|(name, _)| version.as_ref() == Some(name)) {
            *slot = weight;
        }
    }
    if reporter.errors() > errors {
        return None;
    }
    if sum != u64::from(TOTAL_WEIGHT) {
        let message = format!("weights add up to {}, not to 100", shown(sum));
        reporter.error(node.position, message, shown(sum), None);
        return None;
    }
    Some(split)
}
