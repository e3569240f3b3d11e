//! What people can ask of a rollout, and why it may be refused.
//!
//! A refused command changes nothing. A command may name the transition its sender saw last ([`Command::seen`]): if
//! another has come since, it is refused, so that two people who promote at once pass one pause and not two.

use std::sync::Arc;

use super::ask::{Answer, background_key};
use super::blue_green::{self, Gate};
use super::canary::{self, Progress};
use super::delivery::State;
use super::gates::{self, Wait};
use super::journal::{Actor, Entry};
use super::machine::Machine;
use super::record::{Hold, Record, Stage};
use super::refusal::Refusal;
use super::words::span;
use crate::spec::Strategy;

/// What is asked, by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub verb: Verb,
    /// Who asks.
    pub actor: Arc<str>,
    /// Why, in the actor's words.
    pub reason: Option<String>,
    /// The transition the actor saw last: `sequence` of [`super::Status`].
    pub seen: Option<u64>,
}

/// The verbs of Argo Rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Go no further until resumed or promoted.
    Pause,
    /// Go on after `Pause`, after a rejection that was held for somebody to decide, or to have an inconclusive analysis
    /// judged again.
    Resume,
    /// Past the pause or gate it is at.
    Promote,
    /// Straight to the end: all traffic on the new version.
    PromoteFull,
    /// All traffic back on the stable version, at once, or as much as it can carry.
    Abort,
    /// All traffic back on the stable version at once, whatever it can carry; also what an abort has left so far.
    AbortEmergency,
    /// After an abort, or where the record was damaged: from the first step again.
    Retry,
    /// To the version that became stable with this revision, or to the one before, whatever the file's target.
    Undo(Option<u64>),
}

impl Machine {
    /// Carries a command out at `now`, or says why not.
    pub fn command(&mut self, now: std::time::Duration, command: Command) -> Result<Vec<Entry>, Refusal> {
        self.begin(now);
        let Command { verb, actor, reason, seen } = command;
        let sequence = self.record.sequence;
        if let Some(seen) = seen.filter(|seen| *seen != sequence) {
            return Err(Refusal::Stale { seen, now: sequence });
        }
        if self.record.stage == Stage::Weights {
            return Err(Refusal::NoEngine);
        }
        let order = Order { actor: Actor::Operator(actor), reason };
        match verb {
            Verb::Pause => self.pause(&order)?,
            Verb::Resume => self.resume(&order)?,
            Verb::Promote => self.promote(&order)?,
            Verb::PromoteFull => self.promote_full(&order)?,
            Verb::Abort => {
                self.stopped_before().map_or_else(|| self.under_way(), Ok)?;
                let why = order.why("by command");
                self.abort(order.actor, why);
            }
            Verb::AbortEmergency => self.abort_emergency(&order)?,
            Verb::Retry => self.retry(&order)?,
            Verb::Undo(revision) => self.undo(&order, revision)?,
        }
        Ok(self.finish())
    }

    /// The version on its way up, or why there is none.
    fn under_way(&self) -> Result<Arc<str>, Refusal> {
        match (self.record.rising(), &self.record.stage) {
            (Some(to), _) => Ok(Arc::clone(to)),
            (None, Stage::Aborted { to, .. }) => Err(Refusal::Aborted(Arc::clone(to))),
            (None, Stage::Stopped { why, .. }) => Err(Refusal::Stopped(why.clone())),
            (None, Stage::Moving { to }) => Err(Refusal::GoingBack(Arc::clone(to))),
            (None, _) => Err(Refusal::Idle(Arc::clone(&self.record.stable))),
        }
    }

    /// Where a rollout without a record would go.
    fn stopped_before(&self) -> Option<Arc<str>> {
        match &self.record.stage {
            Stage::Stopped { to, .. } => Some(Arc::clone(to)),
            _ => None,
        }
    }

    fn pause(&mut self, order: &Order) -> Result<(), Refusal> {
        self.under_way()?;
        if let Some(hold) = &self.record.hold {
            return Err(Refusal::Paused(hold.by.clone()));
        }
        let hold = Hold { by: order.actor.clone(), reason: order.reason.clone() };
        self.transition(order.actor.clone(), order.why("paused"), |record| record.hold = Some(hold));
        Ok(())
    }

