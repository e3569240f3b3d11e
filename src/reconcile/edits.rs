//! What an edit of the files changes: which rollouts there are, and what each is told of its document.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::measured::Measured;
use super::member::{self, Member};
use super::{Found, Reconciler, Turn, asking};
use crate::spec::{Rollout, SpecSet};
use crate::telemetry::Bases;

impl Reconciler {
    pub(super) fn take_spec(&mut self, now: Duration, spec: &Arc<SpecSet>, turn: &mut Turn) {
        let before = self.spec.replace(Arc::clone(spec));
        let Some(touched) = self.defined.take(before.as_deref(), spec) else { return };
        let (mut bases, mut moved) = (Vec::new(), Vec::new());
        let mut recount = self.number == 0;
        for (name, rollout) in touched {
            let entries = match (rollout, self.members.get_mut(&name)) {
                (None, _) => {
                    recount = true;
                    self.part_with(now, name, turn);
                    continue;
                }
                (Some(rollout), Some(member)) if Arc::ptr_eq(&member.spec, rollout) || member.spec == *rollout => {
                    continue;
                }
                (Some(rollout), Some(member)) => {
                    turn.groups.extend(member.spec.group.clone());
                    self.groups.leave(member.spec.group.as_ref(), &name);
                    self.groups.join(rollout.group.as_ref(), &name);
                    recount |= !clusters(&member.spec).eq(clusters(rollout));
                    // Its first step comes with the edit: a version or a gate that is new is looked at before.
                    let told = member.tell_room(now, self.epoch, rollout, &self.meter);
                    let edited = member.edit(self.epoch + now, rollout);
                    told.into_iter().flatten().chain(edited).collect()
                }
                (Some(rollout), None) => {
                    recount = true;
                    let found = self.found.remove(&name);
                    if let Some(Found::Record(record, _)) = &found {
                        self.served.insert(Arc::clone(&name), record.served());
                    }
                    let measured = restored(found.as_ref(), &mut bases);
                    let (machine, entries) = member::begin(self.epoch + now, rollout, found);
                    let guessed = self.fresh && self.number == 0;
                    let member = Member { guessed, measured, ..Member::new(Arc::clone(rollout), machine, now) };
                    self.groups.join(rollout.group.as_ref(), &name);
                    self.members.insert(Arc::clone(&name), member);
                    entries
                }
            };
            moved.push((name, entries));
        }
        if recount {
            self.count_versions();
        }
        for counted in bases {
            self.meter.restore(now, counted);
        }
        // What is kept of them has how far counters were counted: not before that is known.
        let mut edited = BTreeSet::new();
        for (name, entries) in moved {
            self.settle(now, &name, entries, false, turn);
            edited.insert(name);
        }
        // Templates may have changed in files that name no rollout.
        let judges = judges(before.as_deref(), spec);
        for name in if judges { self.active.clone() } else { edited } {
            self.follow(&name);
            if judges {
                self.judge_anew(now, &name, before.as_deref(), turn);
            }
        }
        self.edited = true;
    }

    /// Lets go of a rollout that no file names any more.
    fn part_with(&mut self, now: Duration, name: Arc<str>, turn: &mut Turn) {
        let Some(mut member) = self.members.remove(&name) else { return };
        let evidence = member.kept(now, &self.meter, &self.runs);
        self.served.remove(&name);
        self.moved.remove(&name);
        self.active.remove(&name);
        self.watched.remove(&name);
        self.foreign.remove(&name);
        self.groups.leave(member.spec.group.as_ref(), &name);
        turn.groups.extend(member.spec.group.clone());
        self.due.remove(&(member.due, Arc::clone(&name)));
        for decision in member.asked {
            asking::withdraw(&mut self.asked, &mut self.runs, decision, turn);
        }
        self.found.insert(name, Found::Record(Box::new(member.machine.record().with_evidence(evidence)), None));
    }
}

fn clusters(rollout: &Rollout) -> impl Iterator<Item = &Arc<str>> {
    rollout.versions.iter().map(|version| &version.cluster_name)
}

/// Whether a file with templates has changed.
fn judges(before: Option<&SpecSet>, now: &SpecSet) -> bool {
    let nothing = SpecSet::default();
    let changes = now.changes_from(before.unwrap_or(&nothing));
    changes
        .into_iter()
        .flat_map(|change| change.was.into_iter().chain(change.is))
        .any(|file| !file.templates.is_empty())
}

/// What an earlier process had measured. Where that cannot be read it is gathered anew: no verdict rests on less than it
/// says, and the rollout itself is not in doubt.
fn restored(found: Option<&Found>, bases: &mut Vec<Bases>) -> Measured {
    let Some(Found::Record(record, _)) = found else { return Measured::default() };
    let restored = record.evidence().and_then(Measured::restore);
    restored.map_or_else(Measured::default, |(measured, counted)| {
        bases.push(counted);
        measured
    })
}
