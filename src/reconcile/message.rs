//! What people and programs ask of the one task that owns the [`super::Reconciler`].

use std::sync::Arc;

use crate::rollout::{Command, Entry, Refusal, Status};

/// Called once with the answer.
pub type Reply<T> = Box<dyn FnOnce(T) + Send>;

/// A question or a command. Where a rollout is named that there is none of, the answer is `None`.
pub enum Message {
    /// How all rollouts stand, by name.
    List(Reply<Vec<Status>>),
    /// How one stands.
    Get(Arc<str>, Reply<Option<Status>>),
    /// Which version a user of it gets, by what [`crate::spec::Affinity`] looks at. `Err` says why none can be told.
    User(Arc<str>, String, Reply<Option<Result<Arc<str>, String>>>),
    /// Has a command carried out. The answer comes once the outcome is on disk, and says how it stands then.
    Command(Arc<str>, Command, Reply<Option<Result<Status, Refusal>>>),
    /// The newest entries of its journal, at most so many, oldest first. `Err` says why it cannot be read.
    History(Arc<str>, usize, Reply<Option<Result<Vec<Entry>, String>>>),
}
