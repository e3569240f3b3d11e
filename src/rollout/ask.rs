//! What a rollout wants to know of others, and what is kept of it: questions, answers, and notices to be delivered.
//!
//! The engine calls nothing. It says what it wants asked ([`super::Machine::asks`]) and is told the answer
//! ([`super::Input::Answer`]). Each question has a decision id that names rollout, revision, transition, kind, hook and
//! the how-manieth time it is asked: `checkout/7/12/pre-rollout/smoke#1`. It is the same after a restart, so whoever is
//! asked twice can tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::journal::Entry;
use super::record::{Record, millis};
use super::status::Phase;
use crate::spec::{Webhook, WebhookKind};

/// A gate that said no, a rollback hook, and whoever could not be told of something are asked again after so long.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// So many notices wait for their hooks to take them; of more the oldest are dropped.
pub(super) const MAX_NOTICES: usize = 100;

/// How the key of a background analysis begins.
pub(super) const BACKGROUND: &str = "background/";

/// How much of an answer's words is kept, in characters.
const MAX_WORDS: usize = 1_000;

/// What a rollout wants asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Names this question for good; never used for another.
    pub decision: Arc<str>,
    /// Whom to ask.
    pub question: Question,
}

/// Whom to ask, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A hook, by this call. Hooks of the types `event` and `post-rollout` have been told unless they were not reached.
    Hook {
        /// Where to call, how long and how often.
        hook: Arc<Webhook>,
        /// The body.
        call: Call,
    },
    /// The verdict on the metrics of these templates.
    Analysis {
        /// Their names.
        templates: Vec<Arc<str>>,
        /// Beside the steps, for as long as the rollout lasts: a verdict that passes decides nothing, and it is asked
        /// for again.
        background: bool,
    },
}

/// The body of a call to a hook: Flagger's payload, with `decisionId` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The rollout.
    pub name: Arc<str>,
    /// Always `default`: there are no namespaces here, and receivers may insist on one.
    pub namespace: &'static str,
    /// One of Flagger's phases: `Initialized Waiting Progressing Promoting Succeeded Failed`.
    pub phase: &'static str,
    /// The same for all calls about one revision: its version and number.
    pub checksum: String,
    /// The type of the hook.
    #[serde(rename = "type")]
    pub kind: WebhookKind,
    /// How often this hook has not said yes since the stage was entered.
    pub failed_checks: u64,
    /// The new version's weight in whole percent, rounded down.
    pub canary_weight: u32,
    /// How many steps were entered.
    pub iterations: usize,
    /// What is left of timed pauses, in nanoseconds.
    pub remaining_time: u64,
    /// The hook's own, and for events `eventMessage`, `eventType` and `timestamp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The [`Ask::decision`].
    pub decision_id: Arc<str>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// A status of 200 to 299, or a verdict that passes.
    Yes,
    /// A verdict that passes, with its figures in words.
    Passed(String),
    /// Another status, or a verdict that fails: in words.
    No(String),
    /// No connection, or no answer in time: in words. It counts as a no; a notice is told again.
    Unreached(String),
    /// A verdict that is neither. From a hook it counts as a no.
    Inconclusive(String),
}

impl Answer {
    /// What was said instead of yes.
    pub(super) fn words(&self) -> Option<&str> {
        match self {
            Self::Yes | Self::Passed(_) => None,
            Self::No(words) | Self::Unreached(words) | Self::Inconclusive(words) => Some(words),
        }
    }

    /// With no more words than are worth keeping.
    pub(super) fn in_short(mut self) -> Self {
        if let Self::Passed(words) | Self::No(words) | Self::Unreached(words) | Self::Inconclusive(words) = &mut self
            && let Some((end, _)) = words.char_indices().nth(MAX_WORDS)
        {
            words.truncate(end);
        }
        self
    }
}

/// What a hook is to be told: a transition, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notice {
    kind: WebhookKind,
    hook: Arc<str>,
    #[serde(with = "millis")]
    at: Duration,
    sequence: u64,
    revision: u64,
    version: Arc<str>,
    progress: Progress,
    message: String,
    warning: bool,
    /// Its hook was not reached, and is not to be asked again for so long.
    #[serde(default, with = "millis", skip_serializing_if = "Duration::is_zero")]
    pub(super) rest: Duration,
}

/// How far a rollout is, as Flagger would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    pub(super) phase: FlaggerPhase,
    /// Of the version under way, in whole percent.
    pub(super) weight: u32,
    /// Entered so far.
    pub(super) steps: usize,
    /// Of timed pauses.
    #[serde(with = "millis")]
    pub(super) left: Duration,
}

