//! Metrics to verdicts: when each metric is measured, and what its measurements add up to.
//!
//! Counts and limits mean what they mean for an `AnalysisRun` of Argo Rollouts, with one difference: nothing passes
//! without evidence. A metric whose `count` is reached without one good measurement is inconclusive, where Argo Rollouts
//! lets it pass if `failureLimit` is wide enough.
//!
//! A measurement is good, bad, or an error: no measurement is inconclusive by `thresholdRange`, so `inconclusiveLimit`
//! limits nothing here.

mod book;
pub mod capacity;
mod counts;
mod edges;
mod evidence;
mod figures;
mod forecast;
mod latency;
mod metric;
mod pace;
pub mod plan;
mod split;
mod telling;
mod totals;
mod trial;
mod words;

use std::sync::Arc;
use std::time::Duration;

use crate::spec::{AnalysisTemplate, Metric};
use metric::{Outcome, Watched};

pub use book::{Book, Names, State};
pub use counts::{CountsFile, Judged, Judgement, judge};
pub use split::SampleRatio;
pub use totals::{Totals, Traffic};

/// The run of all metrics of some templates, from a start to a verdict.
///
/// It takes no measurements: it says which are due, and is told the results. Measurements of one metric never overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    metrics: Vec<Watched>,
}

/// One value to be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Names the metric within its run.
    pub id: usize,
    /// Whom to ask, and what.
    pub metric: Arc<Metric>,
}

/// How a run ended, with the figures in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every metric passed.
    Successful(String),
    /// A metric failed, or could not be measured too often in a row.
    Failed(String),
    /// A metric neither passed nor failed, and none failed.
    Inconclusive(String),
}

impl Run {
    /// Starts at `now`, without evidence.
    #[must_use]
    pub fn new(now: Duration, templates: &[Arc<AnalysisTemplate>]) -> Self {
        let several = |name: &str| templates.iter().flat_map(|t| &t.metrics).filter(|m| *m.name == *name).count() > 1;
        let metrics = templates.iter().flat_map(|template| {
            template.metrics.iter().map(move |metric| {
                let plain = Arc::clone(&metric.name);
                let name = if several(&plain) { format!("{}/{plain}", template.name).into() } else { plain };
                Watched::new(now, name, Arc::clone(metric))
            })
        });
        Self { metrics: metrics.collect() }
    }

    /// The measurements to be taken now. Each is handed out once, until its result is taken; a result must come for each.
    pub fn due(&mut self, now: Duration) -> Vec<Measurement> {
        if self.is_over() {
            return Vec::new();
        }
        let due = self.metrics.iter_mut().enumerate().filter(|(_, watched)| watched.next().is_some_and(|at| at <= now));
        due.map(|(id, watched)| Measurement { id, metric: watched.hand_out() }).collect()
    }

    /// Takes a result: the value, or in words why there is none. One that nobody waits for is ignored.
    pub fn take(&mut self, now: Duration, id: usize, result: Result<f64, String>) {
        if let Some(watched) = self.metrics.get_mut(id) {
            watched.take(now, result);
        }
    }

    /// When the next measurement is due. `None` while all are out, and once there is nothing left to measure.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.metrics.iter().filter(|_| !self.is_over()).filter_map(Watched::next).min()
    }

    /// How it ended, or `None` as long as it goes on. A failure ends it at once; an inconclusive metric ends it when the
    /// measurements that are out have come back, for they may fail.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let words = |wanted: Outcome| {
            let ended = self.metrics.iter().filter(|watched| watched.outcome() == Some(wanted));
            ended.map(words::ending).collect::<Vec<_>>().join("; ")
        };
        if self.has(Outcome::Failed) {
            return Some(Verdict::Failed(words(Outcome::Failed)));
        }
        if self.has(Outcome::Inconclusive) {
            let still = self.metrics.iter().any(Watched::is_out);
            return (!still).then(|| Verdict::Inconclusive(words(Outcome::Inconclusive)));
        }
        if self.metrics.is_empty() {
            return Some(Verdict::Inconclusive("there is no metric to measure".to_owned()));
        }
        let passed = self.metrics.iter().all(|watched| watched.outcome() == Some(Outcome::Passed));
        passed.then(|| Verdict::Successful(words(Outcome::Passed)))
    }

    /// How far it is, in words: `success-rate 3/10 measured, 0 failed`.
    #[must_use]
    pub fn progress(&self) -> String {
        self.metrics.iter().map(words::progress).collect::<Vec<_>>().join("; ")
    }

    fn has(&self, outcome: Outcome) -> bool {
        self.metrics.iter().any(|watched| watched.outcome() == Some(outcome))
    }

    /// Whether one metric has settled it: nothing more is asked.
    fn is_over(&self) -> bool {
        self.has(Outcome::Failed) || self.has(Outcome::Inconclusive)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
