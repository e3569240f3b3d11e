//! What the streams have seen. All run on one thread, so that there is one clock and nothing to lock.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::Notify;

use crate::now;

/// What the streams write and whoever waits for them reads.
pub(crate) struct Board {
    streams: RefCell<Vec<Seen>>,
    /// Streams that have had all they asked for.
    ready: Cell<usize>,
    /// The change that is on its way: its number, from 1, and when it was made.
    change: Cell<(u64, Instant)>,
    /// How long after it each stream had it.
    arrivals: RefCell<Vec<Duration>>,
    received: Cell<u64>,
    failure: RefCell<Option<String>>,
    /// Something that is waited for may have come.
    news: Notify,
}

/// What one stream has seen.
#[derive(Default, Clone)]
struct Seen {
    /// Of the routes.
    version: String,
    /// The last change that has arrived.
    change: u64,
}

impl Board {
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            streams: RefCell::new(vec![Seen::default(); streams]),
            ready: Cell::new(0),
            change: Cell::new((0, now())),
            arrivals: RefCell::default(),
            received: Cell::new(0),
            failure: RefCell::default(),
            news: Notify::new(),
        }
    }

    /// A stream has had all it asked for.
    pub(crate) fn ready(&self) {
        self.ready.set(self.ready.get() + 1);
        self.news.notify_waiters();
    }

    /// Routes came on a stream.
    pub(crate) fn routes(&self, index: usize, version: String) {
        let (change, made) = self.change.get();
        let mut streams = self.streams.borrow_mut();
        let seen = &mut streams[index];
        seen.version = version;
        if seen.change < change {
            seen.change = change;
            let mut arrivals = self.arrivals.borrow_mut();
            arrivals.push(made.elapsed());
            if arrivals.len() == streams.len() {
                self.news.notify_waiters();
            }
        }
    }

    /// Bytes of responses came.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.set(self.received.get() + bytes);
    }

    /// A stream has ended.
    pub(crate) fn failed(&self, failure: String) {
        self.failure.borrow_mut().get_or_insert(failure);
        self.news.notify_waiters();
    }

    /// A stream that comes in the place of another has seen nothing.
    pub(crate) fn forget(&self, index: usize) {
        self.streams.borrow_mut()[index] = Seen::default();
    }

    /// The clock of a change starts.
    pub(crate) fn change(&self) {
        self.arrivals.borrow_mut().clear();
        self.received.set(0);
        self.change.set((self.change.get().0 + 1, now()));
    }

    /// How long after the change each stream had it, so far, shortest first; and the bytes that took.
    pub(crate) fn arrivals(&self) -> (Vec<Duration>, u64) {
        let mut arrivals = self.arrivals.borrow().clone();
        arrivals.sort_unstable();
        (arrivals, self.received.get())
    }

    pub(crate) fn count_streams(&self) -> usize {
        self.streams.borrow().len()
    }

    /// Streams that have the last change.
    pub(crate) fn count_arrived(&self) -> usize {
        self.arrivals.borrow().len()
    }

    /// Streams that have had all they asked for.
    pub(crate) fn count_ready(&self) -> usize {
        self.ready.get()
    }

    /// Streams whose routes are of another version.
    pub(crate) fn count_without(&self, version: &str) -> usize {
        self.streams.borrow().iter().filter(|seen| seen.version != version).count()
    }

    /// Waits until `done`, which is asked again when there is news; an error when a stream fails, or after `limit`.
    pub(crate) async fn wait(&self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<()> {
        let waited = tokio::time::timeout(limit, async {
            loop {
                if let Some(failure) = &*self.failure.borrow() {
                    bail!("{what}: a stream failed: {failure}");
                }
                if done(self) {
                    return Ok(());
                }
                self.news.notified().await;
            }
        });
        waited.await.unwrap_or_else(|_| {
            let (ready, arrived, all) = (self.count_ready(), self.count_arrived(), self.count_streams());
            bail!("{what}: not within {limit:?}; {ready} streams began, the last change is on {arrived} of {all}")
        })
    }
}
