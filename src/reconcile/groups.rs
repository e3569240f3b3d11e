//! Members that go in lockstep: which group has whom, and what each group says to its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Reconciler, Turn};
use crate::rollout;

/// The members of each group. Kept up so that a group is not looked for among all rollouts.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<Arc<str>, BTreeSet<Arc<str>>>);

impl Groups {
    pub(super) fn join(&mut self, group: Option<&Arc<str>>, name: &Arc<str>) {
        if let Some(group) = group {
            self.0.entry(Arc::clone(group)).or_default().insert(Arc::clone(name));
        }
    }

    pub(super) fn leave(&mut self, group: Option<&Arc<str>>, name: &str) {
        if let Some(group) = group
            && let Some(members) = self.0.get_mut(group)
        {
            members.remove(name);
            if members.is_empty() {
                self.0.remove(group);
            }
        }
    }

    fn of(&self, group: &str) -> impl Iterator<Item = &Arc<str>> {
        self.0.get(group).into_iter().flatten()
    }
}

impl Reconciler {
    /// Hands the members of the groups in which anything moved what their group says, until none moves any more.
    pub(super) fn judge_groups(&mut self, now: Duration, turn: &mut Turn) {
        while let Some(group) = turn.groups.pop_first() {
            let place = |name: &Arc<str>| Some((Arc::clone(name), self.members.get(name)?.machine.place()));
            let places: Vec<_> = self.groups.of(&group).filter_map(place).collect();
            for (name, word) in rollout::group::judge(&group, &places) {
                let Some(member) = self.members.get_mut(&name) else { continue };
                let word = Some((member.machine.place(), word));
                if member.told == word {
                    continue;
                }
                member.told.clone_from(&word);
                let Some((_, word)) = word else { continue };
                // What it is to remember of the others writes no entry.
                let joins = matches!(word, rollout::group::Word::Join(_));
                let entries = member.machine.handle(self.epoch + now, word.into());
                self.settle(now, &name, entries, joins, turn);
            }
        }
    }
}
