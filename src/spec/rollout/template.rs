//! `kind: AnalysisTemplate` documents to the model.

mod judge;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use super::{duration, metadata_name, origin, refuse, required, scalar};
use crate::spec::analysis::{AnalysisTemplate, Judge, Metric, OnInconclusive, Question, Source};
use crate::spec::fields::{Fields, list, name};
use crate::spec::yaml::Node;
use crate::spec::{Reporter, suggest};

/// Keys of every metric.
const OF_ALL: [&str; 5] = ["name", "initialDelay", "onInconclusive", "critical", "mustHaveData"];

/// Keys of values. They say nothing of a test: it looks at each interval of telemetry until it is sure.
const OF_VALUES: [&str; 10] = [
    "interval",
    "count",
    "failureLimit",
    "inconclusiveLimit",
    "consecutiveErrorLimit",
    "consecutiveSuccessLimit",
    "thresholdRange",
    "successCondition",
    "failureCondition",
    "provider",
];

/// Keys of tests.
const OF_TESTS: [&str; 3] = ["test", "deadline", "weight"];

/// Keys of `spec` that nothing acts on yet.
const REFUSED: [(&str, &str); 1] = [("args", "without them queries would ask something else")];

/// As for Argo Rollouts.
const CONSECUTIVE_ERROR_LIMIT: u32 = 4;

/// Reads one document. `None`, and at least one error reported, unless all of it is right.
pub(in crate::spec) fn read(node: &Node, reporter: &mut Reporter) -> Option<AnalysisTemplate> {
    let errors = reporter.errors();
    let document = Fields::read(node, "an AnalysisTemplate", &["apiVersion", "kind", "metadata", "spec"], reporter)?;
    let name = metadata_name(&document, reporter);
    let spec = required(&document, "spec", "it holds the metrics", reporter)?;
    let spec = Fields::read(spec, "spec", &["metrics", "args", "dryRun", "measurementRetention"], reporter)?;
    refuse(&spec, &REFUSED, reporter);
    if let Some(entry) = spec.entry("measurementRetention") {
        let message = "measurementRetention has no effect: what measurements come to is kept, not each of them";
        reporter.warning(entry.position, message, "measurementRetention", None);
    }
    let node = required(&spec, "spec.metrics", "a template without metrics judges nothing", reporter)?;
    let items = list(node, "spec.metrics", reporter)?;
    if items.is_empty() {
        reporter.error(node.position, "spec.metrics is empty: a template without metrics judges nothing", "[]", None);
    }
    let mut metrics: Vec<Metric> = Vec::new();
    for item in items {
        let Some(metric) = metric(item, reporter) else { continue };
        if metrics.iter().any(|other| other.name == metric.name) {
            let at = item.get("name").unwrap_or(item).position;
            reporter.error(at, format!("two metrics are named {:?}", metric.name), &*metric.name, None);
        }
        metrics.push(metric);
    }
    if let Some(node) = spec.get("dryRun") {
        // Metrics with mistakes have no name to compare with.
        let whole = metrics.len() == items.len();
        dry_run(node, &mut metrics, whole, reporter);
    }
    let (name, at) = name?;
    let metrics = metrics.into_iter().map(Arc::new).collect();
    (reporter.errors() == errors).then(|| AnalysisTemplate { name, metrics, origin: origin(at, reporter) })
}

/// `dryRun: [{metricName: latency}]`
fn dry_run(node: &Node, metrics: &mut [Metric], whole: bool, reporter: &mut Reporter) {
    for item in list(node, "spec.dryRun", reporter).unwrap_or_default() {
        let Some(fields) = Fields::read(item, "dryRun", &["metricName"], reporter) else { continue };
        let why = "it is the metric that decides nothing";
        let Some(node) = required(&fields, "dryRun.metricName", why, reporter) else { continue };
        let Some(wanted) = name(node, "metricName", reporter) else { continue };
        if let Some(metric) = metrics.iter_mut().find(|metric| *metric.name == *wanted) {
            metric.dry_run = true;
        } else if whole {
            let names = metrics.iter().map(|metric| &*metric.name);
            let help = suggest::or_list(wanted, "the metrics are", names);
            reporter.error(node.position, format!("no metric is named {wanted:?}"), wanted, help);
        }
    }
    if whole && !metrics.is_empty() && metrics.iter().all(|metric| metric.dry_run) {
        reporter.warning(node.position, "every metric is in dryRun: this template decides nothing", "dryRun", None);
    }
}

