//! Figures of a plan: how they are typed, and how they are shown.

use std::time::Duration;

use crate::analysis::figures::{grouped, whole};
use crate::rollout::span;
use crate::spec::TOTAL_WEIGHT;

/// Larger figures are mistakes.
const MAX: f64 = 1e12;
const MAX_RATIO: f64 = 1e6;
pub(super) const MAX_PERIOD: Duration = Duration::from_secs(86_400);
const MAX_HOLD: Duration = Duration::from_secs(365 * 86_400);

fn number(text: &str, good: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.trim().parse().ok().filter(|number| good(*number)).ok_or_else(|| format!("expected {expected}"))
}

/// Above 0 and below 1, or the same in percent.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let expected = "a share above 0 and below 1, e.g. 0.001 or 0.1%";
    let (text, whole) = text.strip_suffix('%').map_or((text, 1.0), |text| (text, 100.0));
    number(text, |share| share > 0.0 && share < whole, expected).map(|share| share / whole)
}

/// Above 0, up to 1.
pub(super) fn limit(text: &str) -> Result<f64, String> {
    number(text, |limit| limit > 0.0 && limit <= 1.0, "a share above 0, up to 1, e.g. 0.05")
}

/// Above 1.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let times = text.strip_suffix('x').unwrap_or(text);
    number(times, |ratio| ratio > 1.0 && ratio <= MAX_RATIO, "a ratio above 1, up to 1000000, e.g. 3x")
}

/// From 1 up.
pub(super) fn ratio_from_one(text: &str) -> Result<f64, String> {
    let times = text.strip_suffix('x').unwrap_or(text);
    number(times, |ratio| (1.0..=MAX_RATIO).contains(&ratio), "a ratio from 1 to 1000000, e.g. 1.25")
}

/// Requests per second, above 0.
pub(super) fn rps(text: &str) -> Result<f64, String> {
    number(text, |rps| rps > 0.0 && rps <= 1e9, "requests per second above 0, up to 1000000000, e.g. 500")
}

/// 0 or more.
pub(super) fn cost(text: &str) -> Result<f64, String> {
    number(text, |cost| (0.0..=MAX).contains(&cost), "a cost from 0 to 1000000000000")
}

/// Above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    number(
        text,
        |cost| cost > 0.0 && cost <= MAX,
        "a cost above 0, up to 1000000000000: if time cost nothing, no rollout would end",
    )
}

/// 0 or more.
pub(super) fn in_flight(text: &str) -> Result<f64, String> {
    number(text, |count| (0.0..=1e9).contains(&count), "requests in flight from 0 to 1000000000")
}

/// Percent with up to two decimals, in parts of [`TOTAL_WEIGHT`].
pub(super) fn weight(text: &str) -> Result<u32, String> {
    let expected = "a weight above 0, up to 100, in percent with up to two decimals, e.g. 0.5";
    let text = text.trim();
    let text = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = [whole, decimals].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let parts = format!("{whole}{decimals:0<2}").parse().ok().filter(|parts| (1..=TOTAL_WEIGHT).contains(parts));
    parts.filter(|_| digits && !whole.is_empty() && decimals.len() <= 2).ok_or_else(|| format!("expected {expected}"))
}

/// Whole seconds from one up.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let period = duration(text)?;
    let good = period.subsec_nanos() == 0 && (Duration::from_secs(1)..=MAX_PERIOD).contains(&period);
    if good { Ok(period) } else { Err("expected whole seconds from 1s to 1d".to_owned()) }
}

pub(super) fn hold(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|hold| if hold <= MAX_HOLD { Ok(hold) } else { Err("expected at most 1y".to_owned()) })
}

pub(super) fn latency(text: &str) -> Result<Duration, String> {
    let latency = duration(text)?;
    let good = !latency.is_zero() && latency <= MAX_PERIOD;
    if good { Ok(latency) } else { Err("expected a duration above 0, up to 1d, e.g. 50ms".to_owned()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// Parts of [`TOTAL_WEIGHT`] in percent: `5`, `0.25`.
pub(super) fn percent(parts: u32) -> String {
    (f64::from(parts) / 100.0).to_string()
}

/// No time is longer than can be told.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// `93 minutes`: in one unit.
pub(super) fn minutes(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..120.0 => format!("{seconds:.0} seconds"),
        ..36_000.0 => format!("{:.0} minutes", seconds / 60.0),
        ..259_200.0 => format!("{:.0} hours", seconds / 3_600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// A time without the digits that mean nothing: `1h33m`, `55.7s`.
pub(super) fn about(time: Duration) -> String {
    let unit = match time.as_secs() {
        0..60 => return span(time),
        60..3_600 => 1.0,
        3_600..86_400 => 60.0,
        _ => 3_600.0,
    };
    span(seconds((time.as_secs_f64() / unit).round() * unit))
}

/// Three digits that mean something: `6.52`, `26.0`, `2,400`.
pub(super) fn figure(value: f64) -> String {
    match value {
        ..=0.0 => "0".to_owned(),
        ..0.01 => "under 0.01".to_owned(),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => grouped(whole(value)),
    }
}
