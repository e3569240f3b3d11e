//! Whole rollouts against the tests: how often they are wrong, and how soon they see what is wrong.
//!
//! The figures they are held against are those of the table that the formulas come with; each run has a seed of its own.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small counts of looks and requests"
)]

use rand::SeedableRng;
use rand_distr::{Binomial, Distribution, Gamma, Normal, Poisson};
use rand_xorshift::XorShiftRng;

use super::book::State;
use super::trial::Trial;
use crate::spec::{Limits, Test};
use crate::telemetry::{Counts, Histogram, Sample};

/// Seconds between two looks.
const INTERVAL: f64 = 10.0;

/// Half an hour.
const LOOKS: usize = 180;

/// Of 2,000 seeded runs of a good version at α = 1 %: where 20 are expected at most, 32 are 1.6 %.
const RUNS: u64 = 2_000;
const MOST: usize = 32;

/// Upper edges of Envoy's buckets unless told otherwise, in milliseconds.
const ENVOY: [f64; 13] = [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];

fn limits(allowed_increase: f64) -> Limits {
    Limits { alpha: 0.01, beta: 0.05, allowed_increase, max_increase: 2.0, max_rate: None }
}

/// The weights of a canary from 1 % to 50 %.
fn ramp(look: usize) -> f64 {
    [0.01, 0.05, 0.1, 0.25, 0.5].get(look / 36).copied().unwrap_or(0.5)
}

fn rng(seed: u64) -> XorShiftRng {
    XorShiftRng::seed_from_u64(seed)
}

fn poisson(mean: f64, rng: &mut XorShiftRng) -> u64 {
    Poisson::new(mean).expect("a mean").sample(rng) as u64
}

fn binomial(count: u64, share: f64, rng: &mut XorShiftRng) -> u64 {
    Binomial::new(count, share.clamp(0.0, 1.0)).expect("a share").sample(rng)
}

/// Errors of one version in one interval: with `burst`, the rate is multiplied by a gamma variable of mean 1 and this
/// variance.
fn errors(requests: u64, rate: f64, burst: f64, rng: &mut XorShiftRng) -> Sample {
    let times = if burst > 0.0 { Gamma::new(1.0 / burst, burst).expect("a shape").sample(rng) } else { 1.0 };
    let counts = Counts { requests, errors: binomial(requests, rate * times, rng) };
    Sample { attempts: Some(counts), ..Sample::default() }
}

/// Traffic of a rollout.
#[derive(Clone, Copy)]
struct Scene {
    rps: f64,
    weight: fn(usize) -> f64,
    looks: usize,
}

/// When the test has first failed: looks from the start.
fn failed(
    trial: &mut Trial,
    scene: Scene,
    seed: u64,
    mut sample: impl FnMut(usize, bool, u64, &mut XorShiftRng) -> Sample,
) -> Option<usize> {
    let mut rng = rng(seed);
    (0..scene.looks).find(|look| {
        let weight = (scene.weight)(*look);
        let mine = poisson(scene.rps * INTERVAL * weight, &mut rng);
        let theirs = poisson(scene.rps * INTERVAL * (1.0 - weight), &mut rng);
        let (mine, theirs) = (sample(*look, true, mine, &mut rng), sample(*look, false, theirs, &mut rng));
        trial.take("edge", Some(&mine), Some(&theirs));
        trial.state() == State::Failed
    })
}

/// A rate of errors by look, and how it is for the canary.
#[derive(Clone, Copy)]
struct Errors {
    rate: fn(usize) -> f64,
    ratio: f64,
    burst: f64,
}

fn error_run(scene: Scene, errors_of: Errors, allowed: f64, seed: u64) -> Option<usize> {
    let mut trial = Trial::new(Test::ErrorRatio(limits(allowed)));
    failed(&mut trial, scene, seed, |look, canary, requests, rng| {
        let ratio = if canary { errors_of.ratio } else { 1.0 };
        errors(requests, (errors_of.rate)(look) * ratio, errors_of.burst, rng)
    })
}

/// How latencies are distributed: log-normal, and a share of the requests takes `times` as long.
#[derive(Clone, Copy)]
struct Shape {
    median: f64,
    share: f64,
    times: f64,
}

const STABLE: Shape = Shape { median: 40.0, share: 0.0, times: 1.0 };

impl Shape {
    fn at_most(self, edge: f64) -> f64 {
        let part = |median: f64| normal((edge / median).ln() / 0.8);
        (1.0 - self.share) * part(self.median) + self.share * part(self.median * self.times)
    }

    fn sample(self, requests: u64, rng: &mut XorShiftRng) -> Sample {
        let (mut below, mut left, mut so_far) = (0.0, requests, 0);
        let buckets = ENVOY.map(|edge| {
            let share = self.at_most(edge);
            let inside = binomial(left, (share - below) / (1.0 - below).max(1e-12), rng);
            (below, left, so_far) = (share, left - inside, so_far + inside);
            (edge, so_far)
        });
        Sample { latency: Some(Histogram { count: requests, buckets: buckets.to_vec() }), ..Sample::default() }
    }
}

/// The distribution function of the normal distribution, to seven digits (Abramowitz and Stegun 7.1.26).
fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let sum = poly.into_iter().fold(0.0, |sum, factor| (sum + factor) * t);
    let upper = sum * (-x * x).exp() / 2.0;
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// Latencies whose median wanders: with the hour for both versions, and by itself for each.
#[derive(Clone, Copy)]
struct Wandering {
    /// Share of the median it drifts to either side in half an hour.
    drift: f64,
    /// Standard deviation of the logarithm of a version's median, and its correlation from one interval to the next.
    deviation: f64,
    correlation: f64,
}

const STILL: Wandering = Wandering { drift: 0.0, deviation: 0.0, correlation: 0.0 };

