//! A whole rollout in virtual time: what would happen after an edit of `target`, when, and why.
//!
//! The same [`Machine`] as live, with a fleet that acknowledges after a fixed latency. It promotes nothing by itself
//! unless told to, and ends where nothing more would happen by itself.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::commands::{Command, Verb};
use super::delivery::{Evidence, Nack};
use super::journal::Entry;
use super::machine::{Input, Machine};
use super::record::millis;
use super::status::Phase;
use crate::spec::{Rollout, Split};

/// More events than any plan has: a simulation that gets here goes round in circles.
const MAX_EVENTS: usize = 10_000;

/// The fleet and the person at the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// How many proxies there are.
    pub nodes: usize,
    /// How long they take to acknowledge.
    pub latency: Duration,
    /// A proxy that rejects what the step of this index (from 1) brings.
    pub nack: Option<(String, usize)>,
    /// Promotes at once past whatever waits for somebody.
    pub promote: bool,
    /// When it begins: time since the Unix epoch.
    pub start: Duration,
}

impl Default for Setting {
    fn default() -> Self {
        Self { nodes: 10, latency: Duration::from_secs(1), nack: None, promote: false, start: Duration::ZERO }
    }
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Since the edit: milliseconds.
    #[serde(with = "millis")]
    pub at: Duration,
    /// The phase from then on.
    pub phase: Phase,
    /// What it is at.
    pub step: String,
    /// The split from then on.
    pub weights: Split,
    /// What happened, and why.
    pub what: String,
}

/// The timeline of a rollout of `before` whose target is edited to `target`, and the message it ends with.
#[must_use]
pub fn simulate(before: &Arc<Rollout>, target: &Arc<str>, setting: &Setting) -> (Vec<Row>, String) {
    let mut now = setting.start;
    let (mut machine, _) = Machine::first_seen(now, Arc::clone(before));
    machine.handle(now, Input::Evidence(evidence(&machine, setting)));
    let mut told = machine.generation();
    let edited = Rollout { target: Some(Arc::clone(target)), ..Rollout::clone(before) };
    let mut entries = machine.handle(now, Input::Spec(Arc::new(edited)));
    let mut changed = now;
    for _ in 0..MAX_EVENTS {
        let generation = machine.generation();
        let heard = (generation != told).then_some(changed + setting.latency);
        let deadline = machine.next_deadline();
        let more = match (heard, deadline) {
            (Some(heard), deadline) if deadline.is_none_or(|deadline| heard <= deadline) => {
                now = heard;
                told = generation;
                machine.handle(now, Input::Evidence(evidence(&machine, setting)))
            }
            (_, Some(deadline)) => {
                now = deadline;
                machine.handle(now, Input::Tick)
            }
            (_, None) if setting.promote => {
                let verb = Verb::Promote;
                let command = Command { verb, actor: "simulate".into(), reason: None, seen: None };
                match machine.command(now, command) {
                    Ok(more) => more,
                    Err(_) => break,
                }
            }
            (_, None) => break,
        };
        if machine.generation() != generation {
            changed = now;
        }
        entries.extend(more);
    }
    (entries.iter().map(|entry| row(entry, setting.start)).collect(), machine.status(now).message)
}

fn row(entry: &Entry, start: Duration) -> Row {
    Row {
        at: entry.at.saturating_sub(start),
        phase: entry.to.phase,
        step: entry.to.at.clone(),
        weights: entry.to.weights.clone(),
        what: entry.why.clone(),
    }
}

/// Everybody has it, but for the one that rejects this step.
fn evidence(machine: &Machine, setting: &Setting) -> Evidence {
    let at = machine.status(machine.now).step.map(|step| step.index);
    let nack = setting.nack.as_ref().filter(|(_, step)| Some(*step) == at).map(|(node, _)| Nack {
        node: node.clone(),
        ty: "RDS".to_owned(),
        resources: Vec::new(),
        error: "simulated rejection".to_owned(),
    });
    Evidence {
        generation: machine.generation(),
        nodes: setting.nodes,
        converged: setting.nodes - usize::from(nack.is_some()).min(setting.nodes),
        slowest: None,
        missing: nack.iter().map(|nack| nack.node.clone()).collect(),
        nacks: nack.into_iter().collect(),
    }
}
