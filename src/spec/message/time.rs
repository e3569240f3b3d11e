//! Durations and timestamps: text to seconds and nanoseconds.

use std::str::FromStr;

use prost_types::Timestamp;

/// The range of `google.protobuf.Duration`: 10,000 years.
const MAX_SECONDS: i64 = 315_576_000_000;

/// The range of `google.protobuf.Timestamp`: the years 1 to 9999.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Seconds and nanoseconds of `1.5s`, both of one sign.
pub(super) fn duration(text: &str) -> Option<(i64, i32)> {
    let text = text.strip_suffix('s')?;
    let (sign, text) = text.strip_prefix('-').map_or((1_i64, text), |rest| (-1, rest));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let in_range = seconds < MAX_SECONDS || (seconds == MAX_SECONDS && nanos == 0);
    in_range.then_some((sign * seconds, if sign < 0 { -nanos } else { nanos }))
}

/// What to write for a duration given as a bare number or in other units.
pub(super) fn duration_help(text: &str) -> Option<String> {
    if text.bytes().any(|b| b.is_ascii_digit()) && duration(&format!("{text}s")).is_some() {
        return Some(format!("write {text}s if seconds are meant"));
    }
    let meant = humantime::parse_duration(text).ok()?;
    let text = format!("{}.{:09}", meant.as_secs(), meant.subsec_nanos());
    let text = format!("{}s", text.trim_end_matches('0').trim_end_matches('.'));
    duration(&text).map(|_| format!("write {text}"))
}

/// Seconds and nanoseconds since 1970 of a time as RFC 3339 writes it, the nanoseconds never negative.
pub(in crate::spec) fn timestamp(text: &str) -> Option<(i64, i32)> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let rest = shape.strip_prefix("0000-00-00T00:00:00")?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches('0');
            if !(1..=9).contains(&(fraction.len() - zone.len())) {
                return None;
            }
            zone
        }
        None => rest,
    };
    if !matches!(zone, "Z" | "+00:00" | "-00:00") {
        return None;
    }
    let Timestamp { seconds, nanos } = Timestamp::from_str(text).ok()?;
    TIMESTAMPS.contains(&seconds).then_some((seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds() {
        for (text, value) in [
            ("0s", Some((0, 0))),
            ("1.5s", Some((1, 500_000_000))),
            ("-1.5s", Some((-1, -500_000_000))),
            ("-0.000000001s", Some((0, -1))),
            ("315576000000s", Some((MAX_SECONDS, 0))),
            ("315576000000.1s", None),
            ("315576000001s", None),
            ("99999999999999999999s", None),
            ("1.0000000001s", None),
            ("1.s", None),
            (".5s", None),
            ("+1s", None),
            ("--1s", None),
            ("1", None),
            ("s", None),
            ("1S", None),
            ("1 s", None),
        ] {
            assert_eq!(duration(text), value, "{text}");
        }
    }

    #[test]
    fn durations_in_other_units_are_converted() {
        for (text, help) in [
            ("5", Some("write 5s if seconds are meant")),
            ("0.25", Some("write 0.25s if seconds are meant")),
            ("5m", Some("write 300s")),
            ("250ms", Some("write 0.25s")),
            ("1h30m", Some("write 5400s")),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(duration_help(text).as_deref(), help, "{text}");
        }
    }

    #[test]
    fn timestamps_follow_rfc_3339() {
        for (text, value) in [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("1970-01-01T00:00:01.5Z", Some((1, 500_000_000))),
            ("1969-12-31T23:59:59.25Z", Some((-1, 250_000_000))),
            ("1970-01-01T01:00:00+01:00", Some((0, 0))),
            ("9999-12-31T23:59:59.999999999Z", Some((253_402_300_799, 999_999_999))),
            ("0000-12-31T00:00:00Z", None),
            ("1970-01-01 00:00:00Z", None),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01T00:00:00.Z", None),
            ("1970-01-01T00:00:00z", None),
            ("1970-13-01T00:00:00Z", None),
            ("1970-02-30T00:00:00Z", None),
            ("1970-01-01T00:00:00.0000000001Z", None),
            ("tomorrow", None),
            ("1970-01-01", None),
        ] {
            assert_eq!(timestamp(text), value, "{text}");
        }
    }
}