fn metric(node: &Node, reporter: &mut Reporter) -> Option<Metric> {
    let errors = reporter.errors();
    let keys = [&OF_ALL[..], &OF_VALUES, &OF_TESTS].concat();
    let fields = Fields::read(node, "a metric", &keys, reporter)?;
    let metric = required(&fields, "name", "the journal knows the metric by it", reporter);
    let metric = metric.and_then(|node| name(node, "name", reporter));
    let judge = judge(&fields, metric.unwrap_or_default(), reporter);
    let mut limit = |key, least| fields.get(key).and_then(|node| scalar::whole(node, key, least..=u32::MAX, reporter));
    let failure_limit = limit("failureLimit", 0).unwrap_or_default();
    let inconclusive_limit = limit("inconclusiveLimit", 0).unwrap_or_default();
    let consecutive_error_limit = limit("consecutiveErrorLimit", 0).unwrap_or(CONSECUTIVE_ERROR_LIMIT);
    let consecutive_success_limit = limit("consecutiveSuccessLimit", 1);
    let is_test = fields.get("test").is_some();
    let (interval, count) = if is_test { (None, None) } else { often(&fields, consecutive_success_limit, reporter) };
    let initial_delay = fields.get("initialDelay").and_then(|node| duration::read(node, "initialDelay", reporter));
    let mut flag = |key| fields.get(key).and_then(|node| scalar::boolean(node, key, reporter)).unwrap_or_default();
    let (critical, must_have_data) = (flag("critical"), flag("mustHaveData"));
    let weight = fields.get("weight").and_then(|node| judge::number(node, "weight", judge::WEIGHT, reporter));
    let words =
        [("pause", OnInconclusive::Pause), ("promote", OnInconclusive::Promote), ("abort", OnInconclusive::Abort)];
    let on_inconclusive = fields.get("onInconclusive");
    let on_inconclusive = on_inconclusive.and_then(|node| scalar::word(node, "onInconclusive", &words, reporter));
    let metric = Metric {
        name: metric?.into(),
        interval,
        initial_delay: initial_delay.unwrap_or_default(),
        count,
        failure_limit,
        inconclusive_limit,
        consecutive_error_limit,
        consecutive_success_limit,
        critical,
        must_have_data,
        weight: weight.unwrap_or(1.0),
        dry_run: false,
        on_inconclusive: on_inconclusive.unwrap_or_default(),
        judge: judge?,
    };
    (reporter.errors() == errors).then_some(metric)
}

/// A metric has a test, a provider, or a name that says what is measured.
fn judge(fields: &Fields<'_>, name: &str, reporter: &mut Reporter) -> Option<Judge> {
    if let Some(node) = fields.get("test") {
        for entry in OF_VALUES.iter().filter_map(|key| fields.entry(key)) {
            let help = Some("a test looks at every interval of telemetry until it is sure".to_owned());
            reporter.error(entry.position, format!("{} cannot stand beside test", entry.key), &*entry.key, help);
        }
        let deadline = fields.get("deadline").and_then(|node| duration::positive(node, "deadline", reporter));
        let test = judge::test(node, reporter)?;
        return Some(Judge::Test { test, deadline: deadline.unwrap_or(judge::DEADLINE) });
    }
    for key in ["deadline", "weight"] {
        if let Some(entry) = fields.entry(key).filter(|_| fields.lacks("test")) {
            reporter.error(
                entry.position,
                format!("{key} is a word of tests"),
                key,
                Some("test: {type: errorRatio}".to_owned()),
            );
        }
    }
    let source = match fields.get("provider") {
        Some(node) => provider::read(node, reporter).map(|provider| Source::Provider(Arc::new(provider))),
        None if fields.lacks("provider") && fields.lacks("test") => {
            let source = judge::built_in(name);
            if source.is_none() && !name.is_empty() {
                let message = format!(
                    "metric {name:?} has neither provider nor test, and its name is none that Envoy's telemetry answers"
                );
                let known = [
                    "success-rate",
                    "request-success-rate",
                    "latency-p50",
                    "latency-p90",
                    "latency-p99",
                    "request-duration",
                ];
                let help = suggest::did_you_mean(name, known)
                    .unwrap_or_else(|| format!("add provider: or test:, or name it {}", known.join(", ")));
                reporter.error(fields.position(), message, "", Some(help));
            }
            source
        }
        None => None,
    };
    let many = matches!(&source, Some(Source::Provider(provider))
        if matches!(provider.question, Question::Prometheus { range: Some(_), .. }));
    let good = judge::good(fields, many, reporter);
    Some(Judge::Value { source: source?, good: good? })
}

/// Interval and count: with neither there is one measurement. Reports what would never pass.
fn often(fields: &Fields<'_>, successes: Option<u32>, reporter: &mut Reporter) -> (Option<Duration>, Option<u32>) {
    let interval = fields.get("interval").and_then(|node| duration::positive(node, "interval", reporter));
    let Some(node) = fields.get("count") else {
        let once = fields.lacks("interval") && fields.lacks("count");
        if let Some(successes) = successes.filter(|successes| once && *successes > 1) {
            more_than_once(fields, "consecutiveSuccessLimit", successes, reporter);
        }
        return (interval, once.then_some(1));
    };
    let count = scalar::whole(node, "count", 1..=u32::MAX, reporter);
    if let Some(count) = count.filter(|count| *count > 1 && fields.lacks("interval")) {
        more_than_once(fields, "count", count, reporter);
    }
    if let (Some(count), Some(successes)) = (count, successes.filter(|successes| count.is_some_and(|c| c < *successes)))
    {
        let message =
            format!("count {count} is below consecutiveSuccessLimit {successes}: the metric would never pass");
        reporter.error(node.position, message, node.found(), None);
    }
    (interval, count)
}

fn more_than_once(fields: &Fields<'_>, key: &str, value: u32, reporter: &mut Reporter) {
    let at = fields.entry(key).map_or(fields.position(), |entry| entry.position);
    let message = format!("{key}: {value} needs an interval between the measurements");
    reporter.error(at, message, key, Some("interval: 1m".to_owned()));
}
