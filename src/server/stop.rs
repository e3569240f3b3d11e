//! The end of the server, as everything that has to end with it sees it. Set once, by [`super::Bound::serve`].

use tokio::sync::watch;
use tonic::Status;

/// Resolves once the server stops.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// What sets it, by sending true, and what is awaited.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for it; returns at once when it has come. May be dropped and called again.
    pub(super) async fn wait(&mut self) {
        drop(self.0.wait_for(|stopped| *stopped).await);
    }
}

/// Why streams end then.
pub(super) fn shutting_down() -> Status {
    Status::unavailable("server is shutting down")
}
