//! What the operating system hinted at, kept until somebody looks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use tokio::sync::Notify;

/// More paths than this are not told apart: then it is quicker to list all directories.
const MANY: usize = 256;

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hinted {
    /// These entries of directories under watch, and nothing else.
    Paths(BTreeSet<PathBuf>),
    /// Anything.
    Anything,
}

impl Default for Hinted {
    fn default() -> Self {
        Self::Paths(BTreeSet::new())
    }
}

impl Hinted {
    /// Adds what else was hinted at.
    pub(super) fn extend(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::Paths(paths), Self::Paths(more)) if paths.len() + more.len() <= MANY => paths.extend(more),
            _ => *self = Self::Anything,
        }
    }
}

/// Written by the thread that watches, taken by the source.
#[derive(Debug, Default)]
pub(super) struct Hints {
    rung: Notify,
    hinted: Mutex<Hinted>,
}

impl Hints {
    /// Adds a hint and wakes whoever waits.
    pub(super) fn ring(&self, hint: Hinted) {
        self.hinted.lock().unwrap_or_else(PoisonError::into_inner).extend(hint);
        self.rung.notify_one();
    }

    /// What was hinted at since this was last asked.
    pub(super) fn take(&self) -> Hinted {
        self.rung();
        std::mem::take(&mut *self.hinted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there was a hint since this, or [`Self::ringing`], was last asked.
    pub(super) fn rung(&self) -> bool {
        self.ringing().now_or_never().is_some()
    }

    /// Waits for a hint.
    pub(super) async fn ringing(&self) {
        self.rung.notified().await;
    }
}
