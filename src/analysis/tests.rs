mod telemetry;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::spec::{Good, Metric, OnInconclusive, Origin, Question, Source, ThresholdRange};

const START: Duration = Duration::from_secs(1_000);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[track_caller]
pub(super) fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 1e-9 * expected.abs(), "{value} is not {expected}");
}

/// `value` is `expected`, which is printed with so many digits behind the point.
#[track_caller]
pub(super) fn printed(value: f64, expected: &str) {
    let digits = expected.split_once('.').map_or(0, |(_, digits)| digits.len());
    let value = format!("{value:.digits$}");
    assert_eq!(value.trim_start_matches('0'), expected.trim_start_matches('0'));
}

/// Good from 99, once.
fn metric(name: &str) -> Metric {
    Metric::once(name, within(Some(99.0), None))
}

fn asked() -> Source {
    Source::Provider(Arc::new(Provider {
        question: Question::Prometheus { address: "http://a".into(), query: "q".into(), range: None },
        headers: Vec::new(),
        timeout: seconds(1),
        insecure: false,
    }))
}

fn within(min: Option<f64>, max: Option<f64>) -> Judge {
    Judge::Value { source: asked(), good: Good::Within(ThresholdRange { min, max }) }
}

/// As a provider says it.
fn json(value: f64) -> Value {
    match value {
        _ if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ => value.into(),
    }
}

/// Nothing is measured.
struct NoEvidence;

impl Evidence for NoEvidence {
    fn state(&self, _key: &str) -> State {
        State::Open
    }

    fn ln_evidence(&self, _key: &str) -> Option<f64> {
        None
    }

    fn words(&self, _key: &str) -> String {
        String::new()
    }

    fn forecast(&self, _key: &str, _now: Duration) -> Option<String> {
        None
    }

    fn window(&self) -> Window {
        Window::default()
    }

    fn is_reported(&self) -> bool {
        false
    }
}

fn run_of(templates: &[Arc<AnalysisTemplate>]) -> Run {
    Run::new(START, &"shop".into(), Kind::Inline, templates)
}

/// Ten times, ten seconds apart.
fn ten(name: &str) -> Metric {
    Metric { interval: Some(seconds(10)), count: Some(10), ..metric(name) }
}

fn template(name: &str, metrics: Vec<Metric>) -> Arc<AnalysisTemplate> {
    let origin = Origin { file: "a.yaml".into(), line: 1, column: 1 };
    Arc::new(AnalysisTemplate { name: name.into(), metrics: metrics.into_iter().map(Arc::new).collect(), origin })
}

fn start(metrics: Vec<Metric>) -> Run {
    run_of(&[template("golden", metrics)])
}

fn error() -> Result<f64, String> {
    Err("no answer within 10s".to_owned())
}

/// Measures a run of one metric as soon as it is due, for as long as there are results and nothing is settled; returns
/// when it ended.
fn measure(run: &mut Run, results: impl IntoIterator<Item = Result<f64, String>>) -> Duration {
    let mut now = START;
    for result in results {
        let Some(at) = run.next_deadline() else { break };
        now = at;
        assert_eq!(run.advance(now, &NoEvidence).len(), 1);
        run.take(now, 0, result.map(json));
    }
    now
}

fn verdict_of(metric: Metric, results: impl IntoIterator<Item = Result<f64, String>>) -> Option<Verdict> {
    let mut run = start(vec![metric]);
    measure(&mut run, results);
    run.verdict()
}

fn successful(words: &str) -> Verdict {
    Verdict::Successful(words.to_owned())
}

fn failed(words: &str) -> Verdict {
    Verdict::Failed(words.to_owned())
}

fn inconclusive(words: &str) -> Verdict {
    Verdict::Inconclusive(words.to_owned())
}

#[test]
fn one_good_measurement_passes_a_metric_that_is_measured_once() {
    let mut run = start(vec![metric("success-rate")]);
    assert_eq!(run.next_deadline(), Some(START));
    assert_eq!(run.verdict(), None);
    let due = run.advance(START, &NoEvidence);
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [0]);
    assert_eq!(run.advance(START, &NoEvidence), [], "handed out once");
    assert_eq!(run.next_deadline(), None);
    run.take(START, 0, Ok(json(99.0)));
    assert_eq!(run.verdict(), Some(successful("success-rate 99 is at least 99 (1 of 1 measurements)")));
    assert_eq!((run.next_deadline(), run.advance(START + seconds(100), &NoEvidence)), (None, vec![]));
}

