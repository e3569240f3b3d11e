//! Exact two-sided binomial test.

/// The probability, if each of `n` requests had gone to a colour with chance `p`, of a count as unlikely as `k` or
/// more so (as R's `binom.test` has it). `p` from 0 to 1.
pub(crate) fn p_value(k: u64, n: u64, p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        let sure = if p <= 0.0 { 0 } else { n };
        return f64::from(u8::from(k == sure));
    }
    let likelihoods = log_likelihoods(n, p);
    let observed = likelihoods[usize::try_from(k).unwrap()];
    // The slack makes equally likely counts on the other side equal after rounding.
    likelihoods.into_iter().filter(|l| *l <= observed + 1e-7).map(f64::exp).sum::<f64>().min(1.0)
}

/// ln P(K = k) for each k from 0 to n.
fn log_likelihoods(n: u64, p: f64) -> Vec<f64> {
    let real = crate::rig::load::real;
    let (win, lose) = (p.ln(), (-p).ln_1p());
    let mut current = real(n) * lose;
    let mut all = vec![current];
    for k in 0..n {
        current += (real(n - k) / real(k + 1)).ln() + win - lose;
        all.push(current);
    }
    all
}

#[test]
fn agrees_with_r() {
    // binom.test(k, n, p)$p.value of R
    for (k, n, p, expected) in [
        (5, 10, 0.5, 1.0),
        (2, 10, 0.5, 0.109_375),
        (0, 10, 0.1, 0.612_579_5),
        (7, 20, 0.2, 0.098_221_7),
        (682, 925, 0.75, 0.382_5),
    ] {
        let found = p_value(k, n, p);
        assert!((found - expected).abs() < 1e-4, "{k} of {n} at {p}: {found}, R says {expected}");
    }
}

#[test]
fn twenty_thousand_requests_tell_ten_percent_from_eleven() {
    assert!(p_value(2_000, 20_000, 0.1) > 0.99);
    assert!(p_value(2_090, 20_000, 0.1) > 0.001);
    assert!(p_value(2_200, 20_000, 0.1) < 1e-5);
}

#[test]
fn a_sure_thing_is_exact() {
    assert!(p_value(0, 20_000, 0.0) > 0.99 && p_value(1, 20_000, 0.0) < 0.001);
    assert!(p_value(20_000, 20_000, 1.0) > 0.99 && p_value(19_999, 20_000, 1.0) < 0.001);
}
