//! A directory of configuration files, watched: a stream of whole readings that stood still.
//!
//! What is delivered is the value of the directory, never an event: every delivered [`Reading`] is complete, differs
//! from the one before, and stood still while it was read (the private `settle` says what that means). What could not
//! be read is an error of its own file; a root that itself cannot be read is told as such, for whoever listens to keep
//! what it has. Texts are not parsed here. Driven by `app`, which spawns [`Source::run`] and wires its
//! reload trigger to SIGHUP and `POST /reload`.

mod hints;
mod reading;
mod settle;
mod watch;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch as value};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use hints::{Hinted, Hints};
pub use reading::{FileError, MAX_FILE_BYTES, Reading, RootError, read_directory, read_paths};
use reading::{Scan, rescan, scan};
use settle::{INTERVAL, PATIENCE, Settling};
use watch::Directories;

/// A hint that led to nothing new doubles the wait for the next, up to this: something else writes beside the files
/// all the time, and should not keep us reading.
const MAX_PAUSE: Duration = Duration::from_millis(400);

/// The directory as it stands, or why that is not known.
pub type Outcome = Result<Arc<Reading>, RootError>;

/// How a [`Source`] looks for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Files are read again after this long even without a hint, because some file systems give none.
    pub reread_every: Duration,
    /// Whether to ask the operating system for file events.
    pub events: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reread_every: Duration::from_secs(10), events: true }
    }
}

/// The time since the Unix epoch: what the file system's stamps are held against.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A watched configuration directory, or a single watched file.
pub struct Source {
    root: PathBuf,
    settings: Settings,
    clock: Clock,
    hints: Arc<Hints>,
    /// Written after each scan of all, for the thread that watches.
    directories: value::Sender<Arc<Directories>>,
    /// The last scan that counted; what a new one is compared with.
    settled: Option<Arc<Scan>>,
    /// The last reading that was put out. Its texts are shared by the readings after it, where they are the same.
    delivered: Option<Arc<Reading>>,
    /// Whether the settled scan took files for something else than they were found, so that hints say too little.
    doubtful: bool,
}

impl Source {
    /// Nothing is read, and `root` need not exist, before [`run`](Self::run).
    #[must_use]
    pub fn new(root: PathBuf, settings: Settings, clock: Clock) -> Self {
        // A relative path has no parent to watch. Without a working directory it is as good as it gets.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self {
            root,
            settings,
            clock,
            hints: Arc::default(),
            directories: value::Sender::default(),
            settled: None,
            delivered: None,
            doubtful: false,
        }
    }

    /// Puts every new reading into `readings`, and why there is none when the root cannot be read, until `shutdown`. The
    /// value stays as it was found, `None` at first, until then. A notification of `reload` makes it read at once.
    pub async fn run(
        mut self,
        readings: value::Sender<Option<Outcome>>,
        reload: Arc<Notify>,
        shutdown: impl Future<Output = ()>,
    ) {
        if self.settings.events {
            watch::spawn(self.directories.subscribe(), Arc::clone(&self.hints));
        }
        let following = async {
            let (mut pause, mut thorough) = (INTERVAL, true);
            loop {
                pause = match self.gather(thorough).await {
                    Some(outcome) => {
                        readings.send_replace(Some(outcome));
                        INTERVAL
                    }
                    None => MAX_PAUSE.min(pause * 2),
                };
                thorough = tokio::select! {
                    () = self.hinted(&mut pause) => false,
                    () = reload.notified() => true,
                    () = sleep(self.settings.reread_every) => true,
                };
            }
        };
        tokio::select! {
            () = following => {}
            () = shutdown => {}
        }
    }

    /// Waits for a hint, but at least for `pause`. If none comes in that time, `pause` starts anew from the shortest.
    async fn hinted(&self, pause: &mut Duration) {
        sleep(*pause).await;
        if !self.hints.rung() {
            *pause = INTERVAL;
            self.hints.ringing().await;
        }
    }

    /// Reads until a reading counts. `None` if it is the one already delivered. Every file is opened if `thorough`, and
    /// otherwise those that may have changed, by what was hinted at or by what the file system says of them.
    async fn gather(&mut self, thorough: bool) -> Option<Outcome> {
        let mut hinted = if self.doubtful { Hinted::Anything } else { Hinted::default() };
        let first = self.scan(thorough, &mut hinted).await;
        if let Some(settled) = self.settled.as_mut().filter(|settled| ***settled == first) {
            // The maps as they are: with these share those that others have.
            Arc::make_mut(settled).begun = first.begun;
            return None;
        }
        let known = self.delivered.clone().unwrap_or_default();
        let mut settling = Settling::new(first);
        let mut patience = pin!(sleep(PATIENCE));
        let mut late = false;
        loop {
            tokio::select! {
                biased;
                () = &mut patience, if !late => late = true,
                () = sleep(INTERVAL) => {}
            }
            let next = self.scan(thorough, &mut hinted).await;
            if let Some(scan) = settling.take(next, &known, late) {
                self.doubtful = late;
                return self.settle(scan);
            }
        }
    }

    /// Takes the scan that counts; gives what is to be delivered of it, if anything is.
    fn settle(&mut self, scan: Scan) -> Option<Outcome> {
        let reading = scan.reading.clone();
        let before = self.settled.replace(Arc::new(scan));
        let failed = before.as_ref().and_then(|before| before.reading.as_ref().err());
        match reading {
            Err(error) => {
                if failed == Some(&error) {
                    return None;
                }
                if self.delivered.is_some() {
                    warn!(%error, "going on with what was read before");
                } else {
                    warn!(%error, "nothing was read yet");
                }
                Some(Err(error))
            }
            Ok(reading) => {
                let again = failed.is_some();
                if again {
                    info!(root = %self.root.display(), "configuration can be read again");
                }
                if self.delivered.as_deref() == Some(&reading) {
                    return self.delivered.clone().filter(|_| again).map(Ok);
                }
                let reading = Arc::new(reading);
                self.delivered = Some(Arc::clone(&reading));
                Some(Ok(reading))
            }
        }
    }

    /// Reads once, and has what was read watched. Looks only at what is `hinted` at since the settled scan, to which it
    /// adds what else is by now, where that can be all that has changed.
    async fn scan(&self, thorough: bool, hinted: &mut Hinted) -> Scan {
        // What was hinted at so far is seen by this scan.
        hinted.extend(self.hints.take());
        let (root, known) = (self.root.clone(), self.delivered.clone().unwrap_or_default());
        let (before, begun) = (self.settled.clone().filter(|_| !thorough), (self.clock)());
        let hinted = hinted.clone();
        let look = move || {
            let part = match (before.as_deref(), &hinted) {
                (Some(before), Hinted::Paths(paths)) => rescan(&root, &known, before, paths, begun),
                _ => None,
            };
            let whole = part.is_none();
            (part.unwrap_or_else(|| scan(&root, &known, before.as_deref(), begun)), whole)
        };
        match spawn_blocking(look).await {
            Ok((scan, whole)) => {
                if whole {
                    self.directories.send_replace(Arc::clone(&scan.directories));
                }
                scan
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Cancelled: the runtime is shutting down.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests;
