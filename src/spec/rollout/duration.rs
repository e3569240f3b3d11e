//! Spans and points of time as writers of rollouts give them: `30s`, `1h30m`, bare seconds; RFC 3339.

use std::time::Duration;

use crate::spec::Reporter;
use crate::spec::fields::unexpected;
use crate::spec::message::time;
use crate::spec::yaml::{Data, Node};

const EXPECTED: &str = "a duration such as 30s, 5m or 1h30m";

/// Ten years: longer than any rollout, and far from where adding to a time of day could overflow.
pub(super) const MAX: Duration = Duration::from_secs(87_600 * 3_600);

/// The units of Go's `time.ParseDuration`, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// A duration from zero to [`MAX`], or a report.
pub(super) fn read(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Duration> {
    let (Data::Number(text) | Data::String(text)) = &node.data else {
        return unexpected(node, place, EXPECTED, None, reporter);
    };
    match parse(text) {
        Some(duration) if duration <= MAX => Some(duration),
        Some(_) => unexpected(node, place, "at most 87600h, which is ten years", None, reporter),
        None if text.strip_prefix('-').is_some_and(|text| parse(text).is_some()) => {
            unexpected(node, place, "a duration that is not negative", None, reporter)
        }
        None => unexpected(node, place, EXPECTED, help(text), reporter),
    }
}

/// [`read`], of a duration that must not be zero.
pub(super) fn positive(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Duration> {
    let duration = read(node, place, reporter)?;
    if duration.is_zero() {
        return unexpected(node, place, "longer than nothing", None, reporter);
    }
    Some(duration)
}

/// Time since the Unix epoch, or a report.
pub(super) fn instant(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Duration> {
    let expected = "a time such as 2026-12-01T02:00:00Z or 2026-12-01T03:00:00+01:00";
    let Data::String(text) = &node.data else { return unexpected(node, place, expected, None, reporter) };
    let Some((seconds, nanos)) = time::timestamp(text) else {
        let meant = [text.replacen(' ', "T", 1), text.to_uppercase(), format!("{text}Z"), format!("{text}:00")];
        let meant = meant.iter().find(|text| time::timestamp(text).is_some());
        let help = match meant {
            Some(meant) if meant.strip_suffix('Z') == Some(text) => Some(format!("write {meant} if UTC is meant")),
            meant => meant.map(|meant| format!("write {meant}")),
        };
        return unexpected(node, place, expected, help, reporter);
    };
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) => Some(Duration::new(seconds, nanos)),
        _ => unexpected(node, place, "a time after 1970", None, reporter),
    }
}

/// As Go reads it; a number without a unit is seconds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let bare = text.ends_with(|c: char| c.is_ascii_digit()) && text.bytes().all(is_numeric);
    let with_unit = if bare { format!("{text}s") } else { text.to_owned() };
    let mut rest = with_unit.as_str();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.bytes().position(|b| !is_numeric(b))?);
        let (unit, tail) = tail.split_at(tail.bytes().position(is_numeric).unwrap_or(tail.len()));
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.saturating_add(nanos(number, *unit)?);
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(total))
}

/// `number` units in nanoseconds, what is finer than that cut off. Too many are as many as fit, 584 years.
fn nanos(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    // All digits: what does not fit is too large.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit);
    let billionths: u64 = format!("{fraction:0<9}").parse().ok()?;
    let part = u128::from(billionths) * u128::from(unit) / 1_000_000_000;
    Some(whole.saturating_add(u64::try_from(part).unwrap_or(u64::MAX)))
}

fn is_numeric(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// What was probably meant: another case (`5M` are minutes to whoever writes it here), or units that Go does not know.
fn help(text: &str) -> Option<String> {
    let lower = text.to_lowercase().replace(' ', "");
    if parse(&lower).is_some() {
        return Some(format!("write {lower}"));
    }
    let meant = humantime::parse_duration(&lower).ok()?;
    let seconds = meant.as_secs();
    let text = match (seconds % 3_600, seconds % 60) {
        _ if meant.subsec_nanos() > 0 => return None,
        (0, _) => format!("{}h", seconds / 3_600),
        (_, 0) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    Some(format!("write {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (text, duration) in [
            ("0", millis(0)),
            ("10", millis(10_000)),
            ("0.25", millis(250)),
            ("30s", millis(30_000)),
            ("500ms", millis(500)),
            ("5m", millis(300_000)),
            ("1h30m", millis(5_400_000)),
            ("1.5h", millis(5_400_000)),
            ("1m0.5s", millis(60_500)),
            ("3us2µs1ns", Some(Duration::from_nanos(5_001))),
            ("1.9ns", Some(Duration::from_nanos(1))),
            ("", None),
            ("s", None),
            ("h1", None),
            ("1h30", None),
            ("1.s", None),
            (".5s", None),
            ("1.2.3s", None),
            ("1.0000000001s", None),
            ("1e3", None),
            ("+1s", None),
            ("-1s", None),
            ("1d", None),
            ("1S", None),
            ("1 s", None),
            ("1sé", None),
        ] {
            assert_eq!(parse(text), duration, "{text}");
        }
        for text in ["999999999999999999999s", "99999999h", "18446744073709551615", "300y"] {
            assert!(parse(text).is_none_or(|duration| duration > MAX), "{text}");
        }
    }

    #[test]
    fn what_was_meant_is_guessed() {
        for (text, expected) in [
            ("5M", Some("write 5m")),
            ("10 s", Some("write 10s")),
            ("1d", Some("write 24h")),
            ("2 weeks", Some("write 336h")),
            ("90min", Some("write 90m")),
            ("61sec", Some("write 61s")),
            ("PT5M", None),
            ("soon", None),
        ] {
            assert_eq!(help(text).as_deref(), expected, "{text}");
        }
    }
}
