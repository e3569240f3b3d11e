//! Hints that something may have changed, from the operating system.
//!
//! An event says "look again", and at which entry of a directory where it knows; whether that is all there is to look at
//! is for the scan to say: a `ConfigMap` update never names the file it changes. An overflow names nothing. Directories are watched one by one, never recursively and never a file:
//! the scan knows best which they are, links included. Every directory is added anew after each scan of all: that costs
//! microseconds, and a watch that was lost with its directory, or taken from us by a late event of the directory's
//! predecessor, is back. Without events at all (limits, network file systems) the periodic scan goes on.
//!
//! Runs on a thread of its own: `notify` answers between events only (0.1 ms for a directory when all is quiet, 10 ms
//! seen in a storm), and a scan should not wait for that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use futures::executor::block_on;
use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch as value;
use tracing::warn;

use super::hints::{Hinted, Hints};
use super::reading::DirectoryId;

/// The directories of a scan.
pub(super) type Directories = BTreeMap<PathBuf, DirectoryId>;

/// Watches what `wanted` says, until its sender is gone. `hint` is notified on every change, and after a directory came
/// under watch: what happened in it before made no event.
pub(super) fn spawn(mut wanted: value::Receiver<Arc<Directories>>, hint: Arc<Hints>) {
    let started = thread::Builder::new().name("watches".to_owned()).spawn(move || {
        let Some(mut watches) = Watches::new(hint) else { return };
        while block_on(wanted.changed()).is_ok() {
            let directories = wanted.borrow_and_update().clone();
            watches.follow(directories);
        }
    });
    if let Err(error) = started {
        warn!(%error, "no thread to watch files from, so they are only re-read at intervals");
    }
}

/// What is under watch.
struct Watches {
    watcher: RecommendedWatcher,
    hint: Arc<Hints>,
    directories: Arc<Directories>,
    /// Whether the last [`follow`](Self::follow) could not watch everything, so that it is said once.
    incomplete: bool,
}

impl Watches {
    /// Watches nothing yet.
    fn new(hint: Arc<Hints>) -> Option<Self> {
        let changed = Arc::clone(&hint);
        let handler = move |event: notify::Result<Event>| {
            if may_be_change(&event) {
                changed.ring(hinted(event));
            }
        };
        match notify::recommended_watcher(handler) {
            Ok(watcher) => Some(Self { watcher, hint, directories: Arc::default(), incomplete: false }),
            Err(error) => {
                warn!(%error, "no file events, so files are only re-read at intervals; \
                    if a limit was reached, raise fs.inotify.max_user_instances with sysctl");
                None
            }
        }
    }

    /// Watches exactly `directories` from now on.
    fn follow(&mut self, directories: Arc<Directories>) {
        for (path, id) in &*self.directories {
            if directories.get(path) != Some(id) {
                // If the directory is gone, so is its watch.
                let _ = self.watcher.unwatch(path);
            }
        }
        let mut trouble = None;
        for path in directories.keys() {
            match self.watcher.watch(path, RecursiveMode::NonRecursive) {
                Err(error) if !is_gone(&error) => trouble = Some((path, error)),
                _ => {}
            }
        }
        if let (Some((path, error)), false) = (&trouble, self.incomplete) {
            warn!(path = %path.display(), %error, "no file events for a directory, so it is only re-read at intervals; \
                if a limit was reached, raise fs.inotify.max_user_watches with sysctl");
        }
        self.incomplete = trouble.is_some();
        if directories != self.directories {
            self.directories = directories;
            self.hint.ring(Hinted::Anything);
        }
    }
}

/// What an event is about.
fn hinted(event: notify::Result<Event>) -> Hinted {
    match event {
        Ok(event) if !event.need_rescan() && !event.paths.is_empty() => {
            Hinted::Paths(event.paths.into_iter().collect())
        }
        _ => Hinted::Anything,
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
    fn an_event_names_what_it_is_about() {
        let event = Event::new(EventKind::Create(CreateKind::File));
        assert_eq!(hinted(Ok(event.clone().add_path("/a".into()))), Hinted::Paths([PathBuf::from("/a")].into()));
        assert_eq!(hinted(Ok(event.clone())), Hinted::Anything);
        assert_eq!(hinted(Ok(event.add_path("/a".into()).set_flag(Flag::Rescan))), Hinted::Anything, "an overflow");
        assert_eq!(hinted(Err(notify::Error::generic("the watch failed"))), Hinted::Anything);
    }

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
