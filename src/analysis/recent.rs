//! Latencies of the last hour.

use std::collections::VecDeque;
use std::time::Duration;

use super::edges;
use crate::telemetry::Histogram;

/// So much is remembered, in slots of five minutes each.
const SLOTS: usize = 12;
const SLOT: Duration = Duration::from_secs(300);

/// Latencies of the last hour, of one version, from all proxies. Its size is bounded: twelve histograms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recent(VecDeque<(Duration, Histogram)>);

impl Recent {
    /// Takes what one proxy measured in an interval that ended at `now`.
    pub fn take(&mut self, now: Duration, latency: &Histogram) {
        self.forget(now);
        if self.0.back().is_none_or(|(begun, _)| now.saturating_sub(*begun) >= SLOT) {
            self.0.push_back((now, Histogram::default()));
        }
        if let Some((_, slot)) = self.0.back_mut() {
            edges::add(slot, latency);
        }
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> Histogram {
        let mut all = Histogram::default();
        for (_, slot) in &self.0 {
            edges::add(&mut all, slot);
        }
        all
    }

    fn forget(&mut self, now: Duration) {
        let hour = SLOT * u32::try_from(SLOTS).unwrap_or(u32::MAX);
        while self.0.front().is_some_and(|(begun, _)| now.saturating_sub(*begun) >= hour) || self.0.len() > SLOTS {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_remembered_and_no_more() {
        let one = Histogram { count: 1, buckets: vec![(1.0, 0), (2.0, 1)] };
        let mut recent = Recent::default();
        for minute in 0..180 {
            recent.take(Duration::from_secs(60 * minute), &one);
            assert!(recent.0.len() <= SLOTS);
        }
        assert_eq!(recent.all(), Histogram { count: 60, buckets: vec![(1.0, 0), (2.0, 60)] });
        recent.take(Duration::from_secs(60 * 1_000), &one);
        assert_eq!(recent.all(), one);
    }
}
