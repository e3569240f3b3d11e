//! Which file defines which rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::spec::{Rollout, SpecSet};

/// The paths of the files that define each rollout, by its name. Kept up so that an edit is not looked for in all files.
#[derive(Debug, Default)]
pub(super) struct Defined {
    paths: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Defined {
    /// The rollouts of the files that have changed since `before`, which was taken last, by name: each as it is now,
    /// `None` if no file names it any more. `None` if no file has changed.
    pub(super) fn take<'a>(
        &mut self,
        before: Option<&SpecSet>,
        now: &'a SpecSet,
    ) -> Option<BTreeMap<Arc<str>, Option<&'a Arc<Rollout>>>> {
        let nothing = SpecSet::default();
        let mut touched = BTreeMap::new();
        let mut changed = before.is_none();
        for change in now.changes_from(before.unwrap_or(&nothing)) {
            changed = true;
            for rollout in change.was.into_iter().flat_map(|file| &file.rollouts) {
                if let Some(paths) = self.paths.get_mut(&rollout.name) {
                    paths.remove(change.path);
                }
                touched.insert(Arc::clone(&rollout.name), None);
            }
            for rollout in change.is.into_iter().flat_map(|file| &file.rollouts) {
                self.paths.entry(Arc::clone(&rollout.name)).or_default().insert(Arc::clone(change.path));
                touched.insert(Arc::clone(&rollout.name), None);
            }
        }
        for (name, rollout) in &mut touched {
            // Of two with one name the first counts, as in `World`, wherever it stands.
            let first = self.paths.get(name).and_then(BTreeSet::first).and_then(|path| now.files.get(path));
            *rollout = first.and_then(|file| file.rollouts.iter().find(|rollout| rollout.name == *name));
            if rollout.is_none() {
                self.paths.remove(name);
            }
        }
        changed.then_some(touched)
    }
}

#[cfg(test)]
mod tests;
