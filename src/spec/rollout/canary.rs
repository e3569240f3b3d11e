//! `strategy.canary`: steps, or the sugar that stands for steps; analysis beside them; affinity.
//!
//! The sugar is Flagger's: a weight, a pause of `interval` (a minute unless given), the next weight, and after the last
//! one promotion.

use std::time::Duration;

use super::scalar::{shown, weight};
use super::{analysis, duration, header, required, scalar, step};
use crate::spec::Reporter;
use crate::spec::fields::{Fields, list, one_of};
use crate::spec::strategy::{Affinity, BackgroundAnalysis, Canary, Step, TOTAL_WEIGHT};
use crate::spec::yaml::{Data, Node};

const KEYS: [&str; 8] = [
    "steps",
    "stepWeight",
    "maxWeight",
    "stepWeights",
    "interval",
    "sessionAffinity",
    "scaleDownDelaySeconds",
    "analysis",
];

const SUGAR: [&str; 4] = ["stepWeight", "maxWeight", "stepWeights", "interval"];

/// Flagger's default.
const INTERVAL: Duration = Duration::from_secs(60);

/// Reads the value of `canary:`; nothing is all defaults. What is wrong is reported and left at its default.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Canary {
    let default = Canary::default();
    if node.data == Data::Null {
        return default;
    }
    let errors = reporter.errors();
    let Some(fields) = Fields::read(node, "canary", &KEYS, reporter) else { return default };
    let steps = steps(&fields, reporter);
    // How many steps there are is known where none has mistakes.
    let count = (reporter.errors() == errors).then_some(steps.len());
    Canary {
        analysis: fields.get("analysis").and_then(|node| background(node, count, reporter)),
        steps,
        affinity: fields.get("sessionAffinity").and_then(|node| affinity(node, reporter)),
        scale_down_delay: fields
            .get("scaleDownDelaySeconds")
            .and_then(|node| scalar::seconds(node, "scaleDownDelaySeconds", 0, reporter))
            .unwrap_or(default.scale_down_delay),
    }
}

/// `analysis:` beside `count` steps, if that is known.
fn background(node: &Node, count: Option<usize>, reporter: &mut Reporter) -> Option<BackgroundAnalysis> {
    if count == Some(0) {
        let help = Some("without steps all traffic moves at once: add steps, or use blueGreen".to_owned());
        reporter.error(node.position, "analysis has no steps to stand beside", "analysis", help);
    }
    let (templates, starting_step) = analysis::read_background(node, "analysis", reporter);
    let starting_step = match starting_step {
        None => 1,
        Some(node) => {
            let most =
                count.filter(|count| *count > 0).map_or(u32::MAX, |count| u32::try_from(count).unwrap_or(u32::MAX));
            scalar::whole(node, "analysis.startingStep", 1..=most, reporter)? as usize
        }
    };
    (!templates.is_empty()).then_some(BackgroundAnalysis { templates, starting_step })
}

fn steps(fields: &Fields<'_>, reporter: &mut Reporter) -> Vec<Step> {
    let Some(node) = fields.get("steps") else { return sugar(fields, reporter) };
    for entry in fields.iter().filter(|entry| SUGAR.contains(&entry.key.as_str())) {
        let help = Some("it is short for steps".to_owned());
        let message = format!("{} cannot stand beside steps", entry.key);
        reporter.error(entry.position, message, entry.key.as_str(), help);
    }
    step::read(node, reporter)
}

