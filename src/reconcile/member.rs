//! One rollout of the files and its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Found;
use super::measured::{Facts, Measured, SILENCE};
use crate::analysis::{Names, Run};
use crate::rollout::{Command, Entry, Input, Machine, Verb, group};
use crate::spec::{Rollout, Served, Strategy, Traffic};
use crate::telemetry::{Bases, Meter};
use crate::translate::version_of_user;

/// How old a kept record gets while time brings something about: so much waited time a crash costs at most. What is due
/// sooner is kept more often, so that a process that is restarted again and again gets there too.
const OLDEST: Duration = Duration::from_secs(15);
/// However soon.
const YOUNGEST: Duration = Duration::from_secs(1);

/// How old kept evidence gets: so much of it a crash costs at most.
const EVIDENCE: Duration = Duration::from_secs(5);

/// A machine that asks for a time that is past is not asked again before this.
const SOON: Duration = Duration::from_millis(100);

/// One rollout of the files.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) spec: Arc<Rollout>,
    pub(super) machine: Machine,
    /// Its stable version is a guess: the first that a process without memory saw of it.
    pub(super) guessed: bool,
    /// It was stopped because the fleet has something else.
    pub(super) foreign: bool,
    /// When its record was last kept.
    pub(super) saved: Duration,
    /// The decisions it wants to know and that are being asked for.
    pub(super) asked: BTreeSet<Arc<str>>,
    /// What its group said last, and where it was then.
    pub(super) told: Option<(group::Place, group::Word)>,
    /// When a node that is away no longer counts.
    pub(super) stale: Option<Duration>,
    /// What proxies measured of it.
    pub(super) measured: Measured,
    /// When it is to be looked at; [`Duration::MAX`] if not before something happens.
    pub(super) due: Duration,
}

impl Member {
    pub(super) fn new(spec: Arc<Rollout>, machine: Machine, now: Duration) -> Self {
        Self {
            spec,
            machine,
            guessed: false,
            foreign: false,
            saved: now,
            asked: BTreeSet::new(),
            told: None,
            stale: None,
            measured: Measured::default(),
            due: Duration::MAX,
        }
    }

    /// Takes an edit of its document, at wall time.
    pub(super) fn edit(&mut self, now: Duration, spec: &Arc<Rollout>) -> Vec<Entry> {
        self.spec = Arc::clone(spec);
        if self.foreign {
            // The new target is a better guess, and still one.
            return self.stop(now);
        }
        self.machine.handle(now, Input::Spec(Arc::clone(spec)))
    }

    /// The fleet has something else than was guessed: nothing moves until somebody decides.
    pub(super) fn stop(&mut self, now: Duration) -> Vec<Entry> {
        let why = "the state directory is new, but proxies came with routes that this serin did not send and keep them";
        self.guessed = false;
        if matches!(self.spec.strategy, Strategy::Weights(_)) {
            return Vec::new();
        }
        let (machine, entries) = Machine::stopped(now, Arc::clone(&self.spec), None, why.to_owned());
        (self.machine, self.foreign) = (machine, true);
        entries
    }

    /// Whether [`Self::served`] is `served`.
    pub(super) fn asks_for(&self, served: &Served) -> bool {
        served.traffic == *self.machine.traffic() && served.ahead.as_ref() == self.machine.ahead()
    }

    pub(super) fn served(&self) -> Served {
        Served { traffic: self.machine.traffic().clone(), ahead: self.machine.ahead().cloned() }
    }

    /// The version that `user` gets, or why none can be told.
    pub(super) fn version_of(&self, user: &str) -> Result<Arc<str>, String> {
        let version = version_of_user(&self.spec, self.machine.traffic(), user);
        version.cloned().ok_or_else(|| format!("{} has no sessionAffinity: users get any version", self.spec.name))
    }

    /// Whether the file still has every version that `before` gives traffic to.
    pub(super) fn has_all_of(&self, before: &Served) -> bool {
        let there = |name: &Arc<str>| self.spec.versions.iter().any(|version| version.name == *name);
        before.traffic.split.0.iter().all(|(name, _)| there(name))
    }

    /// When its record is to be kept though nothing happened.
    pub(super) fn save_due(&self, epoch: Duration) -> Option<Duration> {
        let waited = self.machine.next_deadline().map(|due| {
            let left = due.saturating_sub(epoch).saturating_sub(self.saved);
            self.saved + (left / 8).clamp(YOUNGEST, OLDEST)
        });
        let measured = self.measured.news.then_some(self.saved + EVIDENCE);
        waited.into_iter().chain(measured).min()
    }

