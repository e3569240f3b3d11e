//! `kind: AnalysisTemplate`.

use std::sync::Arc;
use std::time::Duration;

use super::{parse, unmarked};
use crate::spec::{Metric, Provider, ThresholdRange};

fn template(metrics: &str) -> String {
    format!("apiVersion: serin.dev/v1\nkind: AnalysisTemplate\nmetadata: {{name: golden}}\nspec:\n  metrics: {metrics}")
}

/// A template of one good metric, to which `more` is added.
fn metric(more: &str) -> String {
    template(&format!(
        "[{{name: a, thresholdRange: {{min: 1}}, provider: {{web: {{url: 'http://a', jsonPath: '{{$.a}}'}}}}, {more}}}]"
    ))
}

fn read(text: &str) -> Vec<Arc<Metric>> {
    let (mut file, diagnostics) = parse(text);
    assert_eq!(diagnostics, [""; 0], "{text}");
    let template = file.templates.remove(0);
    assert_eq!((&*template.name, template.origin.line, template.origin.column), ("golden", 3, 18));
    template.metrics.clone()
}

fn refused(text: &str, expected: &str) {
    let (text, place) = unmarked(text);
    let (file, diagnostics) = parse(&text);
    assert_eq!(diagnostics, [format!("{place}: error: {expected}")], "{text}");
    assert!(file.templates.is_empty());
    assert_eq!(file.broken.len(), 1, "its name is taken");
}

#[test]
fn a_template_is_read_whole() {
    let metrics = read(&template(
        "
  - name: checkout-value
    interval: 1m
    initialDelay: 60s
    count: 10
    thresholdRange: {min: 0.95, max: 1e3}
    failureLimit: 3
    inconclusiveLimit: 2
    consecutiveErrorLimit: 5
    consecutiveSuccessLimit: 4
    provider: {prometheus: {address: 'http://127.0.0.1:9090', query: 'sum(x)', timeout: 5}}
  - name: once
    thresholdRange: {max: -1}
    provider:
      web: {url: 'https://a/b', jsonPath: '{$.rate}', headers: [{key: X-Token, value: abc}], timeout: 1m}",
    ));
    let prometheus = Provider::Prometheus {
        address: "http://127.0.0.1:9090".into(),
        query: "sum(x)".into(),
        timeout: Duration::from_secs(5),
    };
    let web = Provider::Web {
        url: "https://a/b".into(),
        json_path: "{$.rate}".into(),
        headers: vec![("x-token".into(), "abc".into())],
        timeout: Duration::from_secs(60),
    };
    let expected = [
        Metric {
            name: "checkout-value".into(),
            interval: Some(Duration::from_secs(60)),
            initial_delay: Duration::from_secs(60),
            count: Some(10),
            failure_limit: 3,
            inconclusive_limit: 2,
            consecutive_error_limit: 5,
            consecutive_success_limit: Some(4),
            threshold: ThresholdRange { min: Some(0.95), max: Some(1000.0) },
            provider: prometheus,
        },
        Metric {
            name: "once".into(),
            interval: None,
            initial_delay: Duration::ZERO,
            count: Some(1),
            failure_limit: 0,
            inconclusive_limit: 0,
            consecutive_error_limit: 4,
            consecutive_success_limit: None,
            threshold: ThresholdRange { min: None, max: Some(-1.0) },
            provider: web,
        },
    ];
    assert_eq!(metrics, expected.map(Arc::new));
}

#[test]
fn how_often_is_checked() {
    let often = |more| {
        let metrics = read(&metric(more));
        (metrics[0].interval.map(|interval| interval.as_secs()), metrics[0].count)
    };
    assert_eq!(often(""), (None, Some(1)));
    assert_eq!(often("count: 1"), (None, Some(1)));
    assert_eq!(often("interval: 1m, count: 3"), (Some(60), Some(3)));
    assert_eq!(often("interval: 1m, consecutiveSuccessLimit: 3"), (Some(60), None), "it ends when it passes");
    for (more, expected) in [
        ("|interval: 1m", "a metric with interval and without count never ends (add count or consecutiveSuccessLimit)"),
        ("|count: 2", "count: 2 needs an interval between the measurements (interval: 1m)"),
        (
            "|consecutiveSuccessLimit: 2",
            "consecutiveSuccessLimit: 2 needs an interval between the measurements (interval: 1m)",
        ),
        (
            "interval: 1m, consecutiveSuccessLimit: 3, count: |2",
            "count 2 is below consecutiveSuccessLimit 3: the metric would never pass",
        ),
        ("count: |0", "count must be a whole number from 1 up, found 0"),
        ("interval: |0s, count: 2", "interval must be longer than nothing, found \"0s\""),
        ("failureLimit: |-1", "failureLimit must be a whole number from 0 up, found -1"),
        ("initialDelay: |soon", "initialDelay must be a duration such as 30s, 5m or 1h30m, found \"soon\""),
        ("interval: 1m, |cuont: 2", "unknown key \"cuont\" in a metric (did you mean \"count\"?)"),
    ] {
        refused(&metric(more), expected);
    }
}

