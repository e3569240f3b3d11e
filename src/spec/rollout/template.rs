//! `kind: AnalysisTemplate` documents to the model.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::{duration, header, metadata_name, origin, refuse, required, scalar};
use crate::spec::Reporter;
use crate::spec::analysis::{AnalysisTemplate, Metric, Provider, ThresholdRange};
use crate::spec::fields::{Fields, list, name, one_of, unexpected};
use crate::spec::yaml::{Data, Node};

const METRIC: [&str; 10] = [
    "name",
    "interval",
    "initialDelay",
    "count",
    "failureLimit",
    "inconclusiveLimit",
    "consecutiveErrorLimit",
    "consecutiveSuccessLimit",
    "thresholdRange",
    "provider",
];

/// Keys of `spec` that nothing acts on yet.
const REFUSED: [(&str, &str); 3] = [
    ("args", "without them queries would ask something else"),
    ("dryRun", "without it a metric on trial would abort"),
    ("measurementRetention", "all measurements are kept"),
];

/// Keys of a metric that nothing acts on yet.
const REFUSED_OF_METRIC: [(&str, &str); 5] = [
    ("test", "without it nothing would be judged: use thresholdRange"),
    ("successCondition", "without it other values would be good: use thresholdRange"),
    ("failureCondition", "without it other values would be bad: use thresholdRange"),
    ("critical", "every metric is critical"),
    ("mustHaveData", "a metric without data is an error of the metric"),
];

/// Keys of a provider that nothing acts on yet.
const REFUSED_OF_PROVIDER: [(&str, &str); 8] = {
    const OTHER: &str = "without it something else would be asked";
    [
        ("authentication", OTHER),
        ("insecure", OTHER),
        ("headers", OTHER),
        ("rangeQuery", OTHER),
        ("method", "the method is GET"),
        ("body", OTHER),
        ("jsonBody", OTHER),
        ("timeoutSeconds", "it is timeout"),
    ]
};

/// As for Argo Rollouts.
const CONSECUTIVE_ERROR_LIMIT: u32 = 4;

/// As for Argo Rollouts.
const PROMETHEUS_TIMEOUT: Duration = Duration::from_secs(30);

/// As for Argo Rollouts.
const WEB_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads one document. `None`, and at least one error reported, unless all of it is right.
pub(in crate::spec) fn read(node: &Node, reporter: &mut Reporter) -> Option<AnalysisTemplate> {
    let errors = reporter.errors();
    let document = Fields::read(node, "an AnalysisTemplate", &["apiVersion", "kind", "metadata", "spec"], reporter)?;
    let name = metadata_name(&document, reporter);
    let spec = required(&document, "spec", "it holds the metrics", reporter)?;
    let spec = Fields::read(spec, "spec", &["metrics", "args", "dryRun", "measurementRetention"], reporter)?;
    refuse(&spec, &REFUSED, reporter);
    let node = required(&spec, "spec.metrics", "a template without metrics judges nothing", reporter)?;
    let items = list(node, "spec.metrics", reporter)?;
    if items.is_empty() {
        reporter.error(node.position, "spec.metrics is empty: a template without metrics judges nothing", "[]", None);
    }
    let mut metrics: Vec<Arc<Metric>> = Vec::new();
    for item in items {
        let Some(metric) = metric(item, reporter) else { continue };
        if metrics.iter().any(|other| other.name == metric.name) {
            let at = item.get("name").unwrap_or(item).position;
            reporter.error(at, format!("two metrics are named {:?}", metric.name), &*metric.name, None);
        }
        metrics.push(Arc::new(metric));
    }
    let (name, at) = name?;
    (reporter.errors() == errors).then(|| AnalysisTemplate { name, metrics, origin: origin(at, reporter) })
}

fn metric(node: &Node, reporter: &mut Reporter) -> Option<Metric> {
    let known: Vec<_> = METRIC.into_iter().chain(REFUSED_OF_METRIC.map(|(key, _)| key)).collect();
    let fields = Fields::read(node, "a metric", &known, reporter)?;
    refuse(&fields, &REFUSED_OF_METRIC, reporter);
    let judged_otherwise = REFUSED_OF_METRIC.iter().any(|(key, _)| fields.get(key).is_some());
    let metric = required(&fields, "name", "the journal knows the metric by it", reporter);
    let metric = metric.and_then(|node| name(node, "name", reporter));
    let threshold = match fields.get("thresholdRange") {
        None if judged_otherwise => None,
        _ => required(&fields, "thresholdRange", "it says which values are good", reporter),
    };
    let threshold = threshold.and_then(|node| threshold_range(node, reporter));
    let provider = match fields.get("provider") {
        None if fields.lacks("provider") && !judged_otherwise => {
            let help = Some("expected provider: with prometheus or web".to_owned());
            reporter.error(fields.position(), "a metric without provider is not supported yet", "", help);
            None
        }
        node => node.and_then(|node| provider(node, reporter)),
    };
    let mut limit = |key, least| fields.get(key).and_then(|node| scalar::whole(node, key, least..=u32::MAX, reporter));
    let failure_limit = limit("failureLimit", 0).unwrap_or_default();
    let inconclusive_limit = limit("inconclusiveLimit", 0).unwrap_or_default();
    let consecutive_error_limit = limit("consecutiveErrorLimit", 0).unwrap_or(CONSECUTIVE_ERROR_LIMIT);
    let consecutive_success_limit = limit("consecutiveSuccessLimit", 1);
    let (interval, count) = often(&fields, consecutive_success_limit, reporter);
    let initial_delay = fields.get("initialDelay").and_then(|node| duration::read(node, "initialDelay", reporter));
    Some(Metric {
        name: metric?.into(),
        interval,
        initial_delay: initial_delay.unwrap_or_default(),
        count,
        failure_limit,
        inconclusive_limit,
        consecutive_error_limit,
        consecutive_success_limit,
        threshold: threshold?,
        provider: provider?,
    })
}

