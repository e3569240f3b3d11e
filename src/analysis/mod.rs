//! Metrics to verdicts: when each metric is measured, and what its measurements add up to.
//!
//! Counts and limits mean what they mean for an `AnalysisRun` of Argo Rollouts, with one difference: nothing passes
//! without evidence. A metric whose `count` is reached without one good measurement is inconclusive, where Argo Rollouts
//! lets it pass if `failureLimit` is wide enough; a comparison with what was not measured is an error, never true.

mod book;
pub mod capacity;
mod condition;
mod counts;
mod edges;
mod evidence;
mod facts;
pub mod figures;
mod forecast;
mod latency;
mod metric;
mod pace;
pub mod plan;
mod recent;
mod saved;
mod split;
mod telling;
mod totals;
mod trial;
mod value;
mod vote;
mod words;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::spec::{AnalysisTemplate, Judge, Provider, Test};
pub use facts::{Evidence, Window};
use metric::{Outcome, Watched};
pub use saved::Saved;

/// Telemetry that has not come by then is said to be missing: proxies report every few seconds.
const SILENCE: Duration = Duration::from_secs(60);

pub use book::{Book, Names, State};
pub use counts::{CountsFile, Judged, Judgement, judge};
pub use recent::Recent;
pub use split::SampleRatio;
pub use totals::{Totals, Traffic};

/// The run of all metrics of some templates, from a start to a verdict.
///
/// It asks nobody: it says who is to be asked, and is told the results. Measurements of one metric never overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The rollout.
    rollout: Arc<str>,
    kind: Kind,
    metrics: Vec<Watched>,
    /// When it is to be said that no telemetry comes.
    silent: Duration,
    /// What the metrics that are not critical came to together, once that is a failure.
    vote: Option<String>,
}

/// What a run is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A rollout waits for its verdict.
    Inline,
    /// It watches a rollout until that ends: it may fail or be inconclusive, and never succeeds. Tests have no deadline.
    Background,
}

/// One value to be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Names the metric within its run.
    pub id: usize,
    /// Whom to ask, and what.
    pub provider: Arc<Provider>,
}

/// How a run ended, with the figures in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every metric that decides has passed.
    Successful(String),
    /// A critical metric failed, or could not be measured too often in a row; or those that are not critical failed
    /// together.
    Failed(String),
    /// A metric neither passed nor failed, or one that is not critical failed.
    Inconclusive(String),
}

/// The tests of some templates, by the keys that a run names them with.
pub fn tests_of(templates: &[Arc<AnalysisTemplate>]) -> impl Iterator<Item = (Arc<str>, Test)> {
    templates.iter().flat_map(|template| {
        template.metrics.iter().filter_map(|metric| match &metric.judge {
            Judge::Test { test, .. } => Some((key(template, &metric.name), test.clone())),
            Judge::Value { .. } => None,
        })
    })
}

fn key(template: &AnalysisTemplate, metric: &str) -> Arc<str> {
    format!("{}/{metric}", template.name).into()
}

impl Run {
    /// Starts at `now`, without evidence of its own.
    #[must_use]
    pub fn new(now: Duration, rollout: &Arc<str>, kind: Kind, templates: &[Arc<AnalysisTemplate>]) -> Self {
        let several = |name: &str| templates.iter().flat_map(|t| &t.metrics).filter(|m| *m.name == *name).count() > 1;
        let metrics = templates.iter().flat_map(|template| {
            template.metrics.iter().map(move |metric| {
                let (plain, key) = (Arc::clone(&metric.name), key(template, &metric.name));
                let name = if several(&plain) { Arc::clone(&key) } else { plain };
                Watched::new(now, name, key, Arc::clone(metric), kind == Kind::Background)
            })
        });
        let mut metrics: Vec<_> = metrics.collect();
        // Where none is critical, all are.
        if metrics.iter().any(|watched| watched.metric.critical && !watched.metric.dry_run) {
            for watched in &mut metrics {
                watched.critical = watched.metric.critical;
            }
        }
        let silent = now.saturating_add(SILENCE);
        Self { rollout: Arc::clone(rollout), kind, metrics, silent, vote: None }
    }

    /// Takes in what proxies measured, and returns what others are to be asked now. To be called when [`Self::next_deadline`]
    /// is over and when there is new evidence. Each measurement is handed out once, until its result is taken; a result
    /// must come for each.
    pub fn advance(&mut self, now: Duration, evidence: &dyn Evidence) -> Vec<Measurement> {
        let mut out = Vec::new();
        // First what is known at once: it may settle the rest.
        for telemetry in [true, false] {
            for (id, watched) in self.metrics.iter_mut().enumerate() {
                if watched.needs_telemetry() == telemetry && (telemetry || self.vote.is_none()) {
                    let provider = watched.advance(now, evidence);
                    out.extend(provider.map(|provider| Measurement { id, provider }));
                }
            }
            if telemetry {
                self.vote = self.vote.take().or_else(|| vote::of(now, &self.metrics, evidence));
                if self.decision().is_some() {
                    break;
                }
            }
        }
        out
    }

