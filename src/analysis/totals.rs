//! What both versions got in all: requests, errors, latencies, and who of their endpoints had the errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::edges;
use crate::telemetry::{Counts, Histogram, Sample};

/// Of each version; those that come later are counted together.
const MAX_ENDPOINTS: usize = 64;

/// Both versions since the revision began. It only grows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    canary: Traffic,
    stable: Traffic,
}

/// What one version got.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests and errors.
    pub counts: Counts,
    /// Latencies. Where proxies have different buckets, at the edges of all of them, and linear between.
    pub latency: Histogram,
    /// Requests and errors by endpoint, as far as they are known: the first 64.
    pub endpoints: BTreeMap<Arc<str>, Counts>,
    /// Those of all other endpoints.
    pub others: Counts,
}

impl Totals {
    /// The new version.
    #[must_use]
    pub fn canary(&self) -> &Traffic {
        &self.canary
    }

    /// The version to go back to.
    #[must_use]
    pub fn stable(&self) -> &Traffic {
        &self.stable
    }

    pub(super) fn take(&mut self, canary: Option<&Sample>, stable: Option<&Sample>) {
        if let Some(sample) = canary {
            self.canary.take(sample);
        }
        if let Some(sample) = stable {
            self.stable.take(sample);
        }
    }
}

impl Traffic {
    fn take(&mut self, sample: &Sample) {
        if let Some(counts) = sample.attempts {
            self.counts.add(counts);
        }
        if let Some(latency) = &sample.latency {
            edges::add(&mut self.latency, latency);
        }
        for (endpoint, counts) in &sample.endpoints {
            let room = self.endpoints.len() < MAX_ENDPOINTS;
            let known = match self.endpoints.get_mut(endpoint) {
                Some(known) => known,
                None if room => self.endpoints.entry(Arc::clone(endpoint)).or_default(),
                None => &mut self.others,
            };
            known.add(*counts);
        }
    }
}

#[cfg(test)]
mod tests;
