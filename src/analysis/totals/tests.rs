use super::*;

fn sample(requests: u64, errors: u64, endpoint: &str) -> Sample {
    let counts = Counts { requests, errors };
    let latency = Histogram { count: requests, buckets: vec![(10.0, requests - errors)] };
    Sample { attempts: Some(counts), latency: Some(latency), endpoints: [(endpoint.into(), counts)].into() }
}

#[test]
fn what_comes_in_is_added_up_by_version() {
    let mut totals = Totals::default();
    totals.take(Some(&sample(10, 1, "a")), Some(&sample(100, 2, "b")));
    totals.take(Some(&sample(20, 3, "a")), None);
    totals.take(Some(&sample(5, 0, "c")), None);
    let (canary, stable) = (totals.canary(), totals.stable());
    assert_eq!(canary.counts, Counts { requests: 35, errors: 4 });
    assert_eq!(canary.latency, Histogram { count: 35, buckets: vec![(10.0, 31)] });
    assert_eq!(canary.endpoints["a"], Counts { requests: 30, errors: 4 });
    assert_eq!(canary.endpoints["c"], Counts { requests: 5, errors: 0 });
    assert_eq!((stable.counts, stable.endpoints.len()), (Counts { requests: 100, errors: 2 }, 1));
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
