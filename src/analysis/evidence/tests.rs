use proptest::prelude::*;

use super::*;
use crate::analysis::tests::close;

/// Errors and requests of the canary, then of the stable version.
type Stratum = (u64, u64, u64, u64);

fn counts(errors: u64, requests: u64) -> Counts {
    Counts { requests, errors }
}

fn asked(allowed: f64) -> Question {
    Question { grid: &COARSE, allowed, increase: 2.0 }
}

/// In the order of the reference: errors of both, requests of both.
fn evidence(question: Question, strata: &[Stratum]) -> Evidence {
    let mut evidence = Evidence::default();
    for &(mine, theirs, of_mine, of_theirs) in strata {
        evidence.take(question, Some(counts(mine, of_mine)), Some(counts(theirs, of_theirs)));
    }
    evidence
}

fn ln_fail(strata: &[Stratum]) -> f64 {
    evidence(asked(1.0), strata).ln_worse()
}

#[test]
fn golden_1_and_2_one_stratum() {
    let strata = [(20, 95, 5_000, 95_000)];
    let parts = [
        3.034_281_226_450_127,
        5.269_651_714_270_576,
        8.252_074_731_714_22,
        11.011_575_095_864_83,
        11.221_779_217_377_229,
        3.321_892_870_145_376,
        -35.026_175_190_770_0,
        -112.986_586_529_355_07,
    ];
    for (part, golden) in evidence(asked(1.0), &strata).worse.into_iter().zip(parts) {
        close(part, golden);
    }
    close(ln_fail(&strata), 9.765_591_477_084_08);
    close(evidence(asked(1.5), &strata).ln_worse(), 4.741_222_031_683_463);
}

#[test]
fn golden_3_to_5_few_errors() {
    close(ln_fail(&[(6, 95, 5_000, 95_000)]), -1.147_174_304_618_758);
    close(ln_fail(&[(3, 0, 100, 1_900)]), 6.776_487_438_527_47);
    close(ln_fail(&[(2, 0, 50, 950)]), 4.158_998_047_669_151);
}

#[test]
fn golden_6_and_7_strata_are_not_pooled() {
    close(ln_fail(&[(5, 10, 1_000, 19_000), (9, 4, 5_000, 5_000)]), 4.201_415_373_032_437);
    close(ln_fail(&[(14, 14, 6_000, 24_000)]), 4.805_479_542_032_207);
    close(ln_fail(&[(1, 19, 1_000, 19_000), (50, 50, 5_000, 5_000)]), -2.518_105_713_120_975);
    close(ln_fail(&[(51, 69, 6_000, 24_000)]), 13.696_335_966_694_134);
}

#[test]
fn golden_8_and_9_passing() {
    close(evidence(asked(1.0), &[(5, 95, 5_000, 95_000)]).better, 1.413_280_514_143_479);
    close(evidence(asked(1.0), &[(0, 20, 5_000, 95_000)]).better, 0.975_803_283_388_641);
}

#[test]
fn golden_10_latency_edges_are_averaged() {
    let question = Question { grid: &FINE, allowed: 1.0, increase: 2.0 };
    let edges = [(400, 6_000), (150, 1_900), (30, 190)];
    let golden = [7.707_703_552_292_053, 8.230_095_247_930_954, 10.070_057_321_207_472];
    let parts = edges.map(|(mine, theirs)| evidence(question, &[(mine, theirs, 1_000, 19_000)]).ln_worse());
    for (part, golden) in parts.into_iter().zip(golden) {
        close(part, golden);
    }
    close(ln_mean(&parts), 9.197_003_019_401_144);
}

#[test]
fn golden_11_a_stratum_without_one_version_says_nothing_of_the_ratio() {
    let mut all = evidence(asked(1.0), &[(20, 95, 5_000, 95_000)]);
    let before = all.clone();
    all.take(asked(1.0), Some(counts(0, 0)), Some(counts(5, 1_000)));
    all.take(asked(1.0), None, Some(counts(5, 1_000)));
    assert_eq!(all, before);
    all.take(asked(1.0), Some(counts(3, 1_000)), Some(counts(0, 0)));
    all.take(asked(1.0), Some(counts(4, 1_000)), None);
    assert_eq!((all.alone, all.canary), (counts(27, 7_000), before.canary));
    assert_eq!((all.worse, all.better.to_bits()), (before.worse, before.better.to_bits()));
}

