//! `kind: AnalysisTemplate`: metrics and when they pass, shared by rollouts.
//!
//! Words and meanings are those of Argo Rollouts; `thresholdRange` is Flagger's.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::Origin;

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisTemplate {
    /// Rollouts name it.
    pub name: Arc<str>,
    /// One or more, in the order of the file; their names differ.
    pub metrics: Vec<Arc<Metric>>,
    /// Where it stands.
    pub origin: Origin,
}

/// Something that is measured, and how often it may be bad.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Names it within its template.
    pub name: Arc<str>,
    /// Between two measurements; `None` where one is all.
    pub interval: Option<Duration>,
    /// Before the first measurement.
    pub initial_delay: Duration,
    /// So many measurements, then the metric is done; at least 1. `None`: until the rollout ends.
    pub count: Option<u32>,
    /// More failed measurements than this fail the metric.
    pub failure_limit: u32,
    /// More inconclusive measurements than this make the metric inconclusive.
    pub inconclusive_limit: u32,
    /// More measurements in a row that could not be made than this are an error of the metric.
    pub consecutive_error_limit: u32,
    /// So many good measurements in a row pass the metric before `count` is reached; at least 1.
    pub consecutive_success_limit: Option<u32>,
    /// What is good.
    pub threshold: ThresholdRange,
    /// Who is asked.
    pub provider: Provider,
}

/// `thresholdRange`: a value is good from `min` to `max`, both included. At least one is there, both are finite, and
/// `min` is not above `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdRange {
    /// Anything below is bad.
    pub min: Option<f64>,
    /// Anything above is bad.
    pub max: Option<f64>,
}

impl ThresholdRange {
    /// Whether `value` is good. What is no number is not.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max) && !value.is_nan()
    }
}

/// Who is asked for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// A Prometheus query that gives one value.
    Prometheus {
        /// `http://` or `https://`, without `/api/v1/query`.
        address: Arc<str>,
        /// In the language of Prometheus.
        query: Arc<str>,
        /// How long one query may take.
        timeout: Duration,
    },
    /// A GET that answers with JSON.
    Web {
        /// `http://` or `https://`.
        url: Arc<str>,
        /// Where in the answer the value stands, e.g. `{$.data.rate}`.
        json_path: Arc<str>,
        /// Sent with the request: name in lower case, value.
        headers: Vec<(String, String)>,
        /// How long one request may take.
        timeout: Duration,
    },
}

/// `test`: the new version against the stable one, by what Envoy measures of both; see [`crate::analysis`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// `errorRatio`: failed requests.
    ErrorRatio(Limits),
    /// `latency`: requests slower than the edges nearest to these quantiles of the stable version, and than the SLO.
    Latency {
        /// Each above 0 and below 1, rising; one or more.
        quantiles: Vec<f64>,
        /// Latency that is to be kept.
        slo: Option<Duration>,
        /// How sure, and of what.
        limits: Limits,
    },
}

/// How sure a test must be, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// `alpha`: the share of good rollouts that may fail; above 0, below 1.
    pub alpha: f64,
    /// `beta`: the share of bad rollouts that may pass; above 0, below 1.
    pub beta: f64,
    /// `allowedIncrease`: up to this ratio of the new version's rate to the stable one's nothing is wrong; at least 1.
    pub allowed_increase: f64,
    /// `pass.maxIncrease`: it passes when the ratio is surely below this; above `allowed_increase`.
    pub max_increase: f64,
    /// `pass.maxRate`: it passes too when the new version's own rate is surely below this; above 0, below 1.
    pub max_rate: Option<f64>,
}
