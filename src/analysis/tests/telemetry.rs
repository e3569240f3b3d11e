//! Metrics that judge what proxies measured, runs in the background, and runs that are saved.

use super::*;
use crate::spec::{Condition, Limits};
use crate::telemetry::{Counts, Histogram};

/// What the test says that proxies measured.
#[derive(Debug, Clone, Default)]
struct Told {
    tests: BTreeMap<&'static str, (State, f64)>,
    window: Window,
    reported: bool,
}

impl Told {
    fn requests(mut self, requests: u64, errors: u64) -> Self {
        self.window.canary = Counts { requests, errors };
        self.reported = true;
        self
    }

    fn test(mut self, key: &'static str, state: State, ln_evidence: f64) -> Self {
        self.tests.insert(key, (state, ln_evidence));
        self
    }
}

impl Evidence for Told {
    fn state(&self, key: &str) -> State {
        self.tests.get(key).map_or(State::Open, |(state, _)| *state)
    }

    fn ln_evidence(&self, key: &str) -> Option<f64> {
        self.tests.get(key).map(|(_, ln)| *ln)
    }

    fn words(&self, key: &str) -> String {
        self.tests.get(key).map(|_| format!("figures of {key}")).unwrap_or_default()
    }

    fn forecast(&self, key: &str, _now: Duration) -> Option<String> {
        (self.state(key) == State::Open).then(|| "needs about 4,300 more canary requests".to_owned())
    }

    fn window(&self) -> Window {
        self.window.clone()
    }

    fn is_reported(&self) -> bool {
        self.reported
    }
}

/// A test with a deadline of a minute.
fn test(name: &str) -> Metric {
    let limits = Limits { alpha: 0.01, beta: 0.05, allowed_increase: 1.25, max_increase: 2.0, max_rate: None };
    let judge = Judge::Test { test: Test::ErrorRatio(limits), deadline: seconds(60) };
    Metric { count: None, judge, ..metric(name) }
}

fn built_in(source: Source, min: Option<f64>, max: Option<f64>) -> Metric {
    let judge = Judge::Value { source, good: Good::Within(ThresholdRange { min, max }) };
    Metric { judge, ..ten("built-in") }
}

fn conditions(success: Option<&str>, failure: Option<&str>) -> Metric {
    let read = |text: &str| Condition::parse(text).unwrap();
    let good = Good::Conditions { success: success.map(read), failure: failure.map(read) };
    Metric { judge: Judge::Value { source: asked(), good }, ..ten("m") }
}

fn background(metrics: Vec<Metric>) -> Run {
    Run::new(START, &"shop".into(), Kind::Background, &[template("golden", metrics)])
}

/// Measures a run of one metric with these values.
fn values(metric: Metric, values: &[Value]) -> Run {
    let mut run = start(vec![metric]);
    for value in values {
        let Some(now) = run.next_deadline() else { break };
        assert_eq!(run.advance(now, &NoEvidence).len(), 1);
        run.take(now, 0, Ok(value.clone()));
    }
    run
}

#[test]
fn a_test_passes_once_it_is_sure_and_the_run_has_seen_requests() {
    let passed = Told::default().requests(100, 0).test("golden/errors", State::Passed, -9.0);
    let mut run = start(vec![test("errors")]);
    assert_eq!(run.next_deadline(), Some(START));
    assert_eq!(run.advance(START, &passed), []);
    assert_eq!(
        (run.verdict(), run.next_deadline()),
        (None, Some(START + seconds(60))),
        "what was known before is none"
    );
    run.advance(START + seconds(10), &passed.clone().requests(101, 0));
    assert_eq!(run.verdict(), Some(successful("errors: figures of golden/errors")));
}

#[test]
fn a_test_fails_at_once() {
    let mut run = start(vec![test("errors"), ten("other")]);
    assert_eq!(run.advance(START, &Told::default()).len(), 1);
    let bad = Told::default().requests(9, 9).test("golden/errors", State::Failed, 5.0);
    assert_eq!(run.advance(START + seconds(1), &bad), []);
    assert_eq!(run.verdict(), Some(failed("errors: figures of golden/errors")));
    assert_eq!(run.next_deadline(), None);
}

