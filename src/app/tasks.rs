//! Tasks that must not end: one that does, by error, panic or by itself, ends the process.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::anyhow;
use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

/// Tasks that are started and stopped together.
pub(super) struct Tasks {
    running: JoinSet<(&'static str, Result<(), String>)>,
    stop: watch::Sender<bool>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self { running: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Resolves when these tasks are to end.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // A sender that is gone says the same.
            drop(stop.wait_for(|stop| *stop).await);
        }
    }

    /// Starts one that ends when [`Self::stopped`] says so.
    pub(super) fn spawn<E: Into<anyhow::Error>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        // Nothing of a task that panicked is looked at again: the process ends.
        let task = async { task.await.map_err(|error| format!("{:#}", error.into())) };
        let task = AssertUnwindSafe(task).catch_unwind();
        self.running.spawn(async move { (name, task.await.unwrap_or_else(|panic| Err(words(&*panic)))) });
    }

    /// Resolves when one ends that should not have.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self.running.join_next().await {
            Some(Ok((name, Err(words)))) => anyhow!("the {name} task failed: {words}"),
            Some(Ok((name, Ok(())))) => anyhow!("the {name} task ended by itself"),
            Some(Err(error)) => anyhow!("a task was lost: {error}"),
            None => std::future::pending().await,
        }
    }

    /// Has all end, and does not wait longer than `grace`.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(true);
        let all = async {
            while let Some(ended) = self.running.join_next().await {
                if let Ok((name, Err(words))) = ended {
                    warn!(task = name, error = words, "failed while shutting down");
                }
            }
        };
        if timeout(grace, all).await.is_err() {
            warn!(tasks = self.running.len(), ?grace, "not ended in time; ending them now");
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", words.unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use super::*;

    async fn failure(task: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> String {
        let mut tasks = Tasks::new();
        tasks.spawn("other", pending::<Result<(), Infallible>>());
        tasks.spawn("bad", task);
        tasks.failed().await.to_string()
    }

    #[tokio::test]
    async fn every_way_to_end_is_told() {
        assert_eq!(
            failure(async { Err(anyhow!("no space").context("cannot write")) }).await,
            "the bad task failed: cannot write: no space"
        );
        assert_eq!(failure(async { panic!("at {}", 1) }).await, "the bad task failed: panicked: at 1");
        assert_eq!(failure(async { panic!("at all") }).await, "the bad task failed: panicked: at all");
        assert_eq!(failure(async { Ok(()) }).await, "the bad task ended by itself");
    }

    #[tokio::test]
    async fn stopping_waits_for_all() {
        let mut tasks = Tasks::new();
        let (stopped, (done, finished)) = (tasks.stopped(), tokio::sync::oneshot::channel());
        tasks.spawn("good", async {
            stopped.await;
            tokio::task::yield_now().await;
            done.send(()).map_err(|()| anyhow!("nobody listens"))
        });
        tasks.stop(Duration::from_secs(60)).await;
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn stopping_does_not_wait_for_ever() {
        let mut tasks = Tasks::new();
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("stuck", async {
            let ended = pending::<Result<(), Infallible>>().await;
            drop(held);
            ended
        });
        tasks.stop(Duration::from_millis(1)).await;
        assert!(dropped.await.is_err());
    }
}
