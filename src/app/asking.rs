//! Questions that are on their way to hooks and providers of measurements.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::Clock;
use crate::analysis::Measurement;
use crate::provider::Client;
use crate::reconcile::Input;
use crate::rollout::Call;
use crate::spec::{Webhook, WebhookKind};

/// Questions of one kind under way at once; more wait their turn. A thousand rollouts that start together must not use
/// up the file descriptors that proxies need. Each kind has its own turns, so that hooks that are down hold up neither
/// each other's kind nor measurements.
const AT_ONCE: usize = 64;

/// All that is asked now.
pub(super) struct Asking {
    client: Client,
    clock: Clock,
    gates: Arc<Semaphore>,
    notices: Arc<Semaphore>,
    measurements: Arc<Semaphore>,
    tasks: JoinSet<Input>,
    /// By decision; those that are done are dropped when the decision is withdrawn or answered.
    running: BTreeMap<Arc<str>, Vec<AbortHandle>>,
}

impl Asking {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        let turns = || Arc::new(Semaphore::new(AT_ONCE));
        let (gates, notices, measurements) = (turns(), turns(), turns());
        Self { client, clock, gates, notices, measurements, tasks: JoinSet::new(), running: BTreeMap::new() }
    }

    pub(super) fn call(&mut self, decision: Arc<str>, hook: Arc<Webhook>, call: Call) {
        let client = self.client.clone();
        let turns = match hook.kind {
            WebhookKind::Event | WebhookKind::PostRollout => Arc::clone(&self.notices),
            _ => Arc::clone(&self.gates),
        };
        self.spawn(turns, Arc::clone(&decision), async move {
            let answer = client.call(&hook, &call).await;
            Input::Answer(decision, answer)
        });
    }

    pub(super) fn measure(&mut self, decision: Arc<str>, Measurement { id, provider }: Measurement) {
        let (client, clock) = (self.client.clone(), self.clock);
        self.spawn(Arc::clone(&self.measurements), Arc::clone(&decision), async move {
            let value = client.measure(&provider, clock.epoch() + clock.now()).await;
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
                Some(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_withdrawn) => {}
                },
                None => std::future::pending().await,
            }
        }
    }

    fn spawn(&mut self, turns: Arc<Semaphore>, decision: Arc<str>, work: impl Future<Output = Input> + Send + 'static) {
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
