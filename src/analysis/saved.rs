//! A run as it is kept while serin is away.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::facts::Window;
use super::metric::{Ended, Tally, Watched};
use super::{Kind, Run};
use crate::spec::{AnalysisTemplate, Metric};

/// What is known of a run. Times are what is left of them, so that it does not matter when it is taken up again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Saved {
    silent_in: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    vote: Option<String>,
    metrics: Vec<SavedMetric>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SavedMetric {
    key: Arc<str>,
    /// Of the definition: evidence about another question is none.
    digest: String,
    tally: Tally,
    next_in: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_in: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
}

impl Run {
    /// What is known at `now`. Measurements that are out are not: they are taken again.
    #[must_use]
    pub fn save(&self, now: Duration) -> Saved {
        let metrics = self.metrics.iter().map(|watched| SavedMetric {
            key: Arc::clone(&watched.key),
            digest: digest(&watched.metric),
            tally: watched.tally.clone(),
            next_in: watched.next.saturating_sub(now),
            deadline_in: watched.deadline.map(|deadline| deadline.saturating_sub(now)),
            mark: watched.mark.clone(),
            ended: watched.ended.clone(),
        });
        Saved { silent_in: self.silent.saturating_sub(now), vote: self.vote.clone(), metrics: metrics.collect() }
    }

    /// Goes on at `now` where a run was saved. Metrics that it did not have, or that are others now, start anew.
    #[must_use]
    pub fn resume(
        now: Duration,
        rollout: &Arc<str>,
        kind: Kind,
        templates: &[Arc<AnalysisTemplate>],
        saved: &Saved,
    ) -> Self {
        let mut run = Self::new(now, rollout, kind, templates);
        run.silent = now.saturating_add(saved.silent_in);
        let mut all = run.metrics.len() == saved.metrics.len();
        for watched in &mut run.metrics {
            let known = saved.metrics.iter().find(|metric| metric.key == watched.key);
            match known.filter(|metric| metric.digest == digest(&watched.metric)) {
                Some(metric) => restore(watched, now, metric),
                None => all = false,
            }
        }
        // What was voted on is what there is.
        run.vote = saved.vote.clone().filter(|_| all);
        run
    }
}

fn restore(watched: &mut Watched, now: Duration, saved: &SavedMetric) {
    watched.tally = saved.tally.clone();
    watched.next = now.saturating_add(saved.next_in);
    if watched.deadline.is_some() {
        watched.deadline = saved.deadline_in.map(|left| now.saturating_add(left)).or(watched.deadline);
    }
    watched.mark.clone_from(&saved.mark);
    watched.ended.clone_from(&saved.ended);
}

/// Of all that a metric says, but for its secrets.
fn digest(metric: &Metric) -> String {
    let digest = Sha256::digest(format!("{metric:?}"));
    URL_SAFE_NO_PAD.encode(&digest[..12])
}
