//! Figures as people read them: counts with commas, shares in percent, evidence as odds.

use std::time::Duration;

/// With commas: `95,000`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A measured share, with two decimals, or as many as show two digits: `0.40 %`, `0.0031 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = [2, 3, 4, 5, 6].into_iter().find(|decimals| percent * 10_f64.powi(*decimals) >= 9.5).unwrap_or(2);
    let decimals = usize::try_from(decimals).unwrap_or(2);
    format!("{percent:.decimals$} %")
}

/// A share, with up to two decimals: `5 %`, `2.1 %`.
pub(super) fn share(share: f64) -> String {
    let text = percent(share);
    let Some(number) = text.strip_suffix(" %").filter(|number| number.contains('.')) else { return text };
    format!("{} %", number.trim_end_matches('0').trim_end_matches('.'))
}

/// Evidence, from its natural logarithm: `17,424 : 1`, `0.32 : 1`.
pub(super) fn odds(ln: f64) -> String {
    let evidence = ln.exp();
    if evidence >= 1e9 {
        "over 1,000,000,000 : 1".to_owned()
    } else if evidence >= 9.95 {
        format!("{} : 1", grouped(whole(evidence)))
    } else if evidence >= 0.95 {
        format!("{evidence:.1} : 1")
    } else if evidence >= 0.005 {
        format!("{evidence:.2} : 1")
    } else {
        "under 0.01 : 1".to_owned()
    }
}

/// How many times: `4.0`, `0.93`.
pub(super) fn times(ratio: f64) -> String {
    if ratio >= 9_999.5 {
        grouped(whole(ratio))
    } else if ratio >= 0.95 {
        format!("{ratio:.1}")
    } else {
        format!("{ratio:.2}")
    }
}

/// A count of which only two digits mean anything: `4,300`.
pub(super) fn about(count: f64) -> String {
    let whole = whole(count.ceil());
    let mut unit = 1;
    while whole / unit >= 100 {
        unit *= 10;
    }
    grouped(whole.saturating_add(unit - 1) / unit * unit)
}

/// A latency from milliseconds: `250 ms`.
pub(super) fn millis(edge: f64) -> String {
    format!("{edge} ms")
}

/// A time of which only the largest unit means anything: `40 s`, `6 min`, `3 h`, `12 days`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    let (count, unit) = match seconds {
        0..=90 => (seconds, "s"),
        91..=5_400 => (seconds.div_ceil(60), "min"),
        5_401..=172_800 => (seconds.div_ceil(3_600), "h"),
        _ => (seconds.div_ceil(86_400), "days"),
    };
    format!("{} {unit}", grouped(count))
}

/// Rounded.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and saturates")]
pub fn whole(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.004, 0.001, 1.0, 0.000_031].map(percent),
            ["0.00 %", "0.40 %", "0.10 %", "100.00 %", "0.0031 %"]
        );
        assert_eq!([0.05, 0.021, 0.0, 0.5].map(share), ["5 %", "2.1 %", "0 %", "50 %"]);
        assert_eq!([4.0, 0.931, 12.34, 1e5].map(times), ["4.0", "0.93", "12.3", "100,000"]);
        assert_eq!([4_243.1, 99.5, 7.2, 101.0, 0.0].map(about), ["4,300", "100", "8", "110", "0"]);
        assert_eq!([250.0, 0.5].map(millis), ["250 ms", "0.5 ms"]);
    }

    #[test]
    fn evidence_is_odds() {
        let ln = [17_423.78_f64, 100.0, 1.0, 0.3175, 0.001, 1e300].map(f64::ln);
        let words = ["17,424 : 1", "100 : 1", "1.0 : 1", "0.32 : 1", "under 0.01 : 1", "over 1,000,000,000 : 1"];
        assert_eq!(ln.map(odds), words);
        assert_eq!(odds(f64::NEG_INFINITY), "under 0.01 : 1");
    }

    #[test]
    fn times_have_one_unit() {
        let words = [40, 90, 91, 355, 5_400, 5_401, 172_801].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(words, ["40 s", "90 s", "2 min", "6 min", "90 min", "2 h", "3 days"]);
        assert_eq!(time(Duration::from_millis(1)), "1 s");
    }
}