#[test]
fn what_would_judge_otherwise_is_refused() {
    for (more, expected) in [
        ("|critical: true", "critical is not supported yet (every metric is critical)"),
        (
            "|successCondition: 'result > 1'",
            "successCondition is not supported yet (without it other values would be good: use thresholdRange)",
        ),
        (
            "|failureCondition: 'result > 1'",
            "failureCondition is not supported yet (without it other values would be bad: use thresholdRange)",
        ),
        ("|mustHaveData: false", "mustHaveData is not supported yet (a metric without data is an error of the metric)"),
    ] {
        refused(&metric(more), expected);
    }
    refused(
        &template("[{name: a, |test: {type: errorRatio}}]"),
        "test is not supported yet (without it nothing would be judged: use thresholdRange)",
    );
    refused(
        &template("[|{name: success-rate, thresholdRange: {min: 99}}]"),
        "a metric without provider is not supported yet (expected provider: with prometheus or web)",
    );
    refused(
        &format!("{}\n  |dryRun: []", metric("")),
        "dryRun is not supported yet (without it a metric on trial would abort)",
    );
    refused(
        &format!("{}\n  |args: []", metric("")),
        "args is not supported yet (without them queries would ask something else)",
    );
}

#[test]
fn thresholds_are_checked() {
    for (range, expected) in [
        ("|{}", "thresholdRange has neither min nor max: every value would be good"),
        ("|99", "thresholdRange must be a mapping, found 99"),
        ("|{min: 2, max: 1}", "thresholdRange.min 2 is above max 1: no value would be good"),
        ("{min: |.nan}", "thresholdRange.min must be a finite number, found .nan"),
        ("{max: |.inf}", "thresholdRange.max must be a finite number, found .inf"),
        ("{max: |1e999}", "thresholdRange.max must be a finite number, found 1e999"),
        ("{min: |99%}", "thresholdRange.min must be a finite number, found \"99%\" (write 99)"),
        ("{|mn: 1}", "unknown key \"mn\" in thresholdRange (did you mean \"min\"?)"),
    ] {
        let text = format!(
            "[{{name: a, provider: {{prometheus: {{address: 'http://a', query: q}}}}, thresholdRange: {range}}}]"
        );
        if range.contains("mn") {
            let (text, _) = unmarked(&template(&text));
            assert!(parse(&text).1[0].ends_with(expected));
            continue;
        }
        refused(&template(&text), expected);
    }
    let range = ThresholdRange { min: Some(1.0), max: Some(2.0) };
    assert!(range.holds(1.0) && range.holds(2.0) && !range.holds(0.99) && !range.holds(2.01) && !range.holds(f64::NAN));
}

#[test]
fn providers_are_checked() {
    let url = "must be a URL such as http://127.0.0.1:8080/path, found";
    for (provider, expected) in [
        ("|{}", "provider needs exactly one of prometheus, web, found none"),
        ("{|datadog: {}}", "unknown key \"datadog\" in provider (expected one of prometheus, web)"),
        ("{prometheus: |{query: q}}", "prometheus.address is missing: it is the Prometheus to ask"),
        ("{prometheus: |{address: 'http://a'}}", "prometheus.query is missing: it is what to ask"),
        (
            "{prometheus: {address: |a:9090, query: q}}",
            &format!("prometheus.address {url} \"a:9090\" (write http://a:9090)"),
        ),
        (
            "{prometheus: {address: 'http://a', query: q, |insecure: true}}",
            "insecure is not supported yet (without it something else would be asked)",
        ),
        ("{web: |{jsonPath: a}}", "web.url is missing: it is what to ask"),
        ("{web: |{url: 'http://a'}}", "web.jsonPath is missing: it says where in the answer the value stands"),
        ("{web: {url: 'http://a', jsonPath: a, |method: POST}}", "method is not supported yet (the method is GET)"),
        (
            "{web: {url: 'http://a', jsonPath: a, |timeoutSeconds: 5}}",
            "timeoutSeconds is not supported yet (it is timeout)",
        ),
        (
            "{web: {url: 'http://a', jsonPath: a, headers: [{key: |'a b', value: c}]}}",
            "key must be a header name, found \"a b\" (letters, digits and !#$%&'*+-.^_`|~)",
        ),
        (
            "{web: {url: 'http://a', jsonPath: a, headers: [{key: a, value: |\"b\\nc\"}]}}",
            "value must be what a header can hold: one line of text, found \"b\"",
        ),
    ] {
        refused(&template(&format!("[{{name: a, thresholdRange: {{min: 1}}, provider: {provider}}}]")), expected);
    }
}

#[test]
fn a_template_is_checked() {
    for (metrics, expected) in [
        ("|[]", "spec.metrics is empty: a template without metrics judges nothing"),
        ("|{}", "spec.metrics must be a list, found a mapping"),
        ("[|1]", "a metric must be a mapping, found 1"),
        (
            "[|{thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: a}}}]",
            "name is missing: the journal knows the metric by it",
        ),
        (
            "[|{name: a, provider: {web: {url: 'http://a', jsonPath: a}}}]",
            "thresholdRange is missing: it says which values are good",
        ),
        (
            "[{name: a, thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: a}}}, \
             {name: |a, thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: a}}}]",
            "two metrics are named \"a\"",
        ),
    ] {
        refused(&template(metrics), expected);
    }
}