fn latency_run(scene: Scene, canary: Shape, wandering: Wandering, allowed: f64, seed: u64) -> Option<usize> {
    let test = Test::Latency { quantiles: vec![0.5, 0.9, 0.99], slo: None, limits: limits(allowed) };
    let mut trial = Trial::new(test);
    let before = STABLE.sample(100_000, &mut rng(seed + 1_000_000));
    trial.choose(&before.latency.expect("latencies"));
    let noise = Normal::new(0.0, wandering.deviation).expect("a deviation");
    let mut own = [0.0_f64; 2];
    let mut started = [false; 2];
    failed(&mut trial, scene, seed, |look, is_canary, requests, rng| {
        let version = usize::from(is_canary);
        let (kept, fresh) = (wandering.correlation, noise.sample(rng));
        own[version] = if started[version] { kept * own[version] + (1.0 - kept * kept).sqrt() * fresh } else { fresh };
        started[version] = true;
        let hour = (look as f64 / LOOKS as f64 * std::f64::consts::TAU).sin() * wandering.drift;
        let shape = if is_canary { canary } else { STABLE };
        Shape { median: shape.median * (own[version] + hour).exp(), ..shape }.sample(requests, rng)
    })
}

/// Seconds until half of the runs have failed; infinite if fewer do.
fn median(runs: u64, run: impl Fn(u64) -> Option<usize>) -> f64 {
    let mut times: Vec<_> =
        (0..runs).map(|seed| run(seed).map_or(f64::INFINITY, |look| (look + 1) as f64 * INTERVAL)).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn alarms(runs: u64, run: impl Fn(u64) -> Option<usize>) -> usize {
    (0..runs).filter(|seed| run(*seed).is_some()).count()
}

fn flat(rate: fn(usize) -> f64, burst: f64) -> Errors {
    Errors { rate, ratio: 1.0, burst }
}

/// How many of the runs of a good version ever fail, while the weight rises.
fn false_alarms(rps: f64, errors_of: Errors, allowed: f64) -> usize {
    alarms(RUNS, |seed| error_run(Scene { rps, weight: ramp, looks: LOOKS }, errors_of, allowed, seed))
}

#[test]
fn good_versions_rarely_fail() {
    let found = false_alarms(1_000.0, flat(|_| 0.001, 0.0), 1.0);
    assert!(found <= MOST, "{found} of {RUNS}");
}

#[test]
fn good_versions_rarely_fail_while_the_rate_drifts() {
    // Six times as many errors at the end as in the beginning, while the weight rises.
    let found = false_alarms(1_000.0, flat(|look| 0.001 * (1.0 + look as f64 / 36.0), 0.0), 1.0);
    assert!(found <= MOST, "{found} of {RUNS}");
}

#[test]
fn good_versions_of_little_traffic_rarely_fail() {
    let found = false_alarms(5.0, flat(|_| 0.01, 0.0), 1.0);
    assert!(found <= MOST, "{found} of {RUNS}");
}

#[test]
fn good_versions_whose_errors_come_in_bursts_rarely_fail() {
    let found = false_alarms(1_000.0, flat(|_| 0.001, 0.5), 1.5);
    assert!(found <= MOST, "{found} of {RUNS}");
    let found = false_alarms(1_000.0, flat(|_| 0.001, 0.5), 1.0);
    assert!(found > MOST, "{found} of {RUNS}: bursts are seen by this test, and allowing for them is what helps");
}

/// Within 20 % of the table.
#[track_caller]
fn near(seconds: f64, table: f64) {
    assert!((seconds - table).abs() <= 0.2 * table, "{seconds} s, and the table has {table} s");
}

#[test]
fn errors_are_seen_as_soon_as_the_table_says() {
    let seen = |rps, weight, rate, ratio| {
        let scene = Scene { rps, weight, looks: 2 * LOOKS };
        median(400, |seed| error_run(scene, Errors { rate, ratio, burst: 0.0 }, 1.0, seed))
    };
    near(seen(50.0, |_| 0.05, |_| 0.001, 10.0), 200.0);
    near(seen(50.0, |_| 0.05, |_| 0.01, 2.0), 610.0);
    near(seen(20.0, |_| 0.01, |_| 0.01, 5.0), 595.0);
    near(seen(1_000.0, |_| 0.05, |_| 0.001, 2.0), 320.0);
}

#[test]
fn latencies_are_seen_as_soon_as_the_table_says() {
    let scene = Scene { rps: 200.0, weight: |_| 0.05, looks: LOOKS };
    let seen = |canary| median(200, |seed| latency_run(scene, canary, STILL, 1.0, seed));
    near(seen(Shape { median: 80.0, ..STABLE }), 10.0);
    near(seen(Shape { median: 50.0, ..STABLE }), 45.0);
    near(seen(Shape { share: 0.02, times: 10.0, ..STABLE }), 130.0);
    near(seen(Shape { share: 0.05, times: 10.0, ..STABLE }), 30.0);
    near(seen(Shape { share: 0.01, times: 20.0, ..STABLE }), 275.0);
}

#[test]
fn good_versions_rarely_fail_by_their_latency() {
    let ramped = Scene { rps: 200.0, weight: ramp, looks: LOOKS };
    let drifting = Wandering { drift: 0.2, ..STILL };
    let found = alarms(500, |seed| latency_run(ramped, STABLE, drifting, 1.0, seed));
    assert!(found <= 8, "{found} of 500");
    // Each version's median wanders by 5 %, for minutes at a time.
    let wandering = Wandering { drift: 0.2, deviation: 0.05, correlation: 0.97 };
    let found = alarms(500, |seed| latency_run(ramped, STABLE, wandering, 1.25, seed));
    assert!(found <= 8, "{found} of 500");
}
