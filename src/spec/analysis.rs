//! `kind: AnalysisTemplate`: metrics and when they pass, shared by rollouts.
//!
//! Words and meanings are those of Argo Rollouts; `thresholdRange` is Flagger's, `critical` and `mustHaveData` are
//! Kayenta's, `test` is serin's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
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
    /// Between two measurements; `None` where one is all, and of a test.
    pub interval: Option<Duration>,
    /// Before the first measurement, or before the test is looked at.
    pub initial_delay: Duration,
    /// So many measurements, then the metric is done; at least 1. `None`: as long as the others last, and of a test.
    pub count: Option<u32>,
    /// More failed measurements than this fail the metric.
    pub failure_limit: u32,
    /// More inconclusive measurements than this make the metric inconclusive.
    pub inconclusive_limit: u32,
    /// More measurements in a row that could not be made than this are an error of the metric.
    pub consecutive_error_limit: u32,
    /// So many good measurements in a row pass the metric before `count` is reached; at least 1.
    pub consecutive_success_limit: Option<u32>,
    /// `critical`: it alone can fail a run. Where no metric of a run is critical, all are.
    pub critical: bool,
    /// `mustHaveData`: a measurement without data has failed, and so has a test without requests at its deadline.
    pub must_have_data: bool,
    /// The weight of a test that is not critical in their common vote; above 0, finite.
    pub weight: f64,
    /// `dryRun`: measured and told, and decides nothing.
    pub dry_run: bool,
    /// What becomes of it when it is inconclusive.
    pub on_inconclusive: OnInconclusive,
    /// What tells good from bad.
    pub judge: Judge,
}

#[cfg(test)]
impl Metric {
    /// Once, and all else as where a file leaves it out.
    pub(crate) fn once(name: &str, judge: Judge) -> Self {
        Self {
            name: name.into(),
            interval: None,
            initial_delay: Duration::ZERO,
            count: Some(1),
            failure_limit: 0,
            inconclusive_limit: 0,
            consecutive_error_limit: 4,
            consecutive_success_limit: None,
            critical: false,
            must_have_data: false,
            weight: 1.0,
            dry_run: false,
            on_inconclusive: OnInconclusive::Pause,
            judge,
        }
    }
}

/// `onInconclusive`: what an inconclusive metric comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnInconclusive {
    /// The verdict is inconclusive: the rollout waits for a person.
    #[default]
    Pause,
    /// As if it had passed.
    Promote,
    /// As if it had failed.
    Abort,
}

/// What tells good from bad.
#[derive(Debug, Clone, PartialEq)]
pub enum Judge {
    /// Values, measured one after the other.
    Value {
        /// Where they come from.
        source: Source,
        /// Which of them are good.
        good: Good,
    },
    /// The new version against the stable one.
    Test {
        /// By what.
        test: Test,
        /// How long it may take in a step before it is inconclusive; more than nothing.
        deadline: Duration,
    },
}

/// Where values come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Somebody is asked.
    Provider(Arc<Provider>),
    /// `success-rate`, `request-success-rate`: requests of the new version since the last measurement that did not fail,
    /// in percent.
    SuccessRate,
    /// `latency-p99`, `request-duration`: what this share of the new version's requests since the last measurement was
    /// not slower than, in milliseconds.
    Latency {
        /// Above 0, below 1.
        quantile: f64,
    },
}

/// Which values are good.
#[derive(Debug, Clone, PartialEq)]
pub enum Good {
    /// Those in the range.
    Within(ThresholdRange),
    /// As for Argo Rollouts; one of the two at least is there.
    Conditions {
        /// `successCondition`
        success: Option<Condition>,
        /// `failureCondition`
        failure: Option<Condition>,
    },
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

/// Who is asked, how, and how long that may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// What is asked.
    pub question: Question,
    /// Sent with the request.
    pub headers: Vec<Header>,
    /// From the request to the last byte of the answer.
    pub timeout: Duration,
    /// Whoever answers is taken for who he says he is: a certificate that nobody signed will do.
    pub insecure: bool,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A query to Prometheus.
    Prometheus {
        /// `http://` or `https://`, without `/api/v1/query`.
        address: Arc<str>,
        /// In the language of Prometheus.
        query: Arc<str>,
        /// Over which time; `None`: as of now.
        range: Option<QueryRange>,
    },
    /// A request that is answered with JSON.
    Web {
        /// `http://` or `https://`.
        url: Arc<str>,
        /// Where in the answer the value stands, e.g. `{$.data.rate}`.
        json_path: Arc<str>,
        /// How it is asked.
        method: WebMethod,
    },
}

/// `rangeQuery`: from when to when, both before now, and how far apart the values are. `start` is before `end`, `step`
/// is more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryRange {
    /// So long ago.
    pub start: Duration,
    /// So long ago.
    pub end: Duration,
    /// Between two values.
    pub step: Duration,
}

/// How the web is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebMethod {
    /// Without a body.
    Get,
    /// With this body.
    Post {
        /// As sent.
        body: Arc<str>,
        /// It is JSON, and said to be.
        json: bool,
    },
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// In lower case.
    pub name: Arc<str>,
    /// What it says.
    pub value: HeaderText,
}

/// What a header says. It may be a secret, and does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderText {
    /// As the document has it.
    Plain(Arc<str>),
    /// What stands in a file when the request is made, without the end of its line.
    File {
        /// Before it, e.g. `Bearer `.
        prefix: &'static str,
        /// From the root.
        path: Arc<str>,
    },
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("(not shown)"),
            Self::File { path, .. } => write!(f, "(in {path})"),
        }
    }
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
