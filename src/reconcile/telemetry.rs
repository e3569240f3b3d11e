//! What proxies measure, on its way to whoever judges by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Reconciler, Turn};
use crate::telemetry::{Interval, Report};

impl Reconciler {
    /// Takes a report of a proxy.
    pub(super) fn take_report(&mut self, now: Duration, report: Report, turn: &mut Turn) {
        if let Some(interval) = self.meter.take(now, report) {
            self.take_interval(now, interval, turn);
        }
    }

    fn take_interval(&mut self, now: Duration, interval: Interval, turn: &mut Turn) {
        let _ = (self, now, interval, turn);
    }

    /// Counts the clusters of all versions of all rollouts, and no others.
    pub(super) fn count_versions(&mut self) {
        let versions = self.members.values().flat_map(|member| &member.spec.versions);
        let clusters: BTreeSet<_> = versions.map(|version| Arc::clone(&version.cluster_name)).collect();
        if clusters != *self.counted {
            self.counted = Arc::new(clusters);
            self.meter.count(Arc::clone(&self.counted));
        }
    }
}
