//! A metric's figures in words. Words only; nothing is decided here.

use super::metric::{Outcome, Watched};
use crate::spec::ThresholdRange;

/// How a metric stands, once it has ended.
pub(super) fn ending(watched: &Watched) -> String {
    let Watched { name, metric, tally, .. } = watched;
    let measured = tally.measured();
    match watched.outcome() {
        Some(Outcome::Failed) if watched.has_failed() => {
            let value = tally.last_bad.map(|value| excess(value, metric.threshold)).unwrap_or_default();
            let (bad, limit) = (tally.bad, metric.failure_limit);
            format!("{name} {value} ({bad} of {measured} measurements failed, limit {limit})")
        }
        Some(Outcome::Failed) => {
            let (times, limit) = (tally.errors_in_row, metric.consecutive_error_limit);
            let error = tally.last_error.as_deref().unwrap_or_default();
            format!("{name} could not be measured ({times} in a row, limit {limit}): {error}")
        }
        Some(Outcome::Passed) => {
            let value = tally.last_good.map(number).unwrap_or_default();
            let range = range(metric.threshold);
            match metric.consecutive_success_limit {
                Some(_) => format!("{name} {value} is {range} ({} measurements in a row)", tally.good_in_row),
                None => format!("{name} {value} is {range} ({} of {measured} measurements)", tally.good),
            }
        }
        Some(Outcome::Inconclusive) => {
            let range = range(metric.threshold);
            let in_row = metric.consecutive_success_limit.map(|limit| format!(", but never {limit} in a row"));
            format!("{name} was {range} in {} of {measured} measurements{}", tally.good, in_row.unwrap_or_default())
        }
        None => progress(watched),
    }
}

/// How far a metric is.
pub(super) fn progress(watched: &Watched) -> String {
    let Watched { name, metric, tally, .. } = watched;
    let count = metric.count.map(|count| format!("/{count}")).unwrap_or_default();
    let so_far = format!("{name} {}{count} measured, {} failed", tally.measured(), tally.bad);
    let in_row =
        metric.consecutive_success_limit.map(|limit| format!("{} of {limit} good in a row", tally.good_in_row));
    let errors = tally.last_error.as_deref().map(|error| {
        let plural = if tally.errors == 1 { "" } else { "s" };
        format!("{} error{plural} (last: {error})", tally.errors)
    });
    [Some(so_far), in_row, errors].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What is wrong with a value: `98.2 is below 99`.
fn excess(value: f64, ThresholdRange { min, max }: ThresholdRange) -> String {
    let shown = number(value);
    match (min, max) {
        (Some(min), _) if value < min => format!("{shown} is below {}", number(min)),
        (_, Some(max)) => format!("{shown} is above {}", number(max)),
        _ => shown,
    }
}

fn range(threshold: ThresholdRange) -> String {
    match (threshold.min.map(number), threshold.max.map(number)) {
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "anything".to_owned(),
    }
}

/// All of its digits, and no more zeros than are read at a glance.
fn number(value: f64) -> String {
    if value == 0.0 || (1e-6..1e15).contains(&value.abs()) { value.to_string() } else { format!("{value:e}") }
}
