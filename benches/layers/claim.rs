//! What the benchmarks are there for.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};

/// How the cost of something grows.
pub(crate) struct Claim {
    /// What is measured.
    pub(crate) name: &'static str,
    /// Of how many services there are at first, and then.
    pub(crate) sizes: [usize; 2],
    /// How many times as much it may then cost.
    pub(crate) most: f64,
}

/// Measures, and holds the claims against it.
pub(crate) struct Claims {
    criterion: Criterion,
    hold: bool,
}

impl Claims {
    pub(crate) fn new(criterion: Criterion) -> Self {
        Self { criterion, hold: true }
    }

    /// Measures what `prepare` gives for each size. The best samples are compared, which other work on the machine
    /// spoils least.
    pub(crate) fn check<S: FnMut() -> T, T>(&mut self, claim: &Claim, prepare: impl Fn(usize) -> S) {
        let mut best = [Duration::MAX; 2];
        let mut group = self.criterion.benchmark_group(claim.name);
        for (size, best) in claim.sizes.into_iter().zip(&mut best) {
            let mut prepared = None;
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                let step = prepared.get_or_insert_with(|| prepare(size));
                bencher.iter_custom(|times| {
                    let began = now();
                    for _ in 0..times {
                        black_box(step());
                    }
                    let took = began.elapsed();
                    *best = took.div_f64(count(times)).min(*best);
                    took
                });
            });
        }
        group.finish();
        let [small, large] = best;
        // One of them may have been left out by the command line.
        if small < Duration::MAX && large < Duration::MAX {
            let ratio = large.div_duration_f64(small);
            let holds = ratio <= claim.most;
            self.hold &= holds;
            let (word, [from, to]) = (if holds { "holds" } else { "DOES NOT HOLD" }, claim.sizes);
            // Where that cannot be written there is nobody to be told so.
            let _ = writeln!(
                stdout(),
                "{}: {ratio:.2} times the cost with {to} as with {from}, at most {}: {word}\n",
                claim.name,
                claim.most
            );
        }
    }

    /// Whether all of them hold.
    pub(crate) fn finish(self) -> bool {
        self.criterion.final_summary();
        self.hold
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of repetitions stay far below 2^52")]
fn count(times: u64) -> f64 {
    times as f64
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time; the ban is meant for the product")]
fn now() -> Instant {
    Instant::now()
}
