use super::*;

const FILE: &str = "
tests:
  error-rate: {type: errorRatio, alpha: 0.01, allowedIncrease: 1, pass: {maxIncrease: 2, maxRate: 0.01}}
  latency: {type: latency, quantiles: [0.99], slo: 250ms, allowedIncrease: 1}
before: {requests: 19000, buckets: [[25, 9500], [250, 18810], [500, 19000]]}
strata:
- node: edge-1
  interval: 1
  asked: 5
  canary: {requests: 5000, errors: 20, buckets: [[25, 2500], [250, 4950], [500, 5000]]}
  stable: {requests: 95000, errors: 95, buckets: [[25, 47500], [250, 94050], [500, 95000]]}
- {node: edge-2, interval: 0, stable: {requests: 1000, errors: 5}}
";

fn read(text: &str) -> Result<CountsFile, String> {
    CountsFile::read(text)
}

#[test]
fn recorded_counts_are_judged() {
    let judgement = judge(&read(FILE).expect("a file"));
    assert_eq!((judgement.state, judgement.split.as_deref()), (State::Failed, None));
    let error_rate = &judgement.tests["error-rate"];
    assert!((error_rate.ln_evidence - 9.765_591_477_084_08).abs() < 1e-9);
    assert_eq!((error_rate.state, error_rate.failed_at), (State::Failed, Some(1)));
    assert_eq!(judgement.tests["latency"].state, State::Passed);
    let told = judgement.to_string();
    let first = "error-rate: Failed: canary 20 of 5,000 (0.40 %), stable 95 of 95,000 (0.10 %), ratio 4.0; evidence 17,424 : 1, limit 100 : 1\n  failed first after interval 1\nlatency: Successful: canary 50 of 5,000 slower than 250 ms (1.00 %), ";
    assert!(told.starts_with(first), "{told}");
    let json = serde_json::to_string(&judgement).expect("JSON");
    assert_eq!(serde_json::from_str::<Judgement>(&json).expect("a judgement"), judgement);
}

#[test]
fn json_is_read_too_and_the_rest_has_defaults() {
    let text = r#"{"tests": {"e": {"type": "errorRatio"}}, "strata": [
        {"node": "a", "interval": 0, "asked": 5, "canary": {"requests": 100}, "stable": {"requests": 900}},
        {"node": "a", "interval": 1, "asked": 5, "canary": {"requests": 100, "errors": 1}, "stable": {"requests": 900, "errors": 9}}
    ]}"#;
    let judgement = judge(&serde_json::from_str(text).expect("a file"));
    assert_eq!(judgement.state, State::Open);
    assert_eq!(judgement.tests["e"].forecast.as_deref().map(|told| told.starts_with("needs about ")), Some(true));
    let split = judgement.split.expect("a warning");
    assert!(split.starts_with("asked 5 %, seen 10 % (200 of 2,000): the split is not what was asked"), "{split}");
}

#[test]
fn mistakes_are_said() {
    for (from, to, said) in [
        ("asked: 5", "asking: 5", "asking"),
        ("requests: 5000", "requests: -1", "-1"),
        ("errors: 20", "errors: 5001", "strata, node edge-1, interval 1: canary: 5001 errors of 5000 requests"),
        ("asked: 5", "asked: 101", "interval 1: asked is 101"),
        ("[250, 4950]", "[20, 4950]", "buckets [25, 2500], [20, 4950] do not rise"),
        ("[500, 5000]", "[500, 5001]", "5001 of 5000 requests at most 500 ms slow"),
        ("[25, 9500]", "[0, 9500]", "before: the edge of a bucket"),
        ("edge-2, interval: 0", "edge-1, interval: 1", "node edge-1, interval 1: is there twice"),
        ("alpha: 0.01", "alpha: 1", "tests, error-rate: alpha is 1, and should be above 0 and below 1"),
        ("maxIncrease: 2", "maxIncrease: 1", "pass.maxIncrease is 1, and should be above allowedIncrease"),
        ("allowedIncrease: 1,", "allowedIncrease: 0.5,", "allowedIncrease is 0.5"),
        ("[0.99]", "[0.99, 0.5]", "tests, latency: quantiles are one or more, and rise"),
        ("250ms", "fast", "slo fast"),
        ("alpha: 0.01", "slo: 1s", "quantiles and slo are of `type: latency`"),
    ] {
        assert!(FILE.contains(from), "{from}");
        let error = read(&FILE.replacen(from, to, 1)).expect_err(to);
        assert!(error.contains(said), "{to}: {error}");
    }
    assert!(read("tests: {").expect_err("broken").contains("line "));
    assert!(read("").expect_err("empty").contains("0 documents"));
    assert!(read("tests: {}\nstrata: []").expect_err("no tests").contains("tests: there is none"));
}
