//! Questions that are on their way to hooks and providers of measurements.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use crate::analysis::Measurement;
use crate::provider::Client;
use crate::reconcile::Input;
use crate::rollout::{Answer, Call};
use crate::spec::Webhook;

/// Questions under way at once; more wait their turn. A thousand rollouts that start together must not use up the file
/// descriptors that proxies need.
const AT_ONCE: usize = 128;

/// All that is asked now.
pub(super) struct Asking {
    client: Client,
    turns: Arc<Semaphore>,
    tasks: JoinSet<Input>,
    /// By decision; those that are done are dropped when the decision is withdrawn or answered.
    running: BTreeMap<Arc<str>, Vec<AbortHandle>>,
}

impl Asking {
    pub(super) fn new(client: Client) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { client, turns, tasks: JoinSet::new(), running: BTreeMap::new() }
    }

    pub(super) fn call(&mut self, decision: Arc<str>, hook: Arc<Webhook>, call: Call) {
        let client = self.client.clone();
        self.spawn(Arc::clone(&decision), async move {
            let answer = match client.call(&hook, &call).await {
                Ok(()) => Answer::Yes,
                Err(words) => Answer::No(words),
            };
            Input::Answer(decision, answer)
        });
    }

    pub(super) fn measure(&mut self, decision: Arc<str>, Measurement { id, metric }: Measurement) {
        let client = self.client.clone();
        self.spawn(Arc::clone(&decision), async move {
            let value = client.measure(&metric.provider).await;
            Input::Measured(decision, id, value)
        });
    }

    pub(super) fn withdraw(&mut self, decision: &str) {
        for task in self.running.remove(decision).unwrap_or_default() {
            task.abort();
        }
    }

    /// The next answer; does not return while there is nothing to wait for.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(input)) => {
                    if let Input::Answer(decision, _) = &input {
                        self.running.remove(decision);
                    }
                    return input;
                }
                // Withdrawn.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn spawn(&mut self, decision: Arc<str>, work: impl Future<Output = Input> + Send + 'static) {
        let turns = Arc::clone(&self.turns);
        let task = self.tasks.spawn(async move {
            // Nobody closes it.
            let _turn = turns.acquire().await;
            work.await
        });
        let tasks = self.running.entry(decision).or_default();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}
