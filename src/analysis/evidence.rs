//! Evidence that one version fails more often than another: the stratified conditional Poisson e-process.
//!
//! One stratum is one node in one interval, with requests n and errors e of the canary (c) and the stable version (b),
//! r = `n_c/(n_c+n_b)` and m = `e_c+e_b`. If the canary fails λ times as often, then `e_c` is, given m, binomial with
//! the share rλ/(1−r+rλ): the rate itself, which drifts with the hour, cancels, and so does the weight. The evidence
//! against "λ is at most λ0" is a likelihood ratio, averaged over alternatives; by Ville's inequality it ever reaches
//! 1/α with probability α at most, whenever and however often one looks (Ville 1939; Wald 1945).
//!
//! Evidence is kept as its natural logarithm. Nothing is decided here; who passes and fails is in `book`.

use serde::{Deserialize, Serialize};

use crate::telemetry::Counts;

/// So many times the allowed ratio may the ratio be, each as likely: for errors.
pub(super) const COARSE: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// The same for latencies, whose shares move less.
pub(super) const FINE: [f64; 8] = [1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Shares of the ceiling that the canary's rate may have, each as likely. With 0 alone no errors at all would pass
/// soonest, but one error would undo it for ever; with the three, no errors need 15 % more requests, and rates
/// of a tenth and of a half of the ceiling pass too.
pub(super) const BELOW: [f64; 3] = [0.0, 0.1, 0.5];

/// What is tested.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// The alternatives.
    pub(super) grid: &'static [f64; 8],
    /// λ0: the ratio up to which nothing is wrong; at least 1.
    pub(super) allowed: f64,
    /// λ1: the ratio from which on the canary must not pass; above λ0.
    pub(super) increase: f64,
}

/// The sums over all strata so far, in a size that does not grow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    /// Of the canary, in all strata.
    pub(super) alone: Counts,
    /// Of the canary, in strata where both versions had requests.
    pub(super) canary: Counts,
    /// Of the stable version, in the same strata.
    pub(super) stable: Counts,
    /// ln L of each alternative.
    pub(super) worse: [f64; 8],
    /// ln E against "the ratio is at least λ1".
    pub(super) better: f64,
    /// Errors of the canary and of the stable version, each stratum weighed as Mantel and Haenszel (1959) do.
    weighed: (f64, f64),
}

impl Evidence {
    /// Takes one stratum. Without requests of either version it says nothing of their ratio.
    pub(super) fn take(&mut self, question: Question, canary: Option<Counts>, stable: Option<Counts>) {
        let Some(canary) = canary else { return };
        self.alone.add(canary);
        let Some(stable) = stable.filter(|stable| stable.requests > 0 && canary.requests > 0) else { return };
        self.canary.add(canary);
        self.stable.add(stable);
        let Question { grid, allowed, increase } = question;
        let (mine, theirs) = (float(canary.requests), float(stable.requests));
        let share = mine / (mine + theirs);
        let failed = float(canary.errors);
        let both = failed + float(stable.errors);
        // ln(1−r+rλ)
        let mixed = |ratio: f64| (share * (ratio - 1.0)).ln_1p();
        for (sum, times) in self.worse.iter_mut().zip(grid) {
            *sum += failed * times.ln() - both * (mixed(times * allowed) - mixed(allowed));
        }
        self.better += both * mixed(increase) - failed * increase.ln();
        self.weighed.0 += failed * (1.0 - share);
        self.weighed.1 += float(stable.errors) * share;
    }

    /// ln E against "the ratio is at most λ0".
    pub(super) fn ln_worse(&self) -> f64 {
        ln_mean(&self.worse)
    }

    /// The canary's rate by the stable version's, stratum by stratum. `None` without errors of the stable version.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.weighed.1 > 0.0).then(|| self.weighed.0 / self.weighed.1)
    }
}

/// ln E against "the rate is at least `ceiling`", for the rate `rate` below it: Wald's ratio for Bernoulli trials.
pub(super) fn ln_below(counts: Counts, ceiling: f64, rate: f64) -> f64 {
    let (failed, good) = outcomes(counts);
    let lost = if failed > 0.0 { failed * (rate / ceiling).ln() } else { 0.0 };
    lost + good * ((-rate).ln_1p() - (-ceiling).ln_1p())
}

/// ln E against "the rate is at least `ceiling`", averaged over [`BELOW`].
pub(super) fn ln_under(counts: Counts, ceiling: f64) -> f64 {
    ln_mean(&BELOW.map(|part| ln_below(counts, ceiling, part * ceiling)))
}

/// ln E against "the rate is at most `ceiling`", averaged over odds that are [`COARSE`] times those of the ceiling. It
/// needs no stable version. The likelihood ratio rises with the rate, so at any lower rate it grows less.
pub(super) fn ln_over(counts: Counts, ceiling: f64) -> f64 {
    let (failed, good) = outcomes(counts);
    // With the odds g times those of p, the rate is gp/(1−p+gp).
    ln_mean(&COARSE.map(|times| {
        let whole = (ceiling * (times - 1.0)).ln_1p();
        failed * (times.ln() - whole) - good * whole
    }))
}

/// ln of the mean of e to these powers.
pub(super) fn ln_mean(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return most;
    }
    most + (values.iter().map(|value| (value - most).exp()).sum::<f64>() / float(values.len() as u64)).ln()
}

/// ln of the mean of e to these powers, each with its weight.
pub(super) fn ln_mean_weighted(values: &[(f64, f64)]) -> f64 {
    let most = values.iter().map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return most;
    }
    let all: f64 = values.iter().map(|(_, weight)| weight).sum();
    most + values.iter().map(|(value, weight)| weight / all * (value - most).exp()).sum::<f64>().ln()
}

/// Those that failed, and those that did not. What claims more errors than requests has no good ones.
fn outcomes(counts: Counts) -> (f64, f64) {
    let failed = counts.errors.min(counts.requests);
    (float(failed), float(counts.requests - failed))
}

#[expect(clippy::cast_precision_loss, reason = "exact up to nine quadrillion")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