/// The table of sample sizes: without errors, so many requests show at 5 % that the rate is below the ceiling.
#[test]
fn no_errors_are_enough_of_so_many_requests() {
    let limit = -0.05_f64.ln();
    for (ceiling, requests) in [(0.05, 59), (0.01, 299), (0.005, 598), (0.001, 2_995)] {
        assert!(ln_below(counts(0, requests), ceiling, 0.0) >= limit, "{ceiling}");
        assert!(ln_below(counts(0, requests - 1), ceiling, 0.0) < limit, "{ceiling}");
        assert!(ln_under(counts(0, requests * 116 / 100), ceiling) >= limit, "{ceiling}");
        assert!(ln_under(counts(0, requests), ceiling) < limit, "{ceiling}");
    }
    assert!(ln_below(counts(1, 1_000_000), 0.01, 0.0) < f64::MIN);
    assert!(ln_under(counts(1, 1_000), 0.01) > limit, "one error does not undo it");
}

/// Of all outcomes of `trials` at this rate, each weighed with its probability.
fn mean(trials: u64, rate: f64, evidence: impl Fn(Counts) -> f64) -> f64 {
    let choose = |k: u64| (1..=k).fold(1.0, |product, i| product * float(trials + 1 - i) / float(i));
    let power = |base: f64, k: u64| base.powi(i32::try_from(k).expect("few"));
    (0..=trials)
        .map(|k| choose(k) * power(rate, k) * power(1.0 - rate, trials - k) * evidence(counts(k, trials)).exp())
        .sum()
}

/// What makes it evidence: if the claim is wrong, its mean is 1 at most. Summed over all outcomes, not sampled.
#[test]
fn the_mean_of_wrong_evidence_is_at_most_one() {
    for rate in [0.1, 0.15, 0.3, 0.9] {
        assert!(mean(30, rate, |counts| ln_under(counts, 0.1)) <= 1.0 + 1e-9, "{rate}");
    }
    for rate in [0.001, 0.05, 0.1] {
        assert!(mean(30, rate, |counts| ln_over(counts, 0.1)) <= 1.0 + 1e-9, "{rate}");
    }
    assert!((mean(30, 0.1, |counts| ln_under(counts, 0.1)) - 1.0).abs() < 1e-9, "none is given away at the border");
    assert!((mean(30, 0.1, |counts| ln_over(counts, 0.1)) - 1.0).abs() < 1e-9, "none is given away at the border");
    assert!(mean(30, 0.2, |counts| ln_over(counts, 0.1)) > 10.0);
}

/// Given all errors of a stratum, those of the canary are binomial.
#[test]
fn the_mean_of_the_ratio_s_evidence_is_one_at_the_border() {
    let share = |ratio: f64| 0.05 * ratio / (0.95 + 0.05 * ratio);
    for allowed in [1.0, 1.25, 2.0] {
        let fail = |ratio: f64| {
            mean(20, share(ratio), |Counts { errors, .. }| {
                evidence(asked(allowed), &[(errors, 20 - errors, 5_000, 95_000)]).ln_worse()
            })
        };
        assert!((fail(allowed) - 1.0).abs() < 1e-9);
        assert!(fail(allowed / 2.0) < 1.0);
    }
    let pass = |ratio: f64| {
        mean(20, share(ratio), |Counts { errors, .. }| {
            evidence(asked(1.0), &[(errors, 20 - errors, 5_000, 95_000)]).better
        })
    };
    assert!((pass(2.0) - 1.0).abs() < 1e-9);
    assert!(pass(3.0) < 1.0);
    assert!(pass(1.0) > 1.0);
}