    fn resume(&mut self, order: &Order) -> Result<(), Refusal> {
        self.under_way()?;
        let rejected = self.record.rejected.is_some();
        let undecided = match gates::own(&self.spec, &self.record, self.now) {
            Some(wait @ Wait::Analysis(_)) if self.record.gates.answer(&wait.key()).is_some() => Some(wait.key()),
            _ => None,
        };
        let beside = gates::undecided(&self.spec, &self.record).map(background_key);
        let undecided: Vec<_> = undecided.into_iter().chain(beside).collect();
        if self.record.hold.is_none() && !rejected && undecided.is_empty() {
            let hint = if self.gate().is_ok() { ": promote goes past the pause it is at" } else { "" };
            return Err(Refusal::NotPaused(hint));
        }
        if rejected && let Some(wait) = self.held_back() {
            return Err(Refusal::Shut(wait.words()));
        }
        self.transition(order.actor.clone(), order.why("resumed"), |record| {
            record.hold = None;
            for key in undecided {
                record.gates.note(&key, None);
            }
            if record.rejected.take().is_some() {
                record.delivery.pardoned.clear();
            }
        });
        Ok(())
    }

    fn promote(&mut self, order: &Order) -> Result<(), Refusal> {
        self.under_way()?;
        let gate = match self.gate() {
            Err(refusal) if self.record.hold.is_none() || self.record.rejected.is_some() => return Err(refusal),
            gate => gate,
        };
        let why = match &gate {
            Ok(passage) => format!("promoted past: {}", passage.words),
            Err(_) => "promoted: goes on".to_owned(),
        };
        if let Some(rejected) = &self.record.rejected {
            let nodes = self.record.delivery.nodes();
            if nodes > 0 && rejected.nodes.len() >= nodes {
                return Err(Refusal::Rejected(rejected.words.clone()));
            }
            self.transition(order.actor.clone(), order.why(&why), |record| {
                record.hold = None;
                record.rejected = None;
                record.delivery.waived = true;
            });
            return Ok(());
        }
        let fleet = matches!(gate, Ok(Passage { what: What::Fleet, .. }));
        if self.record.delivery.state == State::Late && self.record.ahead.is_some() && fleet {
            self.transition(order.actor.clone(), order.why(&why), |record| {
                record.hold = None;
                record.delivery.forgive();
                record.go_on();
            });
            return Ok(());
        }
        let Record { delivery, stage, hold, gates, .. } = &mut self.record;
        *hold = None;
        match (gate.map(|passage| passage.what), stage) {
            (Ok(What::Fleet), _) => {
                delivery.forgive();
                delivery.finish();
            }
            (Ok(What::Answer(key)), _) => gates.learn(&key, Some(Answer::Yes)),
            (Ok(What::Background(key)), _) => gates.go_past(&key),
            (Ok(What::Stage), Stage::Steps { passed, .. }) => *passed = true,
            (Ok(What::Stage), Stage::Preview { approved, .. }) => *approved = true,
            _ => {}
        }
        let next = self.next().map(|(stage, _)| stage);
        self.transition(order.actor.clone(), order.why(&why), |record| {
            if let Some(stage) = next {
                record.enter(stage);
            }
        });
        Ok(())
    }

    /// What `promote` would go past, or why there is nothing.
    fn gate(&self) -> Result<Passage, Refusal> {
        let Record { stage, delivery, waited, rejected, .. } = &self.record;
        let start = matches!(stage, Stage::Start { .. });
        let fleet = |words| Ok(Passage { words, what: What::Fleet });
        if let Some(wait) = self.held_back() {
            return self.past(&wait);
        }
        if let Some(rejected) = rejected {
            return fleet(rejected.words.clone());
        }
        if let Some(wait @ (Wait::Background(_) | Wait::Capacity { .. })) = self.wait() {
            return self.past(&wait);
        }
        match delivery.state {
            State::Late if !start => return fleet(delivery.awaited(&self.spec.convergence)),
            State::Pending if !start => return Err(Refusal::NoGate(delivery.awaited(&self.spec.convergence))),
            State::Done | State::Late | State::Pending | State::Rejected => {}
        }
        let pause = |words| Ok(Passage { words, what: What::Stage });
        let own = match (stage, &self.spec.strategy) {
            (Stage::Steps { entered, passed, .. }, Strategy::Canary(canary)) => {
                let step = entered.checked_sub(1).and_then(|index| canary.steps.get(index));
                match step.map(|step| (step, canary::progress(step, *waited, *passed))) {
                    Some((step, Progress::Waiting(_))) => pause(canary::words(step)),
                    _ => Err(Refusal::NoGate("the step is done".to_owned())),
                }
            }
            (Stage::Preview { approved, .. }, Strategy::BlueGreen(options)) => {
                match blue_green::gate(options, self.now, *waited, *approved) {
                    Gate::Timer(left) => pause(format!("autoPromotionSeconds, {} left", span(left))),
                    Gate::Promotion => pause("the preview".to_owned()),
                    Gate::Instant(left) => Err(Refusal::NoGate(format!(
                        "switchAt is {} away; promote --full does not wait for it",
                        span(left)
                    ))),
                    Gate::Open(why) => Err(Refusal::NoGate(why)),
                }
            }
            _ => Err(Refusal::AtTheEnd(Arc::clone(self.record.heading()))),
        };
        match self.wait() {
            Some(wait) if own.is_err() => self.past(&wait),
            _ => own,
        }
    }

