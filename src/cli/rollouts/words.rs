//! How a rollout reads.

use std::time::Duration;

use crate::admin::{ConvergenceReport, RolloutReport, SeenReport, WeightReport};
use crate::cli::output::age;
use crate::rollout;

/// In one line: `checkout is Paused at step 3/5 (pause until promoted), blue 75% green 25%, 48/48 nodes, ...: ...`
pub(super) fn line(report: &RolloutReport) -> String {
    let RolloutReport { name, phase, step, convergence, message, .. } = report;
    let step = step.as_ref().map(|step| format!(" at step {}/{} ({})", step.index, step.of, step.words));
    let nodes = convergence.as_ref().map(|convergence| format!(", {}", nodes(convergence)));
    let (step, nodes) = (step.unwrap_or_default(), nodes.unwrap_or_default());
    let message = [std::slice::from_ref(message), &*report.analysis].concat().join("; ");
    format!("{name} is {phase:?}{step}, {}{nodes}: {message}", split_of(report))
}

/// `blue 75% green 25%`, without the versions that get nothing.
pub(super) fn weights(weights: &[WeightReport]) -> String {
    let some = weights.iter().filter(|part| part.weight > 0.0);
    some.map(|part| format!("{} {}%", part.version, part.weight)).collect::<Vec<_>>().join(" ")
}

/// The same with what proxies have seen of it: `blue 95% green 5% (seen 5.04%)`.
pub(super) fn split_of(report: &RolloutReport) -> String {
    let seen = report.seen.as_ref().map(|seen| format!(" (seen {}%)", seen.weight));
    weights(&report.weights) + &seen.unwrap_or_default()
}

/// `green 5.04%, 210 of 4,170 requests`, and that it cannot be chance.
pub(super) fn seen(seen: &SeenReport) -> String {
    let SeenReport { version, weight, requests, of, warning } = seen;
    let warning = warning.as_ref().map(|warning| format!("; {warning}")).unwrap_or_default();
    format!("{version} {weight}%, {requests} of {of} requests{warning}")
}

/// `47/48 nodes, slowest edge-17, 1.8s`, or that there are none.
pub(super) fn nodes(convergence: &ConvergenceReport) -> String {
    let ConvergenceReport { converged, nodes, slowest, waited_ms } = convergence;
    if *nodes == 0 {
        return "no nodes".to_owned();
    }
    let slowest = slowest.as_ref().map(|node| format!(", slowest {node}")).unwrap_or_default();
    format!("{converged}/{nodes} nodes{slowest}, {}", rollout::span(Duration::from_millis(*waited_ms)))
}

/// An instant and how long ago it was: `10:00:20Z (6m ago)`, with the day if that is another one.
pub(super) fn ago(instant: &str, now: &str) -> String {
    let date = instant.split('T').next().filter(|date| now.starts_with(*date));
    let time = date.and_then(|date| instant.strip_prefix(date)?.strip_prefix('T')).unwrap_or(instant);
    format!("{} ({} ago)", seconds(time), age(instant, now))
}

/// An instant without its fraction of a second.
pub(super) fn seconds(instant: &str) -> String {
    match instant.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => instant.to_owned(),
    }
}

/// The report without what changes with time alone: equal for two answers between which nothing happened.
pub(super) fn timeless(report: &RolloutReport) -> RolloutReport {
    let mut report = report.clone();
    report.at.clear();
    // Messages count seconds down.
    report.message.retain(|c| !c.is_ascii_digit());
    if let Some(convergence) = &mut report.convergence {
        convergence.waited_ms = 0;
    }
    // Figures come with every report of a proxy.
    (report.seen, report.analysis) = (None, Vec::new());
    report
}
