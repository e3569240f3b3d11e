//! What may be served while nothing can be written down: all that goes back to safety, and of rollouts that rose what
//! they were served before.
//!
//! A rise that is served and then forgotten would be a step skipped, or taken without being asked again. What goes back
//! does not wait for a disk, and takes no rise of another rollout with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::member::rises;
use super::{Publication, Reconciler, rollouts};
use crate::spec::{Rollout, Served};

/// Rises that are not known to be written down.
#[derive(Debug, Default)]
pub(super) struct Rises {
    /// By rollout, how it was served before the first of them.
    before: BTreeMap<Arc<str>, Before>,
    /// Those that the world published last leaves out.
    held: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Before {
    served: Served,
    stable: Arc<str>,
}

impl Rises {
    /// Notes that a rollout with this stable version goes from `before` to `after`.
    pub(super) fn note(&mut self, name: &Arc<str>, before: &Served, after: &Served, stable: &Arc<str>) {
        if !self.before.contains_key(name) && rises(before, after, stable) {
            let before = Before { served: before.clone(), stable: Arc::clone(stable) };
            self.before.insert(Arc::clone(name), before);
        }
    }

    /// The next world leaves nothing out.
    pub(super) fn publish(&mut self) {
        self.held.clear();
    }

    /// Whether what this rollout asks for is not served.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.held.contains(name)
    }
}

impl Reconciler {
    /// Takes whether all that [`Self::handle`] has asked to be written down is. What is returned, if anything, is to be
    /// served in place of anything that `handle` has published.
    pub fn remembered(&mut self, written: bool) -> Option<Publication> {
        if written {
            self.rises.before.clear();
            return if self.rises.held.is_empty() { None } else { self.publish_all() };
        }
        if !self.rises.held.is_empty() || self.rises.before.is_empty() {
            return None;
        }
        let spec = self.spec.clone()?;
        let mut served = self.served.clone();
        for (name, rollout) in rollouts(&spec) {
            let (Some(before), Some(now)) = (self.rises.before.get(&name), served.get_mut(&name)) else { continue };
            if has_all(rollout, &before.served) && rises(&before.served, now, &before.stable) {
                now.clone_from(&before.served);
                self.rises.held.insert(name);
            }
        }
        (!self.rises.held.is_empty()).then(|| self.publish(&spec, &served))
    }
}

/// Whether every version that carries traffic is still in the file: what is not cannot be served any more.
fn has_all(rollout: &Rollout, served: &Served) -> bool {
    let mut splits = std::iter::once(&served.traffic).chain(&served.ahead).flat_map(|traffic| &traffic.split.0);
    splits.all(|(name, weight)| *weight == 0 || rollout.versions.iter().any(|version| version.name == *name))
}
