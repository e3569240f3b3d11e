//! A directory of configuration files, watched: a stream of whole readings that stood still.
//!
//! What is delivered is the value of the directory, never an event: every delivered [`Reading`] is complete, differs
//! from the one before, and stood still while it was read (the private `settle` says what that means). What could not
//! be read is an error of its own file; a root that itself cannot be read is told as such, for whoever listens to keep
//! what it has. Texts are not parsed here. Driven by `app`, which spawns [`Source::run`] and wires its
//! reload trigger to SIGHUP and `POST /reload`.

mod reading;
mod settle;
mod watch;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch as value};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

pub use reading::{FileError, MAX_FILE_BYTES, Reading, RootError, read_directory, read_paths};
use reading::{Scan, scan};
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
    hint: Arc<Notify>,
    /// Written after each scan, for the thread that watches.
    directories: value::Sender<Directories>,
    /// The last scan that counted; what a new one is compared with.
    settled: Option<Arc<Scan>>,
    /// The last reading that was put out. Its texts are shared by the readings after it, where they are the same.
    delivered: Option<Arc<Reading>>,
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
            hint: Arc::default(),
            directories: value::Sender::default(),
            settled: None,
            delivered: None,
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
            watch::spawn(self.directories.subscribe(), Arc::clone(&self.hint));
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
        if self.hint.notified().now_or_never().is_none() {
            *pause = INTERVAL;
            self.hint.notified().await;
        }
    }

    /// Reads until a reading counts. `None` if it is the one already delivered. Every file is opened if `thorough`, and
    /// otherwise those that may have changed by what the file system says of them.
    async fn gather(&mut self, thorough: bool) -> Option<Outcome> {
        let first = self.scan(thorough).await;
        if self.settled.as_deref() == Some(&first) {
            self.settled = Some(Arc::new(first));
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
            let next = self.scan(thorough).await;
            if let Some(scan) = settling.take(next, &known, late) {
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

    /// Reads once, and has what was read watched.
    async fn scan(&self, thorough: bool) -> Scan {
        // What was hinted at so far is seen by this scan.
        let _ = self.hint.notified().now_or_never();
        let (root, known) = (self.root.clone(), self.delivered.clone().unwrap_or_default());
        let (before, begun) = (self.settled.clone().filter(|_| !thorough), (self.clock)());
        match spawn_blocking(move || scan(&root, &known, before.as_deref(), begun)).await {
            Ok(scan) => {
                self.directories.send_replace(scan.directories.clone());
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
