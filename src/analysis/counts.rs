//! Recorded counts, judged offline: the file of `serin analyze --counts`, and what comes of it.
//!
//! ```yaml
//! intervalSeconds: 10                 # for "at this rate"; 10 if left out
//! tests:                              # as in an AnalysisTemplate
//!   error-rate: {type: errorRatio, alpha: 0.01, allowedIncrease: 1.25, pass: {maxIncrease: 2, maxRate: 0.01}}
//!   latency: {type: latency, quantiles: [0.5, 0.9, 0.99], slo: 250ms}
//! before:                             # latencies of the stable version before; optional
//!   {requests: 19000, buckets: [[25, 9500], [250, 18900]]}
//! strata:
//! - node: edge-1                      # what one node measured
//!   interval: 0                       # in one interval; each pair of the two once
//!   asked: 5                          # the weight in percent, where it is to be compared with the split; optional
//!   canary: {requests: 5000, errors: 20, buckets: [[25, 2500], [250, 4900]]}   # buckets are optional
//!   stable: {requests: 95000, errors: 95}
//! ```
//!
//! Buckets are upper edges in milliseconds, each with the requests that were at most that slow.

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::{Book, Names, State};
use crate::spec::{Limits, Test};
use crate::telemetry::{Counts, Histogram, Sample};

/// What a test is asked where it does not say.
const ALPHA: f64 = 0.01;
const BETA: f64 = 0.05;
const ALLOWED_ERRORS: f64 = 1.25;
const ALLOWED_LATENCY: f64 = 1.25;
const MAX_INCREASE: f64 = 2.0;

/// No version is a million times as bad and still alike.
const MAX_RATIO: f64 = 1e6;

/// A file of recorded counts, found to hold together.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "File")]
pub struct CountsFile(File);

/// What comes of recorded counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// Failed if one test has, passed if all have, open else.
    pub state: State,
    /// Each test, by name.
    pub tests: BTreeMap<Arc<str>, Judged>,
    /// What is wrong with the split, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

/// What comes of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// How it stands at the end of the file.
    pub state: State,
    /// ln of the evidence that the canary is worse than allowed.
    pub ln_evidence: f64,
    /// The first interval after which it had failed; a rollout would have been aborted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<u64>,
    /// The figures.
    pub words: String,
    /// What it would need to pass, if it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<String>,
}

impl CountsFile {
    /// Reads one YAML or JSON document.
    ///
    /// # Errors
    /// In words, where and what: of syntax, unknown fields, counts that cannot be, tests that cannot be asked.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_value(reading::value(text)?).map_err(|error| error.to_string())
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default = "ten")]
    interval_seconds: u32,
    tests: BTreeMap<Arc<str>, Asked>,
    #[serde(default)]
    before: Option<Measured>,
    strata: Vec<Stratum>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stratum {
    node: Arc<str>,
    interval: u64,
    #[serde(default)]
    asked: Option<f64>,
    #[serde(default)]
    canary: Option<Measured>,
    #[serde(default)]
    stable: Option<Measured>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    requests: u64,
    #[serde(default)]
    errors: u64,
    #[serde(default)]
    buckets: Vec<(f64, u64)>,
}

/// `test:` of an `AnalysisTemplate`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    r#type: Kind,
    quantiles: Option<Vec<f64>>,
    slo: Option<String>,
    alpha: Option<f64>,
    beta: Option<f64>,
    allowed_increase: Option<f64>,
    #[serde(default)]
    pass: Pass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    ErrorRatio,
    Latency,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pass {
    max_increase: Option<f64>,
    max_rate: Option<f64>,
}

const fn ten() -> u32 {
    10
}

/// Judges recorded counts as a rollout would have, interval by interval.
#[must_use]
pub fn judge(CountsFile(file): &CountsFile) -> Judgement {
    let mut book = Book::default();
    // They have been read once, so none is lost here.
    book.adopt(file.tests.iter().filter_map(|(name, asked)| Some((Arc::clone(name), asked.test().ok()?))));
    if let Some(latency) = file.before.as_ref().and_then(Measured::latency) {
        book.prime(&latency);
    }
    let mut strata: Vec<_> = file.strata.iter().collect();
    strata.sort_by_key(|stratum| (stratum.interval, &stratum.node));
    let mut now = Duration::ZERO;
    let mut failed: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for interval in strata.chunk_by(|a, b| a.interval == b.interval) {
        for stratum in interval {
            let at = stratum.interval.saturating_mul(u64::from(file.interval_seconds));
            now = Duration::from_secs(at);
            let (canary, stable) = (stratum.canary.as_ref().map(sample), stratum.stable.as_ref().map(sample));
            let asked = stratum.asked.map(|percent| percent / 100.0);
            book.take(now, &stratum.node, canary.as_ref(), stable.as_ref(), asked);
        }
        let at = interval.first().map(|stratum| stratum.interval).unwrap_or_default();
        for key in book.keys().filter(|key| book.verdict(key) == Some(State::Failed)) {
            failed.entry(Arc::clone(key)).or_insert(at);
        }
    }
    let names = Names::default();
    let judged = |key: &Arc<str>| {
        let judged = Judged {
            state: book.verdict(key).unwrap_or(State::Open),
            ln_evidence: book.ln_evidence(key).unwrap_or_default(),
            failed_at: failed.get(key).copied(),
            words: book.words(key, names),
            forecast: book.forecast(key, now, names),
        };
        (Arc::clone(key), judged)
    };
    let tests: BTreeMap<_, _> = book.keys().map(judged).collect();
    let all = |state| tests.values().all(|judged| judged.state == state);
    let state = if !tests.values().all(|judged| judged.state != State::Failed) {
        State::Failed
    } else if all(State::Passed) {
        State::Passed
    } else {
        State::Open
    };
    Judgement { state, tests, split: book.split().warning() }
}

