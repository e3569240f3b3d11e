//! What a version can carry, and what follows from it: none rises above that, and what goes back goes in the largest
//! steps that the version it goes back to allows.
//!
//! The engine measures nothing. It is told ([`super::Input::Room`]) and says of which versions it wants to know
//! ([`Machine::wants`]). Of a version that nothing was said of, it takes that it can carry everything. What it was told
//! last is kept in the record: a restart opens no gate.
//!
//! A version that has more than it can carry, because its endpoints died, gets no more and keeps what it has: whether
//! that does harm is for analysis to say. What goes back is never held: it comes as far as the version it goes back to
//! can carry, its weight never falls, and the rest follows as soon as there is room for it. `promote --full`,
//! `abort --emergency` and a stable version that was taken out of the file ask for no room.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::gates::Wait;
use super::journal::Actor;
use super::machine::Machine;
use super::record::{Record, Stage};
use super::traffic::part;
use super::words::percent;
use crate::spec::{Rollout, Split, Step, Strategy, TOTAL_WEIGHT, Traffic};

/// Room for less than this, in parts of [`TOTAL_WEIGHT`], is worth no push to the fleet, unless it is the last.
const WORTH: u32 = TOTAL_WEIGHT / 100;

/// What the versions can carry now, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// By version. One without an entry can carry everything.
    pub limits: BTreeMap<Arc<str>, Limit>,
}

/// What one version can carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// So much of the traffic there is now, in parts of [`TOTAL_WEIGHT`].
    pub most: u32,
    /// What is missing, in words that go after `waiting for capacity of green: `.
    pub why: String,
}

impl Room {
    /// How much of the traffic `version` can carry, in parts of [`TOTAL_WEIGHT`].
    pub(super) fn most(&self, version: &str) -> u32 {
        self.limits.get(version).map_or(TOTAL_WEIGHT, |limit| limit.most.min(TOTAL_WEIGHT))
    }

    /// Whether nothing is known of any.
    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    fn wait<'a>(&self, version: &Arc<str>) -> Wait<'a> {
        let why = self.limits.get(version).map(|limit| limit.why.clone()).unwrap_or_default();
        Wait::Capacity { version: Arc::clone(version), why }
    }

    /// What keeps `version` from `weight`.
    pub(super) fn short<'a>(&self, version: &Arc<str>, weight: u32) -> Option<Wait<'a>> {
        (weight > self.most(version)).then(|| self.wait(version))
    }
}

/// What keeps the rest of the traffic from the version that all of it goes to.
pub(super) fn rest<'a>(record: &Record) -> Option<Wait<'a>> {
    record.retreat.as_ref()?;
    record.receding().map(|to| record.room.wait(to))
}

/// The split on the way back, as far as it comes now from what is `in_force`; `None` if it comes all the way, or if
/// nothing goes back.
pub(super) fn retreat(spec: &Rollout, record: &Record, in_force: &Traffic) -> Option<Split> {
    let to = record.receding()?;
    let held = record.hold.is_some() && record.rising() == Some(to);
    let most = if held { 0 } else { record.room.most(to) };
    // The others keep no more than they have, so the weight of this one never falls.
    let mut left = TOTAL_WEIGHT - most;
    let mut keep = |version: &Arc<str>| {
        let kept = if version == to { 0 } else { part(in_force, version).min(left) };
        left -= kept;
        (Arc::clone(version), kept)
    };
    let mut split: Vec<_> = spec.versions.iter().map(|version| keep(&version.name)).collect();
    let kept: u32 = split.iter().map(|(_, weight)| weight).sum();
    // What had led to a version that is no more goes to the other whatever that can carry.
    let (_, weight) = split.iter_mut().find(|(version, _)| version == to)?;
    *weight = TOTAL_WEIGHT.saturating_sub(kept);
    (kept > 0).then_some(Split(split))
}

impl Machine {
    /// Goes further back where there is room for more.
    pub(super) fn fall_back(&mut self) {
        let record = &self.record;
        let (Some(split), Some(to), None) = (&record.retreat, record.receding(), &record.rejected) else { return };
        let share = |split: &Split| split.0.iter().find(|(version, _)| version == to).map_or(0, |(_, weight)| *weight);
        let next = retreat(&self.spec, record, &record.traffic);
        let why = match &next {
            None => format!("{to} can carry all of it"),
            Some(next) if share(next) >= share(split) + WORTH => format!("{to} can carry {} %", percent(share(next))),
            Some(_) => return,
        };
        self.transition(Actor::Engine, why, |_| {});
    }

    /// Whether it was ever told what a version cannot carry, and has not been told since that all is well.
    #[must_use]
    pub fn knows_room(&self) -> bool {
        !self.record.room.is_empty()
    }

    /// Of which versions it is to be said what they can carry, each with the weight in parts of [`TOTAL_WEIGHT`] that it
    /// would get next: the version under way with its next raise, the one to go back to with all, and any other
    /// with what a rollout to it would begin with, so that it is known when somebody starts one. In the order of the
    /// file; none with plain weights, which no engine moves.
    #[must_use]
    pub fn wants(&self) -> Vec<(Arc<str>, u32)> {
        let record = &self.record;
        if record.stage == Stage::Weights {
            return Vec::new();
        }
        let all = record.receding().filter(|_| record.retreat.is_some());
        let parts = |version: &Arc<str>| match &record.stage {
            _ if *version == record.stable || Some(version) == all => TOTAL_WEIGHT,
            Stage::Moving { to } if to == version => TOTAL_WEIGHT,
            Stage::Steps { to, .. } if to == version && record.weight(to) > part(&record.traffic, to) => {
                record.weight(to)
            }
            Stage::Steps { to, entered, .. } if to == version => raise(&self.spec, *entered, record.weight(to)),
            _ => raise(&self.spec, 0, 0),
        };
        let named = |version: &Arc<str>| (Arc::clone(version), parts(version));
        self.spec.versions.iter().map(|version| named(&version.name)).collect()
    }

    /// The version under way to take the stable one's place: the one that is judged. `None` if nothing is under way, or
    /// only the way back.
    #[must_use]
    pub fn rising(&self) -> Option<&Arc<str>> {
        self.record.rising()
    }

    /// The version that carries all traffic when all goes well. After an abort still the one that was aborted.
    #[must_use]
    pub fn heading(&self) -> &Arc<str> {
        self.record.heading()
    }
}

/// The first weight above `weight` that comes after the first `entered` steps.
fn raise(spec: &Rollout, entered: usize, weight: u32) -> u32 {
    let Strategy::Canary(canary) = &spec.strategy else { return TOTAL_WEIGHT };
    let next = canary.steps.iter().skip(entered).find_map(|step| match step {
        Step::SetWeight(next) if *next > weight => Some(*next),
        _ => None,
    });
    next.unwrap_or(TOTAL_WEIGHT)
}

/// What `version` has beyond what it can carry, in words.
pub(super) fn excess(record: &Record, version: &Arc<str>) -> Option<String> {
    let (has, most) = (part(&record.traffic, version), record.room.most(version));
    let limit = record.room.limits.get(version).filter(|_| has > most)?;
    Some(format!("{version} has {} % and can carry {} %: {}", percent(has), percent(most), limit.why))
}
