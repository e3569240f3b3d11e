//! What proxies measure of the clusters they send requests to, and the fold of their reports into intervals.
//!
//! A proxy reports in two ways. Load reports count attempts, also those that a retry hides, per endpoint; the metrics
//! service has what load reports are blind to: latency, requests in flight, healthy endpoints, and requests that found
//! no endpoint at all. [`Report`] is one message of either, as the doors decode it; [`Sample`] is what one proxy
//! measured of one cluster in one interval, each request in it once. [`Meter`] makes the one of the other.

mod bases;
mod gauges;
mod histogram;
mod meter;
mod node;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use bases::{Base, Bases, NodeBases};
pub use gauges::Live;
pub use meter::Meter;

/// Requests, and those of them that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Attempts that ended: a request that is retried counts once for each.
    pub requests: u64,
    /// Those that failed: a status of 500 to 599, a reset, no connection, no answer in time, no endpoint.
    pub errors: u64,
}

/// Latencies of one interval, in buckets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Requests in it.
    pub count: u64,
    /// Upper edge in milliseconds, and how many requests were at most that slow; edges and counts rise.
    pub buckets: Vec<(f64, u64)>,
}

/// One message of a proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// `node.id`
    pub node: Arc<str>,
    /// What it says.
    pub body: Body,
}

impl Report {
    /// The clusters that it is about.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let (metrics, loads) = match &self.body {
            Body::Metrics(flush) => (Some(flush.clusters.keys()), None),
            Body::Load(loads) => (None, Some(loads.keys())),
            Body::LoadEnded => (None, None),
        };
        metrics.into_iter().flatten().chain(loads.into_iter().flatten())
    }
}

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A flush of the metrics service.
    Metrics(Flush),
    /// A load report, by cluster.
    Load(BTreeMap<Arc<str>, Load>),
    /// Its stream of load reports has ended: until it has another, errors are counted from the metrics service.
    LoadEnded,
}

/// All that the metrics service says at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flush {
    /// How long the proxy has been running, in whole seconds (`server.uptime`).
    pub uptime: Option<Duration>,
    /// The clusters that were looked for: one of them that is not among `clusters` has counted nothing yet. That is
    /// believed only of a proxy that says its uptime in one message after the other, so that none is a part of a flush.
    pub counted: Arc<BTreeSet<Arc<str>>>,
    /// By cluster.
    pub clusters: BTreeMap<Arc<str>, Metrics>,
}

/// What the metrics service says of one cluster; what it does not say is `None`. Counters count from the start of the
/// proxy, or of the cluster on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Answers, those that a retry hid included.
    pub completed: Option<u64>,
    /// Answers with a status of 500 to 599, those that a retry hid included.
    pub failed: Option<u64>,
    /// Requests that found no healthy endpoint.
    pub none_healthy: Option<u64>,
    /// Requests in flight now.
    pub active: Option<u64>,
    /// Endpoints that take requests.
    pub healthy: Option<u64>,
    /// Of the requests since the last flush.
    pub latency: Option<Histogram>,
}

/// What a load report says of one cluster, since the last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// Attempts that ended.
    pub attempts: Counts,
    /// Requests that a circuit breaker or an overload kept back.
    pub dropped: u64,
    /// Requests in flight now.
    pub in_progress: u64,
    /// Attempts by endpoint, `IP:port`.
    pub endpoints: BTreeMap<Arc<str>, Counts>,
}

/// What one proxy measured of one cluster in one interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Requests and errors; `None` in an interval that has latencies alone.
    pub attempts: Option<Counts>,
    /// Latencies; `None` in an interval that has requests and errors alone.
    pub latency: Option<Histogram>,
    /// Requests and errors by endpoint, as far as they are known.
    pub endpoints: BTreeMap<Arc<str>, Counts>,
}

/// What one proxy measured in one interval, by cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// `node.id`
    pub node: Arc<str>,
    /// Clusters of which nothing was measured are not there.
    pub clusters: BTreeMap<Arc<str>, Sample>,
}
