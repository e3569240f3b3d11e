//! What an edit of the files changes: which rollouts there are, and what each is told of its document.

use std::sync::Arc;
use std::time::Duration;

use super::measured::Measured;
use super::member::{self, Member};
use super::{Found, Reconciler, Turn, asking};
use crate::spec::SpecSet;
use crate::telemetry::Bases;

impl Reconciler {
    pub(super) fn take_spec(&mut self, now: Duration, spec: &Arc<SpecSet>, turn: &mut Turn) {
        let before = self.spec.replace(Arc::clone(spec));
        let Some(touched) = self.defined.take(before.as_deref(), spec) else { return };
        let mut bases = Vec::new();
        for (name, rollout) in touched {
            self.tell_room(now, &name, turn);
            let entries = match (rollout, self.members.get_mut(&name)) {
                (None, _) => {
                    self.part_with(now, name, turn);
                    continue;
                }
                (Some(rollout), Some(member)) if Arc::ptr_eq(&member.spec, rollout) || member.spec == *rollout => {
                    continue;
                }
                (Some(rollout), Some(member)) => {
                    turn.groups.extend(member.spec.group.clone());
                    member.edit(self.epoch + now, rollout)
                }
                (Some(rollout), None) => {
                    let found = self.found.remove(&name);
                    if let Some(Found::Record(record, _)) = &found {
                        self.served.insert(Arc::clone(&name), record.served());
                    }
                    let measured = restored(found.as_ref(), &mut bases);
                    let (machine, entries) = member::begin(self.epoch + now, rollout, found);
                    let guessed = self.fresh && self.number == 0;
                    let member = Member { guessed, measured, ..Member::new(Arc::clone(rollout), machine, now) };
                    self.members.insert(Arc::clone(&name), member);
                    entries
                }
            };
            self.settle(now, &name, entries, false, turn);
        }
        self.count_versions();
        for counted in bases {
            self.meter.restore(now, counted);
        }
        // Templates may have changed in files that name no rollout.
        for name in self.active.iter().cloned().collect::<Vec<_>>() {
            self.follow(&name);
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
        self.foreign.remove(&name);
        turn.groups.extend(member.spec.group.clone());
        self.due.remove(&(member.due, Arc::clone(&name)));
        for decision in member.asked {
            asking::withdraw(&mut self.asked, &mut self.runs, decision, turn);
        }
        self.found.insert(name, Found::Record(Box::new(member.machine.record().with_evidence(evidence)), None));
    }
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