    /// The window, or lack of capacity, that keeps more traffic from following, without another stage.
    fn held_back(&self) -> Option<Wait<'_>> {
        gates::held_back(&self.spec, &self.record, self.now)
    }

    /// Whether `promote` goes past what stands in the way. A check is not skipped, and no person opens a window or
    /// carries the load.
    fn past(&self, wait: &Wait) -> Result<Passage, Refusal> {
        let words = wait.answered(&self.record);
        match wait {
            Wait::Hook(_) if wait.is_check() => Err(Refusal::NoGate(format!("waiting for {words}"))),
            Wait::Hook(_) | Wait::Analysis(_) => Ok(Passage { words, what: What::Answer(wait.key()) }),
            Wait::Background(_) => Ok(Passage { words, what: What::Background(wait.key()) }),
            Wait::Window { .. } | Wait::Capacity { .. } | Wait::Barrier(_) => {
                Err(Refusal::NoGate(format!("waiting for {words}; promote --full does not wait for it")))
            }
        }
    }

    fn promote_full(&mut self, order: &Order) -> Result<(), Refusal> {
        let to = self.stopped_before().map_or_else(|| self.under_way(), Ok)?;
        if matches!(self.record.stage, Stage::Moving { .. }) && self.wait().is_none() {
            return Err(Refusal::AtTheEnd(to));
        }
        self.transition(order.actor.clone(), order.why("promoted straight to the end"), |record| {
            record.hold = None;
            record.gates.free = true;
            record.gates.paced = false;
            record.stage = Stage::Moving { to };
        });
        Ok(())
    }

    fn abort_emergency(&mut self, order: &Order) -> Result<(), Refusal> {
        if self.record.rising().is_none() && self.record.retreat.is_some() {
            let why = order.why("what is left goes back at once, whatever can be carried");
            self.transition(order.actor.clone(), why, |record| record.gates.paced = false);
            return Ok(());
        }
        self.stopped_before().map_or_else(|| self.under_way(), Ok)?;
        let why = order.why("by command, at once whatever can be carried");
        self.put_back(order.actor.clone(), why, false);
        Ok(())
    }

    fn retry(&mut self, order: &Order) -> Result<(), Refusal> {
        let (Stage::Aborted { to, .. } | Stage::Stopped { to, .. }) = &self.record.stage else {
            return Err(Refusal::NotAborted);
        };
        let to = Arc::clone(to);
        let word = order.why("tried again: the target");
        self.start(to, order.actor.clone(), &word, false);
        Ok(())
    }

    fn undo(&mut self, order: &Order, revision: Option<u64>) -> Result<(), Refusal> {
        let to = self.undone(revision)?;
        if to == *self.record.heading() {
            return Err(Refusal::AlreadyThere(to));
        }
        if !self.spec.versions.iter().any(|version| version.name == to) {
            return Err(Refusal::VersionGone(to));
        }
        self.record.revision += 1;
        self.record.undo = Some(Arc::clone(&to)).filter(|to| Some(to) != self.record.target.as_ref());
        let word = order.why("undone: until the file's target changes it");
        self.start(to, order.actor.clone(), &word, true);
        Ok(())
    }

    /// The version that `undo` leads to. While a rollout is under way or aborted, that is the stable one.
    fn undone(&self, revision: Option<u64>) -> Result<Arc<str>, Refusal> {
        let Record { stable, history, stage, .. } = &self.record;
        if let Some(revision) = revision {
            let past = history.iter().find(|past| past.revision == revision);
            return past.map(|past| Arc::clone(&past.version)).ok_or_else(|| {
                let known: Vec<_> =
                    history.iter().map(|past| format!("{} ({})", past.revision, past.version)).collect();
                Refusal::UnknownRevision { revision, known: known.join(", ") }
            });
        }
        if *stage != Stage::Stable && self.record.heading() != stable {
            return Ok(Arc::clone(stable));
        }
        let mut before = history.iter().rev().filter(|past| past.version != *stable);
        before.next().map(|past| Arc::clone(&past.version)).ok_or_else(|| Refusal::NoPast(Arc::clone(stable)))
    }
}

/// What `promote` goes past.
struct Passage {
    words: String,
    what: What,
}

enum What {
    /// Proxies that are late, or that reject.
    Fleet,
    /// An answer, by its key.
    Answer(String),
    /// An inconclusive verdict beside the steps, by its key.
    Background(String),
    /// The pause or preview it is at.
    Stage,
}

/// Whose order, and why.
struct Order {
    actor: Actor,
    reason: Option<String>,
}

impl Order {
    /// What is done, with the actor's reason.
    fn why(&self, what: &str) -> String {
        match &self.reason {
            Some(reason) => format!("{what} ({reason})"),
            None => what.to_owned(),
        }
    }
}
