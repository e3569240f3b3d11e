//! What a run must know of the requests that proxies measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::book::State;
use crate::spec::Source;
use crate::telemetry::{Counts, Histogram};

/// What proxies measured for one rollout, and what its tests make of it. A test is named by its key,
/// `TEMPLATE/METRIC`: its evidence outlives the run that looks at it.
pub trait Evidence {
    /// How a test stands; `Open` where nothing is known of it.
    fn state(&self, key: &str) -> State;

    /// ln of the evidence that the new version is worse; `None` where nothing is known of the test.
    fn ln_evidence(&self, key: &str) -> Option<f64>;

    /// The figures of a test; empty where there are none.
    fn words(&self, key: &str) -> String;

    /// What a test still needs to pass.
    fn forecast(&self, key: &str, now: Duration) -> Option<String>;

    /// All that was measured since the revision began: it only grows.
    fn window(&self) -> Window;

    /// Whether any proxy reports what it measures.
    fn is_reported(&self) -> bool;
}

/// Requests in some time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Of the new version.
    pub canary: Counts,
    /// Of the version to go back to.
    pub stable: Counts,
    /// Latencies of the new version.
    pub latency: Histogram,
}

impl Window {
    /// What has come since it was `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |counts: Counts, part: Counts| Counts {
            requests: counts.requests.saturating_sub(part.requests),
            errors: counts.errors.saturating_sub(part.errors),
        };
        let below = |edge: f64| {
            let bucket = earlier.latency.buckets.iter().rev().find(|(known, _)| *known <= edge);
            bucket.map_or(0, |(_, count)| *count)
        };
        let buckets = self.latency.buckets.iter().map(|(edge, count)| (*edge, count.saturating_sub(below(*edge))));
        Self {
            canary: less(self.canary, earlier.canary),
            stable: less(self.stable, earlier.stable),
            latency: Histogram {
                count: self.latency.count.saturating_sub(earlier.latency.count),
                buckets: buckets.collect(),
            },
        }
    }

    /// The value of a source that telemetry answers; null where there was no request.
    pub(super) fn value(&self, source: &Source) -> Value {
        let value = match source {
            Source::Provider(_) => None,
            Source::SuccessRate => success_rate(self.canary),
            Source::Latency { quantile } => self::quantile(&self.latency, *quantile),
        };
        // JSON has no infinity: as Prometheus spells it.
        value.map_or(Value::Null, |value| if value.is_finite() { value.into() } else { "+Inf".into() })
    }
}

/// In percent.
#[expect(clippy::cast_precision_loss, reason = "a share of less than 2^53 requests")]
fn success_rate(Counts { requests, errors }: Counts) -> Option<f64> {
    (requests > 0).then(|| 100.0 * (requests.saturating_sub(errors)) as f64 / requests as f64)
}

/// In milliseconds: linear within a bucket, from 0 in the first, as Prometheus' `histogram_quantile` does it. What is
/// slower than the last edge may be as slow as it likes, so a quantile beyond it is infinite.
#[expect(clippy::cast_precision_loss, reason = "less than 2^53 requests")]
fn quantile(histogram: &Histogram, quantile: f64) -> Option<f64> {
    if histogram.count == 0 {
        return None;
    }
    let rank = quantile * histogram.count as f64;
    let (mut edge_before, mut count_before) = (0.0, 0_u64);
    for (edge, count) in &histogram.buckets {
        if *count as f64 >= rank {
            let inside = count.saturating_sub(count_before);
            let share = if inside == 0 { 1.0 } else { (rank - count_before as f64) / inside as f64 };
            return Some(edge_before + (edge - edge_before) * share.clamp(0.0, 1.0));
        }
        (edge_before, count_before) = (*edge, *count);
    }
    Some(f64::INFINITY)
}
