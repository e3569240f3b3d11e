//! How a rollout stands, for people and the API: a view worked out when asked for, never stored.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::blue_green::{self, Gate};
use super::canary::{self, Progress};
use super::capacity;
use super::delivery::{Delivery, State};
use super::gates::{self, Wait};
use super::journal::Standing;
use super::machine::Machine;
use super::record::{Record, Stage, millis};
use super::words::{percent, shares, span};
use crate::spec::{Rollout, Split, Step, Strategy};

/// The phases of Argo Rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// All traffic is where the file wants it.
    Healthy,
    /// It moves, or the fleet is following.
    Progressing,
    /// It waits for time to pass, for somebody, or for proxies that are late.
    Paused,
    /// Aborted, or without progress for too long.
    Degraded,
}

/// All that people are shown of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its name.
    pub name: Arc<str>,
    /// `canary`, `blueGreen` or `weights`.
    pub strategy: &'static str,
    /// Its phase.
    pub phase: Phase,
    /// What is awaited, or why it is as it is.
    pub message: String,
    /// When the phase began: milliseconds since the Unix epoch.
    #[serde(with = "millis")]
    pub since: Duration,
    /// The version to go back to; none with plain weights.
    pub stable: Option<Arc<str>>,
    /// The version that is to be stable: the file's target, or what `undo` put in its place.
    pub target: Option<Arc<str>>,
    /// Whether `undo` overrides the file's target.
    pub undone: bool,
    /// How often what is rolled out has changed.
    pub revision: u64,
    /// How many transitions there were; see [`super::Command::seen`].
    pub sequence: u64,
    /// The step it is at.
    pub step: Option<StepStatus>,
    /// The split asked of the fleet.
    pub weights: Split,
    /// The split asked of canary nodes, while they are ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Split>,
    /// How the fleet stands on it, as far as it is known; while canary nodes are ahead, how they do.
    pub convergence: Option<ConvergenceStatus>,
    /// The split as proxies have seen it, as far as they report; filled in by who knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenStatus>,
    /// How far each analysis beside its steps is, in words, but for what the message says; filled in by who knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analysis: Vec<String>,
}

/// The split as proxies have seen it since the asked one last changed: counted on those that had acknowledged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenStatus {
    /// The version under way.
    pub version: Arc<str>,
    /// Requests that it got.
    pub requests: u64,
    /// Requests that it and the stable version got.
    pub of: u64,
    /// That this cannot be chance, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The step a canary is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepStatus {
    /// Which, from 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
    /// What it is.
    pub words: String,
}

/// How much of the fleet has the traffic in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConvergenceStatus {
    /// So many have.
    pub converged: usize,
    /// So many should.
    pub nodes: usize,
    /// Who was last, or is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest: Option<String>,
    /// Since the change: milliseconds, until it was done.
    #[serde(with = "millis", rename = "waitedMs")]
    pub waited: Duration,
}

/// What is drawn over time of a rollout: a [`Status`] without words, which ten thousand can be asked for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauges {
    /// Its name.
    pub name: Arc<str>,
    /// Its phase.
    pub phase: Phase,
    /// When the phase began, since the Unix epoch.
    pub since: Duration,
    /// Which step a canary is at, from 1, and of how many; 0 before the first.
    pub step: Option<(usize, usize)>,
    /// The split asked of the fleet.
    pub weights: Split,
    /// While something is under way: how many nodes have the traffic in force, and how many should.
    pub convergence: Option<(usize, usize)>,
    /// The split as proxies have seen it; filled in by who knows.
    pub seen: Option<SeenStatus>,
}

impl Machine {
    /// What is drawn over time of it, at `now`, which is not before the last input.
    #[must_use]
    pub fn gauges(&self, now: Duration) -> Gauges {
        // Time changes nothing about one at rest, and most are.
        let moving = (!self.is_at_rest()).then(|| self.passed(now));
        let record = moving.as_ref().unwrap_or(&self.record);
        Gauges {
            name: Arc::clone(&record.name),
            phase: phase(&self.spec, record, now),
            since: record.since,
            step: step(&self.spec, record).map(|(index, of, _)| (index, of)),
            weights: record.traffic.split.clone(),
            convergence: moving
                .as_ref()
                .and_then(|record| record.delivery.evidence.as_ref())
                .map(|e| (e.converged, e.nodes)),
            seen: None,
        }
    }

    /// Its record with the time since the last input.
    fn passed(&self, now: Duration) -> Record {
        let mut record = self.record.clone();
        gates::pass(&self.spec, &mut record, self.now, now.saturating_sub(self.now));
        record
    }