    /// Takes a result: the value, or in words why there is none. One that nobody waits for is ignored.
    pub fn take(&mut self, now: Duration, id: usize, result: Result<Value, String>) {
        if let Some(watched) = self.metrics.get_mut(id) {
            watched.take(now, result);
        }
    }

    /// When there is something to be done next. `None` while all measurements are out, and once there is nothing left to
    /// measure.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.decision().is_some() {
            return None;
        }
        self.metrics.iter().filter_map(Watched::next).min()
    }

    /// How it ended, or `None` as long as it goes on. A failure ends it at once; an inconclusive metric ends it when the
    /// measurements that are out have come back, for they may fail.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let out = self.deciding().any(Watched::is_out);
        self.decision().filter(|verdict| !(out && matches!(verdict, Verdict::Inconclusive(_))))
    }

    /// How far it is, in words: `success-rate 3/10 measured, 0 failed`.
    #[must_use]
    pub fn progress(&self, now: Duration, evidence: &dyn Evidence) -> String {
        self.progress_beside(&[], now, evidence)
    }

    /// The same without what `others` of the same rollout say: a test has the same evidence in all runs. Empty where
    /// they say all of it.
    #[must_use]
    pub fn progress_beside(&self, others: &[&Self], now: Duration, evidence: &dyn Evidence) -> String {
        let lacks = |watched: &Watched| watched.needs_telemetry() && watched.outcome().is_none();
        let silent = |run: &Self| run.silent <= now && !evidence.is_reported() && run.metrics.iter().any(lacks);
        let warns = silent(self) && !others.iter().any(|run| silent(run));
        let warning =
            warns.then(|| format!("no proxy reports telemetry for {}: serin bootstrap switches it on", self.rollout));
        let tests = |run: &Self, key: &str| run.metrics.iter().any(|other| other.is_test() && *other.key == *key);
        let said = |watched: &Watched| watched.is_test() && others.iter().any(|run| tests(run, &watched.key));
        let metrics = self.metrics.iter().filter(|watched| !said(watched));
        let words = metrics.map(|watched| words::progress(watched, now, evidence));
        warning.into_iter().chain(words).collect::<Vec<_>>().join("; ")
    }

    /// Whether it watches a rollout, and nobody waits for it.
    #[must_use]
    pub fn is_background(&self) -> bool {
        self.kind == Kind::Background
    }

    /// Those that are not in `dryRun`.
    fn deciding(&self) -> impl Iterator<Item = &Watched> {
        self.metrics.iter().filter(|watched| !watched.metric.dry_run)
    }

    /// How it ends, whatever is still out.
    fn decision(&self) -> Option<Verdict> {
        let words = |wanted: &dyn Fn(&Watched) -> bool| {
            let words: Vec<_> = self.deciding().filter(|watched| wanted(watched)).map(words::ending).collect();
            (!words.is_empty()).then(|| words.join("; "))
        };
        let has = |watched: &Watched, outcome| watched.outcome() == Some(outcome);
        let failed = words(&|watched| watched.critical && has(watched, Outcome::Failed));
        if let Some(words) = failed.or_else(|| self.vote.clone()) {
            return Some(Verdict::Failed(words));
        }
        if let Some(words) = words(&|watched| has(watched, Outcome::Inconclusive)) {
            return Some(Verdict::Inconclusive(words));
        }
        // It can get no better than inconclusive, but worse, as long as a critical one is not through.
        let open =
            self.deciding().any(|watched| watched.critical && !watched.is_endless() && watched.outcome().is_none());
        if let Some(words) = words(&|watched| has(watched, Outcome::Failed))
            && (!open || self.kind == Kind::Background)
        {
            return Some(Verdict::Inconclusive(format!("{words} (not critical)")));
        }
        if self.metrics.is_empty() {
            return Some(Verdict::Inconclusive("there is no metric to measure".to_owned()));
        }
        if self.kind == Kind::Background { None } else { self.success() }
    }

    /// Once those that end have passed, and those that last as long as they do have been good once.
    fn success(&self) -> Option<Verdict> {
        let all_dry = self.metrics.iter().all(|watched| watched.metric.dry_run);
        let mut counted: Vec<_> = self.metrics.iter().filter(|watched| all_dry || !watched.metric.dry_run).collect();
        if counted.iter().all(|watched| watched.is_endless()) {
            let words = "no metric of it ever ends: give one a count, or judge them in the background";
            return Some(Verdict::Inconclusive(words.to_owned()));
        }
        let done = |watched: &&Watched| match watched.outcome() {
            None => watched.is_endless() && watched.tally.good > 0,
            Some(outcome) => all_dry || outcome == Outcome::Passed,
        };
        if !counted.iter().all(done) {
            return None;
        }
        counted.retain(|watched| !all_dry || watched.outcome().is_some());
        let words = counted.into_iter().map(words::ending).collect::<Vec<_>>().join("; ");
        let words = if all_dry { format!("all metrics are in dryRun: {words}") } else { words };
        Some(Verdict::Successful(words))
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