#[test]
fn a_test_that_is_not_sure_in_time_is_inconclusive() {
    let open = Told::default().requests(5, 0).test("golden/errors", State::Open, 0.5);
    let words = "figures of golden/errors; needs about 4,300 more canary requests";
    let none = "the new version had no requests that were reported";
    for (on_inconclusive, must_have_data, seen, verdict) in [
        (OnInconclusive::Pause, false, 6, inconclusive(&format!("errors is undecided: {words}"))),
        (OnInconclusive::Pause, true, 6, inconclusive(&format!("errors is undecided: {words}"))),
        (
            OnInconclusive::Promote,
            false,
            6,
            successful(&format!("errors is undecided: {words} (onInconclusive: promote)")),
        ),
        (OnInconclusive::Abort, false, 6, failed(&format!("errors is undecided: {words} (onInconclusive: abort)"))),
        (OnInconclusive::Pause, false, 5, inconclusive(&format!("errors is undecided: {none}"))),
        (OnInconclusive::Promote, true, 5, failed(&format!("errors: {none}"))),
    ] {
        let mut run = start(vec![Metric { must_have_data, on_inconclusive, ..test("errors") }]);
        run.advance(START, &open);
        run.advance(START + Duration::from_millis(59_999), &open.clone().requests(seen, 0));
        assert_eq!(run.verdict(), None);
        run.advance(START + seconds(60), &open.clone().requests(seen, 0));
        assert_eq!(run.verdict(), Some(verdict));
    }
}

#[test]
fn a_test_is_not_looked_at_before_its_delay() {
    let mut run = start(vec![Metric { initial_delay: seconds(30), ..test("errors") }]);
    let bad = Told::default().requests(9, 9).test("golden/errors", State::Failed, 5.0);
    run.advance(START + seconds(29), &bad);
    assert_eq!((run.verdict(), run.next_deadline()), (None, Some(START + seconds(30))));
    assert_eq!(run.progress(START + seconds(29), &bad), "errors: begins in 1s");
    run.advance(START + seconds(30), &bad);
    assert!(matches!(run.verdict(), Some(Verdict::Failed(_))));
}

#[test]
fn a_background_run_never_succeeds_and_never_ends_in_doubt() {
    let passed = Told::default().requests(100, 0).test("golden/errors", State::Passed, -9.0);
    let mut run = background(vec![test("errors"), metric("once")]);
    assert_eq!(run.advance(START, &passed).len(), 1);
    run.take(START, 1, Ok(json(99.0)));
    run.advance(START + seconds(3_600), &passed.clone().requests(200, 0));
    assert_eq!((run.verdict(), run.next_deadline()), (None, None), "no deadline, and nothing to be measured again");
    run.advance(START + seconds(3_700), &passed.test("golden/errors", State::Failed, 5.0));
    assert!(matches!(run.verdict(), Some(Verdict::Failed(_))));
    let mut run = background(vec![Metric { count: None, ..ten("m") }]);
    for round in 0..100 {
        let now = START + seconds(10 * round);
        assert_eq!((run.next_deadline(), run.advance(now, &NoEvidence).len()), (Some(now), 1));
        run.take(now, 0, Ok(json(99.0)));
    }
    assert_eq!(run.verdict(), None);
}

#[test]
fn metrics_without_count_last_as_long_as_the_others() {
    let mut run =
        start(vec![Metric { count: None, ..ten("m") }, Metric { initial_delay: seconds(15), ..metric("once") }]);
    for now in [0, 10] {
        assert_eq!(run.advance(START + seconds(now), &NoEvidence).len(), 1);
        run.take(START + seconds(now), 0, Ok(json(99.0)));
    }
    run.advance(START + seconds(15), &NoEvidence);
    assert_eq!(run.verdict(), None);
    run.take(START + seconds(15), 1, Ok(json(99.5)));
    let words = "m 99 is at least 99 (2 of 2 measurements); once 99.5 is at least 99 (1 of 1 measurements)";
    assert_eq!(run.verdict(), Some(successful(words)));
    let words = "no metric of it ever ends: give one a count, or judge them in the background";
    assert_eq!(start(vec![Metric { count: None, ..ten("m") }]).verdict(), Some(inconclusive(words)));
}

