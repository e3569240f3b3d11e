//! The task that owns the reconciler: what happens goes in, what it answers is carried out, in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::asking::Asking;
use super::keep::Aim;
use super::memory::Memory;
use super::metrics::Metrics;
use super::{Clock, World};
use crate::fleet::Standing;
use crate::reconcile::{Effect, Input, Message, Publication, Reconciler};
use crate::spec::SpecSet;
use crate::telemetry::Report;

/// How soon what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// All that comes in.
pub(super) struct Inputs {
    pub(super) specs: watch::Receiver<Option<Arc<SpecSet>>>,
    pub(super) standings: watch::Receiver<Arc<Standing>>,
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) measured: mpsc::Receiver<Report>,
}

/// The reconciler with its hands.
pub(super) struct Steer {
    pub(super) reconciler: Reconciler,
    pub(super) memory: Memory,
    pub(super) counted: watch::Sender<Arc<BTreeSet<Arc<str>>>>,
    pub(super) world: watch::Sender<World>,
    pub(super) aim: watch::Sender<Aim>,
    pub(super) clock: Clock,
    pub(super) asking: Asking,
    pub(super) metrics: Metrics,
    /// When to try to write again.
    pub(super) retry: Option<Duration>,
}

impl Steer {
    /// Runs until nobody loads files any more.
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        loop {
            let deadline = self.reconciler.next_deadline().into_iter().chain(self.retry).min();
            let pause = deadline.map(|deadline| deadline.saturating_sub(self.clock.now()));
            let input = tokio::select! {
                changed = inputs.specs.changed() => {
                    if changed.is_err() {
                        let effects = self.reconciler.handle(self.clock.now(), Input::Stop);
                        return self.carry_out(effects).await;
                    }
                    let Some(spec) = inputs.specs.borrow_and_update().clone() else { continue };
                    Input::Spec(spec)
                }
                Ok(()) = inputs.standings.changed() => {
                    Input::Standing(Arc::clone(&inputs.standings.borrow_and_update()))
                }
                Some(message) = inputs.messages.recv() => Input::Message(message),
                Some(report) = inputs.measured.recv() => Input::Telemetry(report),
                answer = self.asking.next() => answer,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => Input::Tick,
            };
            let began = self.clock.now();
            let effects = self.reconciler.handle(began, input);
            self.metrics.engine.observe(self.since(began).as_secs_f64());
            self.carry_out(effects).await;
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        let (mut entries, mut records, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Journal(more) => entries.extend(more),
                Effect::Save(record) => records.push(*record),
                other => rest.push(other),
            }
        }
        let again = self.retry.is_some_and(|at| at <= self.clock.now());
        if again || !entries.is_empty() || !records.is_empty() {
            let began = self.clock.now();
            let written = self.memory.write(entries, records).await;
            self.metrics.wrote(written, self.since(began));
            self.retry = (!written).then(|| self.clock.now() + RETRY);
        }
        let began = self.clock.now();
        if let Some(publication) = self.reconciler.publish(self.retry.is_none()) {
            self.metrics.translate.observe(self.since(began).as_secs_f64());
            self.publish(publication);
        }
        for effect in rest {
            match effect {
                Effect::History(rollout, limit, reply) => reply(Some(self.memory.history(rollout, limit).await)),
                Effect::Answer(answer) => answer(),
                Effect::Call(decision, hook, call) => self.asking.call(decision, hook, *call),
                Effect::Measure(decision, measurement) => self.asking.measure(decision, measurement),
                Effect::Withdraw(decision) => self.asking.withdraw(&decision),
                Effect::Journal(_) | Effect::Save(_) => {}
            }
        }
    }

    fn since(&self, began: Duration) -> Duration {
        self.clock.now().saturating_sub(began)
    }

    fn publish(&self, Publication { number, world, counted }: Publication) {
        self.counted.send_if_modified(|before| {
            let news = !Arc::ptr_eq(before, &counted);
            *before = counted;
            news
        });
        self.world.send_replace(Some(world.clone()));
        self.aim.send_replace(Some((number, world)));
    }
}
