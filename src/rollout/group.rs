//! Several rollouts in lockstep: who may take the next step, and who is aborted because another was.
//!
//! * The barrier is over the members that are under way. One whose target stays as it is, that has become stable or was
//!   aborted before, is not waited for. Members started by one load of the files are under way together, as long as
//!   that load is handed to all of them before this is asked; who starts later catches up, and the others wait for it.
//! * A member enters its n-th step when every other has entered its n-th, or is ready to. Who has fewer steps holds
//!   nobody up once it has entered its last, whatever that waits for. A preview is a first and last step.
//! * All traffic goes over when all are ready for that, so that no member is beyond recall while another still tries.
//! * A member that is aborted, by whomever, aborts all that were under way with it: those that began last first. Going
//!   back by an edit of the file is no failure. What had failed before a member joined is no concern of its, by
//!   number and not by time: clocks go back.

use std::collections::BTreeMap;
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
    UnderWay(Way),
    /// It was aborted.
    Aborted {
        /// When: time since the Unix epoch.
        at: Duration,
        /// The transition that aborted it, by number.
        number: u64,
        /// Why.
        why: String,
    },
}

/// How far a member is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Since when: time since the Unix epoch.
    begun: Duration,
    /// How many steps it has entered.
    entered: usize,
    /// The number of the step that comes next.
    next: usize,
    /// Whether nothing but the group keeps it from that.
    ready: bool,
    /// The failures that were there before it joined, by member and number; `None` until it has joined.
    past: Option<BTreeMap<Arc<str>, u64>>,
}

/// What a group says to one of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// You are one of those under way: what failed before, by member and number, is no concern of yours.
    Join(BTreeMap<Arc<str>, u64>),
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
            Word::Join(past) => Self::Join(past),
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
        Place::UnderWay(way) => Some((name, way)),
        _ => None,
    });
    let mut under_way: Vec<_> = under_way.collect();
    under_way.sort_unstable_by_key(|(name, _)| *name);
    let failures = members.iter().filter_map(|(name, place)| match place {
        Place::Aborted { at, number, why } => Some((*at, why.starts_with("group "), name, *number, why)),
        _ => None,
    });
    let mut failures: Vec<_> = failures.collect();
    failures.sort_unstable();
    // By the step that comes next: how many are not there, and the first of them.
    let mut behind: BTreeMap<usize, (usize, Vec<&Arc<str>>)> = BTreeMap::new();
    for (_, Way { next, .. }) in &under_way {
        behind.entry(*next).or_insert_with(|| {
            let late = || under_way.iter().filter(|(_, way)| !way.is_there(*next)).map(|(name, _)| *name);
            (late().count(), late().take(4).collect())
        });
    }
    let word = |name: &Arc<str>, way: &Way| {
        let Some(past) = &way.past else {
            let past = failures.iter().map(|(_, _, name, number, _)| (Arc::clone(name), *number));
            return Word::Join(past.collect());
        };
        let failure = failures.iter().find(|(_, _, failed, number, _)| past.get(*failed) != Some(number));
        if let Some((_, _, failed, _, why)) = failure {
            return Word::Abort(format!("group {group}: {failed} was aborted: {why}"));
        }
        let (count, first) = behind.get(&way.next).map_or((0, [].as_slice()), |(count, first)| (*count, first));
        let others: Vec<_> = first.iter().filter(|other| **other != name).map(ToString::to_string).collect();
        match count - usize::from(!way.is_there(way.next)) {
            0 => Word::Open,
            count => Word::Wait(format!("{} of group {group}", names(&others, count))),
        }
    };
    let mut words: Vec<_> =
        under_way.iter().map(|(name, way)| (way.begun, Arc::clone(name), word(name, way))).collect();
    words.sort_by(|one, other| (other.0, &other.1).cmp(&(one.0, &one.1)));
    words.into_iter().map(|(_, name, word)| (name, word)).collect()
}

impl Way {
    /// Whether nobody waits for it who is to enter the step of this number.
    fn is_there(&self, step: usize) -> bool {
        let at_its_last = self.next == END && self.entered > 0;
        self.entered >= step || self.ready && self.next >= step || at_its_last && step != END
    }
}

impl Machine {
    /// Where it is, for its group.
    #[must_use]
    pub fn place(&self) -> Place {
        let Record { stage, hold, rejected, gates, .. } = &self.record;
        if let Stage::Aborted { why, .. } = stage {
            return Place::Aborted { at: gates.entered_at, number: gates.entered, why: why.clone() };
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
        Place::UnderWay(Way { begun: gates.begun_at, entered, next, ready, past: gates.past.clone() })
    }
}