#[test]
fn telemetry_gives_values_since_the_last_measurement() {
    let mut run = start(vec![built_in(Source::SuccessRate, Some(99.0), None)]);
    let told = Told::default().requests(1_000, 1_000);
    assert_eq!(run.advance(START, &told), []);
    assert_eq!(run.next_deadline(), Some(START + seconds(10)));
    run.advance(START + seconds(10), &told.clone().requests(1_200, 1_001));
    assert_eq!(run.progress(START, &told), "built-in 1/10 measured, 0 failed");
    run.advance(START + seconds(20), &told.clone().requests(1_200, 1_001));
    let words = "built-in 1/10 measured, 0 failed, 1 error (last: the new version had no requests)";
    assert_eq!(run.progress(START, &told), words);
    run.advance(START + seconds(30), &told.requests(1_300, 1_003));
    assert_eq!(run.verdict(), Some(failed("built-in 98 is below 99 (1 of 2 measurements failed, limit 0)")));
}

#[test]
fn latencies_are_those_of_the_quantile() {
    let buckets = |counts: [u64; 3]| Histogram {
        count: counts[2] + 1,
        buckets: vec![(10.0, counts[0]), (100.0, counts[1]), (250.0, counts[2])],
    };
    for (quantile, verdict) in [
        (0.5, None),
        (0.9, Some("built-in 85 is above 50 (1 of 1 measurements failed, limit 0)")),
        (0.999, Some("built-in is beyond all buckets (1 of 1 measurements failed, limit 0)")),
    ] {
        let mut run = start(vec![built_in(Source::Latency { quantile }, None, Some(50.0))]);
        let mut told = Told::default();
        told.window.latency = Histogram { count: 7, buckets: vec![(10.0, 7), (100.0, 7), (250.0, 7)] };
        run.advance(START, &told);
        told.window.latency = buckets([7 + 80, 7 + 92, 7 + 98]);
        told.window.latency.count = 7 + 100;
        run.advance(START + seconds(10), &told);
        assert_eq!(run.verdict(), verdict.map(failed), "{quantile}");
    }
}

#[test]
fn without_telemetry_it_says_so() {
    let mut run = start(vec![test("errors")]);
    run.advance(START, &NoEvidence);
    assert_eq!(run.progress(START + seconds(59), &NoEvidence), "errors: no requests yet");
    let words = "no proxy reports telemetry for shop: serin bootstrap switches it on; errors: no requests yet";
    assert_eq!(run.progress(START + seconds(60), &NoEvidence), words);
    let reported = Told { reported: true, ..Told::default() };
    assert_eq!(run.progress(START + seconds(60), &reported), "errors: needs about 4,300 more canary requests");
    let asked = start(vec![ten("m")]);
    assert_eq!(asked.progress(START + seconds(99), &NoEvidence), "m 0/10 measured, 0 failed", "it needs none");
}

