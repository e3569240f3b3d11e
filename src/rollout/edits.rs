//! What an edit of the file means for the rollout under way.
//!
//! * Another `target` supersedes what is under way: the new version starts at the first step in the place of the old
//!   canary, whose share goes back to the stable version. The stable version itself is gone back to at once.
//! * A version that was stable within `rollbackWindow`, or the colour before within `scaleDownDelaySeconds`, skips the
//!   steps.
//! * Other steps under the same target: goes on where the new steps ask for no more weight than is in force
//!   ([`canary::align`]); after a rejection, what was in force before it. Time already waited counts when it stays at the same step; a pause that was taken out of the
//!   file is not waited for.
//! * Endpoints and cluster fields are not traffic: they go out as they are and move nothing here.
//! * Another strategy: the rollout starts again under it. From plain weights the heaviest version counts as stable.
//! * The stable version taken out of the file leaves nowhere to go back to: the target gets all traffic at once.

use std::sync::Arc;

use super::advance;
use super::asked::Gates;
use super::canary;
use super::capacity;
use super::gates;
use super::journal::Actor;
use super::machine::{Machine, heaviest, wished};
use super::record::{Past, Record, Stage};
use super::traffic;
use super::words::span;
use crate::spec::{Rollout, Strategy};

impl Machine {
    /// Takes the document in force.
    pub(super) fn edit(&mut self, spec: Arc<Rollout>) {
        if spec.group != self.spec.group {
            self.record.gates.past = None;
        }
        self.spec = spec;
        let target = self.spec.target.clone();
        if target != self.record.target || self.record.undo.as_ref().is_some_and(|undo| !has(&self.spec, undo)) {
            self.record.undo = None;
        }
        self.record.target.clone_from(&target);
        if matches!(self.spec.strategy, Strategy::Weights(_)) {
            return self.follow_weights();
        }
        let was_weights = self.record.stage == Stage::Weights;
        if was_weights {
            self.leave_weights();
        }
        let wanted = self.record.undo.clone().or(target).unwrap_or_else(|| Arc::clone(&self.record.stable));
        if wanted != *self.record.heading() {
            self.record.revision += 1;
        }
        if !has(&self.spec, &self.record.stable) {
            self.replace_stable(wanted);
        } else if wanted != *self.record.heading() || was_weights {
            self.start(wanted, Actor::File, "the file's target", false);
        } else {
            self.follow_details();
        }
    }

    /// Starts the way to `to`: `word` says whose wish it is.
    pub(super) fn start(&mut self, to: Arc<str>, actor: Actor, word: &str, undone: bool) {
        let superseded = self.record.rising().filter(|rising| **rising != to).cloned();
        let superseded = superseded.map(|old| format!(", supersedes {old}")).unwrap_or_default();
        if to == self.record.stable {
            let why = format!("{word} is {to}, the stable version: back at once{superseded}");
            return self.transition(actor, why, |record| {
                record.hold = None;
                record.gates.paced = true;
                record.stage = Stage::Moving { to };
            });
        }
        if let Some(reason) = self.shortcut(&to, undone) {
            return self.transition(actor, format!("{word} is {to}: at once, {reason}{superseded}"), |record| {
                record.hold = None;
                record.gates.free = true;
                record.gates.paced = true;
                record.stage = Stage::Moving { to };
            });
        }
        let start = Stage::Start { to: Arc::clone(&to) };
        // Where nothing stands in the way, the first stage is entered in the same transition.
        let mut probe = self.record.clone();
        probe.stage = start.clone();
        probe.rejected = None;
        probe.gates = Gates { paced: true, ..Gates::default() };
        probe.retreat = capacity::retreat(&self.spec, &probe, &self.record.traffic);
        let free = self.record.hold.is_none() && gates::wait(&self.spec, &probe, self.now).is_none();
        let first = free.then(|| advance::goal(&self.spec, &probe, self.now)).flatten();
        let stage = first.map_or(start, |(stage, _)| stage);
        self.transition(actor, format!("{word} is {to}{superseded}"), |record| {
            record.gates.free = false;
            record.gates.paced = matches!(stage, Stage::Start { .. });
            record.stage = stage;
        });
    }