    /// How it stands at `now`, which is not before the last input.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        let record = self.passed(now);
        let weights = record.stage == Stage::Weights;
        Status {
            strategy: match &self.spec.strategy {
                Strategy::Weights(_) => "weights",
                Strategy::Canary(_) => "canary",
                Strategy::BlueGreen(_) => "blueGreen",
            },
            phase: phase(&self.spec, &record, now),
            message: message(&self.spec, &record, now),
            since: record.since,
            stable: (!weights).then(|| Arc::clone(&record.stable)),
            target: record.target().cloned(),
            undone: record.undo.is_some(),
            revision: record.revision,
            sequence: record.sequence,
            step: step(&self.spec, &record).map(|(index, of, step)| {
                let words = step.map_or_else(|| "not begun".to_owned(), canary::words);
                StepStatus { index, of, words }
            }),
            convergence: record.delivery.evidence.map(|evidence| ConvergenceStatus {
                converged: evidence.converged,
                nodes: evidence.nodes,
                slowest: evidence.slowest,
                waited: record.delivery.waited,
            }),
            ahead: record.ahead.map(|ahead| ahead.split),
            seen: None,
            analysis: Vec::new(),
            weights: record.traffic.split,
            name: record.name,
        }
    }
}

/// In short, for the journal.
pub(super) fn standing(spec: &Rollout, record: &Record, now: Duration) -> Standing {
    let at = match (&record.stage, step(spec, record)) {
        (Stage::Weights, _) => "weights of the file".to_owned(),
        (Stage::Stable, _) => format!("{} stable", record.stable),
        (Stage::Start { to }, _) => format!("{to} not begun"),
        (Stage::Steps { to, .. }, Some((index, of, Some(step)))) => {
            format!("{to} step {index}/{of} {}", canary::words(step))
        }
        (Stage::Steps { to, .. }, _) => format!("{to} before its steps"),
        (Stage::Preview { to, .. }, _) => format!("{to} preview"),
        (Stage::Moving { to }, _) if *to == record.stable => format!("back to {to}"),
        (Stage::Moving { to }, _) => format!("all to {to}"),
        (Stage::Aborted { to, .. }, _) if record.delivery.is_done() => {
            let stable = &record.stable;
            match record.retreat {
                Some(_) => format!("{to} aborted, {} on {stable}", percent(record.weight(stable))),
                None => format!("{to} aborted, all on {stable}"),
            }
        }
        (Stage::Aborted { to, .. }, _) => format!("{to} aborted"),
        (Stage::Stopped { .. }, _) => "stopped".to_owned(),
    };
    let suffix = match (&record.rejected, &record.ahead) {
        (Some(_), _) => ", rejected",
        (None, Some(_)) => ", canary nodes first",
        (None, None) => "",
    };
    Standing { phase: phase(spec, record, now), at: at + suffix, weights: record.traffic.split.clone() }
}

/// Index from 1, count, and the step a canary is at; index 0 without a step before the first.
fn step<'a>(spec: &'a Rollout, record: &Record) -> Option<(usize, usize, Option<&'a Step>)> {
    match (&record.stage, &spec.strategy) {
        (Stage::Start { .. }, Strategy::Canary(canary)) => Some((0, canary.steps.len(), None)),
        (Stage::Steps { entered, .. }, Strategy::Canary(canary)) => {
            let step = entered.checked_sub(1).and_then(|index| canary.steps.get(index));
            Some((*entered, canary.steps.len(), step))
        }
        _ => None,
    }
}

fn phase(spec: &Rollout, record: &Record, now: Duration) -> Phase {
    let delivery = &record.delivery;
    match &record.stage {
        Stage::Aborted { .. } | Stage::Stopped { .. } => Phase::Degraded,
        Stage::Stable => Phase::Healthy,
        Stage::Weights if delivery.is_done() => Phase::Healthy,
        Stage::Weights => Phase::Progressing,
        _ if delivery.stuck => Phase::Degraded,
        _ if record.hold.is_some() || record.rejected.is_some() || delivery.state == State::Late => Phase::Paused,
        _ => gates::wait(spec, record, now).map_or_else(|| own_phase(spec, record, now), |wait| wait.phase(record)),
    }
}

/// The phase of a rollout under way with nothing in its way.
fn own_phase(spec: &Rollout, record: &Record, now: Duration) -> Phase {
    match (&record.stage, &spec.strategy) {
        (Stage::Preview { approved, .. }, Strategy::BlueGreen(options)) if record.delivery.is_done() => {
            match blue_green::gate(options, now, record.waited, *approved) {
                Gate::Open(_) => Phase::Progressing,
                _ => Phase::Paused,
            }
        }
        _ if matches!(step(spec, record), Some((_, _, Some(Step::Pause(_))))) => Phase::Paused,
        _ => Phase::Progressing,
    }
}

