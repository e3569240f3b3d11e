//! The one value in an answer.

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::answer::{complaint, shown};

/// What `/api/v1/query` answers, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    /// Time and value.
    Scalar((f64, String)),
    Vector(Vec<Sample>),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Sample {
    /// Time and value; a native histogram has none.
    value: Option<(f64, String)>,
}

/// Where Prometheus is asked for the value of `query` as of now.
pub(super) fn query(address: &str, query: &str) -> Result<Uri, String> {
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    super::uri(&format!("{}/api/v1/query?query={query}", address.trim_end_matches('/')))
}

/// The value of a scalar, or of a vector with one element.
pub(super) fn of_prometheus(body: &[u8]) -> Result<f64, String> {
    #[derive(Debug, Deserialize)]
    struct Answer {
        data: Data,
    }
    if let Some(complaint) = complaint(body) {
        return Err(complaint);
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is none of Prometheus: {}", shown(&error.to_string())))?;
    let value = match answer.data {
        Data::Scalar((_, value)) => value,
        Data::Vector(samples) => match <[Sample; 1]>::try_from(samples) {
            Ok([Sample { value: Some((_, value)) }]) => value,
            Ok([Sample { value: None }]) => return Err("the query gives a histogram, not one value".to_owned()),
            Err(samples) if samples.is_empty() => return Err("the query finds no data".to_owned()),
            Err(samples) => return Err(format!("the query gives {} values, not one", samples.len())),
        },
        Data::Matrix(_) => return Err("the query gives a range of values over time, not one".to_owned()),
        Data::String(_) => return Err("the query gives a string, not a number".to_owned()),
    };
    number(&value)
}

/// The value at `path`, which may stand in braces and without its `$`, as for Argo Rollouts.
pub(super) fn of_web(body: &[u8], path: &str) -> Result<f64, String> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is no JSON: {}", shown(&error.to_string())))?;
    let bare = path.trim();
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare).trim();
    let root = if bare.starts_with('$') { "" } else { "$" };
    let parsed = JsonPath::parse(&format!("{root}{bare}")).map_err(|error| format!("jsonPath {path}: {error}"))?;
    match parsed.query(&json).all()[..] {
        [] => Err(format!("nothing is at {path} in the answer")),
        [Value::Number(value)] => value.as_f64().ok_or_else(|| format!("{value} at {path} is no finite number")),
        [Value::String(text)] => number(text),
        [other] => Err(format!("at {path} in the answer is {}, not a number", shown(&other.to_string()))),
        ref several => Err(format!("{} values are at {path} in the answer, not one", several.len())),
    }
}

fn number(text: &str) -> Result<f64, String> {
    let value = text.trim().parse().ok().filter(|value: &f64| value.is_finite());
    value.ok_or_else(|| format!("the value {:?} is no finite number", shown(text)))
}

#[cfg(test)]
mod tests;
