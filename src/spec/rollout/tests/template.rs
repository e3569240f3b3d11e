//! `kind: AnalysisTemplate`.

use std::sync::Arc;
use std::time::Duration;

use super::{parse, unmarked};
use crate::spec::{
    Good, Header, HeaderText, Judge, Limits, Metric, OnInconclusive, Provider, QueryRange, Question, Source, Test,
    ThresholdRange, WebMethod,
};

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

/// Once, by a provider that is asked for one value, with the defaults.
fn plain(name: &str, question: Question, timeout: u64, good: Good) -> Metric {
    let timeout = Duration::from_secs(timeout);
    let provider = Provider { question, headers: Vec::new(), timeout, insecure: false };
    Metric::once(name, Judge::Value { source: Source::Provider(Arc::new(provider)), good })
}

fn within(min: Option<f64>, max: Option<f64>) -> Good {
    Good::Within(ThresholdRange { min, max })
}

fn prometheus() -> Question {
    Question::Prometheus { address: "http://127.0.0.1:9090".into(), query: "sum(x)".into(), range: None }
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
    critical: true
    mustHaveData: true
    onInconclusive: abort
    provider: {prometheus: {address: 'http://127.0.0.1:9090', query: 'sum(x)', timeout: 5}}
  - name: once
    thresholdRange: {max: -1}
    provider: {web: {url: 'https://a/b', jsonPath: '{$.rate}', timeout: 1m}}
  dryRun: [{metricName: once}]",
    ));
    let url = "https://a/b".into();
    let web = Question::Web { url, json_path: "{$.rate}".into(), method: WebMethod::Get };
    let expected = [
        Metric {
            interval: Some(Duration::from_secs(60)),
            initial_delay: Duration::from_secs(60),
            count: Some(10),
            failure_limit: 3,
            inconclusive_limit: 2,
            consecutive_error_limit: 5,
            consecutive_success_limit: Some(4),
            critical: true,
            must_have_data: true,
            on_inconclusive: OnInconclusive::Abort,
            ..plain("checkout-value", prometheus(), 5, within(Some(0.95), Some(1000.0)))
        },
        Metric { dry_run: true, ..plain("once", web, 60, within(None, Some(-1.0))) },
    ];
    assert_eq!(metrics, expected.map(Arc::new));
}

#[test]
fn tests_are_read() {
    let limits = Limits { alpha: 0.01, beta: 0.05, allowed_increase: 1.25, max_increase: 2.0, max_rate: None };
    for (given, expected, minutes) in [
        ("test: {type: errorRatio}", Test::ErrorRatio(limits), 30),
        (
            "test: {type: errorRatio, alpha: 0.001, beta: 0.1, allowedIncrease: 1.5, pass: {maxIncrease: 3, maxRate: 0.01}}, deadline: 5m",
            Test::ErrorRatio(Limits {
                alpha: 0.001,
                beta: 0.1,
                allowed_increase: 1.5,
                max_increase: 3.0,
                max_rate: Some(0.01),
            }),
            5,
        ),
        (
            "test: {type: errorRatio, allowedIncrease: 4}",
            Test::ErrorRatio(Limits { allowed_increase: 4.0, max_increase: 8.0, ..limits }),
            30,
        ),
        ("test: {type: latency}", Test::Latency { quantiles: vec![0.5, 0.9, 0.99], slo: None, limits }, 30),
        (
            "test: {type: latency, quantiles: [0.75, 0.999], slo: 250ms}",
            Test::Latency { quantiles: vec![0.75, 0.999], slo: Some(Duration::from_millis(250)), limits },
            30,
        ),
    ] {
        let metrics = read(&template(&format!("[{{name: a, {given}, weight: 2.5, initialDelay: 10s}}]")));
        let [metric] = &metrics[..] else { panic!("{metrics:?}") };
        let deadline = Duration::from_secs(60 * minutes);
        assert_eq!(metric.judge, Judge::Test { test: expected, deadline }, "{given}");
        assert_eq!((metric.weight, metric.interval, metric.count), (2.5, None, None));
    }
}

