//! What gates keep of a rollout's record: what was asked and answered, and what is owed to hooks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ask::{Answer, BACKGROUND, MAX_NOTICES, Notice};
use super::record::millis;
use crate::spec::WebhookKind;

/// The part of a record that gates have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Gates {
    /// The transition that entered the stage.
    pub(super) entered: u64,
    /// The transition with which the way to this version began.
    pub(super) begun: u64,
    /// When: time since the Unix epoch.
    #[serde(with = "millis")]
    pub(super) entered_at: Duration,
    /// The same of the way.
    #[serde(with = "millis")]
    pub(super) begun_at: Duration,
    /// Straight to the end: nothing is judged on the way.
    pub(super) free: bool,
    /// Where the stage sends all traffic to one version: in the largest steps that it can carry.
    pub(super) paced: bool,
    /// By kind and name; of this stage, or for rollback hooks and background analysis of this rollout.
    pub(super) asked: BTreeMap<String, Asked>,
    /// How long a gate has stood in the way, since the one before it opened.
    #[serde(with = "millis")]
    pub(super) waited: Duration,
    /// The gate that the journal says is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<String>,
    /// What the group says to the next advance.
    pub(super) barrier: Barrier,
    /// What had failed in the group before it joined, by member and number of the transition; `None` until it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) past: Option<BTreeMap<Arc<str>, u64>>,
    /// Oldest first.
    pub(super) notices: VecDeque<Notice>,
}

/// One question, over all the times it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// So often.
    pub(super) times: u64,
    /// Asked, and not answered yet.
    pub(super) out: bool,
    /// The last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Answer>,
    /// Since the last answer.
    #[serde(with = "millis")]
    pub(super) rest: Duration,
    /// Of a background analysis: somebody went past an inconclusive verdict, so that another does not stop it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) past: bool,
}

/// What the group says to the next advance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Barrier {
    /// Nothing since the stage was entered.
    #[default]
    Unknown,
    /// Go.
    Open,
    /// Wait, and for whom.
    Wait(String),
}

impl Gates {
    /// Another stage was entered, by the transition of this number. `goes_on` says that it belongs to the same way to
    /// the same version.
    pub(super) fn enter(&mut self, sequence: u64, now: Duration, goes_on: bool) {
        self.entered = sequence;
        self.entered_at = now;
        if !goes_on {
            self.begun = sequence;
            self.begun_at = now;
            self.past = None;
        }
        let rollback = format!("{}/", WebhookKind::Rollback.word());
        let lasts = |key: &str| key.starts_with(&rollback) || key.starts_with(BACKGROUND);
        self.asked.retain(|key, _| goes_on && lasts(key));
        self.waited = Duration::ZERO;
        self.told = None;
        self.barrier = Barrier::Unknown;
    }

    /// Lets time pass; `waits` says that a gate stands in the way.
    pub(super) fn pass(&mut self, time: Duration, waits: bool) {
        if waits {
            self.waited += time;
        }
        for asked in self.asked.values_mut().filter(|asked| !asked.out) {
            asked.rest += time;
        }
        for notice in &mut self.notices {
            notice.rest = notice.rest.saturating_sub(time);
        }
    }

    /// The answer that counts, if there was any.
    pub(super) fn answer(&self, key: &str) -> Option<&Answer> {
        self.asked.get(key)?.answer.as_ref()
    }

    /// Takes an answer, or a person's word in its place.
    pub(super) fn learn(&mut self, key: &str, answer: Option<Answer>) {
        if answer == Some(Answer::Yes) {
            self.waited = Duration::ZERO;
        }
        self.note(key, answer);
    }

    /// The same of what does not stand in the way.
    pub(super) fn note(&mut self, key: &str, answer: Option<Answer>) {
        let asked = self.asked.entry(key.to_owned()).or_default();
        let times = asked.times + u64::from(asked.out);
        *asked = Asked { times, out: false, answer, rest: Duration::ZERO, past: asked.past };
    }

    /// Somebody goes past an inconclusive background analysis: it is judged on, and not stopped for that again.
    pub(super) fn go_past(&mut self, key: &str) {
        self.note(key, None);
        self.asked.entry(key.to_owned()).or_default().past = true;
    }

    /// Makes room for so many notices; says how many had to go.
    pub(super) fn make_room(&mut self, count: usize) -> usize {
        let excess = (self.notices.len() + count).saturating_sub(MAX_NOTICES).min(self.notices.len());
        self.notices.drain(..excess);
        excess
    }
}

impl Asked {
    /// How often it was asked, with the time that is not answered yet.
    pub(super) fn times(&self) -> u64 {
        self.times + u64::from(self.out)
    }
}
