use super::*;
use crate::spec::Limits;
use crate::telemetry::Counts;

const LIMITS: Limits = Limits { alpha: 0.01, beta: 0.05, allowed_increase: 1.0, max_increase: 2.0, max_rate: None };

fn errors(requests: u64, errors: u64) -> Sample {
    Sample { attempts: Some(Counts { requests, errors }), ..Sample::default() }
}

fn latencies(count: u64, buckets: &[(f64, u64)]) -> Sample {
    Sample { latency: Some(Histogram { count, buckets: buckets.to_vec() }), ..Sample::default() }
}

fn book(test: Test) -> Book {
    let mut book = Book::default();
    book.adopt([("t".into(), test)]);
    book
}

fn error_book(limits: Limits) -> Book {
    book(Test::ErrorRatio(limits))
}

fn latency_book(quantiles: &[f64], slo: Option<Duration>) -> Book {
    book(Test::Latency { quantiles: quantiles.to_vec(), slo, limits: LIMITS })
}

fn take(book: &mut Book, seconds: u64, canary: &Sample, stable: &Sample) {
    book.take(Duration::from_secs(seconds), "edge", Some(canary), Some(stable), None);
}

fn words(book: &Book) -> String {
    book.words("t", Names::default())
}

fn forecast(book: &Book, seconds: u64) -> Option<String> {
    book.forecast("t", Duration::from_secs(seconds), Names::default())
}

#[test]
fn a_verdict_says_its_counts() {
    let mut book = error_book(LIMITS);
    assert_eq!(words(&book), "no requests of canary yet; evidence 1.0 : 1, limit 100 : 1");
    take(&mut book, 0, &errors(5_000, 20), &errors(95_000, 95));
    assert_eq!(book.verdict("t"), Some(State::Failed));
    let told = "20 of 5,000 (0.40 %), stable 95 of 95,000 (0.10 %), ratio 4.0; evidence 17,424 : 1, limit 100 : 1";
    assert_eq!(words(&book), format!("canary {told}"));
    assert!(book.words("t", Names { canary: "green", stable: "stable" }).starts_with("green 20 of"));
    assert_eq!((book.verdict("u"), book.words("u", Names::default())), (None, String::new()));
}

#[test]
fn the_ratio_is_not_that_of_the_sums_where_the_hour_differs() {
    let mut book = error_book(Limits { beta: 0.001, ..LIMITS });
    take(&mut book, 0, &errors(1_000, 1), &errors(19_000, 19));
    take(&mut book, 10, &errors(5_000, 50), &errors(5_000, 50));
    assert_eq!(book.verdict("t"), Some(State::Open));
    let told = "canary 51 of 6,000 (0.85 %), stable 69 of 24,000 (0.29 %), ratio 1.0 interval by interval; evidence 0.08 : 1, limit 100 : 1";
    assert_eq!(words(&book), told);
}

#[test]
fn nothing_passes_without_evidence() {
    let mut book = error_book(Limits { max_rate: Some(0.01), ..LIMITS });
    assert_eq!(book.verdict("t"), Some(State::Open));
    take(&mut book, 0, &errors(300, 0), &errors(10_000, 0));
    assert_eq!(book.verdict("t"), Some(State::Open));
    take(&mut book, 10, &errors(60, 0), &errors(10_000, 0));
    assert_eq!(book.verdict("t"), Some(State::Passed));
    let told = "canary 0 of 360 (0.00 %), stable 0 of 20,000 (0.00 %); evidence of less than 1 % 23 : 1, limit 20 : 1";
    assert_eq!(words(&book), told);
    let mut book = error_book(LIMITS);
    take(&mut book, 0, &errors(100_000, 0), &errors(100_000, 0));
    assert_eq!(book.verdict("t"), Some(State::Open), "without errors there is no ratio");
    take(&mut book, 0, &errors(20_000, 20), &errors(380_000, 380));
    assert_eq!(book.verdict("t"), Some(State::Passed));
    assert!(words(&book).contains("; evidence of less than 2 times stable "), "{}", words(&book));
}

