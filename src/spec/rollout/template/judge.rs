//! What tells good from bad in a metric: `test`, `thresholdRange`, `successCondition` and `failureCondition`.

use std::ops::Bound;
use std::time::Duration;

use super::super::{duration, required, scalar};
use crate::spec::Reporter;
use crate::spec::analysis::{Good, Limits, Source, Test, ThresholdRange};
use crate::spec::condition::{Condition, Mistake};
use crate::spec::fields::{Fields, list, unexpected};
use crate::spec::yaml::{Data, Node};

/// The share of good rollouts that may fail.
const ALPHA: f64 = 0.01;

/// The share of bad rollouts that may pass.
const BETA: f64 = 0.05;

/// Errors come in bursts: with nothing allowed, such a service would fail itself.
const ALLOWED_INCREASE: f64 = 1.25;

const MAX_INCREASE: f64 = 2.0;

const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Where a number must lie, with the words for it.
type Range = (Bound<f64>, Bound<f64>, &'static str);

const SHARE: Range = (Bound::Excluded(0.0), Bound::Excluded(1.0), "a number above 0 and below 1");

const RATIO: Range = (Bound::Included(1.0), Bound::Unbounded, "a ratio, from 1 up");

pub(super) const WEIGHT: Range = (Bound::Excluded(0.0), Bound::Unbounded, "a finite number above 0");

const FINITE: Range = (Bound::Unbounded, Bound::Unbounded, "a finite number");

/// `test:`
pub(super) fn test(node: &Node, reporter: &mut Reporter) -> Option<Test> {
    let errors = reporter.errors();
    let known = ["type", "alpha", "beta", "allowedIncrease", "quantiles", "slo", "pass"];
    let fields = Fields::read(node, "test", &known, reporter)?;
    let kind = required(&fields, "test.type", "expected errorRatio or latency", reporter);
    let words = [("errorRatio", false), ("latency", true)];
    let latency = kind.and_then(|node| scalar::word(node, "test.type", &words, reporter));
    let mut share = |key: &str, range, default| match fields.get(key) {
        Some(node) => number(node, &format!("test.{key}"), range, reporter).unwrap_or(default),
        None => default,
    };
    let (alpha, beta) = (share("alpha", SHARE, ALPHA), share("beta", SHARE, BETA));
    let allowed_increase = share("allowedIncrease", RATIO, ALLOWED_INCREASE);
    let (max_increase, max_rate) = pass(&fields, allowed_increase, latency, reporter);
    let quantiles = fields.get("quantiles").and_then(|node| quantiles(node, reporter));
    let slo = fields.get("slo").and_then(|node| duration::positive(node, "test.slo", reporter));
    if latency == Some(false) {
        for key in ["quantiles", "slo"] {
            if let Some(entry) = fields.entry(key) {
                let help = Some("type: latency".to_owned());
                reporter.error(entry.position, format!("{key} says nothing of errors"), key, help);
            }
        }
    }
    let limits = Limits { alpha, beta, allowed_increase, max_increase, max_rate };
    let test = if latency? {
        Test::Latency { quantiles: quantiles.unwrap_or_else(|| QUANTILES.to_vec()), slo, limits }
    } else {
        Test::ErrorRatio(limits)
    };
    (reporter.errors() == errors).then_some(test)
}

/// `pass: {maxIncrease, maxRate}`
fn pass(fields: &Fields<'_>, allowed: f64, latency: Option<bool>, reporter: &mut Reporter) -> (f64, Option<f64>) {
    let default = if allowed < MAX_INCREASE { MAX_INCREASE } else { 2.0 * allowed };
    let Some(node) = fields.get("pass") else { return (default, None) };
    let Some(pass) = Fields::read(node, "test.pass", &["maxIncrease", "maxRate"], reporter) else {
        return (default, None);
    };
    let given = pass.get("maxIncrease").and_then(|node| number(node, "pass.maxIncrease", RATIO, reporter));
    if let (Some(given), Some(entry)) = (given, pass.entry("maxIncrease"))
        && given <= allowed
    {
        let message =
            format!("pass.maxIncrease {given} is not above allowedIncrease {allowed}: it would pass what may be bad");
        reporter.error(entry.value.position, message, entry.value.found(), None);
    }
    let rate = pass.get("maxRate").and_then(|node| number(node, "pass.maxRate", SHARE, reporter));
    if let (Some(true), Some(entry)) = (latency, pass.entry("maxRate")) {
        let help = Some("slo: 250ms is the latency to keep".to_owned());
        reporter.error(entry.position, "maxRate is a rate of errors, latency has none", "maxRate", help);
    }
    (given.unwrap_or(default), rate)
}

fn quantiles(node: &Node, reporter: &mut Reporter) -> Option<Vec<f64>> {
    let items = list(node, "test.quantiles", reporter)?;
    if items.is_empty() {
        reporter.error(node.position, "test.quantiles is empty", "[]", None);
    }
    let mut read: Vec<f64> = Vec::new();
    for item in items {
        let Some(quantile) = number(item, "a quantile", SHARE, reporter) else { continue };
        if read.last().is_some_and(|last| *last >= quantile) {
            let message = format!("quantiles rise, found {quantile} after {}", read[read.len() - 1]);
            reporter.error(item.position, message, item.found(), None);
        }
        read.push(quantile);
    }
    Some(read)
}

/// Which values are good. `None` where that is not said, or not well.
pub(super) fn good(fields: &Fields<'_>, range_query: bool, reporter: &mut Reporter) -> Option<Good> {
    let errors = reporter.errors();
    let threshold = fields.entry("thresholdRange");
    let mut condition = |key| fields.get(key).map(|node| condition(node, key, reporter));
    let (success, failure) = (condition("successCondition"), condition("failureCondition"));
    if let Some(entry) = threshold {
        if success.is_some() || failure.is_some() {
            let message = "thresholdRange cannot stand beside successCondition or failureCondition";
            reporter.error(entry.position, message, "thresholdRange", None);
        } else if range_query {
            let help = Some("successCondition: result.all(x, x < 5)".to_owned());
            reporter.error(entry.position, "thresholdRange is about one value, rangeQuery gives many", "", help);
        }
        let range = threshold_range(&entry.value, reporter)?;
        return (reporter.errors() == errors).then_some(Good::Within(range));
    }
    if success.is_none() && failure.is_none() {
        let keys = ["thresholdRange", "successCondition", "failureCondition"];
        if keys.iter().all(|key| fields.lacks(key)) {
            let message =
                "thresholdRange is missing: it, successCondition or failureCondition say which values are good";
            reporter.error(fields.position(), message, "", None);
        }
        return None;
    }
    let good = Good::Conditions { success: success.flatten(), failure: failure.flatten() };
    (reporter.errors() == errors).then_some(good)
}

fn condition(node: &Node, key: &str, reporter: &mut Reporter) -> Option<Condition> {
    let text = scalar::text(node, key, reporter)?;
    match Condition::parse(text) {
        Ok(condition) => Some(condition),
        Err(Mistake { line, column, message, help }) => {
            let place = if line == 1 { format!("column {column}") } else { format!("line {line}, column {column}") };
            reporter.error(node.position, format!("{key}, {place}: {message}"), text, help);
            None
        }
    }
}

fn threshold_range(node: &Node, reporter: &mut Reporter) -> Option<ThresholdRange> {
    let errors = reporter.errors();
    let fields = Fields::read(node, "thresholdRange", &["min", "max"], reporter)?;
    let mut bound =
        |key: &str| fields.get(key).and_then(|node| number(node, &format!("thresholdRange.{key}"), FINITE, reporter));
    let (min, max) = (bound("min"), bound("max"));
    if reporter.errors() > errors {
        return None;
    }
    if min.is_none() && max.is_none() {
        reporter.error(node.position, "thresholdRange has neither min nor max: every value would be good", "{}", None);
        return None;
    }
    if let (Some(low), Some(high)) = (min, max)
        && low > high
    {
        let message = format!("thresholdRange.min {low} is above max {high}: no value would be good");
        reporter.error(node.position, message, low.to_string(), None);
        return None;
    }
    Some(ThresholdRange { min, max })
}

/// A finite number in a range.
pub(super) fn number(node: &Node, place: &str, range: Range, reporter: &mut Reporter) -> Option<f64> {
    let (from, to, expected) = range;
    let within = |number: &f64| number.is_finite() && std::ops::RangeBounds::contains(&(from, to), number);
    let read = |text: &str| text.parse().ok().filter(within);
    let help = match &node.data {
        Data::Number(text) => match read(text) {
            Some(number) => return Some(number),
            None => None,
        },
        Data::String(text) => match text.strip_suffix('%') {
            // A threshold is in the unit of its metric, a share is a share.
            Some(percent) if expected == SHARE.2 => {
                percent.parse().ok().map(|percent: f64| percent / 100.0).filter(within)
            }
            Some(percent) => read(percent),
            None => read(text),
        }
        .map(|number| format!("write {number}")),
        _ => None,
    };
    unexpected(node, place, expected, help, reporter)
}

/// What a metric without provider and without test is measured by, if its name says so.
pub(super) fn built_in(name: &str) -> Option<Source> {
    match name {
        "success-rate" | "request-success-rate" => Some(Source::SuccessRate),
        "request-duration" => Some(Source::Latency { quantile: 0.99 }),
        _ => {
            let percentile = name.strip_prefix("latency-p")?;
            let plain = percentile.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let percent: f64 = percentile.parse().ok().filter(|_| plain)?;
            (percent > 0.0 && percent < 100.0).then(|| Source::Latency { quantile: percent / 100.0 })
        }
    }
}

/// How long a test may take in a step.
pub(super) const DEADLINE: Duration = Duration::from_secs(30 * 60);
