//! All evidence of one revision of one rollout: its tests, totals, and the split.
//!
//! It is fed one stratum at a time: what one node measured in one interval. Once the edges of its latency tests are
//! chosen, the order of strata changes nothing but the rounding of sums. It is kept through all steps and across restarts: floats come back from JSON bit by
//! bit. Its size is bounded, whatever comes. What follows from a verdict is decided elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::split::SampleRatio;
use super::totals::Totals;
use super::trial::Trial;
use super::{edges, forecast, telling};
use crate::spec::Test;
use crate::telemetry::{Histogram, Sample};

/// The evidence so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    trials: BTreeMap<Arc<str>, Trial>,
    totals: Totals,
    /// Latencies of the stable version before the first stratum.
    before: Histogram,
    pace: Pace,
    split: SampleRatio,
}

/// How a test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// There is evidence that the new version is worse.
    Failed,
    /// There is evidence that the new version is good enough.
    Passed,
    /// There is not enough evidence of either.
    Open,
}

/// What the versions are called in words.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The new version.
    pub canary: &'a str,
    /// The version to go back to.
    pub stable: &'a str,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self { canary: "canary", stable: "stable" }
    }
}

impl Book {
    /// Takes up `tests`, each with its key. One whose parameters are as they were goes on with its evidence; one that is
    /// new or has others starts without; one that is no longer there is forgotten. Totals and split stay.
    pub fn adopt(&mut self, tests: impl IntoIterator<Item = (Arc<str>, Test)>) {
        let mut before = std::mem::take(&mut self.trials);
        let kept = |(key, test): (Arc<str>, Test)| {
            let trial = before.remove(&key).filter(|trial| trial.test == test);
            (key, trial.unwrap_or_else(|| Trial::new(test)))
        };
        self.trials = tests.into_iter().map(kept).collect();
    }

    /// Is told how fast the stable version was before the evidence begins: for choosing the edges of latency tests.
    /// Without, their first intervals serve for that, and are no evidence.
    pub fn prime(&mut self, stable: &Histogram) {
        edges::add(&mut self.before, stable);
    }

    /// Takes one stratum, which came at `now`. `asked` is the share of requests that the new version was to get all
    /// through the interval, from 0 to 1; `None` where that is not certain, e.g. as long as the node has not
    /// acknowledged the weight.
    pub fn take(
        &mut self,
        now: Duration,
        node: &str,
        canary: Option<&Sample>,
        stable: Option<&Sample>,
        asked: Option<f64>,
    ) {
        self.pace.take(now, self.totals.canary().counts.requests);
        for trial in self.trials.values_mut() {
            // What was measured up to here: this stratum is tested at edges it had no say in.
            trial.choose(&self.before);
            trial.take(node, canary, stable);
        }
        if let Some(latency) = stable.and_then(|sample| sample.latency.as_ref()) {
            edges::add(&mut self.before, latency);
        }
        self.totals.take(canary, stable);
        for trial in self.trials.values_mut() {
            trial.refit(&self.totals.stable().latency);
        }
        if let (Some(asked), Some((canary, stable))) = (asked, requests(canary, stable)) {
            self.split.take(asked, canary, stable);
        }
    }

    /// Keys of the tests.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.trials.keys()
    }

    /// How a test stands. `None` if there is none of this key.
    #[must_use]
    pub fn verdict(&self, key: &str) -> Option<State> {
        self.trials.get(key).map(Trial::state)
    }

    /// ln of the evidence that the new version is worse than allowed; the test fails when it reaches ln(1/α).
    #[must_use]
    pub fn ln_evidence(&self, key: &str) -> Option<f64> {
        self.trials.get(key).map(Trial::ln_worse)
    }

    /// The figures of a test, in counts: `canary 20 of 5,000 (0.40 %), stable 95 of 95,000 (0.10 %), ratio 4.0; evidence
    /// 17,424 : 1, limit 100 : 1`. Empty if there is none of this key.
    #[must_use]
    pub fn words(&self, key: &str, names: Names<'_>) -> String {
        self.trials.get(key).map(|trial| telling::words(trial, &self.totals, names)).unwrap_or_default()
    }

    /// What a test still needs to pass, if the rates stay as they were: `needs about 4,300 more canary requests, 6 min at
    /// this rate`, or that it will not. `None` if it has ended, and as long as nothing is known of the new version.
    #[must_use]
    pub fn forecast(&self, key: &str, now: Duration, names: Names<'_>) -> Option<String> {
        forecast::words(self.trials.get(key)?, &self.pace, &self.totals, now, names)
    }

    /// All requests, errors and latencies since the revision began.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Asked against seen split.
    #[must_use]
    pub fn split(&self) -> &SampleRatio {
        &self.split
    }

    /// When the first and the last stratum came.
    #[must_use]
    pub fn times(&self) -> Option<(Duration, Duration)> {
        self.pace.first().zip(self.pace.last())
    }
}

/// How many requests each version got. A version that is not there got none, if the other is; an interval that has
/// latencies alone says nothing.
fn requests(canary: Option<&Sample>, stable: Option<&Sample>) -> Option<(u64, u64)> {
    let count = |sample: Option<&Sample>| match sample {
        Some(sample) => sample.attempts.map(|counts| counts.requests),
        None => Some(0),
    };
    count(canary).zip(count(stable)).filter(|counts| *counts != (0, 0))
}

#[cfg(test)]
mod tests;
