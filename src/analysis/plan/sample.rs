//! How many requests of the new version a verdict on errors takes.
//!
//! The test multiplies up evidence, so it is through when the mean drift per request has made up for the logarithm of
//! the limit. The drift is the Kullback-Leibler divergence, per request, between the share of the errors that the new
//! version has and the one that it would have (A. Wald, "Sequential tests of statistical hypotheses", 1945). What the
//! number varies by is of the order of the number itself.

/// The alternatives among which the test spreads its evidence: that costs a factor of so many.
const ALTERNATIVES: f64 = 8.0;

/// What is to be found out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// The stable version's share of requests that fail; above 0, below 1.
    pub baseline: f64,
    /// The ratio of the new version's share to it that is to be found; above `allowed_increase`.
    pub ratio: f64,
    /// Up to this ratio nothing is wrong; at least 1.
    pub allowed_increase: f64,
    /// The share of good rollouts that may fail; above 0, below 1.
    pub alpha: f64,
    /// The share of bad rollouts that may pass; above 0, below 1.
    pub beta: f64,
    /// Passing says that the ratio is surely below this; above 1.
    pub max_increase: f64,
}

impl Question {
    /// Evidence per request of the new version while hardly any go to it.
    fn drift(&self) -> f64 {
        let Self { baseline, ratio, allowed_increase, .. } = self;
        baseline * (ratio * (ratio / allowed_increase).ln() - ratio + allowed_increase)
    }

    /// The logarithm of the limit, and of what it costs not to know the ratio beforehand.
    fn limit(&self) -> f64 {
        (1.0 / self.alpha).ln() + ALTERNATIVES.ln()
    }

    /// How much nearer one request of the new version brings the test to an alarm, as a share of the way.
    #[must_use]
    pub fn alarm_per_request(&self) -> f64 {
        self.drift() / self.limit()
    }

    /// Requests of the new version until the test fails it, if it is as bad as `ratio`, with a `share` of all requests (0
    /// to 1). Infinite where all go to it: then there is nothing to compare with.
    #[must_use]
    pub fn requests_to_fail(&self, share: f64) -> f64 {
        let per_request = |ratio: f64| (share * (ratio - 1.0)).ln_1p();
        let Self { baseline, ratio, allowed_increase, .. } = self;
        // As a share of all requests, so that it has to be taken by that of the new version's.
        let errors = 1.0 + share * (ratio - 1.0);
        let split = share * ratio * (ratio / allowed_increase).ln()
            - errors * (per_request(*ratio) - per_request(*allowed_increase));
        let drift = if share > 0.0 { baseline * split / share } else { self.drift() };
        if share < 1.0 && drift > 0.0 { self.limit() / drift } else { f64::INFINITY }
    }

    /// Requests of the new version until the test passes it, if it is as good as the stable one, while hardly any go to it.
    #[must_use]
    pub fn requests_to_pass(&self) -> f64 {
        let increase = self.max_increase;
        (1.0 / self.beta).ln() / (self.baseline * (increase - 1.0 - increase.ln()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(ratio: f64) -> Question {
        Question { baseline: 0.001, ratio, allowed_increase: 1.0, alpha: 0.01, beta: 0.05, max_increase: ratio }
    }

    #[track_caller]
    fn rounded(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 0.5, "{value} is not {expected}");
    }

    #[test]
    fn the_table_of_sample_sizes() {
        for (ratio, sizes) in [
            (1.25, [231_066.0, 233_587.0, 244_201.0, 293_428.0]),
            (1.5, [61_781.0, 62_502.0, 65_536.0, 79_587.0]),
            (2.0, [17_304.0, 17_531.0, 18_481.0, 22_864.0]),
            (3.0, [5_159.0, 5_239.0, 5_575.0, 7_107.0]),
            (5.0, [1_652.0, 1_685.0, 1_821.0, 2_424.0]),
            (10.0, [477.0, 490.0, 546.0, 776.0]),
        ] {
            for (share, size) in [0.0, 0.01, 0.05, 0.2].into_iter().zip(sizes) {
                rounded(question(ratio).requests_to_fail(share), size);
            }
        }
        let passes = [(1.25, 111_546.0), (1.5, 31_689.0), (2.0, 9_763.0), (3.0, 3_323.0), (5.0, 1_253.0)];
        for (ratio, size) in passes {
            rounded(question(ratio).requests_to_pass(), size);
        }
    }

    #[test]
    fn alternatives_are_those_of_the_test() {
        let alternatives = u32::try_from(crate::analysis::evidence::COARSE.len()).unwrap();
        assert!((f64::from(alternatives) - ALTERNATIVES).abs() < 0.5);
    }

    #[test]
    fn the_less_goes_wrong_the_more_it_takes() {
        let rare = Question { baseline: 0.000_1, ..question(3.0) };
        rounded(rare.requests_to_fail(0.05) / 10.0, question(3.0).requests_to_fail(0.05));
        assert!(question(3.0).requests_to_fail(1.0).is_infinite(), "nothing to compare with");
        assert!(question(3.0).requests_to_fail(0.99).is_finite());
    }

    #[test]
    fn a_tiny_share_is_as_none() {
        for allowed_increase in [1.0, 1.25, 2.0] {
            let question = Question { allowed_increase, ..question(3.0) };
            let (none, tiny) = (question.requests_to_fail(0.0), question.requests_to_fail(1e-7));
            assert!((none / tiny - 1.0).abs() < 1e-5, "{none} {tiny}");
            assert!((none * question.alarm_per_request() - 1.0).abs() < 1e-12);
        }
    }

    /// The drift by its definition: what the best alternative gains in the mean per error, times the errors.
    #[test]
    fn an_allowed_increase_takes_longer() {
        let question = Question { allowed_increase: 1.25, ..question(3.0) };
        let share = 0.05;
        let of_new = |ratio: f64| share * ratio / (1.0 - share + share * ratio);
        let (is, allowed) = (of_new(3.0), of_new(1.25));
        let gain = is * (is / allowed).ln() + (1.0 - is) * ((1.0 - is) / (1.0 - allowed)).ln();
        let drift = 0.001 * (1.0 - share + share * 3.0) * gain / share;
        rounded(question.requests_to_fail(share), (100.0_f64.ln() + 8.0_f64.ln()) / drift);
        assert!(question.requests_to_fail(share) > 1.4 * self::question(3.0).requests_to_fail(share));
    }
}