#[test]
fn failing_wins_over_passing() {
    let mut book = error_book(Limits { max_rate: Some(0.05), ..LIMITS });
    take(&mut book, 0, &errors(5_000, 20), &errors(95_000, 95));
    assert!(book.trials["t"].claims()[0].ln() > book.trials["t"].ln_pass());
    assert_eq!(book.verdict("t"), Some(State::Failed));
}

#[test]
fn the_breaker_needs_no_stable_version() {
    let mut book = error_book(Limits { max_rate: Some(0.01), ..LIMITS });
    book.take(Duration::ZERO, "edge", Some(&errors(50, 4)), None, None);
    assert_eq!(book.verdict("t"), Some(State::Open));
    assert_eq!(words(&book).split(';').next(), Some("canary 4 of 50 (8.00 %), and none of stable to compare with"));
    book.take(Duration::ZERO, "edge", Some(&errors(150, 16)), None, None);
    assert_eq!(book.verdict("t"), Some(State::Failed));
    let told = words(&book);
    assert!(told.starts_with("canary 20 of 200 (10.00 %), above 1 %; evidence "), "{told}");
    assert!(told.ends_with(" : 1, limit 10,000 : 1"), "{told}");
}

#[test]
fn a_book_comes_back_from_json_as_it_was() {
    let mut book = latency_book(&[0.5], Some(Duration::from_millis(250)));
    book.adopt([("t".into(), book.trials["t"].test.clone()), ("e".into(), Test::ErrorRatio(LIMITS))]);
    for second in 0..50 {
        let both = |requests, errors| Sample {
            latency: latencies(requests, &[(100.0, requests / 2), (250.0, requests - errors)]).latency,
            ..self::errors(requests, errors)
        };
        book.take(Duration::from_secs(10 * second), "edge", Some(&both(333, 7)), Some(&both(3_001, 50)), Some(0.1));
    }
    let json = serde_json::to_string(&book).expect("JSON");
    assert_eq!(serde_json::from_str::<Book>(&json).expect("a book"), book);
    assert!(json.len() < 8_000, "{}", json.len());
}

#[test]
fn a_test_with_other_parameters_starts_afresh_and_the_others_go_on() {
    let other = Limits { alpha: 0.001, ..LIMITS };
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let mut book = Book::default();
    book.adopt([(Arc::clone(&a), Test::ErrorRatio(LIMITS)), (Arc::clone(&b), Test::ErrorRatio(LIMITS))]);
    take(&mut book, 0, &errors(5_000, 20), &errors(95_000, 95));
    book.adopt([(Arc::clone(&a), Test::ErrorRatio(other)), (Arc::clone(&b), Test::ErrorRatio(LIMITS))]);
    assert_eq!((book.verdict("a"), book.verdict("b")), (Some(State::Open), Some(State::Failed)));
    assert_eq!(book.totals().canary().counts, Counts { requests: 5_000, errors: 20 });
    book.adopt([(Arc::clone(&a), Test::ErrorRatio(other))]);
    assert_eq!(book.keys().collect::<Vec<_>>(), [&a]);
}

/// 19,000 requests of the stable version: half up to 25 ms, 1 % beyond 250 ms.
fn stable() -> Sample {
    latencies(19_000, &[(25.0, 9_500), (100.0, 17_100), (250.0, 18_810), (500.0, 19_000)])
}

#[test]
fn slow_requests_are_said_with_their_edge() {
    let mut book = latency_book(&[0.99], None);
    book.prime(stable().latency.as_ref().expect("latencies"));
    take(&mut book, 0, &latencies(1_000, &[(25.0, 500), (100.0, 880), (250.0, 970), (500.0, 1_000)]), &stable());
    let told = "canary 30 of 1,000 slower than 250 ms (3.00 %), stable 190 of 19,000 (1.00 %), ratio 3.0; evidence 23,625 : 1, limit 100 : 1";
    assert_eq!(words(&book), told);
    assert_eq!(book.verdict("t"), Some(State::Failed));
}

