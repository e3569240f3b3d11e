//! What an answer says, as JSON. What is no number to JSON is spelled as Prometheus spells it: `"NaN"`, `"+Inf"`.

use std::time::Duration;

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::answer::{complaint, shown};
use crate::spec::QueryRange;

/// What `/api/v1/query` and `/api/v1/query_range` answer, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Scalar(Point),
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
    String(serde::de::IgnoredAny),
}

/// Time and value.
type Point = (f64, String);

#[derive(Debug, Deserialize)]
struct Sample {
    /// A native histogram has none.
    value: Option<Point>,
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<Point>,
}

/// Where Prometheus is asked for the value of `query` as of now, or for its values over `range`. `now` since the Unix
/// epoch.
pub(super) fn query(address: &str, query: &str, range: Option<QueryRange>, now: Duration) -> Result<Uri, String> {
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    let base = address.trim_end_matches('/');
    let url = match range {
        None => format!("{base}/api/v1/query?query={query}"),
        Some(QueryRange { start, end, step }) => {
            let time = |ago: Duration| now.saturating_sub(ago).as_secs_f64();
            let (start, end, step) = (time(start), time(end), step.as_secs_f64());
            format!("{base}/api/v1/query_range?query={query}&start={start:.3}&end={end:.3}&step={step}")
        }
    };
    super::uri(&url)
}

/// The value of a scalar; a list of the values of a vector, in its order; a list of the values of a range, series after
/// series.
pub(super) fn of_prometheus(body: &[u8]) -> Result<Value, String> {
    #[derive(Debug, Deserialize)]
    struct Answer {
        data: Data,
    }
    if let Some(complaint) = complaint(body) {
        return Err(complaint);
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is none of Prometheus: {}", shown(&error.to_string())))?;
    match answer.data {
        Data::Scalar((_, value)) => number(&value),
        Data::Vector(samples) => {
            let values = samples.into_iter().map(|sample| match sample.value {
                Some((_, value)) => number(&value),
                None => Err("the query gives a histogram, not a value".to_owned()),
            });
            values.collect()
        }
        Data::Matrix(series) => {
            series.iter().flat_map(|series| &series.values).map(|(_, value)| number(value)).collect()
        }
        Data::String(_) => Err("the query gives a string, not a number".to_owned()),
    }
}

/// What stands at `path`, which may stand in braces and without its `$`, as for Argo Rollouts: null where nothing does,
/// a list where more than one thing does.
pub(super) fn of_web(body: &[u8], path: &str) -> Result<Value, String> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is no JSON: {}", shown(&error.to_string())))?;
    let bare = path.trim();
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare).trim();
    let root = if bare.starts_with('$') { "" } else { "$" };
    let parsed = JsonPath::parse(&format!("{root}{bare}")).map_err(|error| format!("jsonPath {path}: {error}"))?;
    Ok(match parsed.query(&json).all()[..] {
        [] => Value::Null,
        [one] => one.clone(),
        ref several => several.iter().map(|value| (*value).clone()).collect(),
    })
}

/// As Prometheus writes it.
fn number(text: &str) -> Result<Value, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("the value {:?} is no number", shown(text)))?;
    Ok(match value {
        _ if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ => value.into(),
    })
}

#[cfg(test)]
mod tests;
