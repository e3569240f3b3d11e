//! The engine of progressive delivery: how one rollout goes from its stable version to its target.
//!
//! [`Machine`] is a function of (state, input, now): the same code runs live, in tests in virtual time and in
//! [`simulate`]. It says what traffic is wanted ([`Machine::traffic`]) and is told how the fleet stands on it
//! ([`Evidence`]); it knows nothing of proxies, resources, files or clocks.

use crate::spec::{Rollout, Split, Strategy};

mod advance;
mod ahead;
mod ask;
mod asked;
mod blue_green;
mod canary;
mod capacity;
mod commands;
mod delivery;
mod edits;
mod gates;
pub mod group;
mod hooks;
mod journal;
pub mod load;
mod machine;
mod record;
mod refusal;
mod rejection;
pub mod simulate;
mod status;
mod stopped;
mod traffic;
mod watch;
mod words;

pub use ask::{Answer, Ask, Call, Question};
pub use capacity::{Limit, Room};
pub use commands::{Command, Verb};
pub use delivery::{Evidence, Nack};
pub use journal::{Actor, Entry, Figures, Standing};
pub use machine::{Input, Machine};
pub use record::{Record, RecordError};
pub use refusal::Refusal;
pub use status::{ConvergenceStatus, Gauges, Phase, SeenStatus, Status, StepStatus};
pub use words::span;

#[cfg(test)]
mod tests;

/// The split that a rollout's strategy asks for once it is over.
#[must_use]
pub fn split(rollout: &Rollout) -> Split {
    match &rollout.strategy {
        Strategy::Weights(split) => split.clone(),
        Strategy::BlueGreen(_) | Strategy::Canary(_) => {
            traffic::whole(rollout, rollout.target.as_deref().unwrap_or_default())
        }
    }
}
