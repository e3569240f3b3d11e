//! What the operating system asks of the process.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::info;

/// The signals this process listens to, from the moment this is made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts listening. Must be called on the runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves at SIGINT or SIGTERM. Until then each SIGHUP rings `reload`.
    pub async fn shutdown(mut self, reload: Arc<Notify>) {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => {
                    info!("SIGHUP: reading all files again");
                    reload.notify_one();
                }
                _ = self.interrupt.recv() => return info!("SIGINT: shutting down"),
                _ = self.terminate.recv() => return info!("SIGTERM: shutting down"),
            }
        }
    }
}
