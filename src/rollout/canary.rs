//! The steps of a canary: what they ask of the traffic, and when one is done.
//!
//! A step that changes traffic is done when the fleet has it. A timed pause counts from the moment the step before was
//! done; an open one waits for `promote`. The verdict that an analysis waits for stands in its way as a gate does.

use std::sync::Arc;
use std::time::Duration;

use super::traffic::shared;
use super::words::{percent, span};
use crate::spec::{Canary, Rollout, Step, Traffic};

/// The traffic once the first `entered` steps have been entered.
pub(super) fn traffic(spec: &Rollout, canary: &Canary, stable: &str, to: &Arc<str>, entered: usize) -> Traffic {
    let steps = canary.steps.get(..entered).unwrap_or(&canary.steps);
    let mut traffic = Traffic::of(shared(spec, stable, to, weight(steps)));
    for step in steps {
        match step {
            Step::SetWeight(_) | Step::Pause(_) | Step::Analysis(_) => {}
            Step::SetHeaderRoute(route) => {
                let there = traffic.header_routes.iter().position(|(other, _)| other.name == route.name);
                let new = (!route.matches.is_empty()).then(|| (route.clone(), Arc::clone(to)));
                put(&mut traffic.header_routes, there, new);
            }
            Step::SetMirrorRoute(mirror) => {
                let there = traffic.mirrors.iter().position(|(other, _)| other.name == mirror.name);
                let new = (mirror.percentage > 0).then(|| (mirror.clone(), Arc::clone(to)));
                put(&mut traffic.mirrors, there, new);
            }
        }
    }
    traffic
}

/// Replaces in place what is there already, so that the order in which steps made things is kept.
fn put<T>(list: &mut Vec<T>, there: Option<usize>, new: Option<T>) {
    match (there, new) {
        (Some(index), Some(new)) => list[index] = new,
        (Some(index), None) => drop(list.remove(index)),
        (None, Some(new)) => list.push(new),
        (None, None) => {}
    }
}

/// The new version's part of the traffic after `steps`.
pub(super) fn weight(steps: &[Step]) -> u32 {
    let set = steps.iter().rev().find_map(|step| match step {
        Step::SetWeight(weight) => Some(*weight),
        _ => None,
    });
    set.unwrap_or(0)
}

/// Where a canary goes on after its steps were edited: at the same step, or at the last one there is, or further back
/// at the last step that asks for no more than the `weight` in force. No step that raises the weight is skipped.
pub(super) fn align(steps: &[Step], entered: usize, in_force: u32) -> usize {
    let mut entered = entered.min(steps.len());
    while weight(&steps[..entered]) > in_force {
        entered -= 1;
    }
    entered
}

/// Whether the step is done, given that its traffic is delivered; with the reason, unless that is the delivery.
pub(super) enum Progress {
    /// The fleet has what it changed.
    Delivered,
    /// Its time is over, or somebody promoted past it.
    Over(String),
    /// Its time ends in so long; `None`: when somebody promotes it.
    Waiting(Option<Duration>),
}

/// How far `step` is after `waited`.
pub(super) fn progress(step: &Step, waited: Duration, passed: bool) -> Progress {
    match step {
        Step::SetWeight(_) | Step::SetHeaderRoute(_) | Step::SetMirrorRoute(_) => Progress::Delivered,
        Step::Pause(_) if passed => Progress::Over("promoted past the pause".to_owned()),
        Step::Analysis(_) => Progress::Over("the analysis is over".to_owned()),
        Step::Pause(None) => Progress::Waiting(None),
        Step::Pause(Some(pause)) => match pause.checked_sub(waited).filter(|left| !left.is_zero()) {
            Some(left) => Progress::Waiting(Some(left)),
            None => Progress::Over(format!("the pause of {} is over", span(*pause))),
        },
    }
}

/// The step as its writer would say it.
pub(super) fn words(step: &Step) -> String {
    match step {
        Step::SetWeight(weight) => format!("setWeight {}", percent(*weight)),
        Step::Pause(None) => "pause until promoted".to_owned(),
        Step::Pause(Some(pause)) => format!("pause {}", span(*pause)),
        Step::SetHeaderRoute(route) if route.matches.is_empty() => format!("setHeaderRoute {} off", route.name),
        Step::SetHeaderRoute(route) => format!("setHeaderRoute {}", route.name),
        Step::SetMirrorRoute(mirror) => format!("setMirrorRoute {} {}", mirror.name, mirror.percentage),
        Step::Analysis(templates) => format!("analysis {}", templates.join(", ")),
    }
}
