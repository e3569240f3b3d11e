//! What a run must know of the requests that proxies measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::book::State;
use super::edges;
use super::evidence::float;
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
        Self {
            canary: self.canary.less(earlier.canary),
            stable: self.stable.less(earlier.stable),
            latency: edges::since(&self.latency, &earlier.latency),
        }
    }

    /// The value of a source that telemetry answers; null where there was no request.
    pub(super) fn value(&self, source: &Source) -> Value {
        let value = match source {
            Source::Provider(_) => None,
            Source::SuccessRate => success_rate(self.canary),
            Source::Latency { quantile } => self.latency.quantile(*quantile),
        };
        // JSON has no infinity: as Prometheus spells it.
        value.map_or(Value::Null, |value| if value.is_finite() { value.into() } else { "+Inf".into() })
    }
}

/// In percent.
fn success_rate(counts: Counts) -> Option<f64> {
    let good = counts.requests.saturating_sub(counts.errors);
    (counts.requests > 0).then(|| 100.0 * float(good) / float(counts.requests))
}