#[test]
fn measurements_are_taken_at_their_times() {
    let delayed = Metric { initial_delay: seconds(60), ..ten("latency") };
    let mut run = start(vec![ten("success-rate"), delayed]);
    assert_eq!(run.advance(START, &NoEvidence).len(), 1);
    run.take(START + seconds(3), 0, Ok(json(99.5)));
    assert_eq!(run.next_deadline(), Some(START + seconds(13)), "the interval begins when the answer is here");
    assert_eq!(run.advance(START + Duration::from_millis(12_999), &NoEvidence), []);
    assert_eq!(run.advance(START + seconds(13), &NoEvidence).len(), 1);
    assert_eq!(run.next_deadline(), Some(START + seconds(60)));
    assert_eq!(
        run.advance(START + seconds(60), &NoEvidence).iter().map(|due| due.id).collect::<Vec<_>>(),
        [1],
        "the other is out"
    );
}

#[test]
fn a_result_nobody_waits_for_changes_nothing() {
    let mut run = start(vec![ten("success-rate")]);
    let before = run.clone();
    run.take(START, 0, Ok(json(1.0)));
    run.take(START, 7, Ok(json(1.0)));
    assert_eq!(run, before);
    assert_eq!(run.advance(START, &NoEvidence).len(), 1);
    run.take(START, 0, Ok(json(100.0)));
    let before = run.clone();
    run.take(START, 0, Ok(json(1.0)));
    assert_eq!(run, before, "a second answer to one question");
}

#[test]
fn a_metric_fails_when_more_measurements_fail_than_it_allows() {
    let two = Metric { failure_limit: 2, ..ten("success-rate") };
    let results = [98.0, 99.5, 98.5, 99.0].map(Ok);
    assert_eq!(verdict_of(two.clone(), results.clone()), None);
    assert_eq!(
        verdict_of(two.clone(), results.into_iter().chain([Ok(98.2)])),
        Some(failed("success-rate 98.2 is below 99 (3 of 5 measurements failed, limit 2)"))
    );
    assert_eq!(
        verdict_of(two, [98.0, 98.0].into_iter().chain([99.25; 8]).map(Ok)),
        Some(successful("success-rate 99.25 is at least 99 (8 of 10 measurements)"))
    );
    let high = Metric { judge: within(Some(-1.0), Some(0.05)), ..metric("error-rate") };
    for (value, verdict) in [
        (0.07, failed("error-rate 0.07 is above 0.05 (1 of 1 measurements failed, limit 0)")),
        (-3e200, failed("error-rate -3e200 is below -1 (1 of 1 measurements failed, limit 0)")),
        (0.0, successful("error-rate 0 is between -1 and 0.05 (1 of 1 measurements)")),
    ] {
        assert_eq!(verdict_of(high.clone(), [Ok(value)]), Some(verdict));
    }
}

#[test]
fn what_is_no_finite_number_is_an_error() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut run = start(vec![Metric { judge: within(None, Some(1.0)), ..metric("m") }]);
        measure(&mut run, [Ok(value)]);
        assert_eq!(run.verdict(), None, "{value}");
        assert_eq!(run.next_deadline(), Some(START + seconds(10)), "{value}: asked again");
        assert!(
            run.progress(START, &NoEvidence).starts_with("m 0/1 measured, 0 failed, 1 error (last: "),
            "{}",
            run.progress(START, &NoEvidence)
        );
    }
}

#[test]
fn errors_do_not_count_but_too_many_in_a_row_fail_the_metric() {
    let four = || std::iter::repeat_with(error).take(4);
    assert_eq!(verdict_of(metric("m"), four()), None);
    let passed = successful("m 99 is at least 99 (1 of 1 measurements)");
    assert_eq!(verdict_of(metric("m"), four().chain([Ok(99.0)])), Some(passed));
    let five = failed("m could not be measured (5 in a row, limit 4): no answer within 10s");
    assert_eq!(verdict_of(metric("m"), four().chain([error(), Ok(99.0)])), Some(five));
    assert_eq!(verdict_of(ten("m"), four().chain([Ok(99.0)]).chain(four())), None, "not in a row");
    assert_eq!(verdict_of(Metric { failure_limit: 9, ..ten("m") }, four().chain([Ok(1.0)]).chain(four())), None);
    let mut run = start(vec![ten("m")]);
    assert_eq!(measure(&mut run, four().chain([error()])), START + seconds(40));
    let never = Metric { consecutive_error_limit: 0, ..metric("m") };
    let one = failed("m could not be measured (1 in a row, limit 0): no answer within 10s");
    assert_eq!(verdict_of(never, [error()]), Some(one));
}

