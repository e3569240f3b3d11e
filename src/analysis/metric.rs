//! One metric of a run: its measurements so far, and how they add up.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::book::State;
use super::facts::{Evidence, Window};
use super::value::{Measured, measured};
use super::words;
use crate::spec::{Judge, Metric, OnInconclusive, Provider, Source};

/// Between a measurement that could not be made and the next, where the metric has no interval: as for Argo Rollouts.
const RETRY: Duration = Duration::from_secs(10);

/// What the first value from telemetry is about, where the metric has no interval.
const WINDOW: Duration = Duration::from_secs(60);

/// A metric, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Watched {
    /// Unlike that of any other metric of the run.
    pub(super) name: Arc<str>,
    /// `TEMPLATE/METRIC`
    pub(super) key: Arc<str>,
    pub(super) metric: Arc<Metric>,
    /// It alone can fail the run.
    pub(super) critical: bool,
    pub(super) tally: Tally,
    /// When it is to be looked at next: the first time after its `initialDelay`.
    pub(super) next: Duration,
    /// Until then a test may stay open. `None`: for ever, and for values.
    pub(super) deadline: Option<Duration>,
    /// What had been measured when the last value was taken, or when the metric began.
    pub(super) mark: Option<Window>,
    /// How a test ended.
    pub(super) ended: Option<Ended>,
    /// A measurement was handed out, and its result is not here yet.
    out: bool,
}

/// What the measurements of a metric come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) good: u32,
    pub(super) bad: u32,
    /// Measurements for which neither condition held.
    pub(super) neither: u32,
    /// Measurements that could not be made; they do not count towards `count`.
    pub(super) errors: u32,
    pub(super) good_in_row: u32,
    pub(super) errors_in_row: u32,
    /// In words, as the next three.
    pub(super) last_good: Option<String>,
    pub(super) last_bad: Option<String>,
    pub(super) last_neither: Option<String>,
    pub(super) last_error: Option<String>,
}

/// How a metric ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Passed,
    /// Too many bad measurements, or too many errors in a row.
    Failed,
    /// `count` was reached with too little that is good.
    Inconclusive,
}

/// How a test ended, with its figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) words: String,
}

impl Watched {
    pub(super) fn new(now: Duration, name: Arc<str>, key: Arc<str>, metric: Arc<Metric>, background: bool) -> Self {
        let next = now.saturating_add(metric.initial_delay);
        let deadline = match &metric.judge {
            Judge::Test { deadline, .. } if !background => Some(next.saturating_add(*deadline)),
            Judge::Test { .. } | Judge::Value { .. } => None,
        };
        let (tally, mark, ended) = (Tally::default(), None, None);
        Self { name, key, metric, critical: true, tally, next, deadline, mark, ended, out: false }
    }

