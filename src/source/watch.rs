//! Hints that something may have changed, from the operating system.
//!
//! An event says "look again" and no more: its path is not asked for, because a `ConfigMap` update never names the file
//! it changes, and an overflow names nothing. Directories are watched one by one, never recursively and never a file:
//! the scan knows best which they are, links included. Every directory is added anew after each scan: that costs
//! microseconds, and a watch that was lost with its directory, or taken from us by a late event of the directory's
//! predecessor, is back. Without events at all (limits, network file systems) the periodic scan goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tracing::warn;

use super::reading::DirectoryId;

/// The directories under watch.
pub(super) struct Watches {
    /// `None` if there can be no events.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeMap<PathBuf, DirectoryId>,
    /// Whether the last [`follow`](Self::follow) could not watch everything, so that it is said once.
    incomplete: bool,
}

impl Watches {
    /// Watches nothing yet. `hint` is notified on every change to come.
    pub(super) fn new(hint: Arc<Notify>) -> Self {
        let handler = move |event: notify::Result<Event>| {
            if may_be_change(&event) {
                hint.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(handler)
            .inspect_err(|error| {
                warn!(%error, "no file events, so files are only re-read at intervals; \
                    if a limit was reached, raise fs.inotify.max_user_instances with sysctl");
            })
            .ok();
        Self { watcher, ..Self::none() }
    }

    /// Never hints.
    pub(super) fn none() -> Self {
        Self { watcher: None, directories: BTreeMap::new(), incomplete: false }
    }

    /// Watches exactly `directories` from now on.
    pub(super) fn follow(&mut self, directories: &BTreeMap<PathBuf, DirectoryId>) {
        let Some(watcher) = &mut self.watcher else { return };
        for (path, id) in &self.directories {
            if directories.get(path) != Some(id) {
                // If the directory is gone, so is its watch.
                let _ = watcher.unwatch(path);
            }
        }
        let mut trouble = None;
        for path in directories.keys() {
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Err(error) if !is_gone(&error) => trouble = Some((path, error)),
                _ => {}
            }
        }
        if let (Some((path, error)), false) = (&trouble, self.incomplete) {
            warn!(path = %path.display(), %error, "no file events for a directory, so it is only re-read at intervals; \
                if a limit was reached, raise fs.inotify.max_user_watches with sysctl");
        }
        self.incomplete = trouble.is_some();
        self.directories.clone_from(directories);
    }
}

/// All but reading, which we do ourselves: to hear that would never end.
fn may_be_change(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) if event.need_rescan() => true,
        Ok(event) => !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)),
        Err(_) => true,
    }
}

/// Vanished since it was listed, which the next scan will see.
fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, Flag};

    use super::*;

    #[test]
    fn everything_but_reading_is_a_hint() {
        let event = |kind| Ok(Event::new(kind));
        assert!(may_be_change(&event(EventKind::Create(CreateKind::File))));
        assert!(may_be_change(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)))));
        assert!(may_be_change(&Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))), "an overflow");
        assert!(may_be_change(&Err(notify::Error::generic("the watch failed"))));
        assert!(!may_be_change(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
        assert!(!may_be_change(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)))));
    }
}
