//! How things stand now, over all proxies that report.

use std::sync::Arc;
use std::time::Duration;

use super::meter::Meter;
use super::node::Node;

/// A report is news for so long: three of 10 s, and what they may be late.
const FRESH: Duration = Duration::from_secs(35);

/// Requests in flight of one proxy to one cluster that are believed: a hundred times what Envoy's circuit breakers allow
/// unless told otherwise. One proxy that talks nonsense is not to shut every gate.
const MOST_ACTIVE: u64 = 100_000;

/// How many of the proxies that see no healthy endpoint are named.
const NAMED: usize = 10;

/// How one cluster stands, as the proxies saw it that reported in the last 35 s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Proxies that reported anything of it.
    pub nodes: usize,
    /// Requests in flight, of all of them.
    pub in_flight: u64,
    /// Endpoints that take requests, as most see it: the lower median. `None` if nobody says.
    pub healthy: Option<u64>,
    /// Proxies that see no endpoint that takes requests.
    pub without: usize,
    /// Ten of them.
    pub some_without: Vec<Arc<str>>,
}

impl Meter {
    /// How `cluster` stands.
    #[must_use]
    pub fn live(&self, now: Duration, cluster: &str) -> Live {
        let mut live = Live::default();
        let mut healthy = Vec::new();
        for (name, node) in &self.nodes {
            let seen = node.clusters.get(cluster).filter(|seen| seen.at.is_some_and(|at| is_fresh(now, at)));
            let Some(gauges) = seen.map(|seen| &seen.gauges) else { continue };
            live.nodes += 1;
            live.in_flight = live.in_flight.saturating_add(u64::from(gauges.active).min(MOST_ACTIVE));
            healthy.extend(gauges.healthy);
            if gauges.healthy == Some(0) {
                live.without += 1;
                if live.some_without.len() < NAMED {
                    live.some_without.push(Arc::clone(name));
                }
            }
        }
        live.healthy = lower_median(healthy);
        live
    }

    /// Whether any proxy reported in the last 35 s.
    #[must_use]
    pub fn is_reported(&self, now: Duration) -> bool {
        let fresh = |at: Option<Duration>| at.is_some_and(|at| is_fresh(now, at));
        let flushed = |node: &Node| node.flushed.as_ref().and_then(|flushed| flushed.at);
        self.nodes.values().any(|node| fresh(node.loaded) || fresh(flushed(node)))
    }
}

pub(super) fn is_fresh(now: Duration, at: Duration) -> bool {
    now.saturating_sub(at) <= FRESH
}

fn lower_median(mut all: Vec<u32>) -> Option<u64> {
    let middle = all.len().checked_sub(1)? / 2;
    Some(u64::from(*all.select_nth_unstable(middle).1))
}
