//! One measured value: good, bad, neither, or none.

use serde_json::Value;

use super::condition::{self, Fault};
use super::words;
use crate::spec::{Good, Judge, Metric, Provider, Question, Source, ThresholdRange};

/// Characters of a value that are shown.
const MAX_SHOWN: usize = 80;

/// What a measurement comes to, in words that follow the name of the metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measured {
    Good(String),
    Bad(String),
    /// Neither condition holds.
    Neither(String),
    /// There is no value, or none that can be judged.
    Error(String),
}

/// What `value` means for `metric`.
pub(super) fn measured(metric: &Metric, value: &Value) -> Measured {
    let Judge::Value { source, good } = &metric.judge else {
        return Measured::Error("a test measures no values".to_owned());
    };
    let outcome = if metric.must_have_data && condition::is_nothing(value) {
        Err(Fault::NoData(missing(source, value)))
    } else {
        match good {
            Good::Within(range) => within(source, *range, value),
            Good::Conditions { success, failure } => conditions(success.as_ref(), failure.as_ref(), value),
        }
    };
    match outcome {
        Ok(measured) => measured,
        Err(Fault::NoData(words)) if metric.must_have_data => Measured::Bad(format!("has no data: {words}")),
        Err(Fault::NoData(words) | Fault::Wrong(words)) => Measured::Error(words),
    }
}

fn within(source: &Source, range: ThresholdRange, value: &Value) -> Result<Measured, Fault> {
    let one = match value {
        Value::Array(items) => match &items[..] {
            [one] => one,
            [] => return Err(Fault::NoData(missing(source, value))),
            several => return Err(Fault::Wrong(format!("there are {} values, not one", several.len()))),
        },
        other => other,
    };
    if one.is_null() {
        return Err(Fault::NoData(missing(source, one)));
    }
    let Some(number) = condition::number(one) else {
        return Err(Fault::Wrong(format!("{} is not a number", shown(one))));
    };
    if number.is_nan() {
        return Err(Fault::NoData("the value is NaN".to_owned()));
    }
    if number.is_infinite() && matches!(source, Source::Latency { .. }) {
        return Ok(Measured::Bad("is beyond all buckets".to_owned()));
    }
    if number.is_infinite() {
        return Err(Fault::Wrong(format!("the value {} is no finite number", shown(one))));
    }
    if range.holds(number) {
        Ok(Measured::Good(format!("{} is {}", words::number(number), words::range(range))))
    } else {
        Ok(Measured::Bad(words::excess(number, range)))
    }
}

/// As for Argo Rollouts: one condition alone decides both ways, of two that both hold the bad one counts. Where the bad
/// one holds, it does not matter that the other looks at what is not there.
fn conditions(
    success: Option<&crate::spec::Condition>,
    failure: Option<&crate::spec::Condition>,
    value: &Value,
) -> Result<Measured, Fault> {
    let shown = shown(value);
    let failed = failure.map(|condition| (condition.text(), condition::holds(condition, value)));
    if let Some((text, Ok(true))) = &failed {
        return Ok(Measured::Bad(format!("{shown} meets {text}")));
    }
    let succeeded = success.map(|condition| (condition.text(), condition::holds(condition, value)));
    let failed = match failed {
        Some((text, holds)) => Some((text, holds?)),
        None => None,
    };
    let succeeded = match succeeded {
        Some((text, holds)) => Some((text, holds?)),
        None => None,
    };
    Ok(match (succeeded, failed) {
        (Some((text, true)), _) => Measured::Good(format!("{shown} meets {text}")),
        (Some((text, false)), None) => Measured::Bad(format!("{shown} does not meet {text}")),
        (Some((success, false)), Some((failure, _))) => {
            Measured::Neither(format!("{shown} meets neither {success} nor {failure}"))
        }
        (None, Some((text, _))) => Measured::Good(format!("{shown} does not meet {text}")),
        (None, None) => return Err(Fault::Wrong("there is no condition".to_owned())),
    })
}

/// Why there is no value.
fn missing(source: &Source, value: &Value) -> String {
    let provider: Option<&Provider> = match source {
        Source::Provider(provider) => Some(provider),
        Source::SuccessRate | Source::Latency { .. } => None,
    };
    match (provider.map(|provider| &provider.question), value) {
        (None, _) => "the new version had no requests".to_owned(),
        (Some(Question::Prometheus { .. }), Value::Array(items)) if items.is_empty() => {
            "the query finds no data".to_owned()
        }
        (Some(Question::Web { json_path, .. }), Value::Null) => format!("nothing is at {json_path} in the answer"),
        (Some(_), value) => format!("the value is {}", shown(value)),
    }
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(items) => match &items[..] {
            [one @ (Value::Number(_) | Value::String(_))] => return shown(one),
            _ => value.to_string(),
        },
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), words::number),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
