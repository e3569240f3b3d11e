//! The names that clients are subscribed to, one copy for all streams that ask for the same: the proxies of a group do, and
//! of a thousand names each copy takes 60 KB.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::xds::Names;

/// Every set that some stream has.
#[derive(Default)]
pub(super) struct KnownNames(Mutex<Known>);

#[derive(Default)]
struct Known {
    sets: HashSet<Names>,
    /// How many sets there may be before those are looked for that no stream has any more.
    sweep_at: usize,
}

/// Below this many sets nothing is swept.
const FEW: usize = 64;

impl KnownNames {
    /// The equal set that others have, or this one from now on.
    pub(super) fn share(&self, names: Names) -> Names {
        if names.is_empty() {
            return names;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = known.sets.get(&names) {
            return shared.clone();
        }
        if known.sets.len() >= known.sweep_at {
            known.sets.retain(Names::is_shared);
            // Each set pays for looking at two.
            known.sweep_at = FEW.max(2 * known.sets.len());
        }
        known.sets.insert(names.clone());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        list.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn equal_sets_become_one_and_what_nobody_has_is_forgotten() {
        let known = KnownNames::default();
        let one = known.share(names(&["a", "b"]));
        assert!(one.is_shared(), "with those to come");
        assert_eq!(known.share(names(&["a", "b"])), one);
        for i in 0..10 * FEW {
            known.share(names(&[&i.to_string()]));
        }
        let left = known.0.lock().unwrap().sets.len();
        assert!(left <= FEW + 1, "{left}");
        assert!(known.0.lock().unwrap().sets.contains(&one));
    }
}