#[test]
fn edges_are_never_chosen_by_what_is_tested_at_them() {
    let mut book = latency_book(&[0.99], None);
    let slow = latencies(1_000, &[(25.0, 500), (100.0, 880), (250.0, 970), (500.0, 1_000)]);
    take(&mut book, 0, &slow, &stable());
    assert_eq!(words(&book), "too few latencies of stable to compare with");
    assert_eq!((book.ln_evidence("t"), book.verdict("t")), (Some(0.0), Some(State::Open)));
    take(&mut book, 10, &slow, &stable());
    assert!(words(&book).starts_with("canary 30 of 1,000 slower than 250 ms"), "{}", words(&book));
    // They stay, however slow it becomes, as long as nothing would pass at them.
    for _ in 0..9 {
        take(&mut book, 20, &slow, &latencies(19_000, &[(25.0, 0), (100.0, 0), (250.0, 0), (500.0, 19_000)]));
    }
    assert!(words(&book).contains("slower than 250 ms"), "{}", words(&book));
}

/// Of 100 requests, as many as `times` 20 of them; a median of 20 ms.
fn around_20_ms(times: u64) -> Sample {
    let shares = [(10.0, 4), (20.0, 50), (25.0, 71), (30.0, 84), (40.0, 96), (50.0, 99), (100.0, 100)];
    let beyond = [(250.0, 100), (500.0, 100), (1_000.0, 100)];
    let buckets: Vec<_> = shares.into_iter().chain(beyond).map(|(edge, share)| (edge, share * times)).collect();
    latencies(100 * times, &buckets)
}

/// Ten times as slow, as a version is that has just started.
fn around_200_ms() -> Histogram {
    let buckets = [
        (10.0, 0),
        (20.0, 0),
        (25.0, 0),
        (30.0, 0),
        (40.0, 1),
        (50.0, 3),
        (100.0, 40),
        (250.0, 710),
        (500.0, 990),
        (1_000.0, 1_000),
    ];
    Histogram { count: 1_000, buckets: buckets.to_vec() }
}

#[test]
fn nothing_passes_at_edges_far_from_what_is() {
    let mut book = latency_book(&[0.5, 0.9, 0.99], Some(Duration::from_millis(250)));
    book.prime(&around_200_ms());
    let slower = latencies(
        100,
        &[
            (10.0, 1),
            (20.0, 29),
            (25.0, 50),
            (30.0, 68),
            (40.0, 88),
            (50.0, 96),
            (100.0, 100),
            (250.0, 100),
            (500.0, 100),
            (1_000.0, 100),
        ],
    );
    let judged = (0..60).find_map(|second| {
        take(&mut book, second, &slower, &around_20_ms(10));
        book.verdict("t").filter(|state| *state != State::Open)
    });
    assert_eq!(judged, Some(State::Failed), "{}", words(&book));
    assert!(words(&book).contains("slower than 40 ms"), "{}", words(&book));
}

#[test]
fn what_is_good_passes_wherever_the_edges_were_first() {
    let mut book = latency_book(&[0.5, 0.9, 0.99], Some(Duration::from_millis(250)));
    book.prime(&around_200_ms());
    let judged = (0..60).find_map(|second| {
        take(&mut book, second, &around_20_ms(1), &around_20_ms(10));
        book.verdict("t").filter(|state| *state != State::Open)
    });
    assert_eq!(judged, Some(State::Passed), "{}", words(&book));
}

#[test]
fn nodes_without_the_edge_are_left_out_and_said() {
    let mut book = latency_book(&[0.99], None);
    book.prime(stable().latency.as_ref().expect("latencies"));
    let coarse = latencies(500, &[(100.0, 0), (1_000.0, 500)]);
    take(&mut book, 0, &coarse, &stable());
    let told = words(&book);
    assert!(told.starts_with("no requests of canary yet; "), "{told}");
    assert!(told.ends_with("; 500 requests of canary left out for other buckets (at edge)"), "{told}");
}

#[test]
fn a_latency_test_passes_when_all_edges_do() {
    let mut book = latency_book(&[0.5, 0.99], Some(Duration::from_millis(500)));
    book.prime(stable().latency.as_ref().expect("latencies"));
    let good = |count: u64| {
        latencies(count, &[(25.0, count / 2), (100.0, count * 9 / 10), (250.0, count * 99 / 100), (500.0, count)])
    };
    take(&mut book, 0, &good(300), &stable());
    assert_eq!(book.verdict("t"), Some(State::Open), "the median has passed, and not the tail");
    for second in 1..9 {
        take(&mut book, 10 * second, &good(300), &stable());
    }
    assert_eq!(book.verdict("t"), Some(State::Passed), "{}", words(&book));
}