    /// Whether it matters now what its versions can carry.
    pub(super) fn watches_room(&self) -> bool {
        self.spec.capacity_gate.is_some() || !self.machine.is_at_rest()
    }

    /// Tells its machine what the versions that `spec` has can carry, if that has changed.
    pub(super) fn tell_room(
        &mut self,
        now: Duration,
        epoch: Duration,
        spec: &Rollout,
        meter: &Meter,
    ) -> Option<Vec<Entry>> {
        let room = self.measured.room(now, spec, &self.machine, |cluster| meter.live(now, cluster))?;
        Some(self.machine.handle(epoch + now, Input::Room(room)))
    }

    /// What its runs are told.
    pub(super) fn facts(&self, now: Duration, epoch: Duration, reporting: bool) -> Facts<'_> {
        let names = Names { canary: self.machine.heading(), stable: self.machine.stable() };
        let book = &self.measured.book;
        let lately = book.times().is_some_and(|(_, last)| last + SILENCE >= epoch + now);
        Facts { book, names, epoch, reported: lately || reporting }
    }

    /// What is to be kept of its evidence and of the runs it waits for, beside its record.
    pub(super) fn kept(
        &mut self,
        now: Duration,
        meter: &Meter,
        runs: &BTreeMap<Arc<str>, Run>,
    ) -> Option<serde_json::Value> {
        let runs = self.asked.iter().filter_map(|decision| Some((Arc::clone(decision), runs.get(decision)?.save(now))));
        let runs: BTreeMap<_, _> = runs.collect();
        if !self.measured.has_evidence() && runs.is_empty() {
            return None;
        }
        let clusters = self.spec.versions.iter().map(|version| Arc::clone(&version.cluster_name)).collect();
        let bases = if self.machine.rising().is_some() { meter.bases(&clusters) } else { Bases::default() };
        self.measured.kept(bases, runs)
    }

    pub(super) fn next_due(&self, now: Duration, epoch: Duration) -> Duration {
        let machine = self.machine.next_deadline().map(|due| due.saturating_sub(epoch));
        let save = self.save_due(epoch);
        let due = [machine, save, self.stale].into_iter().flatten().min();
        due.map_or(Duration::MAX, |due| if due <= now { now + SOON } else { due })
    }
}

/// The machine of a rollout that was not among the files before, at wall time.
pub(super) fn begin(now: Duration, spec: &Arc<Rollout>, found: Option<Found>) -> (Machine, Vec<Entry>) {
    match found {
        None => Machine::first_seen(now, Arc::clone(spec)),
        Some(Found::Lost(why, last)) => Machine::stopped(now, Arc::clone(spec), last.as_deref(), why),
        Some(Found::Record(record, doubt)) => match Machine::restore(now, *record, Arc::clone(spec)) {
            Ok((mut machine, mut entries)) => {
                if let Some(why) = doubt {
                    let command = Command { verb: Verb::Pause, actor: "serin".into(), reason: Some(why), seen: None };
                    // One with nothing under way has nothing to stop.
                    entries.extend(machine.command(now, command).unwrap_or_default());
                }
                (machine, entries)
            }
            Err(error) => Machine::stopped(now, Arc::clone(spec), None, error.to_string()),
        },
    }
}

/// Whether a version other than `stable` gets more by `after` than by `before`.
pub(super) fn rises(before: &Served, after: &Served, stable: &str) -> bool {
    let share = |traffic: &Traffic, version: &str| {
        traffic.split.0.iter().find(|(name, _)| **name == *version).map_or(0, |(_, weight)| *weight)
    };
    let more = |before: &Traffic, after: &Traffic| {
        let others = after.split.0.iter().filter(|(version, _)| **version != *stable);
        others.into_iter().any(|(version, weight)| *weight > share(before, version))
            || after.header_routes.iter().any(|route| !before.header_routes.contains(route))
            || after.mirrors.iter().any(|mirror| !before.mirrors.contains(mirror))
    };
    let ahead = |served: &Served| served.ahead.clone().unwrap_or_else(|| served.traffic.clone());
    more(&before.traffic, &after.traffic) || more(&ahead(before), &ahead(after))
}
