//! How fast the canary gets requests: counts by time, over the last minutes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::float;

/// Between two points that are kept.
const SPACING: Duration = Duration::from_secs(10);

/// Points that are kept: two minutes of intervals of ten seconds, twelve of those of a minute.
const POINTS: usize = 12;

/// When evidence came, and how many requests the canary had had by then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    first: Option<Duration>,
    last: Option<Duration>,
    /// Rising in both.
    points: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// Is told that something comes at `now`, and what the canary had before.
    pub(super) fn take(&mut self, now: Duration, requests: u64) {
        self.first.get_or_insert(now);
        let Some(last) = self.last.replace(now.max(self.last.unwrap_or_default())) else { return };
        let spaced = self.points.back().is_none_or(|(at, _)| last.saturating_sub(*at) >= SPACING);
        if now > last && spaced {
            self.points.push_back((last, requests));
            if self.points.len() > POINTS {
                self.points.pop_front();
            }
        }
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.first
    }

    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Requests in a second, if the canary has had `requests` by now. `None` before there are two points of time.
    pub(super) fn rate(&self, requests: u64) -> Option<f64> {
        let (from, before) = self.points.front()?;
        let seconds = self.last?.saturating_sub(*from).as_secs_f64();
        (seconds > 0.0).then(|| float(requests.saturating_sub(*before)) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_minutes() {
        let mut pace = Pace::default();
        let mut requests = 0;
        assert_eq!(pace.rate(0), None);
        for tick in 0..100_u64 {
            // Three nodes report within a second.
            for node in 0..3_u64 {
                pace.take(Duration::from_millis(tick * 10_000 + node * 300), requests);
                requests += if tick < 50 { 10 } else { 100 };
            }
        }
        let rate = pace.rate(requests).expect("a rate");
        assert!((rate - 30.0).abs() < 2.5, "up to one interval of twelve too much: {rate}");
        assert!(pace.points.len() <= POINTS);
        assert_eq!((pace.first(), pace.last()), (Some(Duration::ZERO), Some(Duration::from_millis(990_600))));
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let mut pace = Pace::default();
        pace.take(Duration::from_secs(100), 0);
        pace.take(Duration::from_secs(110), 50);
        pace.take(Duration::from_secs(20), 100);
        assert_eq!(pace.last(), Some(Duration::from_secs(110)));
        assert_eq!(pace.rate(150), Some(15.0 - 5.0));
    }
}
