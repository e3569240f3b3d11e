//! A test's figures in words, in counts. Words only; nothing is decided here.

use super::book::{Names, State};
use super::evidence::{COARSE, Evidence, Question, float, ln_mean};
use super::figures::{grouped, millis, odds, percent, share, times};
use super::latency::Slower;
use super::totals::Totals;
use super::trial::{Claim, Sums, Trial};
use crate::telemetry::Counts;

/// An endpoint is named if it fails so many times as often as the others.
const MANY_TIMES: f64 = 3.0;

/// The ratio over all strata is told apart from that of the sums where they differ by more than this factor.
const APART: f64 = 1.1;

/// How a test stands.
pub(super) fn words(trial: &Trial, totals: &Totals, names: Names<'_>) -> String {
    let state = trial.state();
    if let Some(over) = trial.over().filter(|_| state == State::Failed && trial.ln_worse() < trial.ln_limit()) {
        let slow = match &trial.sums {
            Sums::Errors(_) => None,
            Sums::Latency(slower) => slower.edges.iter().find(|edge| edge.slo).map(|edge| edge.at),
        };
        let seen = counted(names.canary, over.counts, slow);
        return format!("{seen}, above {}{}", share(over.ceiling), weight("evidence", over.ln, trial.ln_breaker()));
    }
    let claims = trial.claims();
    let worst = |ln: fn(&Claim<'_>) -> f64| claims.iter().max_by(|a, b| ln(a).total_cmp(&ln(b)));
    let told = match state {
        State::Passed => worst(|claim| -claim.ln()).map(|claim| passed(trial, claim, names)),
        State::Failed | State::Open => worst(|claim| claim.evidence.ln_worse()).map(|claim| {
            let evidence = if claims.len() > 1 {
                format!("mean evidence of {} edges", claims.len())
            } else {
                "evidence".to_owned()
            };
            compared(claim, names) + &weight(&evidence, trial.ln_worse(), trial.ln_limit())
        }),
    };
    let told = told.unwrap_or_else(|| format!("too few latencies of {} to compare with", names.stable));
    let suspect = if state == State::Failed { suspect(trial, totals, names) } else { None };
    let left_out = match &trial.sums {
        Sums::Errors(_) => None,
        Sums::Latency(slower) => left_out(slower, names),
    };
    [Some(told), suspect, left_out].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// `canary 20 of 5,000 (0.40 %), stable 95 of 95,000 (0.10 %), ratio 4.0`
fn compared(claim: &Claim<'_>, names: Names<'_>) -> String {
    let Evidence { alone, canary, stable, .. } = *claim.evidence;
    if alone.requests == 0 {
        return format!("no requests of {} yet", names.canary);
    }
    if canary.requests == 0 {
        return format!("{}, and none of {} to compare with", counted(names.canary, alone, claim.edge), names.stable);
    }
    let both = format!("{}, {}", counted(names.canary, canary, claim.edge), counted(names.stable, stable, None));
    let Some(ratio) = claim.evidence.ratio() else { return both };
    let plain = rate(canary) / rate(stable);
    let apart = plain > ratio * APART || ratio > plain * APART;
    format!("{both}, ratio {}{}", times(ratio), if apart { " interval by interval" } else { "" })
}

fn passed(trial: &Trial, claim: &Claim<'_>, names: Names<'_>) -> String {
    let below = match (claim.ceiling, claim.ln_under()) {
        (Some(ceiling), Some(ln)) if ln > claim.evidence.better => format!("less than {}", share(ceiling)),
        _ => format!("less than {} times {}", trial.limits().max_increase, names.stable),
    };
    compared(claim, names) + &weight(&format!("evidence of {below}"), claim.ln(), trial.ln_pass())
}

/// `; evidence 17,424 : 1, limit 100 : 1`
fn weight(what: &str, ln: f64, limit: f64) -> String {
    format!("; {what} {}, limit {}", odds(ln), odds(limit))
}

/// `canary 20 of 5,000 (0.40 %)`
fn counted(name: &str, counts: Counts, edge: Option<f64>) -> String {
    let slower = edge.map(|edge| format!(" slower than {}", millis(edge))).unwrap_or_default();
    let (failed, requests) = (grouped(counts.errors), grouped(counts.requests));
    format!("{name} {failed} of {requests}{slower} ({})", percent(rate(counts)))
}

/// The endpoint that makes the difference: far worse than the others of its version, and without it the version would
/// not have failed. Reckoned from the sums of all strata, for it decides nothing.
fn suspect(trial: &Trial, totals: &Totals, names: Names<'_>) -> Option<String> {
    let Sums::Errors(_) = trial.sums else { return None };
    let (canary, stable) = (totals.canary(), totals.stable());
    let of_all = float(canary.endpoints.len() as u64).ln();
    let worse = |counts: Counts, than: Counts, allowed: f64| {
        let mut evidence = Evidence::default();
        evidence.take(Question { grid: &COARSE, allowed, increase: allowed }, Some(counts), Some(than));
        ln_mean(&evidence.worse)
    };
    let found = canary.endpoints.iter().filter_map(|(endpoint, counts)| {
        let rest = canary.counts.less(*counts);
        let stands_out = worse(*counts, rest, 1.0) - of_all;
        let alone = rest.requests == 0 || rate(*counts) < MANY_TIMES * rate(rest) || stands_out < trial.ln_limit();
        let still = worse(rest, stable.counts, trial.limits().allowed_increase) >= trial.ln_limit();
        (!alone && !still).then_some((stands_out, endpoint, rest))
    });
    let (_, endpoint, rest) = found.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (failed, requests) = (grouped(rest.errors), grouped(rest.requests));
    Some(format!("without {endpoint} the {} has {failed} of {requests}", names.canary))
}

fn left_out(slower: &Slower, names: Names<'_>) -> Option<String> {
    let nodes: Vec<_> = slower.lacking.iter().map(AsRef::as_ref).collect();
    let (requests, nodes) = (grouped(slower.left_out), nodes.join(", "));
    let canary = names.canary;
    (slower.left_out > 0).then(|| format!("{requests} requests of {canary} left out for other buckets (at {nodes})"))
}

fn rate(counts: Counts) -> f64 {
    float(counts.errors) / float(counts.requests).max(1.0)
}
