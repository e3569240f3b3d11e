//! The session of one stream.

use std::sync::Arc;
use std::time::Duration;

use super::{Event, Rejection, Request, Response, Settings, Snapshot};

/// The session of one stream: sans-IO, for both variants.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
}

impl Session {
    /// A session that has heard nothing yet. `rejections` is what this node rejected on earlier streams.
    #[must_use]
    pub fn new(settings: Settings, _rejections: Vec<Rejection>) -> Self {
        Self { settings }
    }

    /// Takes the group's newest snapshot; the first must be given before the first request.
    pub fn handle_snapshot(&mut self, _now: Duration, _snapshot: Arc<Snapshot>) {}

    /// Takes one request.
    pub fn handle_request(&mut self, _now: Duration, _request: Request) {}

    /// The next response, if one is due. Call until `None` whenever the transport has room, after each `handle_*`
    /// and at [`Self::next_deadline`]. A response handed out counts as sent.
    pub fn poll_response(&mut self, _now: Duration) -> Option<Response> {
        let _ = self.settings.variant;
        None
    }

    /// The next event, oldest first. Drain after each call that changes the session.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to call [`Self::poll_response`] again even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }
}
