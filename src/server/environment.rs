//! What all streams of the server share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Config;
use super::admission::Admission;
use super::bodies::Bodies;
use super::names::KnownNames;
use super::stop::Stop;
use crate::fleet::StreamId;
use crate::xds::Assign;

/// What all streams of the server share.
pub(super) struct Environment {
    pub(super) config: Config,
    /// The end of the server.
    pub(super) stop: Stop,
    /// Who is let in.
    pub(super) admission: Admission,
    /// What clients are subscribed to.
    pub(super) names: KnownNames,
    /// How many streams there have been.
    streams: AtomicU64,
    /// What has been encoded of the newest world.
    newest: Mutex<Option<Encoded>>,
}

/// What has been encoded of one world.
struct Encoded {
    world: Weak<dyn Assign>,
    bodies: Arc<Bodies>,
}

impl Environment {
    /// With no streams yet.
    pub(super) fn new(config: Config, stop: Stop) -> Self {
        Self {
            config,
            stop,
            admission: Admission::new(),
            names: KnownNames::default(),
            streams: AtomicU64::new(0),
            newest: Mutex::default(),
        }
    }

    /// A name for one more stream.
    pub(super) fn next_stream(&self) -> StreamId {
        StreamId(self.streams.fetch_add(1, Ordering::Relaxed))
    }

    /// What has been encoded of `world`. Kept for the world that was asked for last.
    pub(super) fn bodies(&self, world: &Arc<dyn Assign>) -> Arc<Bodies> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.as_ref().filter(|known| std::ptr::addr_eq(known.world.as_ptr(), Arc::as_ptr(world)));
        if let Some(known) = known {
            return Arc::clone(&known.bodies);
        }
        let bodies = Arc::new(Bodies::new(&self.config.instance));
        *newest = Some(Encoded { world: Arc::downgrade(world), bodies: Arc::clone(&bodies) });
        bodies
    }
}
