//! What comes next by itself: a function of file, record and time, and of nothing that stands in the way of it.
//!
//! People who hold a rollout, rejections and gates are for [`super::Machine`] to weigh.

use std::sync::Arc;
use std::time::Duration;

use super::blue_green::{self, Gate};
use super::canary::{self, Progress};
use super::record::{Record, Stage};
use crate::spec::{Rollout, Strategy};

/// The stage that follows, with the reason; `None` while the fleet, a pause or somebody is waited for.
pub(super) fn goal(spec: &Rollout, record: &Record, now: Duration) -> Option<(Stage, String)> {
    let Record { stage, delivery, waited, .. } = record;
    match (stage, &spec.strategy) {
        _ if record.retreat.is_some() => None,
        (Stage::Start { to } | Stage::Steps { to, .. }, Strategy::Canary(canary)) if canary.steps.is_empty() => {
            Some((Stage::Moving { to: Arc::clone(to) }, "no steps: all at once".to_owned()))
        }
        (Stage::Start { to }, Strategy::Canary(_)) => {
            Some((Stage::Steps { to: Arc::clone(to), entered: 1, passed: false }, "starts".to_owned()))
        }
        (Stage::Start { to }, Strategy::BlueGreen(_)) => {
            Some((Stage::Preview { to: Arc::clone(to), approved: false }, "starts".to_owned()))
        }
        (Stage::Steps { to, entered, passed }, Strategy::Canary(canary)) => {
            let why = match entered.checked_sub(1).and_then(|index| canary.steps.get(index)) {
                None => "starts".to_owned(),
                Some(_) if !delivery.is_done() => return None,
                Some(step) => match canary::progress(step, *waited, *passed) {
                    Progress::Delivered => delivery.outcome(),
                    Progress::Over(why) => why,
                    Progress::Waiting(_) => return None,
                },
            };
            let to = Arc::clone(to);
            Some(if *entered < canary.steps.len() {
                (Stage::Steps { to, entered: entered + 1, passed: false }, why)
            } else {
                (Stage::Moving { to }, format!("{why}; all steps are done"))
            })
        }
        (Stage::Preview { to, approved }, Strategy::BlueGreen(options)) if delivery.is_done() => {
            match blue_green::gate(options, now, *waited, *approved) {
                Gate::Open(why) => Some((Stage::Moving { to: Arc::clone(to) }, format!("switch: {why}"))),
                Gate::Timer(_) | Gate::Promotion | Gate::Instant(_) => None,
            }
        }
        (Stage::Moving { .. }, _) if delivery.is_done() => Some((Stage::Stable, delivery.outcome())),
        _ => None,
    }
}
