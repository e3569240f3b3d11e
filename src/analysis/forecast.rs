//! What a test still needs to pass, if the rates stay as they were seen.
//!
//! Evidence grows in proportion to requests, on average: what so many requests have brought, as many more will bring.

use std::time::Duration;

use super::book::{Names, State};
use super::evidence::{BELOW, float, ln_below, ln_mean};
use super::figures::{about, time};
use super::pace::Pace;
use super::totals::Totals;
use super::trial::{Claim, Trial};

/// Without requests for so long a rate of before says nothing.
const STALE: Duration = Duration::from_secs(120);

/// Halvings: more than a float has bits.
const STEPS: usize = 60;

/// In words; `None` if the test has ended, and as long as the canary has had no requests.
pub(super) fn words(trial: &Trial, pace: &Pace, totals: &Totals, now: Duration, names: Names<'_>) -> Option<String> {
    let requests = totals.canary().counts.requests;
    if trial.state() != State::Open || requests == 0 {
        return None;
    }
    let claims = trial.claims();
    if claims.is_empty() {
        return Some(format!("needs latencies of {} first", names.stable));
    }
    let needs: Option<Vec<_>> = claims.iter().map(|claim| need(claim, trial.ln_pass())).collect();
    let Some(needs) = needs else { return Some("will not pass at the rates seen".to_owned()) };
    // Never nothing: then it would have passed.
    let more = needs.into_iter().fold(1.0, f64::max);
    let needs = format!("needs about {} more {} requests", about(more), names.canary);
    let silent = now.saturating_sub(pace.last()?);
    if silent >= STALE {
        return Some(format!("{needs}; none came for {}", time(silent)));
    }
    let takes = pace.rate(requests).filter(|rate| *rate > 0.0).map(|rate| more / rate);
    let takes = takes.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some(takes.map(|takes| format!("{needs}, {} at this rate", time(takes))).unwrap_or(needs))
}

/// Requests of the canary until the claim is proved, in whichever way comes first; `None` if in neither.
fn need(claim: &Claim<'_>, limit: f64) -> Option<f64> {
    let evidence = claim.evidence;
    let better = evidence.better;
    let relative = (better > 0.0).then(|| (limit / better - 1.0).max(0.0) * float(evidence.canary.requests));
    let absolute = claim.ceiling.and_then(|ceiling| {
        let parts = BELOW.map(|part| ln_below(evidence.alone, ceiling, part * ceiling));
        Some((growth(&parts, limit)? - 1.0) * float(evidence.alone.requests))
    });
    [relative, absolute].into_iter().flatten().min_by(f64::total_cmp)
}

/// How many times the counts must be there for the mean of the evidence to reach `limit`; 1 or more.
fn growth(parts: &[f64], limit: f64) -> Option<f64> {
    let best = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if best <= 0.0 {
        return None;
    }
    let reaches = |times: f64| ln_mean(&parts.iter().map(|part| part * times).collect::<Vec<_>>()) >= limit;
    // The best part alone is enough there.
    let mut enough = ((limit + float(parts.len() as u64).ln()) / best).max(1.0);
    let mut few = 1.0;
    if reaches(few) {
        return Some(few);
    }
    for _ in 0..STEPS {
        let middle = f64::midpoint(few, enough);
        if reaches(middle) { enough = middle } else { few = middle }
    }
    Some(enough)
}
