use super::*;

fn histogram(count: u64, buckets: &[(f64, u64)]) -> Histogram {
    Histogram { count, buckets: buckets.to_vec() }
}

#[track_caller]
fn near(value: Option<f64>, expected: f64) {
    let value = value.expect("a value");
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[test]
fn quantiles_are_those_of_prometheus() {
    let latencies = histogram(100, &[(10.0, 50), (100.0, 90), (1_000.0, 99), (f64::INFINITY, 100)]);
    near(latencies.quantile(0.5), 10.0);
    near(latencies.quantile(0.25), 5.0);
    near(latencies.quantile(0.7), 55.0);
    near(latencies.quantile(0.9), 100.0);
    near(latencies.quantile(0.95), 600.0);
    assert_eq!(latencies.quantile(1.0), Some(f64::INFINITY), "one was slower than the last edge");
    near(latencies.quantile(0.0), 0.0);
    assert_eq!(latencies.quantile(1.1), None);
    assert_eq!(latencies.quantile(f64::NAN), None);
    assert_eq!(histogram(0, &[(10.0, 0)]).quantile(0.5), None);
    assert_eq!(histogram(5, &[]).quantile(0.5), None);
}

#[test]
fn slower_is_known_at_edges_alone() {
    let latencies = histogram(100, &[(10.0, 50), (100.0, 90)]);
    assert_eq!(slower(&latencies, 100.0), Some(Counts { requests: 100, errors: 10 }));
    assert_eq!(slower(&latencies, 50.0), None);
}

#[test]
fn sums_of_the_same_buckets_are_exact() {
    let mut sum = Histogram::default();
    add(&mut sum, &histogram(100, &[(10.0, 50), (100.0, 90)]));
    let earlier = sum.clone();
    add(&mut sum, &histogram(7, &[(10.0, 3), (100.0, 5)]));
    assert_eq!(sum, histogram(107, &[(10.0, 53), (100.0, 95)]));
    assert_eq!(since(&sum, &earlier), histogram(7, &[(10.0, 3), (100.0, 5)]));
    assert_eq!(since(&sum, &Histogram::default()), sum);
    add(&mut sum, &histogram(7, &[]));
    assert_eq!(sum.count, 107, "of latencies without buckets nothing is known");
}

#[test]
fn sums_of_other_buckets_have_all_edges() {
    let mut sum = histogram(100, &[(10.0, 50), (100.0, 90)]);
    let earlier = sum.clone();
    add(&mut sum, &histogram(100, &[(55.0, 40), (200.0, 100)]));
    // 50 + 40/2 at 55 of the one, 40·10/55 and 40 + 60·45/145 of the other.
    assert_eq!(sum, histogram(200, &[(10.0, 57), (55.0, 110), (100.0, 149), (200.0, 190)]));
    assert_eq!(since(&sum, &earlier), histogram(100, &[(10.0, 7), (55.0, 40), (100.0, 59), (200.0, 100)]));
}

#[test]
fn a_sum_has_a_bounded_number_of_edges() {
    let mut sum = Histogram::default();
    for step in 1..2_000_u32 {
        add(&mut sum, &histogram(1, &[(f64::from(step), 1)]));
    }
    assert_eq!((sum.count, sum.buckets.len()), (1_999, MAX_EDGES));
    assert!(sum.buckets.is_sorted_by(|(low, few), (high, many)| low < high && few <= many));
}

#[test]
fn edges_are_the_nearest_by_ratio() {
    let stable = histogram(10_000, &[(10.0, 1_000), (25.0, 4_000), (50.0, 8_000), (100.0, 9_700), (250.0, 10_000)]);
    // p50 33, p90 79, p99 200.
    let quantiles = [0.5, 0.9, 0.99];
    assert_eq!(choose(&stable, &quantiles, None), Some(vec![(25.0, false), (100.0, false), (250.0, false)]));
    assert_eq!(
        choose(&stable, &quantiles, Some(260.0)),
        Some(vec![(25.0, false), (100.0, false), (250.0, true)]),
        "the SLO's edge is one of them"
    );
    assert_eq!(choose(&stable, &[0.5], Some(9.0)), Some(vec![(10.0, true), (25.0, false)]));
}

#[test]
fn edges_are_not_chosen_from_too_little() {
    let stable = |count: u64| histogram(count, &[(10.0, count / 2), (100.0, count)]);
    assert_eq!(choose(&stable(499), &[0.5, 0.99], None), None);
    assert!(choose(&stable(501), &[0.5, 0.99], None).is_some());
    assert_eq!(choose(&stable(49), &[0.5], None), None);
    assert!(choose(&stable(10_000), &[0.999_999], None).is_some());
    assert_eq!(choose(&histogram(1_000, &[]), &[0.5], Some(10.0)), None);
    let fast = histogram(1_000, &[(0.5, 1_000), (1.0, 1_000)]);
    assert_eq!(choose(&fast, &[0.5, 0.9], None), Some(vec![(0.5, false)]));
    let slow = histogram(1_000, &[(0.5, 100), (1.0, 200)]);
    assert_eq!(choose(&slow, &[0.5, 0.9], None), Some(vec![(1.0, false)]), "beyond the last edge that is the nearest");
}

#[test]
fn edges_fit_that_are_no_farther_away_than_a_bucket() {
    let stable = histogram(1_000, &[(10.0, 0), (20.0, 500), (40.0, 900), (80.0, 990), (160.0, 1_000), (320.0, 1_000)]);
    let quantiles = [0.5, 0.9];
    assert!(fit(&[20.0, 40.0], &stable, &quantiles));
    assert!(fit(&[40.0], &stable, &quantiles), "each has a neighbour");
    assert!(fit(&[10.0, 80.0], &stable, &quantiles));
    assert!(!fit(&[80.0, 160.0], &stable, &quantiles), "none at the median");
    assert!(!fit(&[20.0], &stable, &[0.5, 0.99]), "none in the tail");
    assert!(fit(&[15.0, 30.0], &stable, &quantiles), "of other buckets");
    assert!(fit(&[320.0], &histogram(49, &[(10.0, 49), (320.0, 49)]), &quantiles), "too little is known");
}
