//! `spec.strategy`: exactly one of canary, blueGreen, weights.

use std::sync::Arc;

use super::known_version;
use crate::spec::Reporter;
use crate::spec::fields::{Fields, mapping};
use crate::spec::strategy::{BlueGreen, Split, Strategy, TOTAL_WEIGHT};
use crate::spec::yaml::{Data, Node};

/// Options of `blueGreen` that hold the switch back or undo it: to switch at once in spite of them is no option.
pub(super) const BLUE_GREEN: [&str; 7] = [
    "preview",
    "autoPromotionEnabled",
    "autoPromotionSeconds",
    "switchAt",
    "prePromotionAnalysis",
    "postPromotionAnalysis",
    "scaleDownDelaySeconds",
];

/// Reads the value of `strategy:`, or reports what is wrong with it. `versions` are the names that weights may use;
/// empty if they could not be read.
pub(super) fn read(node: &Node, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Strategy> {
    let fields = Fields::read(node, "spec.strategy", &["canary", "blueGreen", "weights"], reporter)?;
    let given: Vec<_> = fields.iter().collect();
    let [entry] = given[..] else {
        // An unknown key was reported already, and it is what should have stood here.
        if given.len() > 1 || matches!(&node.data, Data::Mapping(entries) if entries.is_empty()) {
            let found = given.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>().join(", ");
            let message = "spec.strategy needs exactly one of canary, blueGreen, weights, found ";
            let message = format!("{message}{}", if found.is_empty() { "none" } else { &found });
            reporter.error(node.position, message, found, None);
        }
        return None;
    };
    match entry.key.as_str() {
        "weights" => weights(&entry.value, versions, reporter).map(Strategy::Weights),
        "blueGreen" => blue_green(&entry.value, reporter),
        _ => {
            let message = "canary is not supported yet: the rollout engine comes with the next release";
            reporter.error(entry.position, message, "canary", Some("use weights or blueGreen".to_owned()));
            None
        }
    }
}

fn blue_green(node: &Node, reporter: &mut Reporter) -> Option<Strategy> {
    if node.data == Data::Null {
        return Some(Strategy::BlueGreen(BlueGreen::default()));
    }
    let fields = Fields::read(node, "blueGreen", &BLUE_GREEN, reporter)?;
    for entry in fields.iter() {
        let help = Some("blueGreen: {} switches at once".to_owned());
        let message = format!("{} is not supported yet", entry.key);
        reporter.error(entry.position, message, entry.key.as_str(), help);
    }
    Some(Strategy::BlueGreen(BlueGreen::default()))
}

fn weights(node: &Node, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Split> {
    let errors = reporter.errors();
    let mut split = Split(versions.iter().map(|version| (version.clone(), 0)).collect());
    let mut sum = 0;
    for entry in mapping(node, "weights", reporter)? {
        let version = known_version(&entry.key, entry.position, versions, reporter);
        match percent(&entry.value) {
            Ok(weight) => {
                sum += u64::from(weight);
                if let Some((_, slot)) = split.0.iter_mut().find(|(name, _)| version.as_ref() == Some(name)) {
                    *slot = weight;
                }
            }
            Err(message) => reporter.error(entry.value.position, message, entry.value.found(), None),
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

/// A percentage in hundredths, read digit by digit: no rounding.
fn percent(node: &Node) -> Result<u32, String> {
    let expected = || format!("a weight is a percentage such as 12.5, found {}", node.found());
    let Data::Number(text) = &node.data else { return Err(expected()) };
    if text.starts_with('-') {
        return Err(format!("a weight cannot be negative, found {text}"));
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) {
        return Err(expected());
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 2 {
        return Err(format!("a weight has at most two decimals, found {text}"));
    }
    format!("{whole}{decimals:0<2}")
        .parse()
        .ok()
        .filter(|weight| *weight <= TOTAL_WEIGHT)
        .ok_or_else(|| format!("a weight cannot be above 100, found {text}"))
}

fn shown(hundredths: u64) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:02}").trim_end_matches('0').to_owned(),
    }
}
