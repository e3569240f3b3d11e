//! One metric of a run: its measurements so far, and how they add up.

use std::sync::Arc;
use std::time::Duration;

use crate::spec::Metric;

/// Between a measurement that could not be made and the next, where the metric has no interval: as for Argo Rollouts.
const RETRY: Duration = Duration::from_secs(10);

/// A metric, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Watched {
    /// Unlike that of any other metric of the run.
    pub(super) name: Arc<str>,
    pub(super) metric: Arc<Metric>,
    pub(super) tally: Tally,
    /// When the next measurement is due, if there is a next.
    next: Duration,
    /// A measurement was handed out, and its result is not here yet.
    out: bool,
}

/// What the measurements of a metric come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    /// Measurements within the threshold.
    pub(super) good: u32,
    /// Measurements outside it.
    pub(super) bad: u32,
    /// Measurements that could not be made; they do not count towards `count`.
    pub(super) errors: u32,
    pub(super) good_in_row: u32,
    pub(super) errors_in_row: u32,
    pub(super) last_good: Option<f64>,
    pub(super) last_bad: Option<f64>,
    /// In words.
    pub(super) last_error: Option<String>,
}

/// How a metric ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// Too many bad measurements, or too many errors in a row.
    Failed,
    /// `count` was reached with too little that is good.
    Inconclusive,
}

impl Watched {
    pub(super) fn new(now: Duration, name: Arc<str>, metric: Arc<Metric>) -> Self {
        let next = now.saturating_add(metric.initial_delay);
        Self { name, metric, tally: Tally::default(), next, out: false }
    }

    /// When it is to be measured next.
    pub(super) fn next(&self) -> Option<Duration> {
        (!self.out && self.outcome().is_none()).then_some(self.next)
    }

    pub(super) fn is_out(&self) -> bool {
        self.out
    }

    pub(super) fn hand_out(&mut self) -> Arc<Metric> {
        self.out = true;
        Arc::clone(&self.metric)
    }

    pub(super) fn take(&mut self, now: Duration, result: Result<f64, String>) {
        if !std::mem::take(&mut self.out) {
            return;
        }
        self.next = now.saturating_add(self.metric.interval.unwrap_or(RETRY));
        let finite =
            |value: f64| if value.is_finite() { Ok(value) } else { Err(format!("{value} is no finite number")) };
        let tally = &mut self.tally;
        match result.and_then(finite) {
            Ok(value) if self.metric.threshold.holds(value) => {
                tally.good = tally.good.saturating_add(1);
                tally.good_in_row = tally.good_in_row.saturating_add(1);
                tally.errors_in_row = 0;
                tally.last_good = Some(value);
            }
            Ok(value) => {
                tally.bad = tally.bad.saturating_add(1);
                tally.good_in_row = 0;
                tally.errors_in_row = 0;
                tally.last_bad = Some(value);
            }
            Err(error) => {
                tally.errors = tally.errors.saturating_add(1);
                tally.good_in_row = 0;
                tally.errors_in_row = tally.errors_in_row.saturating_add(1);
                tally.last_error = Some(error);
            }
        }
    }

    /// How it ended, or `None` as long as it goes on.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let Self { metric, tally, .. } = self;
        if self.has_failed() || self.has_too_many_errors() {
            return Some(Outcome::Failed);
        }
        if metric.consecutive_success_limit.is_some_and(|limit| tally.good_in_row >= limit.max(1)) {
            return Some(Outcome::Passed);
        }
        let all = metric.count.is_some_and(|count| tally.measured() >= count.max(1));
        let enough = metric.consecutive_success_limit.is_none() && tally.good > 0;
        all.then_some(if enough { Outcome::Passed } else { Outcome::Inconclusive })
    }

    /// Whether it failed by its values.
    pub(super) fn has_failed(&self) -> bool {
        self.tally.bad > self.metric.failure_limit
    }

    fn has_too_many_errors(&self) -> bool {
        self.tally.errors_in_row > self.metric.consecutive_error_limit
    }
}

impl Tally {
    /// Measurements that gave a value.
    pub(super) fn measured(&self) -> u32 {
        self.good.saturating_add(self.bad)
    }
}