fn sample(measured: &Measured) -> Sample {
    let Measured { requests, errors, .. } = *measured;
    Sample { attempts: Some(Counts { requests, errors }), latency: measured.latency(), ..Sample::default() }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, judged) in &self.tests {
            let state = match judged.state {
                State::Failed => "Failed",
                State::Passed => "Successful",
                State::Open => "Inconclusive",
            };
            writeln!(f, "{name}: {state}: {}", judged.words)?;
            if let Some(at) = judged.failed_at {
                writeln!(f, "  failed first after interval {at}")?;
            }
            if let Some(forecast) = &judged.forecast {
                writeln!(f, "  {forecast}")?;
            }
        }
        self.split.iter().try_for_each(|warning| writeln!(f, "split: {warning}"))
    }
}

impl Measured {
    fn latency(&self) -> Option<Histogram> {
        let (count, buckets) = (self.requests, &self.buckets);
        (!buckets.is_empty()).then(|| Histogram { count, buckets: buckets.clone() })
    }

    fn check(&self) -> Result<(), String> {
        let Self { requests, errors, buckets } = self;
        if errors > requests {
            return Err(format!("{errors} errors of {requests} requests: errors are some of the requests"));
        }
        if buckets.iter().any(|(edge, _)| !edge.is_finite() || *edge <= 0.0) {
            return Err("the edge of a bucket is a latency in milliseconds, above 0 and finite".to_owned());
        }
        for pair in buckets.windows(2) {
            if let [(low, few), (high, many)] = pair
                && (low >= high || few > many)
            {
                return Err(format!(
                    "buckets [{low}, {few}], [{high}, {many}] do not rise: each counts those before it too"
                ));
            }
        }
        match buckets.last() {
            Some((edge, count)) if count > requests => {
                Err(format!("{count} of {requests} requests at most {edge} ms slow: there are not so many"))
            }
            _ => Ok(()),
        }
    }
}

impl Asked {
    /// The test that is meant, or what is wrong with it.
    fn test(&self) -> Result<Test, String> {
        let within = |what: &str, value: f64| {
            let good = value > 0.0 && value < 1.0;
            if good { Ok(value) } else { Err(format!("{what} is {value}, and should be above 0 and below 1")) }
        };
        let allowed_increase = self.allowed_increase.unwrap_or(match self.r#type {
            Kind::ErrorRatio => ALLOWED_ERRORS,
            Kind::Latency => ALLOWED_LATENCY,
        });
        if !(1.0..=MAX_RATIO).contains(&allowed_increase) {
            return Err(format!(
                "allowedIncrease is {allowed_increase}, and should be 1 or more, and at most {MAX_RATIO}"
            ));
        }
        let max_increase = self.pass.max_increase.unwrap_or(MAX_INCREASE);
        if !(max_increase > allowed_increase && max_increase <= MAX_RATIO) {
            return Err(format!(
                "pass.maxIncrease is {max_increase}, and should be above allowedIncrease, {allowed_increase}, and at most {MAX_RATIO}"
            ));
        }
        let limits = Limits {
            alpha: within("alpha", self.alpha.unwrap_or(ALPHA))?,
            beta: within("beta", self.beta.unwrap_or(BETA))?,
            allowed_increase,
            max_increase,
            max_rate: self.pass.max_rate.map(|rate| within("pass.maxRate", rate)).transpose()?,
        };
        match self.r#type {
            Kind::ErrorRatio if self.quantiles.is_some() || self.slo.is_some() => {
                Err("quantiles and slo are of `type: latency`".to_owned())
            }
            Kind::ErrorRatio => Ok(Test::ErrorRatio(limits)),
            Kind::Latency => {
                let quantiles = self.quantiles.clone().unwrap_or_else(|| vec![0.5, 0.9, 0.99]);
                quantiles.iter().try_for_each(|q| within("a quantile", *q).map(drop))?;
                if quantiles.is_empty() || !quantiles.is_sorted_by(|low, high| low < high) {
                    return Err("quantiles are one or more, and rise".to_owned());
                }
                let read =
                    |text: &String| humantime::parse_duration(text).map_err(|error| format!("slo {text}: {error}"));
                Ok(Test::Latency { quantiles, slo: self.slo.as_ref().map(read).transpose()?, limits })
            }
        }
    }
}

impl TryFrom<File> for CountsFile {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        if file.tests.is_empty() {
            return Err("tests: there is none".to_owned());
        }
        for (name, asked) in &file.tests {
            asked.test().map_err(|error| format!("tests, {name}: {error}"))?;
        }
        if let Some(before) = &file.before {
            before.check().map_err(|error| format!("before: {error}"))?;
        }
        let mut seen = BTreeSet::new();
        for Stratum { node, interval, asked, canary, stable } in &file.strata {
            let place = |error: String| format!("strata, node {node}, interval {interval}: {error}");
            if !seen.insert((node, interval)) {
                return Err(place("is there twice; one node measures an interval once".to_owned()));
            }
            if let Some(asked) = asked.filter(|asked| !(0.0..=100.0).contains(asked)) {
                return Err(place(format!("asked is {asked}, and should be a weight from 0 to 100 percent")));
            }
            for (version, measured) in [("canary", canary), ("stable", stable)] {
                let check = measured.as_ref().map_or(Ok(()), Measured::check);
                check.map_err(|error| place(format!("{version}: {error}")))?;
            }
        }
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests;
