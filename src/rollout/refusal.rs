//! Why a command was refused, in words for whoever gave it.

use std::sync::Arc;

use super::journal::Actor;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something happened in between.
    #[error("{}; look again and repeat", if seen < now {
        format!("changed since you looked: you saw transition {seen}, now it is at {now}")
    } else {
        format!("there is no transition {seen} yet, it is at {now}")
    })]
    Stale {
        /// What the actor saw.
        seen: u64,
        /// What is.
        now: u64,
    },
    /// The strategy is plain weights.
    #[error("the strategy is weights: the file is the split, edit it")]
    NoEngine,
    /// No rollout is under way.
    #[error("nothing is under way: {0} is stable and carries all traffic")]
    Idle(Arc<str>),
    /// It was aborted.
    #[error("the rollout to {0} was aborted: retry it, undo, or edit the file's target")]
    Aborted(Arc<str>),
    /// Its record was damaged.
    #[error("it is stopped ({0}): abort, promote --full or retry it, or edit the file's target")]
    Stopped(String),
    /// Only an aborted rollout can be tried again.
    #[error("not aborted: retry starts an aborted rollout again")]
    NotAborted,
    /// All traffic is on its way back already.
    #[error("all traffic is on its way to {0} already, which is the way back")]
    GoingBack(Arc<str>),
    /// It is past its last gate.
    #[error("all traffic is on its way to {0} already")]
    AtTheEnd(Arc<str>),
    /// It is paused already.
    #[error("paused already by {0}")]
    Paused(Actor),
    /// Nobody paused it.
    #[error("not paused by a command{0}")]
    NotPaused(&'static str),
    /// A promotion window is shut.
    #[error("not now: waiting for {0}; promote --full does not wait for it")]
    Shut(String),
    /// It goes on by itself.
    #[error("no pause or gate to promote past: {0}")]
    NoGate(String),
    /// There is nobody to go on with.
    #[error("every node rejects it ({0}): abort, or edit the step")]
    Rejected(String),
    /// The revision is not remembered.
    #[error("no stable version is known from revision {revision}, known are {known}")]
    UnknownRevision {
        /// What was asked for.
        revision: u64,
        /// Which there are, in words.
        known: String,
    },
    /// Only one version was ever stable.
    #[error("no version was stable before {0}")]
    NoPast(Arc<str>),
    /// The version is no more.
    #[error("{0} is not in the file any more")]
    VersionGone(Arc<str>),
    /// That is where it is.
    #[error("{0} is what is rolled out already")]
    AlreadyThere(Arc<str>),
}