#[test]
fn what_a_test_cannot_mean_is_refused() {
    let share = "must be a number above 0 and below 1, found";
    for (given, expected) in [
        ("test: {type: errorRatio, alpha: |0}", &*format!("test.alpha {share} 0")),
        ("test: {type: errorRatio, beta: |1%}", &format!("test.beta {share} \"1%\" (write 0.01)")),
        (
            "test: {type: errorRatio, allowedIncrease: |0.9}",
            "test.allowedIncrease must be a ratio, from 1 up, found 0.9",
        ),
        (
            "test: {type: errorRatio, pass: {maxIncrease: |1.2}}",
            "pass.maxIncrease 1.2 is not above allowedIncrease 1.25: it would pass what may be bad",
        ),
        ("test: {type: errorRatio, pass: {maxRate: |2}}", &format!("pass.maxRate {share} 2")),
        ("test: {type: latency, quantiles: |[]}", "test.quantiles is empty"),
        ("test: {type: latency, quantiles: [0.5, |0.5]}", "quantiles rise, found 0.5 after 0.5"),
        ("test: {type: latency, quantiles: [|99]}", &format!("a quantile {share} 99")),
        ("test: {type: errorRatio, |slo: 1s}", "slo says nothing of errors (type: latency)"),
        (
            "test: {type: latency, pass: {|maxRate: 0.1}}",
            "maxRate is a rate of errors, latency has none (slo: 250ms is the latency to keep)",
        ),
        ("test: {type: |eror}", "test.type must be one of errorRatio, latency, found \"eror\""),
        ("test: |{}", "test.type is missing: expected errorRatio or latency"),
        (
            "test: {type: errorRatio}, |interval: 1m",
            "interval cannot stand beside test (a test looks at every interval of telemetry until it is sure)",
        ),
        ("test: {type: errorRatio}, weight: |0", "weight must be a finite number above 0, found 0"),
        ("test: {type: errorRatio}, deadline: |0s", "deadline must be longer than nothing, found \"0s\""),
        (
            "test: {type: errorRatio}, onInconclusive: |stop",
            "onInconclusive must be one of pause, promote, abort, found \"stop\"",
        ),
        (
            "thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: $.a}}, |weight: 2",
            "weight is a word of tests (test: {type: errorRatio})",
        ),
    ] {
        refused(&template(&format!("[{{name: a, {given}}}]")), expected);
    }
}

#[test]
fn telemetry_answers_some_names() {
    for (name, expected) in [
        ("success-rate", Source::SuccessRate),
        ("request-success-rate", Source::SuccessRate),
        ("request-duration", Source::Latency { quantile: 0.99 }),
        ("latency-p50", Source::Latency { quantile: 0.5 }),
        ("latency-p99.9", Source::Latency { quantile: 99.9 / 100.0 }),
    ] {
        let metrics = read(&template(&format!("[{{name: {name}, interval: 10s, thresholdRange: {{min: 99}}}}]")));
        let Judge::Value { source, .. } = &metrics[0].judge else { panic!("{metrics:?}") };
        assert_eq!((source, metrics[0].count), (&expected, None));
    }
    let known = "success-rate, request-success-rate, latency-p50, latency-p90, latency-p99, request-duration";
    for (name, help) in [
        ("succes-rate", "did you mean \"success-rate\"?"),
        ("latency-p100", "did you mean \"latency-p50\"?"),
        ("checkouts", &format!("add provider: or test:, or name it {known}")),
    ] {
        refused(
            &template(&format!("[|{{name: {name}, thresholdRange: {{min: 99}}}}]")),
            &format!(
                "metric {name:?} has neither provider nor test, and its name is none that Envoy's telemetry answers ({help})"
            ),
        );
    }
}

#[test]
fn conditions_are_read() {
    let metrics = read(&template(
        "[{name: latency-p99, successCondition: 'result < 250', failureCondition: 'result > 500'}, \
         {name: a, failureCondition: 'len(result) == 0', provider: {web: {url: 'http://a', jsonPath: '$.a'}}}]",
    ));
    let texts = |metric: &Metric| {
        let Judge::Value { good: Good::Conditions { success, failure }, .. } = &metric.judge else { panic!() };
        let text = |condition: &Option<crate::spec::Condition>| condition.as_ref().map(|text| text.text().to_owned());
        (text(success), text(failure))
    };
    assert_eq!(texts(&metrics[0]), (Some("result < 250".into()), Some("result > 500".into())));
    assert_eq!(texts(&metrics[1]), (None, Some("len(result) == 0".into())));
    for (given, expected) in [
        (
            "successCondition: |'reslt > 1'",
            "successCondition, column 1: nothing is called \"reslt\" (did you mean \"result\"?)",
        ),
        (
            "failureCondition: |'all(result, {# > 1})'",
            "failureCondition, column 14: token recognition error at: '#' (write result.all(x, x > 1))",
        ),
        ("successCondition: |1", "successCondition must be text, found 1 (quote it: \"1\")"),
        (
            "|thresholdRange: {min: 1}, successCondition: 'result > 1'",
            "thresholdRange cannot stand beside successCondition or failureCondition",
        ),
    ] {
        refused(&template(&format!("[{{name: success-rate, {given}}}]")), expected);
    }
}