/// The steps that `stepWeight` or `stepWeights` stand for; none where neither is given.
fn sugar(fields: &Fields<'_>, reporter: &mut Reporter) -> Vec<Step> {
    let interval = fields.get("interval").and_then(|node| duration::positive(node, "canary.interval", reporter));
    let pause = Step::Pause(Some(interval.unwrap_or(INTERVAL)));
    let weights = match (fields.get("stepWeight"), fields.entry("stepWeights")) {
        (Some(node), None) => even(node, fields.get("maxWeight"), reporter),
        (None, Some(entry)) => {
            if let Some(max) = fields.entry("maxWeight") {
                let help = Some("the last of stepWeights is the highest".to_owned());
                reporter.error(max.position, "maxWeight cannot stand beside stepWeights", "maxWeight", help);
            }
            rising(&entry.value, reporter)
        }
        (Some(_), Some(entry)) => {
            let message = "canary has both stepWeight and stepWeights, expected one of them";
            reporter.error(entry.position, message, "stepWeights", None);
            return Vec::new();
        }
        (None, None) => {
            let misspelt = ["steps", "stepWeight", "stepWeights"].iter().any(|key| !fields.lacks(key));
            let alone = fields.iter().find(|entry| SUGAR.contains(&entry.key.as_str()));
            if let Some(entry) = alone.filter(|_| !misspelt) {
                let message = format!("{} needs stepWeight or stepWeights beside it", entry.key);
                reporter.error(entry.position, message, entry.key.as_str(), None);
            }
            return Vec::new();
        }
    };
    weights.into_iter().flat_map(|weight| [Step::SetWeight(weight), pause.clone()]).collect()
}

/// `stepWeight`, twice `stepWeight`, and so on; the last is `max`, 100 % unless given. Flagger oversteps a maximum that
/// is no multiple of the step; its documentation says that it does not, and we do as that says.
fn even(node: &Node, max: Option<&Node>, reporter: &mut Reporter) -> Vec<u32> {
    let step = above_zero(node, "stepWeight", reporter);
    let max = match max {
        Some(node) => above_zero(node, "maxWeight", reporter),
        None => Some(TOTAL_WEIGHT),
    };
    let (Some(step), Some(max)) = (step, max) else { return Vec::new() };
    if step > max {
        let message = format!("stepWeight {} is above maxWeight {}", shown(step.into()), shown(max.into()));
        reporter.error(node.position, message, node.found(), None);
        return Vec::new();
    }
    (1..=max.div_ceil(step)).map(|count| max.min(step * count)).collect()
}

/// The weights of `stepWeights`, each above the one before.
fn rising(node: &Node, reporter: &mut Reporter) -> Vec<u32> {
    let items = list(node, "stepWeights", reporter).unwrap_or_default();
    let mut weights: Vec<u32> = Vec::new();
    for item in items {
        let Some(weight) = above_zero(item, "stepWeights", reporter) else { continue };
        if let Some(before) = weights.last().filter(|before| **before >= weight) {
            let message =
                format!("stepWeights must rise, found {} after {}", shown(weight.into()), shown((*before).into()));
            reporter.error(item.position, message, item.found(), None);
        }
        weights.push(weight);
    }
    if items.is_empty() && matches!(node.data, Data::Sequence(_)) {
        reporter.error(node.position, "stepWeights is empty", "[]", None);
    }
    weights
}

fn above_zero(node: &Node, place: &str, reporter: &mut Reporter) -> Option<u32> {
    let weight = weight(node, reporter)?;
    if weight == 0 {
        reporter.error(node.position, format!("{place} must be above 0, found {}", node.found()), node.found(), None);
        return None;
    }
    Some(weight)
}

fn affinity(node: &Node, reporter: &mut Reporter) -> Option<Affinity> {
    let entry = one_of(node, "sessionAffinity", &["cookie", "header"], reporter)?;
    if entry.key == "header" {
        return header::name(&entry.value, "sessionAffinity.header", reporter).map(Affinity::Header);
    }
    let fields = Fields::read(&entry.value, "sessionAffinity.cookie", &["name", "ttl"], reporter)?;
    if let Some(entry) = fields.entry("ttl")
        && duration::read(&entry.value, "sessionAffinity.cookie.ttl", reporter).is_some()
    {
        let message = "ttl has no effect: Envoy does not make the cookie where it splits by weight";
        let help = Some("the application or an earlier hop must set it".to_owned());
        reporter.warning(entry.position, message, "ttl", help);
    }
    let why = "users are told apart by the cookie of that name";
    let node = required(&fields, "sessionAffinity.cookie.name", why, reporter)?;
    header::cookie(node, "sessionAffinity.cookie.name", reporter).map(Affinity::Cookie)
}
