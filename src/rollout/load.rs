//! What users would notice of a simulated rollout: how many requests each version gets, and how many of them fail.
//!
//! These are expected values, not a sample: a version gets the share of its weight from the moment that a row asks for
//! it. That the fleet follows only after its latency moves each change by the same time, so sums are off by no more
//! than the last one. Header routes, mirrors and session affinity are left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::simulate::{Row, Simulation};
use crate::spec::TOTAL_WEIGHT;

/// The traffic and how its requests fare.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// Requests per second to all versions together, 0 or more.
    pub rps: f64,
    /// The share of a version's requests that fail, 0 to 1; 0 for a version that is not named.
    pub error_rates: BTreeMap<Arc<str>, f64>,
}

/// What one version has got so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Which.
    pub version: Arc<str>,
    /// So many requests.
    pub requests: f64,
    /// So many of them failed.
    pub failed: f64,
}

impl Load {
    /// What each version has got from the edit on: a list for each row, up to its time, and one for the end.
    #[must_use]
    pub fn tallies(&self, simulation: &Simulation) -> Vec<Vec<Tally>> {
        let rows = &simulation.rows;
        // Weight times milliseconds: whole numbers, so that nothing is lost over many rows.
        let mut sums = vec![0_u128; rows.first().map_or(0, |row| row.weights.0.len())];
        let mut tallies = vec![self.tally(rows.first(), &sums)];
        let ends = rows.iter().skip(1).map(|row| row.at).chain([simulation.end.at]);
        for (row, end) in rows.iter().zip(ends) {
            for (sum, (_, weight)) in sums.iter_mut().zip(&row.weights.0) {
                *sum += u128::from(*weight) * end.saturating_sub(row.at).as_millis();
            }
            tallies.push(self.tally(Some(row), &sums));
        }
        tallies
    }

    /// How many requests fail in `time` if all go to `version`.
    #[must_use]
    pub fn failed(&self, version: &Arc<str>, time: Duration) -> f64 {
        self.requests(time.as_millis() * u128::from(TOTAL_WEIGHT)) * self.error_rate(version)
    }

    fn tally(&self, row: Option<&Row>, sums: &[u128]) -> Vec<Tally> {
        let versions = row.iter().flat_map(|row| &row.weights.0).map(|(version, _)| version);
        let tally = |(version, sum): (&Arc<str>, &u128)| {
            let requests = self.requests(*sum);
            Tally { version: Arc::clone(version), requests, failed: requests * self.error_rate(version) }
        };
        versions.zip(sums).map(tally).collect()
    }

    /// In so many milliseconds times parts of [`TOTAL_WEIGHT`].
    #[expect(clippy::cast_precision_loss, reason = "exact up to 28 years, and an expectation")]
    fn requests(&self, sum: u128) -> f64 {
        sum as f64 * self.rps / (f64::from(TOTAL_WEIGHT) * 1_000.0)
    }

    fn error_rate(&self, version: &Arc<str>) -> f64 {
        self.error_rates.get(version).copied().unwrap_or_default()
    }
}