#[test]
fn enough_good_measurements_in_a_row_pass_a_metric_early() {
    let row = Metric { consecutive_success_limit: Some(3), failure_limit: 5, ..ten("m") };
    let passed = || Some(successful("m 99 is at least 99 (3 measurements in a row)"));
    assert_eq!(verdict_of(row.clone(), [99.0; 2].map(Ok)), None);
    assert_eq!(verdict_of(row.clone(), [99.0; 3].map(Ok)), passed());
    assert_eq!(verdict_of(row.clone(), [99.0, 99.0, 1.0, 99.0].map(Ok)), None);
    assert_eq!(verdict_of(row.clone(), [Ok(99.0), Ok(99.0), error(), Ok(99.0)]), None, "an error is not good");
    let endless = Metric { count: None, ..row.clone() };
    assert_eq!(verdict_of(endless, [99.0, 1.0, 99.0, 1.0, 99.0, 99.0, 99.0].map(Ok)), passed());
    let mixed = [99.0, 99.0, 1.0].into_iter().cycle().take(10).map(Ok);
    assert_eq!(
        verdict_of(row, mixed),
        Some(inconclusive("m was at least 99 in 7 of 10 measurements, but never 3 in a row"))
    );
}

#[test]
fn nothing_passes_without_evidence() {
    let wide = Metric { failure_limit: 10, ..ten("m") };
    assert_eq!(
        verdict_of(wide.clone(), [1.0; 10].map(Ok)),
        Some(inconclusive("m was at least 99 in 0 of 10 measurements"))
    );
    assert_eq!(
        verdict_of(wide, [1.0; 9].into_iter().chain([99.0]).map(Ok)),
        Some(successful("m 99 is at least 99 (1 of 10 measurements)"))
    );
    assert_eq!(run_of(&[]).verdict(), Some(inconclusive("there is no metric to measure")));
}

#[test]
fn the_worst_metric_decides() {
    for (first, second, verdict) in [
        (
            99.0,
            100.0,
            successful("a 99 is at least 99 (1 of 1 measurements); b 100 is at least 99 (1 of 1 measurements)"),
        ),
        (99.0, 1.0, failed("b 1 is below 99 (1 of 1 measurements failed, limit 0)")),
        (
            2.0,
            1.0,
            failed(
                "a 2 is below 99 (1 of 1 measurements failed, limit 0); \
                 b 1 is below 99 (1 of 1 measurements failed, limit 0)",
            ),
        ),
    ] {
        let mut run = start(vec![metric("a"), metric("b")]);
        run.advance(START, &NoEvidence);
        run.take(START, 0, Ok(json(first)));
        run.take(START, 1, Ok(json(second)));
        assert_eq!(run.verdict(), Some(verdict));
    }
}

#[test]
fn one_failure_ends_the_run_at_once() {
    let mut run = start(vec![metric("a"), ten("b")]);
    run.advance(START, &NoEvidence);
    run.take(START, 1, Ok(json(99.0)));
    assert_eq!(run.verdict(), None);
    assert_eq!(run.next_deadline(), Some(START + seconds(10)));
    run.take(START, 0, Ok(json(1.0)));
    assert_eq!(run.verdict(), Some(failed("a 1 is below 99 (1 of 1 measurements failed, limit 0)")));
    assert_eq!(
        (run.next_deadline(), run.advance(START + seconds(10), &NoEvidence)),
        (None, vec![]),
        "nothing more is asked"
    );
}

#[test]
fn a_run_is_inconclusive_once_nothing_that_is_out_can_fail() {
    for (last, verdict) in [
        (99.0, inconclusive("a was at least 99 in 0 of 1 measurements")),
        (1.0, failed("b 1 is below 99 (1 of 1 measurements failed, limit 0)")),
    ] {
        let mut run = start(vec![Metric { failure_limit: 1, ..metric("a") }, metric("b"), ten("c")]);
        run.advance(START, &NoEvidence);
        run.take(START, 2, Ok(json(99.0)));
        run.take(START, 0, Ok(json(1.0)));
        assert_eq!(run.verdict(), None);
        assert_eq!(
            (run.next_deadline(), run.advance(START + seconds(10), &NoEvidence)),
            (None, vec![]),
            "nothing more is asked"
        );
        run.take(START, 1, Ok(json(last)));
        assert_eq!(run.verdict(), Some(verdict));
    }
}

#[test]
fn progress_reads_well() {
    let row = Metric { consecutive_success_limit: Some(4), count: None, ..ten("latency") };
    let mut run = run_of(&[template("golden", vec![ten("success-rate")]), template("slow", vec![row])]);
    run.advance(START, &NoEvidence);
    run.take(START, 0, Ok(json(99.5)));
    run.take(START, 1, Ok(json(99.5)));
    run.advance(START + seconds(10), &NoEvidence);
    run.take(START, 0, error().map(json));
    assert_eq!(
        run.progress(START, &NoEvidence),
        "success-rate 1/10 measured, 0 failed, 1 error (last: no answer within 10s); \
         latency 1 measured, 0 failed, 1 of 4 good in a row"
    );
}

