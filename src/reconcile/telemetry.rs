//! What proxies measure, brought to whoever judges by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Reconciler, Turn, asking, measured};
use crate::telemetry::{Interval, Report};

/// What versions can carry is worked out so often at most, while reports come in.
const SOON: Duration = Duration::from_secs(1);

/// And so often at least where it matters: proxies that fall silent say nothing of it.
const LATE: Duration = Duration::from_secs(10);

/// Of so many rollouts at a time: each looks at every proxy. The others' turn comes next.
const AT_ONCE: usize = 100;

impl Reconciler {
    /// Takes a report of a proxy.
    pub(super) fn take_report(&mut self, now: Duration, report: Report, turn: &mut Turn) {
        for name in self.owners_of(report.clusters()) {
            if self.watched.contains(&name) {
                self.carried.insert(name);
            }
        }
        if let Some(interval) = self.meter.take(now, report) {
            self.take_interval(now, &interval, turn);
        }
    }

    /// The rollouts that have any of these clusters.
    fn owners_of<'a>(&self, clusters: impl Iterator<Item = &'a Arc<str>>) -> BTreeSet<Arc<str>> {
        clusters.filter_map(|cluster| self.owners.get(cluster)).flatten().cloned().collect()
    }

    fn take_interval(&mut self, now: Duration, interval: &Interval, turn: &mut Turn) {
        for name in self.owners_of(interval.clusters.keys()) {
            let Some(member) = self.members.get_mut(&name) else { continue };
            let news = member.measured.news;
            if member.measured.take((now, self.epoch), interval, &member.spec, &member.machine) {
                turn.runs.extend(member.asked.iter().filter(|decision| self.runs.contains_key(*decision)).cloned());
                if !news {
                    // It is to be kept before long.
                    self.plan(now, &name);
                }
            }
        }
    }

    /// Tells the machines what their versions can carry, where that has changed.
    pub(super) fn judge_capacity(&mut self, now: Duration, turn: &mut Turn) {
        if self.capacity_due().is_none_or(|due| due > now) {
            return;
        }
        if self.swept_at + LATE <= now {
            self.carried.extend(self.watched.iter().cloned());
            self.swept_at = now;
        }
        self.carried_at = now;
        let after = (std::ops::Bound::Excluded(self.carried_last.clone()), std::ops::Bound::Unbounded);
        let turns = self.carried.range(after).chain(&self.carried).take(AT_ONCE.min(self.carried.len()));
        for name in turns.cloned().collect::<Vec<_>>() {
            self.carried.remove(&name);
            self.tell_room(now, &name, turn);
            self.carried_last = name;
        }
    }

    /// Tells a machine what its versions can carry, if that has changed.
    pub(super) fn tell_room(&mut self, now: Duration, name: &Arc<str>, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(name) else { return };
        let spec = Arc::clone(&member.spec);
        if let Some(entries) = member.tell_room(now, self.epoch, &spec, &self.meter) {
            self.settle(now, name, entries, false, turn);
        }
    }

    /// When that is to be done next, if anybody cares.
    pub(super) fn capacity_due(&self) -> Option<Duration> {
        if !self.carried.is_empty() {
            return Some(self.carried_at + SOON);
        }
        (!self.watched.is_empty()).then_some(self.swept_at + LATE)
    }

    /// Has a member's evidence follow its machine and its templates, while it rises.
    pub(super) fn follow(&mut self, name: &str) {
        let rising = self.members.get_mut(name).filter(|member| member.machine.rising().is_some());
        let Some(member) = rising else { return };
        let templates = asking::found(self.spec.as_deref(), &measured::templates(&member.spec));
        member.measured.follow(&member.machine, &templates);
    }

    /// Counts the clusters of all versions of all rollouts, and no others.
    pub(super) fn count_versions(&mut self) {
        let mut owners: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for (name, member) in &self.members {
            for version in &member.spec.versions {
                owners.entry(Arc::clone(&version.cluster_name)).or_default().push(Arc::clone(name));
            }
        }
        self.owners = owners;
        if !self.owners.keys().eq(self.counted.iter()) {
            self.counted = Arc::new(self.owners.keys().cloned().collect());
            self.meter.count(Arc::clone(&self.counted));
        }
    }
}