#[test]
fn conditions_decide_as_for_argo_rollouts() {
    let both = || conditions(Some("result >= 0.95"), Some("result < 0.9"));
    let bad = |words: &str| Some(failed(&format!("m {words} (1 of 1 measurements failed, limit 0)")));
    assert_eq!(values(conditions(Some("result > 1"), None), &[json(1.0)]).verdict(), bad("1 does not meet result > 1"));
    assert_eq!(values(conditions(None, Some("result > 1")), &[json(2.0)]).verdict(), bad("2 meets result > 1"));
    assert_eq!(values(both(), &[json(0.8)]).verdict(), bad("0.8 meets result < 0.9"));
    let overlap = conditions(Some("result > 1"), Some("result > 2"));
    assert_eq!(values(overlap, &[json(3.0)]).verdict(), bad("3 meets result > 2"));
    let words = "m 0.92 meets neither result >= 0.95 nor result < 0.9 (1 of 1 measurements inconclusive, limit 0)";
    assert_eq!(values(both(), &[json(0.92)]).verdict(), Some(inconclusive(words)));
    let lenient = Metric { inconclusive_limit: 2, ..both() };
    assert_eq!(values(lenient.clone(), &[0.92, 0.92, 0.97].map(json)).verdict(), None);
    let mixed: Vec<_> = [0.92, 0.92].into_iter().chain([0.97; 8]).map(json).collect();
    let words = "m 0.97 meets result >= 0.95 (8 of 10 measurements)";
    assert_eq!(values(lenient, &mixed).verdict(), Some(successful(words)));
    assert_eq!(
        values(Metric { count: Some(1), ..conditions(None, Some("result > 1")) }, &[json(0.5)]).verdict(),
        Some(successful("m 0.5 does not meet result > 1 (1 of 1 measurements)"))
    );
}

#[test]
fn missing_data_is_an_error_or_a_failure() {
    let nan = || vec![json(f64::NAN); 5];
    let never = || conditions(Some("!(result < 0.9)"), None);
    let words = "m could not be measured (5 in a row, limit 4): NaN is compared";
    assert_eq!(values(never(), &nan()).verdict(), Some(failed(words)));
    let must = Metric { must_have_data: true, ..never() };
    let words = "m has no data: the value is NaN (1 of 1 measurements failed, limit 0)";
    assert_eq!(values(must, &nan()).verdict(), Some(failed(words)));
    let must = Metric { must_have_data: true, ..conditions(Some("len(result) == 0"), None) };
    let words = "m has no data: the query finds no data (1 of 1 measurements failed, limit 0)";
    assert_eq!(values(must, &[serde_json::json!([])]).verdict(), Some(failed(words)));
    let words = "m NaN meets isNaN(result) (1 of 1 measurements failed, limit 0)";
    assert_eq!(values(conditions(Some("result > 1"), Some("isNaN(result)")), &nan()).verdict(), Some(failed(words)));
    for (value, words) in [
        (serde_json::json!([]), "the query finds no data"),
        (serde_json::json!([1, 2]), "there are 2 values, not one"),
        (serde_json::json!(null), "the value is null"),
        (serde_json::json!("ok"), "ok is not a number"),
        (serde_json::json!({"a": 1}), "{\"a\":1} is not a number"),
    ] {
        let run = values(Metric { consecutive_error_limit: 0, ..ten("m") }, &[value]);
        let words = format!("m could not be measured (1 in a row, limit 0): {words}");
        assert_eq!(run.verdict(), Some(failed(&words)));
    }
}

#[test]
fn only_what_is_critical_aborts_by_itself() {
    let critical = || Metric { critical: true, ..metric("a") };
    for (first, second, verdict) in [
        (99.0, 1.0, inconclusive("b 1 is below 99 (1 of 1 measurements failed, limit 0) (not critical)")),
        (1.0, 1.0, failed("a 1 is below 99 (1 of 1 measurements failed, limit 0)")),
    ] {
        let mut run = start(vec![critical(), metric("b")]);
        run.advance(START, &NoEvidence);
        run.take(START, 1, Ok(json(second)));
        assert_eq!(run.verdict(), None, "a critical one may still fail");
        run.take(START, 0, Ok(json(first)));
        assert_eq!(run.verdict(), Some(verdict));
    }
}