#[test]
fn metrics_of_one_name_are_told_apart() {
    let golden = template("golden", vec![metric("a"), metric("b")]);
    let run = run_of(&[golden, template("slow", vec![metric("a")])]);
    assert_eq!(
        run.progress(START, &NoEvidence),
        "golden/a 0/1 measured, 0 failed; b 0/1 measured, 0 failed; slow/a 0/1 measured, 0 failed"
    );
}

/// Metrics that end: they have a count.
fn some_metric() -> impl Strategy<Value = Metric> {
    let limits = (1..6_u32, 0..4_u32, 0..3_u32, prop::option::of(1..4_u32));
    (limits, prop::option::of(1..20_u64), 0..20_u64).prop_map(|((count, failures, errors, row), interval, delay)| {
        Metric {
            interval: interval.map(seconds),
            initial_delay: seconds(delay),
            count: Some(count),
            failure_limit: failures,
            consecutive_error_limit: errors,
            consecutive_success_limit: row,
            ..metric("m")
        }
    })
}

fn some_result() -> impl Strategy<Value = Result<f64, String>> {
    prop_oneof![4 => Just(Ok(99.5)), 2 => Just(Ok(98.5)), 1 => Just(Ok(f64::NAN)), 1 => Just(error())]
}

/// What each metric was told, in its order.
type Past = Vec<Vec<Result<f64, String>>>;

/// Lets a run go on until it has a verdict and nothing is out. Result and seconds to the answer of the measurements come
/// from `script`, round and round. Answers of one instant are taken from the last metric to the first if `backwards`.
fn play(metrics: &[Metric], script: &[(Result<f64, String>, u64)], backwards: bool) -> (Run, Past, Duration) {
    let mut run = start(metrics.to_vec());
    let mut past: Past = vec![Vec::new(); metrics.len()];
    let mut out: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
    let mut now = START;
    for _ in 0..1_000 {
        let mut back = out.remove(&now).unwrap_or_default();
        back.sort_unstable();
        if backwards {
            back.reverse();
        }
        for id in back {
            let result = script[(past[id].len() * metrics.len() + id) % script.len()].0.clone();
            past[id].push(result.clone());
            run.take(now, id, result.map(json));
        }
        for due in run.advance(now, &NoEvidence) {
            let after = script[(past[due.id].len() * metrics.len() + due.id) % script.len()].1;
            out.entry(now + seconds(after)).or_default().push(due.id);
        }
        match run.next_deadline().into_iter().chain(out.keys().next().copied()).min() {
            Some(next) => now = next,
            None => break,
        }
    }
    (run, past, now)
}

proptest! {
    #[test]
    fn every_run_ends_and_passes_by_evidence_alone(
        metrics in prop::collection::vec(some_metric(), 1..4),
        script in prop::collection::vec((some_result(), 0..3_u64), 1..20),
    ) {
        let (run, past, _) = play(&metrics, &script, false);
        let verdict = run.verdict();
        prop_assert!(verdict.is_some(), "{}", run.progress(START, &NoEvidence));
        let good = |result: &&Result<f64, String>| **result == Ok(99.5);
        let bad = |result: &&Result<f64, String>| **result == Ok(98.5);
        for (metric, past) in metrics.iter().zip(&past) {
            let (goods, bads) = (past.iter().filter(good).count(), past.iter().filter(bad).count());
            let count = metric.count.unwrap() as usize;
            prop_assert!(goods + bads <= count, "never more than count");
            if bads > metric.failure_limit as usize {
                prop_assert!(matches!(verdict, Some(Verdict::Failed(_))));
            }
            if let Some(Verdict::Successful(_)) = verdict {
                if let Some(row) = metric.consecutive_success_limit {
                    prop_assert_eq!(past.iter().rev().take_while(good).count(), row as usize);
                } else {
                    prop_assert_eq!(goods + bads, count);
                    prop_assert!(goods >= 1.max(count.saturating_sub(metric.failure_limit as usize)));
                }
            }
        }
    }

    #[test]
    fn the_order_of_results_within_an_instant_does_not_matter(
        metrics in prop::collection::vec(some_metric(), 1..5),
        script in prop::collection::vec((some_result(), 0..2_u64), 1..20),
    ) {
        let (forwards, backwards) = (play(&metrics, &script, false), play(&metrics, &script, true));
        prop_assert_eq!(forwards.0.verdict(), backwards.0.verdict());
        prop_assert_eq!(format!("{forwards:?}"), format!("{backwards:?}"));
    }
}