#[test]
fn dry_runs_are_checked() {
    for (dry, expected) in [
        ("[{metricName: |b}]", "no metric is named \"b\" (did you mean \"a\"?)"),
        ("[|{}]", "dryRun.metricName is missing: it is the metric that decides nothing"),
        ("|latency", "spec.dryRun must be a list, found \"latency\""),
    ] {
        refused(&format!("{}\n  dryRun: {dry}", template("[{name: a, test: {type: latency}}]")), expected);
    }
    let text = format!("{}\n  dryRun: [{{metricName: a}}]", template("[{name: a, test: {type: latency}}]"));
    let (file, diagnostics) = parse(&text);
    assert_eq!(diagnostics, ["6:11: warning: every metric is in dryRun: this template decides nothing"]);
    assert!(file.templates[0].metrics[0].dry_run);
    let (file, diagnostics) =
        parse(&format!("{}\n  measurementRetention: []", template("[{name: a, test: {type: latency}}]")));
    assert!(diagnostics[0].contains("warning: measurementRetention has no effect"), "{diagnostics:?}");
    assert_eq!(file.templates.len(), 1);
}

#[test]
fn providers_are_read() {
    let asked = |provider: &str| {
        let metrics = read(&template(&format!("[{{name: a, failureCondition: 'result > 1', provider: {provider}}}]")));
        let Judge::Value { source: Source::Provider(provider), .. } = &metrics[0].judge else { panic!() };
        (**provider).clone()
    };
    let base =
        Provider { question: prometheus(), headers: Vec::new(), timeout: Duration::from_secs(30), insecure: false };
    let ask = "address: 'http://127.0.0.1:9090', query: sum(x)";
    assert_eq!(asked(&format!("{{prometheus: {{{ask}}}}}")), base);
    let seconds = Duration::from_secs;
    let range = Some(QueryRange { start: seconds(300), end: seconds(60), step: seconds(15) });
    assert_eq!(
        asked(&format!(
            "{{prometheus: {{{ask}, timeoutSeconds: 5, insecure: true, authentication: {{bearerToken: {{file: /run/token}}}}, \
             rangeQuery: {{start: 'now() - duration(\"5m\")', end: \"now()-duration('1m')\", step: 15s}}}}}}"
        )),
        Provider {
            question: Question::Prometheus { address: "http://127.0.0.1:9090".into(), query: "sum(x)".into(), range },
            headers: vec![Header {
                name: "authorization".into(),
                value: HeaderText::File { prefix: "Bearer ", path: "/run/token".into() },
            }],
            timeout: seconds(5),
            insecure: true,
        }
    );
    assert_eq!(
        asked(
            "{web: {url: 'http://a', jsonPath: '{.a}', method: POST, jsonBody: {a: [1, 2.5, x, null, true]}, \
             headers: [{key: X-Token, value: abc}, {key: X-Key, valueFrom: {file: /run/key}}]}}"
        ),
        Provider {
            question: Question::Web {
                url: "http://a".into(),
                json_path: "{.a}".into(),
                method: WebMethod::Post { body: r#"{"a":[1,2.5,"x",null,true]}"#.into(), json: true },
            },
            headers: vec![
                Header { name: "x-token".into(), value: HeaderText::Plain("abc".into()) },
                Header { name: "x-key".into(), value: HeaderText::File { prefix: "", path: "/run/key".into() } },
            ],
            timeout: seconds(10),
            insecure: false,
        }
    );
}

#[test]
fn how_often_is_checked() {
    let often = |more| {
        let metrics = read(&metric(more));
        (metrics[0].interval.map(|interval| interval.as_secs()), metrics[0].count)
    };
    assert_eq!(often(""), (None, Some(1)));
    assert_eq!(often("count: 1"), (None, Some(1)));
    assert_eq!(often("interval: 1m"), (Some(60), None), "as long as the others last");
    assert_eq!(often("interval: 1m, count: 3"), (Some(60), Some(3)));
    assert_eq!(often("interval: 1m, consecutiveSuccessLimit: 3"), (Some(60), None), "it ends when it passes");
    for (more, expected) in [
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
fn args_are_refused() {
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
            "{prometheus: {address: 'http://a', query: q, rangeQuery: {start: |yesterday, end: now(), step: 1m}}}",
            "rangeQuery.start must be now() or a time before it, such as now() - duration(\"5m\"), found \"yesterday\"",
        ),
        (
            "{prometheus: {address: 'http://a', query: q, rangeQuery: |{start: now(), end: now(), step: 1m}}}",
            "rangeQuery.start is not before end",
        ),
        (
            "{prometheus: {address: 'http://a', query: q, rangeQuery: |{start: now() - duration('4h'), end: now(), step: 1s}}}",
            "rangeQuery asks for more than 11000 values of each series, which Prometheus refuses (a longer step)",
        ),
        (
            "{prometheus: {address: 'http://a', query: q, authentication: {bearerToken: {file: |token}}}}",
            "bearerToken.file must be a path from the root, such as /run/secrets/token, found \"token\"",
        ),
        (
            "{prometheus: {address: 'http://a', query: q, timeout: 5s, |timeoutSeconds: 5}}",
            "timeoutSeconds cannot stand beside timeout",
        ),
        (
            "{prometheus: {address: 'http://a', query: q, headers: [{key: authorization, value: a}], |authentication: {bearerToken: {file: /a}}}}",
            "authentication cannot stand beside a header authorization",
        ),
        ("{web: |{jsonPath: $.a}}", "web.url is missing: it is what to ask"),
        ("{web: |{url: 'http://a'}}", "web.jsonPath is missing: it says where in the answer the value stands"),
        ("{web: {url: 'http://a', jsonPath: $.a, method: |PUT}}", "web.method must be one of GET, POST, found \"PUT\""),
        ("{web: {url: 'http://a', jsonPath: $.a, |body: x}}", "body needs a method that sends it (method: POST)"),
        (
            "{web: {url: 'http://a', jsonPath: $.a, method: POST, body: x, |jsonBody: x}}",
            "jsonBody cannot stand beside body",
        ),
        (
            "{web: {url: 'http://a', jsonPath: $.a, headers: [{key: a, value: b, |valueFrom: {file: /c}}]}}",
            "valueFrom cannot stand beside value",
        ),
        (
            "{web: {url: 'http://a', jsonPath: $.a, headers: [{key: |'a b', value: c}]}}",
            "key must be a header name, found \"a b\" (letters, digits and !#$%&'*+-.^_`|~)",
        ),
        (
            "{web: {url: 'http://a', jsonPath: $.a, headers: [{key: a, value: |\"b\\nc\"}]}}",
            "value must be what a header can hold: one line of text, found \"b\"",
        ),
    ] {
        refused(&template(&format!("[{{name: a, thresholdRange: {{min: 1}}, provider: {provider}}}]")), expected);
    }
}

#[test]
fn paths_into_answers_are_checked() {
    let text = template("[{name: a, thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: |rate}}}]");
    let (text, place) = unmarked(&text);
    let (_, diagnostics) = parse(&text);
    let expected = format!("{place}: error: web.jsonPath must be a JSON path such as $.data.rate (");
    assert!(diagnostics[0].starts_with(&expected) && diagnostics[0].ends_with("(write $.rate)"), "{diagnostics:?}");
}

#[test]
fn a_template_is_checked() {
    for (metrics, expected) in [
        ("|[]", "spec.metrics is empty: a template without metrics judges nothing"),
        ("|{}", "spec.metrics must be a list, found a mapping"),
        ("[|1]", "a metric must be a mapping, found 1"),
        (
            "[|{thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: $.a}}}]",
            "name is missing: the journal knows the metric by it",
        ),
        (
            "[|{name: a, provider: {web: {url: 'http://a', jsonPath: $.a}}}]",
            "thresholdRange is missing: it, successCondition or failureCondition say which values are good",
        ),
        (
            "[{name: a, thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: $.a}}}, \
             {name: |a, thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: $.a}}}]",
            "two metrics are named \"a\"",
        ),
    ] {
        refused(&template(metrics), expected);
    }
}
