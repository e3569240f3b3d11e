//! A whole rollout in virtual time: what would happen after an edit of `target`, when, and why.
//!
//! The same [`Machine`] as live, with a fleet that acknowledges after a fixed latency. It promotes nothing by itself
//! unless told to, and ends where nothing more would happen by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::ask::{Answer, Question};
use super::commands::{Command, Verb};
use super::delivery::{Evidence, NAMED, Nack, State};
use super::gates::Wait;
use super::journal::Entry;
use super::machine::{Input, Machine, whole_millis};
use super::record::Stage;
use super::refusal::Refusal;
use super::status::Phase;
use super::words;
use crate::spec::{Rollout, Split, Strategy, WebhookKind};

/// More events than any plan has beside those of its steps: a simulation that gets here goes round in circles.
const MAX_EVENTS: usize = 10_000;

/// The fleet, whoever is asked, and the person at the keyboard. The other rollouts of its group are always ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// How many proxies there are.
    pub nodes: usize,
    /// How long they take to acknowledge, of which whole milliseconds count.
    pub latency: Duration,
    /// How many of them are canary nodes, where the rollout has such. None of these is silent or rejects a step.
    pub canary_nodes: usize,
    /// How many of them never answer once the rollout has begun.
    pub silent: usize,
    /// A proxy that rejects what the step of this index (from 1) brings. The move of all traffic after a canary's last
    /// step has the index after it; of blue-green 1 is the preview and 2 the switch.
    pub nack: Option<(String, usize)>,
    /// What hooks say, by name, at once and whenever they are asked. One that is not named says yes, so that the rollout
    /// goes on: of type `rollback`, that is no.
    pub hooks: BTreeMap<Arc<str>, bool>,
    /// Whether the metrics of a template pass, at once; those of one that is not named do.
    pub templates: BTreeMap<Arc<str>, bool>,
    /// Promotes at once past whatever waits for somebody.
    pub promote: bool,
    /// When it begins: time since the Unix epoch, of which whole milliseconds count.
    pub start: Duration,
}

impl Default for Setting {
    fn default() -> Self {
        let latency = Duration::from_secs(1);
        Self {
            nodes: 10,
            canary_nodes: 1,
            latency,
            silent: 0,
            nack: None,
            hooks: BTreeMap::new(),
            templates: BTreeMap::new(),
            promote: false,
            start: Duration::ZERO,
        }
    }
}

/// A timeline and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    /// What happened, in order.
    pub rows: Vec<Row>,
    /// Where nothing more would happen by itself.
    pub end: End,
    /// Whether the rejection that the setting asks for took place.
    pub nacked: bool,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Since the edit.
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

impl Row {
    /// The split as people read it: `blue 95 green 5`.
    #[must_use]
    pub fn shares(&self) -> String {
        words::shares(&self.weights)
    }
}

/// How a simulation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Since the edit.
    pub at: Duration,
    /// The phase it stays in.
    pub phase: Phase,
    /// What is awaited, or why it is as it is.
    pub message: String,
    /// Whether it waits for somebody to promote it.
    pub promotable: bool,
}

/// The timeline of a rollout of `before`, which is taken to be done, whose target is edited to `target`.
#[must_use]
pub fn simulate(before: &Arc<Rollout>, target: &Arc<str>, setting: &Setting) -> Simulation {
    let start = whole_millis(setting.start);
    let latency = whole_millis(setting.latency);
    let (mut machine, _) = Machine::first_seen(start, Arc::clone(before));
    let all = Setting { silent: 0, nack: None, ..setting.clone() };
    machine.handle(start, Input::Evidence(evidence(&machine, &all)));
    let mut told = machine.generation();
    let edited = Rollout { target: Some(Arc::clone(target)), ..Rollout::clone(before) };
    let mut entries = machine.handle(start, Input::Spec(Arc::new(edited)));
    let (mut now, mut changed, mut nacked) = (start, start, false);
    for _ in 0..max_events(before) {
        let generation = machine.generation();
        let heard = (generation != told).then_some(changed + latency);
        let deadline = machine.next_deadline();
        let more = if let Some(answer) = answer(&machine, setting) {
            machine.handle(now, answer)
        } else if setting.promote && waits(&machine, heard.or(deadline)) {
            match promote(&mut machine, now) {
                Ok(more) => more,
                Err(_) => break,
            }
        } else if let Some(heard) = heard.filter(|heard| deadline.is_none_or(|deadline| *heard <= deadline)) {
            now = heard;
            told = generation;
            let evidence = evidence(&machine, setting);
            nacked |= !evidence.nacks.is_empty();
            machine.handle(now, Input::Evidence(evidence))
        } else if let Some(deadline) = deadline {
            now = deadline;
            machine.handle(now, Input::Tick)
        } else {
            break;
        };
        if machine.generation() != generation {
            changed = now;
        }
        entries.extend(more);
    }
    let rows = entries.iter().map(|entry| row(entry, start)).collect();
    let status = machine.status(now);
    let promotable = promote(&mut machine, now).is_ok();
    let end = End { at: now.saturating_sub(start), phase: status.phase, message: status.message, promotable };
    Simulation { rows, end, nacked }
}