    /// When there is something to be done next.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.out || self.outcome().is_some() {
            return None;
        }
        // A test that was looked at is looked at again when there is news of it.
        if self.is_test() && self.mark.is_some() { self.deadline } else { Some(self.next) }
    }

    pub(super) fn is_out(&self) -> bool {
        self.out
    }

    pub(super) fn is_test(&self) -> bool {
        matches!(self.metric.judge, Judge::Test { .. })
    }

    /// Whether it is measured as long as the others last.
    pub(super) fn is_endless(&self) -> bool {
        !self.is_test() && self.metric.count.is_none() && self.metric.consecutive_success_limit.is_none()
    }

    /// Whether what proxies measure is needed for it.
    pub(super) fn needs_telemetry(&self) -> bool {
        !matches!(self.metric.judge, Judge::Value { source: Source::Provider(_), .. })
    }

    /// Looks at what proxies measured, and returns whom else to ask.
    pub(super) fn advance(&mut self, now: Duration, evidence: &dyn Evidence) -> Option<Arc<Provider>> {
        if self.out || self.next > now || self.outcome().is_some() {
            return None;
        }
        let metric = Arc::clone(&self.metric);
        match &metric.judge {
            Judge::Test { .. } => {
                self.look(now, evidence);
                None
            }
            Judge::Value { source: Source::Provider(provider), .. } => {
                self.out = true;
                Some(Arc::clone(provider))
            }
            Judge::Value { source, .. } => {
                let window = evidence.window();
                match &self.mark {
                    None => self.next = now.saturating_add(metric.interval.unwrap_or(WINDOW)),
                    Some(mark) => {
                        let value = window.since(mark).value(source);
                        self.count(now, measured(&metric, &value));
                    }
                }
                self.mark = Some(window);
                None
            }
        }
    }

    /// Takes the result of a measurement that was handed out.
    pub(super) fn take(&mut self, now: Duration, result: Result<Value, String>) {
        if std::mem::take(&mut self.out) {
            let measured = match result {
                Ok(value) => measured(&self.metric, &value),
                Err(words) => Measured::Error(words),
            };
            self.count(now, measured);
        }
    }

    fn count(&mut self, now: Duration, measured: Measured) {
        self.next = now.saturating_add(self.metric.interval.unwrap_or(RETRY));
        let tally = &mut self.tally;
        let in_row = |counts: bool, row: u32| if counts { row.saturating_add(1) } else { 0 };
        tally.good_in_row = in_row(matches!(measured, Measured::Good(_)), tally.good_in_row);
        tally.errors_in_row = in_row(matches!(measured, Measured::Error(_)), tally.errors_in_row);
        let (count, last, words) = match measured {
            Measured::Good(words) => (&mut tally.good, &mut tally.last_good, words),
            Measured::Bad(words) => (&mut tally.bad, &mut tally.last_bad, words),
            Measured::Neither(words) => (&mut tally.neither, &mut tally.last_neither, words),
            Measured::Error(words) => (&mut tally.errors, &mut tally.last_error, words),
        };
        *count = count.saturating_add(1);
        *last = Some(words);
    }

    fn look(&mut self, now: Duration, evidence: &dyn Evidence) {
        let window = evidence.window();
        let since = window.since(self.mark.get_or_insert_with(|| window.clone()));
        let state = evidence.state(&self.key);
        let outcome = match state {
            State::Failed => Outcome::Failed,
            // What was known before the run began is what the run is to confirm.
            State::Passed if self.deadline.is_some() && since.canary.requests > 0 => Outcome::Passed,
            _ if self.deadline.is_none_or(|deadline| now < deadline) => return,
            _ if self.metric.must_have_data && since.canary.requests == 0 => Outcome::Failed,
            _ => Outcome::Inconclusive,
        };
        let words = if state == State::Failed || since.canary.requests > 0 {
            words::test(evidence, &self.key, now)
        } else {
            "the new version had no requests that were reported".to_owned()
        };
        self.ended = Some(Ended { outcome, words });
    }

    /// How it ended, or `None` as long as it goes on.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let outcome = self.ended.as_ref().map(|ended| ended.outcome).or_else(|| self.measured_outcome())?;
        Some(match (outcome, self.metric.on_inconclusive) {
            (Outcome::Inconclusive, OnInconclusive::Promote) => Outcome::Passed,
            (Outcome::Inconclusive, OnInconclusive::Abort) => Outcome::Failed,
            (outcome, _) => outcome,
        })
    }

    /// Whether it was inconclusive, whatever became of that.
    pub(super) fn is_inconclusive(&self) -> bool {
        let outcome = self.ended.as_ref().map(|ended| ended.outcome).or_else(|| self.measured_outcome());
        outcome == Some(Outcome::Inconclusive)
    }

    fn measured_outcome(&self) -> Option<Outcome> {
        let Self { metric, tally, .. } = self;
        if self.has_failed() || self.has_too_many_errors() {
            return Some(Outcome::Failed);
        }
        if self.has_too_many_undecided() {
            return Some(Outcome::Inconclusive);
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

    pub(super) fn has_too_many_undecided(&self) -> bool {
        self.tally.neither > self.metric.inconclusive_limit
    }

    fn has_too_many_errors(&self) -> bool {
        self.tally.errors_in_row > self.metric.consecutive_error_limit
    }
}

impl Tally {
    /// Measurements that gave a value.
    pub(super) fn measured(&self) -> u32 {
        self.good.saturating_add(self.bad).saturating_add(self.neither)
    }
}
