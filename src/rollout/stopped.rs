//! A rollout whose record was damaged: what is in force stays, and nothing moves until somebody decides.
//!
//! The journal's last entry says which split that is. Header routes, mirrors, time waited and what `undo` could go back
//! to are lost.

use std::sync::Arc;
use std::time::Duration;

use super::journal::{Entry, Standing};
use super::machine::{Machine, heaviest, whole_millis, wished};
use super::record::{Record, Stage};
use super::traffic;
use crate::spec::{Rollout, Strategy, Traffic};

impl Machine {
    /// Goes on without a record, because of `why`, after the journal's `last` entry. Where a version that carried
    /// traffic is gone from the file, all of it goes to the stable version. Without an entry nothing is known: the target is taken
    /// as stable, as in [`Machine::first_seen`].
    #[must_use]
    pub fn stopped(now: Duration, spec: Arc<Rollout>, last: Option<&Entry>, why: String) -> (Self, Vec<Entry>) {
        let now = whole_millis(now);
        let to = wished(&spec);
        let there = |version: &Arc<str>| spec.versions.iter().any(|known| known.name == *version);
        let (stable, in_force) = match last {
            None => (Arc::clone(&to), traffic::whole(&spec, &to)),
            Some(Entry { stable, to: Standing { weights, .. }, .. }) => {
                let named = Some(stable).filter(|stable| there(stable)).cloned();
                let carriers = weights.0.iter().filter(|(version, _)| there(version));
                let most = || heaviest(carriers.map(|(version, weight)| (version, *weight)));
                (named.or_else(most).unwrap_or_else(|| Arc::clone(&to)), weights.clone())
            }
        };
        let why = match (last, &spec.strategy) {
            (Some(_), _) | (None, Strategy::Weights(_)) => why,
            (None, _) => format!("{why}; which split was in force is not known, so all is on the file's target"),
        };
        let words = format!("stopped: {why}");
        let stage = match &spec.strategy {
            Strategy::Weights(_) => Stage::Weights,
            Strategy::Canary(_) | Strategy::BlueGreen(_) => Stage::Stopped { to, why },
        };
        let mut record = Record::new(now, Arc::clone(&spec.name), stable, stage, Traffic::of(in_force));
        record.target.clone_from(&spec.target);
        if let Some(last) = last {
            record.sequence = last.sequence;
            record.revision = last.revision.max(1);
            record.history[0].revision = record.revision;
        }
        record.traffic = traffic::of(&spec, &record);
        Self::begun(now, record, spec, words)
    }
}
