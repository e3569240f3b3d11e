//! The fold of reports into intervals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::gauges::is_fresh;
use super::node::Node;
use super::{Body, Interval, Report};

/// Proxies that are remembered. Another one takes the place of that which has been silent longest; where all are heard
/// of, it is not taken.
const NODES: usize = 10_000;

/// How long a silent proxy is remembered: one that comes back sooner is counted on from where it was.
const MEMORY: Duration = Duration::from_secs(3600);

/// How often the silent are looked for.
const TIDY: Duration = Duration::from_secs(60);

/// Makes intervals of reports, so that each request is counted once.
///
/// Attempts come from load reports where a proxy has them: they count those too that a retry hides. What load reports
/// are blind to, requests that found no endpoint, comes from the metrics service and is held until the proxy's next
/// load report, so that both are in one interval. Without load reports attempts come from the counters of the metrics
/// service. What was counted so while load reports stayed away is taken off the first that comes again, because a proxy
/// keeps what it could not report. Latencies come from the metrics service at once.
///
/// A counter that is seen for the first time is where counting starts: at zero where the report before shows that it was
/// not there, else at its value. One that went back starts again at zero. Of two proxies with one name the uptimes
/// tell: nothing is counted from one to the other.
///
/// Reports of one proxy and kind that come sooner than 90 ms after another (ten a second are what the shortest
/// interval gives) are added to the next.
///
/// About 150 bytes are kept per proxy and cluster that it reports, of 10,000 proxies at most and of clusters that
/// count; in intervals 128 buckets and 1,024 endpoints per cluster at most.
#[derive(Debug, Default)]
pub struct Meter {
    counted: Arc<BTreeSet<Arc<str>>>,
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    tidied: Duration,
}

impl Meter {
    /// Which clusters count from now on. What is known of others is thrown away.
    pub fn count(&mut self, clusters: Arc<BTreeSet<Arc<str>>>) {
        let before = std::mem::replace(&mut self.counted, clusters);
        if before.is_subset(&self.counted) {
            return;
        }
        let both: Arc<BTreeSet<Arc<str>>> = Arc::new(before.intersection(&self.counted).cloned().collect());
        for node in self.nodes.values_mut() {
            node.clusters.retain(|name, _| self.counted.contains(name));
            // What was looked for and thrown away is as if it had not been looked for.
            if let Some(flushed) = &mut node.flushed {
                flushed.counted = if Arc::ptr_eq(&flushed.counted, &before) {
                    Arc::clone(&both)
                } else {
                    Arc::new(flushed.counted.intersection(&both).cloned().collect())
                };
            }
        }
    }

    /// Takes a report at `now`. The interval that it ends, if anything was measured in it.
    pub fn take(&mut self, now: Duration, report: Report) -> Option<Interval> {
        self.tidy(now);
        let Report { node: name, body } = report;
        let counted = Arc::clone(&self.counted);
        let node = self.admit(now, &name)?;
        node.heard = now;
        let clusters = match body {
            Body::Metrics(flush) => node.take_flush(now, flush, &counted),
            Body::Load(loads) => node.take_loads(now, loads, &counted),
            Body::LoadEnded => node.end_loads(),
        };
        (!clusters.is_empty()).then_some(Interval { node: name, clusters })
    }

    /// The counted cluster of that name.
    pub(super) fn counts(&self, name: &str) -> Option<Arc<str>> {
        self.counted.get(name).cloned()
    }

    /// What is known of a proxy; `None` if there is no room for it.
    pub(super) fn admit(&mut self, now: Duration, name: &Arc<str>) -> Option<&mut Node> {
        if !self.nodes.contains_key(name) && self.nodes.len() >= NODES {
            let silent = self.nodes.iter().min_by_key(|(_, node)| node.heard);
            let silent = silent.filter(|(_, node)| !is_fresh(now, node.heard)).map(|(name, _)| Arc::clone(name))?;
            self.nodes.remove(&silent);
        }
        Some(self.nodes.entry(Arc::clone(name)).or_insert_with(|| Node::new(now)))
    }

    fn tidy(&mut self, now: Duration) {
        if now.saturating_sub(self.tidied) >= TIDY {
            self.tidied = now;
            self.nodes.retain(|_, node| now.saturating_sub(node.heard) < MEMORY);
        }
    }
}
