use super::*;

fn sample(requests: u64, errors: u64, endpoint: &str) -> Sample {
    let counts = Counts { requests, errors };
    let latency = Histogram { count: requests, buckets: vec![(10.0, requests - errors)] };
    Sample { attempts: Some(counts), latency: Some(latency), endpoints: [(endpoint.into(), counts)].into() }
}

#[test]
fn a_window_is_the_difference_of_two() {
    let mut totals = Totals::default();
    totals.take(Some(&sample(10, 1, "a")), Some(&sample(100, 2, "b")));
    let earlier = totals.clone();
    assert_eq!(totals.since(&Totals::default()), earlier);
    totals.take(Some(&sample(20, 3, "a")), None);
    totals.take(Some(&sample(5, 0, "c")), None);
    let window = totals.since(&earlier);
    assert_eq!(window.canary().counts, Counts { requests: 25, errors: 3 });
    assert_eq!(window.canary().latency, Histogram { count: 25, buckets: vec![(10.0, 22)] });
    assert_eq!(window.canary().endpoints["a"], Counts { requests: 20, errors: 3 });
    assert_eq!(window.canary().endpoints["c"], Counts { requests: 5, errors: 0 });
    assert_eq!(window.stable().counts, Counts::default());
    assert_eq!(window.stable().endpoints.len(), 0);
}

#[test]
fn endpoints_beyond_the_first_are_counted_together() {
    let mut totals = Totals::default();
    for _ in 0..2 {
        for endpoint in 0..100 {
            totals.take(Some(&sample(10, 1, &format!("10.0.0.{endpoint}:80"))), None);
        }
    }
    let canary = totals.canary();
    assert_eq!(canary.endpoints.len(), MAX_ENDPOINTS);
    assert_eq!(canary.endpoints["10.0.0.7:80"], Counts { requests: 20, errors: 2 });
    assert_eq!(canary.others, Counts { requests: 36 * 20, errors: 36 * 2 });
    assert_eq!(canary.counts, Counts { requests: 2_000, errors: 200 });
}
