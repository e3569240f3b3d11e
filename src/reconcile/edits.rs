//! What an edit of the files touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::spec::{Rollout, SpecSet};

/// The rollouts of the files that have changed since `before`, by name: each as it is now, `None` if no file names it any
/// more. `None` if no file has changed.
pub(super) fn touched<'a>(
    before: Option<&SpecSet>,
    now: &'a SpecSet,
) -> Option<BTreeMap<Arc<str>, Option<&'a Arc<Rollout>>>> {
    let nothing = SpecSet::default();
    let changes: Vec<_> = now.changes_from(before.unwrap_or(&nothing)).collect();
    let files = changes.iter().flat_map(|change| change.was.into_iter().chain(change.is));
    let names = files.flat_map(|file| &file.rollouts).map(|rollout| (Arc::clone(&rollout.name), None));
    let mut touched: BTreeMap<_, Option<_>> = names.collect();
    if touched.is_empty() {
        return (before.is_none() || !changes.is_empty()).then_some(touched);
    }
    // Of two with one name the first counts, as in `World`, wherever it stands.
    for rollout in now.files.values().flat_map(|file| &file.rollouts) {
        if let Some(first) = touched.get_mut(&rollout.name) {
            first.get_or_insert(rollout);
        }
    }
    Some(touched)
}
