//! Calls to other systems around a rollout: the types and payload are Flagger's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One entry of `webhooks:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Names it within its rollout.
    pub name: Arc<str>,
    /// When it is called, and what its answer decides.
    pub kind: WebhookKind,
    /// `http://` or `https://`; called by POST. A status of 200 to 299 is a yes.
    pub url: Arc<str>,
    /// How long one call may take.
    pub timeout: Duration,
    /// How often a call that failed is made again at once, before it counts as a no.
    pub retries: u32,
    /// Passed on as it is.
    pub metadata: BTreeMap<String, String>,
}

/// Flagger's types of webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookKind {
    /// A gate before anything moves: asked again until it says yes.
    ConfirmRollout,
    /// Once before the new version gets traffic, of blue-green with the preview on the fleet; a no aborts.
    PreRollout,
    /// Once in each step that changes weights, when the fleet has it; a no aborts.
    Rollout,
    /// A gate before each rise of the new version's weight, also by a switch: asked again until it says yes.
    ConfirmTrafficIncrease,
    /// A gate before the new version gets all traffic: asked again until it says yes.
    ConfirmPromotion,
    /// Once when the rollout has ended, whatever way; its answer decides nothing.
    PostRollout,
    /// Asked again and again while a rollout is under way: a yes aborts.
    Rollback,
    /// Told of every transition; its answer decides nothing.
    Event,
}

impl WebhookKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ConfirmRollout,
        Self::PreRollout,
        Self::Rollout,
        Self::ConfirmTrafficIncrease,
        Self::ConfirmPromotion,
        Self::PostRollout,
        Self::Rollback,
        Self::Event,
    ];

    /// The word of the format and of the payload.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::PostRollout => "post-rollout",
            Self::Rollback => "rollback",
            Self::Event => "event",
        }
    }
}