#[test]
fn tests_that_are_not_critical_vote_by_their_weight() {
    let run = || start(vec![Metric { critical: true, ..ten("a") }, test("x"), Metric { weight: 3.0, ..test("y") }]);
    // ln 100 = 4.605: (e^0 + 3 e^l) / 4 reaches 100 at l = ln 133 = 4.890
    for (x, y, fails) in [(0.0, 4.88, false), (0.0, 4.90, true), (5.97, 0.0, false), (6.0, 0.0, true)] {
        let told = Told::default().requests(9, 9);
        let told = told.test("golden/x", State::Open, x).test("golden/y", State::Open, y);
        let mut run = run();
        run.advance(START, &told);
        assert_eq!(matches!(run.verdict(), Some(Verdict::Failed(_))), fails, "{x} {y} {:?}", run.verdict());
    }
    let told = Told::default().test("golden/x", State::Open, 9.0).test("golden/y", State::Open, 9.0);
    let mut all_critical = start(vec![test("x"), test("y")]);
    all_critical.advance(START, &told);
    assert_eq!(all_critical.verdict(), None, "each has its own limit then");
}

#[test]
fn dry_runs_are_told_and_decide_nothing() {
    let dry = |name| Metric { dry_run: true, critical: true, ..metric(name) };
    let mut run = start(vec![dry("a"), metric("b")]);
    run.advance(START, &NoEvidence);
    run.take(START, 0, Ok(json(1.0)));
    assert_eq!(run.verdict(), None);
    assert_eq!(run.progress(START, &NoEvidence), "a (dryRun) 1/1 measured, 1 failed; b 0/1 measured, 0 failed");
    run.take(START, 1, Ok(json(99.0)));
    assert_eq!(run.verdict(), Some(successful("b 99 is at least 99 (1 of 1 measurements)")));
    let mut run = start(vec![dry("a")]);
    run.advance(START, &NoEvidence);
    assert_eq!(run.verdict(), None);
    run.take(START, 0, Ok(json(1.0)));
    let words = "all metrics are in dryRun: a 1 is below 99 (1 of 1 measurements failed, limit 0)";
    assert_eq!(run.verdict(), Some(successful(words)));
}

#[test]
fn a_run_that_is_saved_goes_on() {
    let templates = |count| {
        let delayed = Metric { initial_delay: seconds(90), ..test("late") };
        let rate = built_in(Source::SuccessRate, Some(99.0), None);
        [template("golden", vec![Metric { count, ..ten("m") }, delayed, rate, test("x")])]
    };
    let told = Told::default().requests(100, 0).test("golden/x", State::Open, 0.0);
    let mut run = Run::new(START, &"shop".into(), Kind::Inline, &templates(Some(10)));
    assert_eq!(run.advance(START, &told).len(), 1);
    run.take(START + seconds(3), 0, Ok(json(99.0)));
    run.advance(START + seconds(13), &told);
    let at = START + seconds(20);
    let saved: Saved = serde_json::from_str(&serde_json::to_string(&run.save(at)).unwrap()).unwrap();
    // Another process, whose clock begins anew.
    let now = seconds(5);
    let resume = |templates: &[_]| Run::resume(now, &"shop".into(), Kind::Inline, templates, &saved);
    let mut same = resume(&templates(Some(10)));
    assert_eq!(same.progress(now, &told), run.progress(at, &told));
    assert_eq!(same.save(now), run.save(at));
    assert_eq!(same.advance(now, &told).len(), 1, "what was out is asked again");
    let deadline = now + seconds(60 - 20);
    same.advance(deadline, &told.clone().requests(300, 0));
    let words = "x is undecided: figures of golden/x; needs about 4,300 more canary requests";
    let out = same.verdict();
    assert_eq!(out, None, "one is out");
    same.take(deadline, 0, Ok(json(99.0)));
    assert_eq!(same.verdict(), Some(inconclusive(words)));
    let other = resume(&templates(Some(11)));
    let progress = other.progress(now, &told);
    assert!(progress.starts_with("m 0/11 measured"), "another question: {progress}");
    assert!(progress.contains("built-in 0/10 measured, 0 failed, 1 error"), "the same question: {progress}");
}

#[test]
fn tests_have_keys_that_do_not_depend_on_the_run() {
    let templates = [template("a", vec![test("x"), ten("m")]), template("b", vec![test("x")])];
    assert_eq!(tests_of(&templates).map(|(key, _)| key).collect::<Vec<_>>(), ["a/x".into(), "b/x".into()]);
}
