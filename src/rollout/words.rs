//! How figures read in messages: spans of time, percentages, lists of names. Words only; nothing is decided here.

use std::time::Duration;

use crate::spec::Split;

/// `12ms`, `1.8s`, `30s`, `3m20s`, `2h5m`, `1d3h`: the two largest units, never a unit of zero.
#[must_use]
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 && !duration.is_zero() {
        return format!("{}ms", duration.as_millis());
    }
    if seconds < 60 {
        let tenths = duration.as_millis() / 100;
        return match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("{whole}s"),
            (whole, tenth) => format!("{whole}.{tenth}s"),
        };
    }
    let parts = [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let from = parts.iter().position(|(count, _)| *count > 0).unwrap_or_default();
    let shown = parts[from..].iter().take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().concat()
}

/// Hundredths of a percent as a percentage without its sign: `50`, `0.5`, `12.25`.
pub(super) fn percent(hundredths: u32) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:02}").trim_end_matches('0').to_owned(),
    }
}

/// A split in percent: `blue 95 green 5`.
pub(super) fn shares(split: &Split) -> String {
    let shares = split.0.iter().map(|(version, weight)| format!("{version} {}", percent(*weight)));
    shares.collect::<Vec<_>>().join(" ")
}

/// The first three names, and how many of `count` are not among them.
pub(super) fn names(names: &[String], count: usize) -> String {
    let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    match count.saturating_sub(names.len().min(3)) {
        _ if names.is_empty() => String::new(),
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let shown = [12, 400, 1_850, 30_000, 200_000, 7_500_000, 97_200_000, 3_600_000, 86_405_000]
            .map(|millis| span(Duration::from_millis(millis)));
        assert_eq!(shown, ["12ms", "400ms", "1.8s", "30s", "3m20s", "2h5m", "1d3h", "1h", "1d"]);
        assert_eq!([0, 1, 50, 1_225, 10_000].map(percent), ["0", "0.01", "0.5", "12.25", "100"]);
        let all: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        assert_eq!(names(&all[..2], 2), "a, b");
        assert_eq!(names(&all, 9), "a, b, c and 6 more");
        assert_eq!(names(&[], 9), "");
    }
}