#[test]
fn forecasts_say_how_many_more() {
    let mut book = error_book(LIMITS);
    assert_eq!(forecast(&book, 0), None);
    for tick in 0..7 {
        take(&mut book, 10 * tick, &errors(100, 1), &errors(1_900, 19));
    }
    // ln E grows by 20 ln 1.05 - ln 2 = 0.2827 in 100 requests; 2.9957 is the limit.
    let told = forecast(&book, 60).expect("a forecast");
    assert_eq!(told, "needs about 360 more canary requests, 36 s at this rate");
    assert_eq!(book.pace.rate(book.totals().canary().counts.requests), Some(10.0));
    let silent = forecast(&book, 360).expect("a forecast");
    assert!(silent.ends_with(" more canary requests; none came for 5 min"), "{silent}");
    // What is forecast comes true.
    for tick in 7..11 {
        assert_eq!(book.verdict("t"), Some(State::Open));
        take(&mut book, 10 * tick, &errors(100, 1), &errors(1_900, 19));
    }
    assert_eq!(book.verdict("t"), Some(State::Passed));
    assert_eq!(forecast(&book, 110), None);
}

#[test]
fn a_forecast_of_a_version_without_errors_is_that_of_its_own_rate() {
    let mut book = error_book(Limits { max_rate: Some(0.001), ..LIMITS });
    take(&mut book, 0, &errors(50, 0), &errors(1_000, 0));
    assert_eq!(forecast(&book, 0).as_deref(), Some("needs about 3,500 more canary requests"));
    take(&mut book, 10, &errors(50, 0), &errors(1_000, 0));
    assert_eq!(forecast(&book, 10).as_deref(), Some("needs about 3,400 more canary requests, 12 min at this rate"));
}

#[test]
fn a_forecast_says_when_it_will_not_pass() {
    let mut book = error_book(LIMITS);
    take(&mut book, 0, &errors(500, 15), &errors(9_500, 95));
    assert_eq!(book.verdict("t"), Some(State::Open));
    assert_eq!(forecast(&book, 0).as_deref(), Some("will not pass at the rates seen"));
}

#[test]
fn an_endpoint_that_makes_the_difference_is_named() {
    let sick = |shares: [(u64, u64); 2]| {
        let [(few, of_few), (many, of_many)] = shares;
        let endpoints = [("10.0.1.1:8080", few, of_few), ("10.0.1.2:8080", many, of_many)];
        let endpoints = endpoints.map(|(name, errors, requests)| (name.into(), Counts { requests, errors }));
        let mut book = error_book(LIMITS);
        let canary = Sample { endpoints: endpoints.into(), ..errors(of_few + of_many, few + many) };
        take(&mut book, 0, &canary, &errors(95_000, 95));
        words(&book)
    };
    let told = sick([(19, 2_500), (1, 2_500)]);
    assert!(told.ends_with("limit 100 : 1; without 10.0.1.1:8080 the canary has 1 of 2,500"), "{told}");
    assert!(sick([(10, 2_500), (10, 2_500)]).ends_with("limit 100 : 1"), "both are bad");
    assert!(sick([(60, 2_500), (15, 2_500)]).ends_with("limit 100 : 1"), "it is bad without the worse one too");
    assert!(sick([(20, 5_000), (0, 0)]).ends_with("limit 100 : 1"), "there is only one");
}

#[test]
fn the_split_is_counted_where_it_is_known() {
    let mut book = Book::default();
    let (canary, stable) = (errors(50, 0), errors(950, 0));
    book.take(Duration::ZERO, "a", Some(&canary), Some(&stable), Some(0.05));
    book.take(Duration::ZERO, "b", None, Some(&stable), Some(0.05));
    book.take(Duration::ZERO, "c", Some(&canary), Some(&stable), None);
    book.take(Duration::ZERO, "d", Some(&latencies(5, &[])), Some(&stable), Some(0.05));
    book.take(Duration::ZERO, "e", None, None, Some(0.05));
    assert_eq!(book.split().counts(), (50, 1_950));
    assert_eq!(book.times(), Some((Duration::ZERO, Duration::ZERO)));
}
