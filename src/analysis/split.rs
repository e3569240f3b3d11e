//! Asked against seen split: does the canary get the share of requests that its weight says?
//!
//! Of n requests the canary gets k, binomial with the asked share w, whatever the requests are. The evidence against it
//! is the likelihood ratio for odds g times those asked, k·ln g − n·ln(1−w+gw), averaged over g and 1/g for the g
//! of [`COARSE`]: an average of likelihood ratios, so by Ville's inequality a split that is what was asked ever
//! reaches 1/α with probability α at most. The nearest alternatives are 1.25 and 0.8 times the odds: shares that are
//! nearer to the asked one than about a tenth of it are never called wrong, however many the requests.
//!
//! Requests are counted as attempts: one that is retried may count once for each version it was sent to.

use serde::{Deserialize, Serialize};

use super::evidence::{COARSE, float, ln_mean};
use super::figures::{grouped, odds, share};

/// One in so many good splits is called wrong.
const ALPHA: f64 = 0.001;

/// The requests since the asked share last changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    /// From 0 to 1.
    asked: Option<f64>,
    canary: u64,
    requests: u64,
}

impl SampleRatio {
    /// Takes the requests of one node in one interval in which the canary's share was to be `asked`, from 0 to 1.
    pub fn take(&mut self, asked: f64, canary: u64, stable: u64) {
        if !(0.0..=1.0).contains(&asked) {
            return;
        }
        if self.asked.is_none_or(|before| before.total_cmp(&asked).is_ne()) {
            *self = Self { asked: Some(asked), ..Self::default() };
        }
        self.canary = self.canary.saturating_add(canary);
        self.requests = self.requests.saturating_add(canary).saturating_add(stable);
    }

    /// The share asked for, from 0 to 1. `None` before the first requests.
    #[must_use]
    pub fn asked(&self) -> Option<f64> {
        self.asked
    }

    /// The share seen, from 0 to 1. `None` before the first requests.
    #[must_use]
    pub fn seen(&self) -> Option<f64> {
        (self.requests > 0).then(|| float(self.canary) / float(self.requests))
    }

    /// Requests of the canary, and of both versions.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.canary, self.requests)
    }

    /// ln of the evidence that the split is not what was asked. 0 where one version is to get everything: what the
    /// other gets then is on its way, or on a header.
    #[must_use]
    pub fn ln_evidence(&self) -> f64 {
        let Some(asked) = self.asked.filter(|asked| *asked > 0.0 && *asked < 1.0) else { return 0.0 };
        let (canary, requests) = (float(self.canary), float(self.requests));
        let ln = |times: f64| canary * times.ln() - requests * (asked * (times - 1.0)).ln_1p();
        ln_mean(&[ln_mean(&COARSE.map(ln)), ln_mean(&COARSE.map(|times| ln(times.recip())))])
    }

    /// What is wrong, once the evidence is 1,000 : 1.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let (asked, seen, evidence) = (self.asked?, self.seen()?, self.ln_evidence());
        (evidence >= -ALPHA.ln()).then(|| {
            format!(
                "asked {}, seen {} ({} of {}): the split is not what was asked (evidence {})",
                share(asked),
                share(seen),
                grouped(self.canary),
                grouped(self.requests),
                odds(evidence)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(asked: f64, canary: u64, stable: u64) -> SampleRatio {
        let mut split = SampleRatio::default();
        split.take(asked, canary, stable);
        split
    }

    #[test]
    fn a_split_that_was_not_asked_is_said() {
        let split = seen(0.05, 210, 9_790);
        let warning = split.warning().expect("a warning");
        assert!(
            warning.starts_with("asked 5 %, seen 2.1 % (210 of 10,000): the split is not what was asked"),
            "{warning}"
        );
        assert_eq!(seen(0.05, 65, 1_935).warning(), None, "3.25 % of 2,000 may be chance");
        let more = seen(0.05, 60, 440).warning().expect("a warning");
        assert!(more.starts_with("asked 5 %, seen 12 % (60 of 500)"), "{more}");
    }

    #[test]
    fn nothing_at_all_is_seen_too() {
        // E is more than (1-w+w/100)^-n / 16.
        assert_eq!(seen(0.05, 0, 100).warning(), None);
        assert!(seen(0.05, 0, 250).warning().is_some());
    }

    #[test]
    fn another_weight_starts_afresh() {
        let mut split = seen(0.05, 0, 1_000);
        split.take(0.1, 10, 90);
        assert_eq!((split.counts(), split.asked()), ((10, 100), Some(0.1)));
        assert_eq!(split.warning(), None);
    }

    #[test]
    fn what_is_near_enough_is_never_called_wrong() {
        assert!(seen(0.05, 52_000_000, 948_000_000).ln_evidence() < 0.0);
        assert_eq!(seen(0.0, 5, 1_000).warning(), None);
        assert_eq!(seen(1.0, 1_000, 5).warning(), None);
        assert_eq!(SampleRatio::default().ln_evidence().to_bits(), 0.0_f64.to_bits());
        assert_eq!(seen(f64::NAN, 5, 5), SampleRatio::default());
    }

    #[test]
    fn the_mean_of_the_evidence_is_one_where_the_split_is_right() {
        // Summed over all k of Binomial(12, 0.3), exactly.
        let choose = |k: u64| (1..=k).fold(1.0, |product, i| product * float(12 + 1 - i) / float(i));
        let power = |base: f64, k: u64| base.powi(i32::try_from(k).expect("few"));
        let mean: f64 = (0..=12)
            .map(|k| {
                let chance = choose(k) * power(0.3, k) * power(0.7, 12 - k);
                chance * seen(0.3, k, 12 - k).ln_evidence().exp()
            })
            .sum();
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }
}
