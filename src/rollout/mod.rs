//! The state machine of a rollout. For now it decides the split of the strategies that need no engine.

use crate::spec::{Rollout, Split, Strategy, TOTAL_WEIGHT};

/// The split that a rollout's strategy asks for.
#[must_use]
pub fn split(rollout: &Rollout) -> Split {
    match &rollout.strategy {
        Strategy::Weights(split) => split.clone(),
        Strategy::BlueGreen(_) | Strategy::Canary(_) => Split(
            rollout
                .versions
                .iter()
                .map(|v| (v.name.clone(), if Some(&v.name) == rollout.target.as_ref() { TOTAL_WEIGHT } else { 0 }))
                .collect(),
        ),
    }
}