/// Interval and count: with neither there is one measurement. Reports what would never end, or never pass.
fn often(fields: &Fields<'_>, successes: Option<u32>, reporter: &mut Reporter) -> (Option<Duration>, Option<u32>) {
    let interval = fields.get("interval").and_then(|node| duration::positive(node, "interval", reporter));
    let Some(node) = fields.get("count") else {
        let ends = fields.get("consecutiveSuccessLimit").is_some() || !fields.lacks("count");
        if let Some(entry) = fields.entry("interval").filter(|_| !ends) {
            let help = Some("add count or consecutiveSuccessLimit".to_owned());
            reporter.error(entry.position, "a metric with interval and without count never ends", "interval", help);
        }
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

fn threshold_range(node: &Node, reporter: &mut Reporter) -> Option<ThresholdRange> {
    let errors = reporter.errors();
    let fields = Fields::read(node, "thresholdRange", &["min", "max"], reporter)?;
    let mut bound = |key: &str| fields.get(key).and_then(|node| finite(node, key, reporter));
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

fn finite(node: &Node, key: &str, reporter: &mut Reporter) -> Option<f64> {
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let help = match &node.data {
        Data::Number(text) => match number(text) {
            Some(number) => return Some(number),
            None => None,
        },
        Data::String(text) => number(text.trim_end_matches('%')).map(|number| format!("write {number}")),
        _ => None,
    };
    unexpected(node, &format!("thresholdRange.{key}"), "a finite number", help, reporter)
}

fn provider(node: &Node, reporter: &mut Reporter) -> Option<Provider> {
    let entry = one_of(node, "provider", &["prometheus", "web"], reporter)?;
    if entry.key == "web" { web(&entry.value, reporter) } else { prometheus(&entry.value, reporter) }
}

/// The fields of a provider with the keys `own`; other keys of Argo Rollouts are refused.
fn provider_fields<'a>(node: &'a Node, place: &str, own: &[&str], reporter: &mut Reporter) -> Option<Fields<'a>> {
    let refused: Vec<_> = REFUSED_OF_PROVIDER.into_iter().filter(|(key, _)| !own.contains(key)).collect();
    let known: Vec<_> = own.iter().copied().chain(refused.iter().map(|(key, _)| *key)).collect();
    let fields = Fields::read(node, place, &known, reporter)?;
    refuse(&fields, &refused, reporter);
    Some(fields)
}

fn prometheus(node: &Node, reporter: &mut Reporter) -> Option<Provider> {
    let fields = provider_fields(node, "prometheus", &["address", "query", "timeout"], reporter)?;
    let address = required(&fields, "prometheus.address", "it is the Prometheus to ask", reporter);
    let address = address.and_then(|node| scalar::url(node, "prometheus.address", reporter));
    let query = required(&fields, "prometheus.query", "it is what to ask", reporter);
    let query = query.and_then(|node| scalar::text(node, "prometheus.query", reporter));
    let timeout = fields.get("timeout").and_then(|node| duration::positive(node, "prometheus.timeout", reporter));
    let timeout = timeout.unwrap_or(PROMETHEUS_TIMEOUT);
    Some(Provider::Prometheus { address: address?, query: query?.into(), timeout })
}

fn web(node: &Node, reporter: &mut Reporter) -> Option<Provider> {
    let fields = provider_fields(node, "web", &["url", "jsonPath", "headers", "timeout"], reporter)?;
    let url = required(&fields, "web.url", "it is what to ask", reporter);
    let url = url.and_then(|node| scalar::url(node, "web.url", reporter));
    let path = required(&fields, "web.jsonPath", "it says where in the answer the value stands", reporter);
    let path = path.and_then(|node| scalar::text(node, "web.jsonPath", reporter));
    let headers = fields.get("headers").and_then(|node| list(node, "web.headers", reporter)).unwrap_or_default();
    let headers = headers.iter().filter_map(|item| web_header(item, reporter)).collect();
    let timeout = fields.get("timeout").and_then(|node| duration::positive(node, "web.timeout", reporter));
    Some(Provider::Web { url: url?, json_path: path?.into(), headers, timeout: timeout.unwrap_or(WEB_TIMEOUT) })
}

fn web_header(node: &Node, reporter: &mut Reporter) -> Option<(String, String)> {
    let fields = Fields::read(node, "a header", &["key", "value"], reporter)?;
    let key = required(&fields, "key", "it is the name of the header", reporter);
    let key = key.and_then(|node| header::name(node, "key", reporter));
    let node = required(&fields, "value", "it is the value of the header", reporter)?;
    let value = scalar::text(node, "value", reporter)?;
    if HeaderValue::from_str(value).is_err() {
        return unexpected(node, "value", "what a header can hold: one line of text", None, reporter);
    }
    Some((key?.to_string(), value.to_owned()))
}