#[test]
fn the_ratio_is_that_of_the_strata() {
    close(evidence(asked(1.0), &[(20, 95, 5_000, 95_000)]).ratio().expect("a ratio"), 4.0);
    close(evidence(asked(1.0), &[(1, 19, 1_000, 19_000), (50, 50, 5_000, 5_000)]).ratio().expect("a ratio"), 1.0);
    assert_eq!(evidence(asked(1.0), &[(3, 0, 100, 1_900)]).ratio(), None);
}

#[test]
fn averages_of_evidence() {
    close(ln_mean(&[1.0, 1.0]), 1.0);
    close(ln_mean(&[800.0, -800.0]), 800.0 - 2.0_f64.ln());
    close(ln_mean_weighted(&[(2.0_f64.ln(), 3.0), (6.0_f64.ln(), 1.0)]), 3.0_f64.ln());
    assert!(ln_mean(&[f64::NEG_INFINITY; 2]) < f64::MIN);
    assert!(ln_mean_weighted(&[(f64::NEG_INFINITY, 1.0)]) < f64::MIN);
}

fn stratum() -> impl Strategy<Value = Stratum> {
    let side = (1_u64..100_000).prop_flat_map(|requests| (0..=requests.min(500), Just(requests)));
    (side.clone(), side).prop_map(|((mine, of_mine), (theirs, of_theirs))| (mine, theirs, of_mine, of_theirs))
}

proptest! {
    #[test]
    fn more_errors_of_the_canary_are_never_less_evidence(
        (mine, theirs, of_mine, of_theirs) in stratum(), more in 1_u64..50, allowed in 1.0..3.0_f64,
    ) {
        let few = evidence(asked(allowed), &[(mine, theirs, of_mine, of_theirs)]);
        let many = evidence(asked(allowed), &[(mine + more, theirs, of_mine, of_theirs)]);
        for (few, many) in few.worse.iter().zip(many.worse) {
            prop_assert!(*few <= many, "{few} {many}");
        }
        prop_assert!(few.better >= many.better);
    }

    #[test]
    fn the_order_of_strata_does_not_matter(strata in prop::collection::vec(stratum(), 1..20)) {
        let mut back = strata.clone();
        back.reverse();
        let (one, other) = (evidence(asked(1.25), &strata), evidence(asked(1.25), &back));
        for (a, b) in one.worse.iter().zip(other.worse) {
            prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0));
        }
    }

    #[test]
    fn strata_of_one_share_may_be_taken_together(
        (mine, theirs, of_mine, of_theirs) in stratum(), (more, others) in (0_u64..100, 0_u64..100), times in 1_u64..9,
    ) {
        let apart = [(mine, theirs, of_mine, of_theirs), (more, others, of_mine * times, of_theirs * times)];
        let whole = (mine + more, theirs + others, of_mine * (times + 1), of_theirs * (times + 1));
        let (apart, whole) = (evidence(asked(1.25), &apart), evidence(asked(1.25), &[whole]));
        for (a, b) in apart.worse.iter().zip(whole.worse) {
            prop_assert!((a - b).abs() <= 1e-8 * a.abs().max(1.0), "{a} {b}");
        }
    }

    #[test]
    fn evidence_is_finite_however_many_errors(
        strata in prop::collection::vec((0..=1_000_000_000_u64, 0..=1_000_000_000_u64), 1..9),
        (of_mine, of_theirs) in (1_u64..2_000_000_000, 1_u64..2_000_000_000),
    ) {
        let strata: Vec<_> = strata.into_iter().map(|(mine, theirs)| (mine, theirs, of_mine, of_theirs)).collect();
        let evidence = evidence(asked(1.25), &strata);
        prop_assert!(evidence.worse.iter().all(|part| part.is_finite()));
        prop_assert!(evidence.ln_worse().is_finite() && evidence.better.is_finite());
        prop_assert!(ln_over(evidence.alone, 0.01).is_finite() && ln_under(evidence.alone, 0.01).is_finite());
    }
}
