//! A metric's figures in words. Words only; nothing is decided here.

use std::time::Duration;

use super::facts::Evidence;
use super::metric::{Ended, Outcome, Watched};
use crate::spec::{Good, Judge, OnInconclusive, ThresholdRange};

/// How a metric stands, once it has ended.
pub(super) fn ending(watched: &Watched) -> String {
    let so_far = match &watched.ended {
        Some(Ended { words, .. }) if watched.is_inconclusive() => format!("{} is undecided: {words}", watched.name),
        Some(Ended { words, .. }) => format!("{}: {words}", watched.name),
        None => measured(watched),
    };
    match watched.metric.on_inconclusive {
        OnInconclusive::Promote if watched.is_inconclusive() => format!("{so_far} (onInconclusive: promote)"),
        OnInconclusive::Abort if watched.is_inconclusive() => format!("{so_far} (onInconclusive: abort)"),
        _ => so_far,
    }
}

fn measured(watched: &Watched) -> String {
    let Watched { name, metric, tally, .. } = watched;
    let measured = tally.measured();
    if watched.is_inconclusive() && watched.has_too_many_undecided() {
        let words = tally.last_neither.as_deref().unwrap_or_default();
        let (times, limit) = (tally.neither, metric.inconclusive_limit);
        return format!("{name} {words} ({times} of {measured} measurements inconclusive, limit {limit})");
    }
    if watched.is_inconclusive() {
        let in_row = metric.consecutive_success_limit.map(|limit| format!(", but never {limit} in a row"));
        let good = good(&metric.judge);
        return format!("{name} {good} in {} of {measured} measurements{}", tally.good, in_row.unwrap_or_default());
    }
    match watched.outcome() {
        Some(Outcome::Failed) if watched.has_failed() => {
            let words = tally.last_bad.as_deref().unwrap_or_default();
            let (bad, limit) = (tally.bad, metric.failure_limit);
            format!("{name} {words} ({bad} of {measured} measurements failed, limit {limit})")
        }
        Some(Outcome::Failed) => {
            let (times, limit) = (tally.errors_in_row, metric.consecutive_error_limit);
            let error = tally.last_error.as_deref().unwrap_or_default();
            format!("{name} could not be measured ({times} in a row, limit {limit}): {error}")
        }
        Some(Outcome::Passed) | None => {
            let words = tally.last_good.as_deref().unwrap_or_default();
            match metric.consecutive_success_limit {
                Some(_) => format!("{name} {words} ({} measurements in a row)", tally.good_in_row),
                None => format!("{name} {words} ({} of {measured} measurements)", tally.good),
            }
        }
        Some(Outcome::Inconclusive) => name.to_string(),
    }
}

/// What good values are said to have done.
fn good(judge: &Judge) -> String {
    match judge {
        Judge::Value { good: Good::Within(threshold), .. } => format!("was {}", range(*threshold)),
        Judge::Value { good: Good::Conditions { success: Some(success), .. }, .. } => {
            format!("met {}", success.text())
        }
        Judge::Value { good: Good::Conditions { failure: Some(failure), .. }, .. } => {
            format!("did not meet {}", failure.text())
        }
        Judge::Value { .. } | Judge::Test { .. } => "was good".to_owned(),
    }
}

/// How far a metric is.
pub(super) fn progress(watched: &Watched, now: Duration, evidence: &dyn Evidence) -> String {
    let Watched { name, metric, tally, .. } = watched;
    let trial = if metric.dry_run { " (dryRun)" } else { "" };
    if watched.is_test() {
        let words = match &watched.ended {
            Some(ended) => ended.words.clone(),
            None if now < watched.next => {
                format!("begins in {}", humantime::format_duration(seconds(watched.next.saturating_sub(now))))
            }
            None => test(evidence, &watched.key, now),
        };
        return format!("{name}{trial}: {}", if words.is_empty() { "no requests yet" } else { &words });
    }
    let count = metric.count.map(|count| format!("/{count}")).unwrap_or_default();
    let so_far = format!("{name}{trial} {}{count} measured, {} failed", tally.measured(), tally.bad);
    let neither = (tally.neither > 0).then(|| format!("{} inconclusive", tally.neither));
    let in_row =
        metric.consecutive_success_limit.map(|limit| format!("{} of {limit} good in a row", tally.good_in_row));
    let errors = tally.last_error.as_deref().map(|error| {
        let plural = if tally.errors == 1 { "" } else { "s" };
        format!("{} error{plural} (last: {error})", tally.errors)
    });
    [Some(so_far), neither, in_row, errors].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The figures of a test, and what it still needs.
pub(super) fn test(evidence: &dyn Evidence, key: &str, now: Duration) -> String {
    let words = evidence.words(key);
    match evidence.forecast(key, now) {
        Some(forecast) if words.is_empty() => forecast,
        Some(forecast) => format!("{words}; {forecast}"),
        None => words,
    }
}

fn seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().max(1))
}

/// What is wrong with a value: `98.2 is below 99`.
pub(super) fn excess(value: f64, ThresholdRange { min, max }: ThresholdRange) -> String {
    let shown = number(value);
    match (min, max) {
        (Some(min), _) if value < min => format!("{shown} is below {}", number(min)),
        (_, Some(max)) => format!("{shown} is above {}", number(max)),
        _ => shown,
    }
}

pub(super) fn range(threshold: ThresholdRange) -> String {
    match (threshold.min.map(number), threshold.max.map(number)) {
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "anything".to_owned(),
    }
}

/// All of its digits, and no more zeros than are read at a glance.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || (1e-6..1e15).contains(&value.abs()) { value.to_string() } else { format!("{value:e}") }
}