/// What is awaited.
fn message(spec: &Rollout, record: &Record, now: Duration) -> String {
    let name = &record.name;
    let fleet = fleet(spec, &record.delivery);
    let body = match &record.stage {
        Stage::Weights => fleet,
        Stage::Stable => match (&record.undo, &record.target) {
            (Some(undo), Some(target)) => format!("{undo} carries all traffic by undo; the file still names {target}"),
            _ => format!("{} carries all traffic", record.stable),
        },
        Stage::Aborted { to, why } => {
            let target = record.target.as_ref().filter(|target| *target == to);
            let hint = target.map(|to| format!("; the file still names {to}: serin retry {name}, or edit target"));
            let back = retreat(record, now).unwrap_or_else(|| format!("all traffic on {}: {fleet}", record.stable));
            format!("aborted: {why}; {back}{}", hint.unwrap_or_default())
        }
        Stage::Stopped { to, why } => {
            let (split, stable) = (shares(&record.traffic.split), &record.stable);
            let hint = if to == stable {
                format!("serin retry {name} puts all on {to}")
            } else {
                format!(
                    "serin abort {name} puts all on {stable}, serin promote {name} --full all on {to}, serin retry \
                     {name} goes to {to} from the first step"
                )
            };
            format!("stopped: {why}; {split} stays in force: {fleet}; {hint}")
        }
        Stage::Start { .. } | Stage::Steps { .. } | Stage::Preview { .. } | Stage::Moving { .. } => {
            let excess = record.rising().and_then(|to| capacity::excess(record, to));
            let excess = excess.filter(|_| !matches!(gates::wait(spec, record, now), Some(Wait::Capacity { .. })));
            let excess = excess.map(|excess| format!("; {excess}")).unwrap_or_default();
            under_way(spec, record, now, fleet) + &excess
        }
    };
    match &record.hold {
        None => body,
        Some(hold) => {
            let reason = hold.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("paused by {}{reason} until serin resume {name}; {body}", hold.by)
        }
    }
}

/// What a rollout under way waits for.
fn under_way(spec: &Rollout, record: &Record, now: Duration, fleet: String) -> String {
    let name = &record.name;
    if let Some(rejected) = &record.rejected {
        let split = shares(&record.traffic.split);
        return format!("{}; the fleet is back on {split}: {fleet}; serin resume {name} tries again", rejected.words);
    }
    if let Some(wait) = gates::wait(spec, record, now) {
        let back = retreat(record, now).filter(|_| matches!(wait, Wait::Capacity { .. }));
        return back.unwrap_or_else(|| wait.message(record, now));
    }
    if !matches!(record.stage, Stage::Start { .. }) && !record.delivery.is_done() {
        return fleet;
    }
    match (&record.stage, &spec.strategy) {
        (Stage::Steps { passed, .. }, _) => match step(spec, record) {
            Some((_, _, Some(step @ Step::Pause(time)))) => {
                let time = time.map(|time| format!("paused for {}", span(time))).unwrap_or_default();
                match canary::progress(step, record.waited, *passed) {
                    Progress::Waiting(None) => format!("paused until promoted: serin promote {name}"),
                    Progress::Waiting(Some(left)) => format!("{time}, {} left", span(left)),
                    Progress::Over(why) => why,
                    Progress::Delivered => time,
                }
            }
            _ => fleet,
        },
        (Stage::Preview { to, approved }, Strategy::BlueGreen(options)) => {
            match blue_green::gate(options, now, record.waited, *approved) {
                Gate::Timer(left) => format!("preview of {to}: switches in {}", span(left)),
                Gate::Promotion => format!("preview of {to}, paused until promoted: serin promote {name}"),
                Gate::Instant(left) => format!("preview of {to}: switchAt is {} away", span(left)),
                Gate::Open(why) => why,
            }
        }
        _ => fleet,
    }
}

/// How far it has come that goes back in steps.
fn retreat(record: &Record, now: Duration) -> Option<String> {
    let (to, name) = (record.receding()?, &record.name);
    let wait = capacity::rest(record)?.message(record, now);
    let all = match record.rising() {
        Some(rising) if rising == to => format!("serin promote {name} --full"),
        _ => format!("serin abort {name} --emergency"),
    };
    let reached = percent(record.weight(to));
    Some(format!("all traffic on {to}: {reached} % so far, {wait}; {all} moves all at once"))
}

/// How the fleet stands, in words.
fn fleet(spec: &Rollout, delivery: &Delivery) -> String {
    let awaited = || delivery.awaited(&spec.convergence);
    let waited = span(delivery.waited);
    match delivery.state {
        _ if delivery.stuck => format!("no progress for {}: {}", span(delivery.idle), awaited()),
        State::Done => delivery.outcome(),
        State::Pending | State::Rejected => delivery.rejection().unwrap_or_else(awaited),
        State::Late => format!("{} for {waited}, longer than {}", awaited(), span(spec.convergence.timeout)),
    }
}
