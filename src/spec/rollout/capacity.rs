//! `spec.capacityGate`: a version gets no more than its endpoints can carry.

use std::ops::RangeInclusive;

use super::{required, scalar};
use crate::spec::Reporter;
use crate::spec::fields::{Fields, unexpected};
use crate::spec::strategy::CapacityGate;
use crate::spec::yaml::{Data, Node};

const KEYS: [&str; 4] = ["concurrencyPerEndpoint", "maxWaitProbability", "maxUtilization", "peakFactor"];

const MAX_WAIT_PROBABILITY: f64 = 0.05;

const MAX_UTILIZATION: f64 = 0.85;

const PEAK_FACTOR: f64 = 1.2;

/// More than that is no peak but a mistake.
const MAX_PEAK_FACTOR: f64 = 100.0;

/// Reads the value of `capacityGate:`. What is wrong is reported.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Option<CapacityGate> {
    let fields = Fields::read(node, "capacityGate", &KEYS, reporter)?;
    let mut share = |key, default| {
        let read = |node| above_zero_to_one(node, &format!("capacityGate.{key}"), reporter);
        fields.get(key).map_or(Some(default), read)
    };
    let max_wait_probability = share("maxWaitProbability", MAX_WAIT_PROBABILITY);
    let max_utilization = share("maxUtilization", MAX_UTILIZATION);
    let peak_factor = fields.get("peakFactor").map_or(Some(PEAK_FACTOR), |node| peak_factor(node, reporter));
    let place = "capacityGate.concurrencyPerEndpoint";
    let why = "it is how many requests one endpoint handles at a time at full speed";
    let concurrency = required(&fields, place, why, reporter);
    let concurrency = concurrency.and_then(|node| scalar::whole(node, place, 1..=u32::MAX, reporter));
    Some(CapacityGate {
        concurrency_per_endpoint: concurrency?,
        max_wait_probability: max_wait_probability?,
        max_utilization: max_utilization?,
        peak_factor: peak_factor?,
    })
}

fn above_zero_to_one(node: &Node, place: &str, reporter: &mut Reporter) -> Option<f64> {
    let share = number(node).filter(|share| *share > 0.0 && *share <= 1.0);
    if share.is_some() {
        return share;
    }
    let percent = match &node.data {
        Data::Number(text) => text.parse().ok(),
        Data::String(text) => text.strip_suffix('%').and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    let percent = percent.filter(|percent: &f64| *percent > 1.0 && *percent <= 100.0);
    let help = percent.map(|percent| format!("{percent} % is written {}", percent / 100.0));
    unexpected(node, place, "a number above 0, up to 1", help, reporter)
}

fn peak_factor(node: &Node, reporter: &mut Reporter) -> Option<f64> {
    const RANGE: RangeInclusive<f64> = 1.0..=MAX_PEAK_FACTOR;
    let factor = number(node).filter(|factor| RANGE.contains(factor));
    factor.or_else(|| unexpected(node, "capacityGate.peakFactor", "a number from 1 to 100", None, reporter))
}

fn number(node: &Node) -> Option<f64> {
    if let Data::Number(text) = &node.data { text.parse().ok() } else { None }
}