fn max_events(rollout: &Rollout) -> usize {
    let steps = match &rollout.strategy {
        Strategy::Canary(canary) => canary.steps.len(),
        Strategy::BlueGreen(_) | Strategy::Weights(_) => 0,
    };
    // A step may be heard of, be late, get stuck, be promoted; hooks may be told of all that.
    (MAX_EVENTS + 4 * steps) * (1 + rollout.webhooks.len())
}

/// The word of somebody who is waited for. A question that was answered before is left open: the answer would be the
/// same again, and so on for ever.
fn answer(machine: &Machine, setting: &Setting) -> Option<Input> {
    if let Some(Wait::Barrier(_)) = machine.wait() {
        return Some(Input::Barrier(None));
    }
    let first = machine.asks().into_iter().filter(|ask| ask.decision.ends_with("#1"));
    first.into_iter().find_map(|ask| {
        let answer = said(&ask.question, setting)?;
        Some(Input::Answer { decision: ask.decision, answer })
    })
}

/// `None` for a rollback hook that sees no need: it would be asked over and over.
fn said(question: &Question, setting: &Setting) -> Option<Answer> {
    let yes = match question {
        Question::Hook { hook, .. } => match (setting.hooks.get(&hook.name), hook.kind) {
            (None | Some(false), WebhookKind::Rollback) => return None,
            (said, _) => said.copied().unwrap_or(true),
        },
        Question::Analysis { templates, background } => {
            let passes = templates.iter().all(|template| setting.templates.get(template).copied().unwrap_or(true));
            // Beside the steps there is nothing to say as long as all is well.
            if passes && *background {
                return None;
            }
            passes
        }
    };
    Some(if yes { Answer::Yes } else { Answer::No("simulated no".to_owned()) })
}

/// Whether only a person would move it, or is asked to; `due` is when anything else comes.
fn waits(machine: &Machine, due: Option<Duration>) -> bool {
    let record = &machine.record;
    due.is_none() || record.rejected.is_some() || record.delivery.state == State::Late
}

fn promote(machine: &mut Machine, now: Duration) -> Result<Vec<Entry>, Refusal> {
    machine.command(now, Command { verb: Verb::Promote, actor: "simulate".into(), reason: None, seen: None })
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

/// Everybody has it, but for the silent ones and the one that rejects this step.
fn evidence(machine: &Machine, setting: &Setting) -> Evidence {
    let ahead = machine.ahead().is_some();
    // The way back is taken by everybody.
    let at = position(machine).filter(|_| machine.record.rejected.is_none() && !ahead);
    let (nodes, mute) = if ahead { (setting.canary_nodes, 0) } else { (setting.nodes, setting.silent) };
    let nack = setting.nack.as_ref().filter(|(_, step)| Some(*step) == at).map(|(node, _)| Nack {
        node: node.clone(),
        ty: "RDS".to_owned(),
        resources: Vec::new(),
        error: "simulated rejection".to_owned(),
    });
    let silent = (1..=mute).take(NAMED).map(|index| format!("silent-{index}"));
    Evidence {
        generation: machine.generation(),
        nodes,
        converged: nodes.saturating_sub(mute + usize::from(nack.is_some())),
        slowest: None,
        missing: nack.iter().map(|nack| nack.node.clone()).chain(silent).collect(),
        rejecting: BTreeSet::new(),
        nacks: nack.into_iter().collect(),
    }
}

/// The index of what brings the traffic, as [`Setting::nack`] counts.
fn position(machine: &Machine) -> Option<usize> {
    match (&machine.record.stage, &machine.spec.strategy) {
        (Stage::Steps { entered, .. }, _) => Some(*entered),
        (Stage::Preview { .. }, _) => Some(1),
        (Stage::Moving { .. }, Strategy::BlueGreen(_)) => Some(2),
        (Stage::Moving { .. }, Strategy::Canary(canary)) => Some(canary.steps.len() + 1),
        _ => None,
    }
}
