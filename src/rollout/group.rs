//! Several rollouts in lockstep: who may take the next step, and who is aborted because another was.
//!
//! * The barrier is over the members that are under way. One whose target stays as it is, that has become stable or was
//!   aborted before, is not waited for. Members started by one load of the files are under way together, as long as
//!   that load is handed to all of them before this is asked; who starts later catches up, and the others wait for it.
//! * A member enters its n-th step when every other has entered its n-th, or is ready to. Who has fewer steps has done
//!   the rest. A preview is a first step.
//! * All traffic goes over when all are ready for that, so that no member is beyond recall while another still tries.
//! * A member that is aborted, by whomever, aborts all that were under way with it: those that began last first. Going
//!   back by an edit of the file is no failure.

use std::sync::Arc;
use std::time::Duration;

use super::advance;
use super::gates::Wait;
use super::machine::{Input, Machine};
use super::record::{Record, Stage};
use super::words::names;
use crate::spec::Strategy;

/// The step of those whose traffic all goes over: above any other.
const END: usize = usize::MAX;

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: nothing is under way, or only the way back.
    Idle,
    /// On the way to another version.
    UnderWay {
        /// Since when: time since the Unix epoch.
        begun: Duration,
        /// How many steps it has entered.
        entered: usize,
        /// The number of the step that comes next.
        next: usize,
        /// Whether nothing but the group keeps it from that.
        ready: bool,
    },
    /// It was aborted.
    Aborted {
        /// When: time since the Unix epoch.
        at: Duration,
        /// Why.
        why: String,
    },
}

/// What a group says to one of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Go on when you are ready.
    Open,
    /// Wait, and for whom.
    Wait(String),
    /// Abort, and why.
    Abort(String),
}

impl From<Word> for Input {
    fn from(word: Word) -> Self {
        match word {
            Word::Open => Self::Barrier(None),
            Word::Wait(words) => Self::Barrier(Some(words)),
            Word::Abort(words) => Self::Failed(words),
        }
    }
}

/// What `group` says to those of its members that are under way, in the order in which it is to be handed to them. To
/// be asked again whenever the place of one has changed.
#[must_use]
pub fn judge(group: &str, members: &[(Arc<str>, Place)]) -> Vec<(Arc<str>, Word)> {
    let under_way = members.iter().filter_map(|(name, place)| match place {
        Place::UnderWay { begun, entered, next, ready } => Some((name, *begun, *entered, *next, *ready)),
        _ => None,
    });
    let mut under_way: Vec<_> = under_way.collect();
    under_way.sort_by(|one, other| (other.1, other.0).cmp(&(one.1, one.0)));
    let failures = members.iter().filter_map(|(name, place)| match place {
        Place::Aborted { at, why } => Some((*at, why.starts_with("group "), name, why)),
        _ => None,
    });
    let mut failures: Vec<_> = failures.collect();
    failures.sort_unstable();
    let words = under_way.iter().map(|(name, begun, _, next, _)| {
        if let Some((_, _, failed, why)) = failures.iter().find(|(at, ..)| at >= begun) {
            return Word::Abort(format!("group {group}: {failed} was aborted: {why}"));
        }
        let there = |entered: usize, then: usize, ready| entered >= *next || (ready && then >= *next);
        let behind = under_way
            .iter()
            .filter(|(other, _, entered, then, ready)| other != name && !there(*entered, *then, *ready));
        let mut behind: Vec<_> = behind.map(|(other, ..)| other.to_string()).collect();
        behind.sort_unstable();
        match behind.len() {
            0 => Word::Open,
            count => Word::Wait(format!("{} of group {group}", names(&behind, count))),
        }
    });
    let words: Vec<_> = words.collect();
    under_way.iter().map(|(name, ..)| Arc::clone(name)).zip(words).collect()
}

impl Machine {
    /// Where it is, for its group.
    #[must_use]
    pub fn place(&self) -> Place {
        let Record { stage, hold, rejected, gates, .. } = &self.record;
        if let Stage::Aborted { why, .. } = stage {
            return Place::Aborted { at: gates.entered_at, why: why.clone() };
        }
        if self.record.rising().is_none() {
            return Place::Idle;
        }
        let (entered, next) = match (stage, &self.spec.strategy) {
            (Stage::Start { .. }, Strategy::Canary(canary)) if canary.steps.is_empty() => (0, END),
            (Stage::Start { .. }, _) => (0, 1),
            (Stage::Steps { entered, .. }, Strategy::Canary(canary)) if *entered < canary.steps.len() => {
                (*entered, entered + 1)
            }
            (Stage::Steps { entered, .. }, _) => (*entered, END),
            (Stage::Preview { .. }, _) => (1, END),
            _ => (END, END),
        };
        let free = hold.is_none() && rejected.is_none();
        let alone = matches!(self.wait(), None | Some(Wait::Barrier(_)));
        let ready = free && alone && advance::goal(&self.spec, &self.record, self.now).is_some();
        Place::UnderWay { begun: gates.begun_at, entered, next, ready }
    }
}
