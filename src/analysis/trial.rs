//! One test: what it asks, the evidence so far, and how it stands.
//!
//! It fails when the evidence that the canary is worse than allowed reaches 1/α, or the evidence that its own rate is
//! above `max_rate` reaches 100/α: that circuit breaker needs no stable version, and its limit is so high that both
//! together fail a good version with probability 1.01 α at most.
//!
//! It passes when the evidence reaches 1/β that the ratio is below `max_increase`, or that the canary's own rate is below
//! `max_rate`. Each of the two is wrongly said with probability β at most; a version that is at both borders at once
//! passes with 2 β at most. Failing wins over passing, and without evidence nothing passes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::State;
use super::evidence::{COARSE, Evidence, FINE, Question, ln_over, ln_under};
use super::latency::Slower;
use crate::spec::{Limits, Test};
use crate::telemetry::{Counts, Histogram, Sample};

/// The circuit breaker needs so many times the evidence of the comparison.
const BREAKER: f64 = 100.0;

/// A test and its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) test: Test,
    pub(super) sums: Sums,
}

/// What is kept of the strata so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Sums {
    Errors(Evidence),
    Latency(Slower),
}

/// One of the claims that must all hold for the canary to pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) evidence: &'a Evidence,
    /// In milliseconds, of a latency.
    pub(super) edge: Option<f64>,
    /// The canary passes too when its own rate is below.
    pub(super) ceiling: Option<f64>,
}

/// Evidence that the canary's own rate is too high.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) counts: Counts,
    pub(super) ceiling: f64,
    pub(super) ln: f64,
}

impl Trial {
    pub(super) fn new(test: Test) -> Self {
        let sums = match test {
            Test::ErrorRatio(_) => Sums::Errors(Evidence::default()),
            Test::Latency { .. } => Sums::Latency(Slower::default()),
        };
        Self { test, sums }
    }

    pub(super) fn limits(&self) -> &Limits {
        let (Test::ErrorRatio(limits) | Test::Latency { limits, .. }) = &self.test;
        limits
    }

    /// Chooses edges, where it has none; `stable` is what is known of the stable version and is no evidence here.
    pub(super) fn choose(&mut self, stable: &Histogram) {
        if let (Sums::Latency(slower), Test::Latency { quantiles, slo, .. }) = (&mut self.sums, &self.test) {
            slower.choose(stable, quantiles, slo.map(in_millis));
        }
    }

    /// Before it passes: compares anew where the stable version is during the test, if it has not been compared there.
    pub(super) fn refit(&mut self, stable: &Histogram) {
        if self.state() == State::Passed
            && let (Sums::Latency(slower), Test::Latency { quantiles, slo, .. }) = (&mut self.sums, &self.test)
        {
            slower.refit(stable, quantiles, slo.map(in_millis));
        }
    }

    /// Takes one stratum.
    pub(super) fn take(&mut self, node: &str, canary: Option<&Sample>, stable: Option<&Sample>) {
        let (allowed, increase) = (self.limits().allowed_increase, self.limits().max_increase);
        match &mut self.sums {
            Sums::Errors(evidence) => {
                let attempts = |sample: Option<&Sample>| sample.and_then(|sample| sample.attempts);
                evidence.take(Question { grid: &COARSE, allowed, increase }, attempts(canary), attempts(stable));
            }
            Sums::Latency(slower) => {
                let question = Question { grid: &FINE, allowed, increase };
                slower.take(question, node, canary.and_then(latency), stable.and_then(latency));
            }
        }
    }

    /// ln E against "no worse than allowed".
    pub(super) fn ln_worse(&self) -> f64 {
        match &self.sums {
            Sums::Errors(evidence) => evidence.ln_worse(),
            Sums::Latency(slower) => slower.ln_worse(),
        }
    }

    /// What that must reach.
    pub(super) fn ln_limit(&self) -> f64 {
        -self.limits().alpha.ln()
    }

    /// What evidence for passing must reach.
    pub(super) fn ln_pass(&self) -> f64 {
        -self.limits().beta.ln()
    }

    /// The circuit breaker, where there is one.
    pub(super) fn over(&self) -> Option<Over> {
        let ceiling = self.limits().max_rate?;
        let counts = match &self.sums {
            Sums::Errors(evidence) => evidence.alone,
            Sums::Latency(slower) => slower.beyond_slo()?,
        };
        Some(Over { counts, ceiling, ln: ln_over(counts, ceiling) })
    }

    /// What the circuit breaker must reach.
    pub(super) fn ln_breaker(&self) -> f64 {
        self.ln_limit() + BREAKER.ln()
    }

    /// All that must hold for the canary to pass.
    pub(super) fn claims(&self) -> Vec<Claim<'_>> {
        let most = self.limits().max_rate;
        match (&self.sums, &self.test) {
            (Sums::Errors(evidence), _) => vec![Claim { evidence, edge: None, ceiling: most }],
            (Sums::Latency(slower), Test::Latency { quantiles, .. }) => {
                let claim = |edge| Slower::claim(edge, quantiles, most);
                slower.edges.iter().map(claim).collect()
            }
            (Sums::Latency(_), Test::ErrorRatio(_)) => Vec::new(),
        }
    }

    pub(super) fn state(&self) -> State {
        if self.ln_worse() >= self.ln_limit() || self.has_tripped() {
            return State::Failed;
        }
        let claims = self.claims();
        // Below a ceiling and yet with more to say for worse than against: it has not proved good, it has been lucky so
        // far. Passing less often does no harm to what a pass says.
        let passes = |claim: &Claim<'_>| claim.ln() >= self.ln_pass() && claim.evidence.ln_worse() <= 0.0;
        let all = !claims.is_empty() && claims.iter().all(passes);
        if all { State::Passed } else { State::Open }
    }

    /// Whether the circuit breaker has.
    pub(super) fn has_tripped(&self) -> bool {
        self.over().is_some_and(|over| over.ln >= self.ln_breaker())
    }
}

impl Claim<'_> {
    /// ln E against "the canary must not pass", by the ratio or by its own rate.
    pub(super) fn ln(&self) -> f64 {
        self.evidence.better.max(self.ln_under().unwrap_or(f64::NEG_INFINITY))
    }

    /// By its own rate.
    pub(super) fn ln_under(&self) -> Option<f64> {
        self.ceiling.map(|ceiling| ln_under(self.evidence.alone, ceiling))
    }
}

fn in_millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn latency(sample: &Sample) -> Option<&Histogram> {
    sample.latency.as_ref()
}
