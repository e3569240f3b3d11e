//! Metrics that are not critical: each alone aborts nothing, together they can.

use std::time::Duration;

use super::evidence::ln_mean_weighted;
use super::facts::Evidence;
use super::metric::Watched;
use super::words;
use crate::spec::{Judge, Limits, Test};

/// Whether the tests that are not critical fail together: the average of their evidence, each with its weight, is
/// evidence too, however they depend on each other (Vovk and Wang, 2021). It is held against the strictest of their
/// limits. In words.
pub(super) fn of(now: Duration, metrics: &[Watched], evidence: &dyn Evidence) -> Option<String> {
    let voters: Vec<_> = metrics.iter().filter_map(|watched| Some((watched, voice(watched, now, evidence)?))).collect();
    let alpha = voters.iter().map(|(_, voice)| voice.alpha).min_by(f64::total_cmp)?;
    let weighted: Vec<_> = voters.iter().map(|(_, voice)| (voice.ln_evidence, voice.weight)).collect();
    let fails = ln_mean_weighted(&weighted) >= (1.0 / alpha).ln();
    let words =
        || voters.iter().map(|(watched, _)| format!("{}: {}", watched.name, words::test(evidence, &watched.key, now)));
    fails.then(|| format!("together {}", words().collect::<Vec<_>>().join("; ")))
}

/// What a test brings in.
struct Voice {
    alpha: f64,
    weight: f64,
    ln_evidence: f64,
}

fn voice(watched: &Watched, now: Duration, evidence: &dyn Evidence) -> Option<Voice> {
    let Judge::Test { test: Test::ErrorRatio(limits) | Test::Latency { limits, .. }, .. } = &watched.metric.judge
    else {
        return None;
    };
    if watched.critical || watched.metric.dry_run || (watched.mark.is_none() && now < watched.next) {
        return None;
    }
    let Limits { alpha, .. } = *limits;
    // One that has not seen anything has the evidence of a blank page.
    let ln_evidence = evidence.ln_evidence(&watched.key).filter(|ln| !ln.is_nan()).unwrap_or_default();
    Some(Voice { alpha, weight: watched.metric.weight, ln_evidence })
}