    /// Why `to` needs no steps, if so.
    fn shortcut(&self, to: &Arc<str>, undone: bool) -> Option<String> {
        let Record { stage, history, gates, .. } = &self.record;
        let back = history.iter().rev().skip(1).position(|past| past.version == *to);
        if let Strategy::BlueGreen(options) = &self.spec.strategy {
            if undone {
                return Some("undone".to_owned());
            }
            // Wall time: what a process at rest waited is not kept. A clock that went back says nothing.
            let since = self.now.checked_sub(gates.entered_at).filter(|since| *since < options.scale_down_delay);
            if let Some(since) = since.filter(|_| *stage == Stage::Stable && back == Some(0)) {
                return Some(format!("switched away from it only {} ago", span(since)));
            }
        }
        let window = self.spec.rollback_window as usize;
        let back = back.filter(|back| *back < window)?;
        let ago = if back == 0 { "one revision" } else { &format!("{} revisions", back + 1) };
        Some(format!("was stable {ago} ago, within rollbackWindow {window}"))
    }

    /// The file is the split.
    fn follow_weights(&mut self) {
        let heaviest = wished(&self.spec);
        let entering = self.record.stage != Stage::Weights;
        if entering {
            self.record.revision += 1;
            let why = "the file's weights are the split now".to_owned();
            self.transition(Actor::File, why, |record| {
                record.hold = None;
                record.stage = Stage::Weights;
                record.stable = heaviest;
            });
        } else if traffic::of(&self.spec, &self.record) != self.record.traffic {
            self.record.revision += 1;
            self.transition(Actor::File, "the file's weights changed".to_owned(), |record| record.stable = heaviest);
        }
    }

    /// What the weights made of the versions is where the engine begins.
    fn leave_weights(&mut self) {
        let known = self.record.traffic.split.0.iter().filter(|(name, _)| has(&self.spec, name));
        if let Some(stable) = heaviest(known.map(|(name, weight)| (name, *weight))) {
            self.record.history = vec![Past { revision: self.record.revision, version: Arc::clone(&stable) }];
            self.record.stable = stable;
        }
    }

    /// The stable version is no more.
    fn replace_stable(&mut self, wanted: Arc<str>) {
        let why = format!(
            "{}, the stable version, was taken out of the file: all traffic goes to {wanted} at once",
            self.record.stable
        );
        self.transition(Actor::File, why, |record| {
            record.stable = Arc::clone(&wanted);
            record.hold = None;
            record.gates.paced = false;
            record.stage = Stage::Moving { to: wanted };
        });
    }

    /// The same target: steps, options or the list of versions may have changed.
    fn follow_details(&mut self) {
        let to = Arc::clone(self.record.heading());
        let asked = traffic::asked(&self.spec, &self.record);
        let anew = self.record.rejected.as_ref().is_some_and(|rejected| rejected.traffic != asked);
        match (&self.record.stage, &self.spec.strategy) {
            (Stage::Preview { .. }, Strategy::Canary(_)) | (Stage::Steps { .. }, Strategy::BlueGreen(_)) => {
                return self.start(to, Actor::File, "the strategy changed, the target still", false);
            }
            (Stage::Steps { entered, .. }, Strategy::Canary(canary)) => {
                let rejected = anew || self.record.rejected.is_some() && *entered > canary.steps.len();
                let in_force = if rejected { &self.record.traffic } else { self.record.asked() };
                let aligned = canary::align(&canary.steps, *entered, traffic::part(in_force, &to));
                if aligned != *entered {
                    let why = format!("the file's steps changed: goes on from step {aligned}");
                    let stage = Stage::Steps { to, entered: aligned, passed: false };
                    return self.transition(Actor::File, why, |record| record.stage = stage);
                }
            }
            _ => {}
        }
        if anew && traffic::part(&asked, &to) <= traffic::part(&self.record.traffic, &to) {
            let why = "the file's versions or steps changed: what was rejected is tried anew".to_owned();
            self.transition(Actor::File, why, |record| record.rejected = None);
        } else if traffic::served(&self.spec, &self.record) != (self.record.traffic.clone(), self.record.ahead.clone())
        {
            self.transition(Actor::File, "the file's versions or steps changed".to_owned(), |_| {});
        }
    }
}

fn has(spec: &Rollout, version: &str) -> bool {
    spec.versions.iter().any(|known| *known.name == *version)
}
