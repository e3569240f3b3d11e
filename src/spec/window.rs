//! `promotionWindows`: when traffic may move to a new version.
//!
//! Allow and Deny as Kargo and the sync windows of Argo CD have them; occurrences by the rules of RFC 5545.

mod recurrence;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use recurrence::{Mistake, Recurrence};

/// Local times differ from UTC, and one day's from the next day's, by less.
const SLACK: TimeDelta = TimeDelta::days(2);

/// How many changes of single windows are looked at for one that changes the verdict.
const LOOKS: usize = 16;

/// One entry of `promotionWindows:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionWindow {
    /// What it means that the window is on.
    pub kind: WindowKind,
    /// The rule as written.
    pub rule: Arc<str>,
    /// How long each occurrence lasts, in whole seconds: [`Self::MIN`] to [`Self::MAX`].
    pub duration: Duration,
    /// Where the times of the rule are local.
    pub zone: Tz,
    recurrence: Recurrence,
}

/// `kind` of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// Nothing moves while there are windows of this kind and none is on.
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
        /// No later than the first instant at which that changes: time since the Unix epoch, above now. `None`: never.
        until: Option<Duration>,
        /// In words, for people.
        why: String,
    },
}

impl PromotionWindow {
    /// The shortest duration.
    pub const MIN: Duration = Duration::from_secs(60);
    /// The longest duration: 366 days.
    pub const MAX: Duration = Duration::from_secs(366 * 86_400);

    /// A window whose `rule` starts at `start`, local time in `zone`. `duration` is in range.
    pub(super) fn new(
        kind: WindowKind,
        rule: &str,
        start: NaiveDateTime,
        duration: Duration,
        zone: Tz,
    ) -> Result<Self, Mistake> {
        Ok(Self { kind, rule: rule.into(), duration, zone, recurrence: Recurrence::new(rule, start, zone)? })
    }

    /// Whether it is on at `now` (seconds since the Unix epoch), and an instant above `now` up to which that stays so;
    /// `None` if it stays so for good.
    fn state(&self, now: i64) -> (bool, Option<i64>) {
        let Some(local) = DateTime::from_timestamp(now, 0).map(|utc| self.zone.from_utc_datetime(&utc.naive_utc()))
        else {
            return (false, None);
        };
        let local = local.naive_local();
        // All occurrences are equally long, so the last one that has started tells whether the window is on. Where
        // they come close together it need not be looked for far back.
        let length = TimeDelta::from_std(self.duration).unwrap_or(TimeDelta::MAX);
        let mut starts = self.starts_around(local, length.min(SLACK));
        if length > SLACK && starts.iter().all(|start| *start > now) {
            starts = self.starts_around(local, length);
        }
        starts.sort_unstable();
        let mut end = None;
        for start in starts {
            if start > end.unwrap_or(now) {
                return (end.is_some(), end.or(Some(start)));
            }
            end = end.max(Some(start + length.num_seconds()).filter(|end| *end > now));
        }
        (end.is_some(), end)
    }

    /// Starts in seconds since the Unix epoch, unordered: those since `back` before `local`, and the next after it.
    fn starts_around(&self, local: NaiveDateTime, back: TimeDelta) -> Vec<i64> {
        let lower = local.checked_sub_signed(back + SLACK).unwrap_or(local);
        let mut last = None;
        let mut starts = Vec::new();
        for start in self.recurrence.from(lower) {
            if last.is_some_and(|last| start > last) {
                break;
            }
            if start > local + SLACK {
                last.get_or_insert(start + SLACK);
            }
            self.instants(start, &mut starts);
        }
        starts
    }

    /// A local time that comes twice is the first of the two, but for rules that count hours; one that is left out is
    /// that much later: so says RFC 5545, 3.3.5.
    fn instants(&self, local: NaiveDateTime, into: &mut Vec<i64>) {
        match self.zone.from_local_datetime(&local) {
            MappedLocalTime::Single(at) => into.push(at.timestamp()),
            MappedLocalTime::Ambiguous(first, second) => {
                into.push(first.timestamp());
                into.extend(self.recurrence.hourly.then(|| second.timestamp()));
            }
            MappedLocalTime::None => {
                let day = TimeDelta::days(1);
                let before = self.zone.from_local_datetime(&(local - day)).earliest();
                into.extend(before.map(|before| before.timestamp() + day.num_seconds()));
            }
        }
    }
}

/// What `windows` say at `now`, time since the Unix epoch: shut while a Deny window is on, or while there are Allow
/// windows and none is on.
#[must_use]
pub fn verdict(windows: &[Arc<PromotionWindow>], now: Duration) -> WindowVerdict {
    let (why, mut until) = look(windows, i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let Some(why) = why else { return WindowVerdict::Open };
    for _ in 0..LOOKS {
        let Some((Some(_), later)) = until.map(|until| look(windows, until)) else { break };
        until = later;
    }
    let until = until.and_then(|until| u64::try_from(until).ok()).map(Duration::from_secs);
    WindowVerdict::Shut { until, why }
}

/// Why nothing may move at `now`, if so, and an instant above `now` up to which no window changes.
fn look(windows: &[Arc<PromotionWindow>], now: i64) -> (Option<String>, Option<i64>) {
    let states: Vec<_> = windows.iter().map(|window| (window, window.state(now))).collect();
    let deny = states.iter().find(|(window, (on, _))| window.kind == WindowKind::Deny && *on);
    let mut allow = states.iter().filter(|(window, _)| window.kind == WindowKind::Allow).peekable();
    let why = match deny {
        Some((window, _)) => Some(format!("a Deny window is on ({})", window.rule)),
        None if allow.peek().is_some() && !allow.any(|(_, (on, _))| *on) => Some("no Allow window is on".to_owned()),
        None => None,
    };
    (why, states.iter().filter_map(|(_, (_, change))| *change).min())
}

#[cfg(test)]
mod tests;