/// Those of Flagger's phases that there are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FlaggerPhase {
    Initialized,
    Waiting,
    Progressing,
    Promoting,
    Succeeded,
    Failed,
}

impl FlaggerPhase {
    const fn word(self) -> &'static str {
        match self {
            Self::Initialized => "Initialized",
            Self::Waiting => "Waiting",
            Self::Progressing => "Progressing",
            Self::Promoting => "Promoting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

impl Notice {
    pub(super) fn new(hook: &Webhook, entry: &Entry, version: &Arc<str>, progress: Progress) -> Self {
        Self {
            kind: hook.kind,
            hook: Arc::clone(&hook.name),
            at: entry.at,
            sequence: entry.sequence,
            revision: entry.revision,
            version: Arc::clone(version),
            progress,
            message: entry.why.clone(),
            warning: entry.to.phase == Phase::Degraded,
            rest: Duration::ZERO,
        }
    }

    /// Whether it is for this hook.
    pub(super) fn is_for(&self, hook: &Webhook) -> bool {
        self.hook == hook.name && self.kind == hook.kind
    }

    pub(super) fn ask(&self, rollout: &Arc<str>, hook: &Arc<Webhook>) -> Ask {
        let decision = decision(rollout, self.revision, self.sequence, &key(hook), 1);
        let mut call = call(rollout, hook, &self.version, self.revision, self.progress, &decision);
        if self.kind == WebhookKind::Event {
            let kind = if self.warning { "Warning" } else { "Normal" };
            call.metadata.insert("eventMessage".to_owned(), self.message.clone());
            call.metadata.insert("eventType".to_owned(), kind.to_owned());
            call.metadata.insert("timestamp".to_owned(), self.at.as_millis().to_string());
        }
        Ask { decision, question: Question::Hook { hook: Arc::clone(hook), call } }
    }
}

impl Record {
    /// The question to a hook as it stands, whether it is to be asked or not.
    pub(super) fn ask_hook(&self, hook: &Arc<Webhook>, progress: Progress) -> Ask {
        let key = key(hook);
        let since = if hook.kind == WebhookKind::Rollback { self.gates.begun } else { self.gates.entered };
        let times = self.gates.asked.get(&key).map_or(0, |asked| asked.times);
        let decision = decision(&self.name, self.revision, since, &key, times + 1);
        let mut call = call(&self.name, hook, self.heading(), self.revision, progress, &decision);
        call.failed_checks = times;
        Ask { decision, question: Question::Hook { hook: Arc::clone(hook), call } }
    }

    /// The same for a verdict.
    pub(super) fn ask_analysis(&self, templates: &[Arc<str>]) -> Ask {
        let key = analysis_key(templates);
        let times = self.gates.asked.get(&key).map_or(0, |asked| asked.times);
        let decision = decision(&self.name, self.revision, self.gates.entered, &key, times + 1);
        Ask { decision, question: Question::Analysis { templates: templates.into(), background: false } }
    }

    /// The same beside the steps: one question through all of them.
    pub(super) fn ask_background(&self, templates: &[Arc<str>]) -> Ask {
        let key = background_key(templates);
        let times = self.gates.asked.get(&key).map_or(0, |asked| asked.times);
        let decision = decision(&self.name, self.revision, self.gates.begun, &key, times + 1);
        Ask { decision, question: Question::Analysis { templates: templates.into(), background: true } }
    }
}

fn call(
    rollout: &Arc<str>,
    hook: &Webhook,
    version: &str,
    revision: u64,
    progress: Progress,
    decision: &Arc<str>,
) -> Call {
    Call {
        name: Arc::clone(rollout),
        namespace: "default",
        phase: progress.phase.word(),
        checksum: format!("{version}-{revision}"),
        kind: hook.kind,
        failed_checks: 0,
        canary_weight: progress.weight,
        iterations: progress.steps,
        remaining_time: u64::try_from(progress.left.as_nanos()).unwrap_or(u64::MAX),
        metadata: hook.metadata.clone(),
        decision_id: Arc::clone(decision),
    }
}

/// What names a hook's question within its stage.
pub(super) fn key(hook: &Webhook) -> String {
    format!("{}/{}", hook.kind.word(), hook.name)
}

/// What names a verdict within its stage.
pub(super) fn analysis_key(templates: &[Arc<str>]) -> String {
    format!("analysis/{}", templates.join("+"))
}

/// What names a verdict within its rollout, beside the steps.
pub(super) fn background_key(templates: &[Arc<str>]) -> String {
    format!("{BACKGROUND}{}", templates.join("+"))
}

fn decision(rollout: &str, revision: u64, since: u64, key: &str, times: u64) -> Arc<str> {
    format!("{rollout}/{revision}/{since}/{key}#{times}").into()
}
