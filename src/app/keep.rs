//! The task that owns the fleet view: it tells the reconciler how the fleet stands, and remembers what proxies reject
//! and which there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tracing::{error, warn};

use super::{Clock, news};
use crate::fleet::{Fleet, Message, Standing, StreamEvent};
use crate::store::{Memo, StateDir};
use crate::xds::{Assign, Event};

/// Messages that are folded before the reconciler is told: a thousand proxies that answer at once are one piece of news.
const BATCH: usize = 256;

/// How long a node without a stream is expected back after a restart. Those of rollouts under way wait for it no longer
/// than their `staleAfter`.
const MEMORY: Duration = Duration::from_secs(600);

/// How often the list of nodes is written at most.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// A world by its number.
pub(super) type Aim = Option<(u64, Arc<dyn Assign>)>;

/// The fleet and what is remembered of it.
pub(super) struct Keeper {
    fleet: Fleet,
    rejections: Arc<Memo>,
    nodes: Arc<Memo>,
    clock: Clock,
    /// When the list of nodes is to be written, if it has changed.
    write_at: Option<Duration>,
}

impl Keeper {
    /// Goes on with what an earlier process remembered; without it, with a word, where that cannot be read.
    pub(super) fn new(state: &StateDir, clock: Clock) -> anyhow::Result<Self> {
        let (rejections, nodes) = (state.rejections(), state.nodes());
        let mut fleet = Fleet::after(remembered(&rejections, "what proxies have rejected")?);
        let expected: BTreeMap<String, String> = remembered(&nodes, "which proxies there are")?;
        fleet.expect(clock.now(), expected);
        Ok(Self { fleet, rejections: rejections.into(), nodes: nodes.into(), clock, write_at: None })
    }

    /// Folds what happens on streams until nobody is left to tell.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut aims: watch::Receiver<Aim>,
        standings: watch::Sender<Arc<Standing>>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let write = self.write_at.map(|at| at.saturating_sub(self.clock.now()));
            let mut rejected = false;
            tokio::select! {
                count = messages.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    // Questions change nothing.
                    if batch.iter().all(|message| !matches!(message, Message::Event(..))) {
                        self.take(&mut batch);
                        continue;
                    }
                    rejected = self.take(&mut batch);
                }
                Ok(()) = aims.changed() => {
                    if let Some((number, world)) = aims.borrow_and_update().clone() {
                        self.fleet.aim(number, world);
                    }
                }
                () = tokio::time::sleep(write.unwrap_or_default()), if write.is_some() => {
                    self.write_at = None;
                    let nodes = serde_json::to_value(self.fleet.expected(self.clock.now(), MEMORY));
                    save(&self.nodes, nodes, "a restart would not wait for the proxies").await;
                    continue;
                }
            }
            let standing = self.fleet.standing();
            standings.send_if_modified(|told| {
                let news = **told != standing;
                if news {
                    *told = Arc::new(standing);
                }
                news
            });
            // After the news: a rollout must not wait for a disk to be stopped.
            if rejected {
                let rejections = serde_json::to_value(self.fleet.all_rejections());
                save(&self.rejections, rejections, "a restart would send proxies again what they have rejected").await;
            }
        }
    }

    /// Whether what nodes reject has changed.
    fn take(&mut self, batch: &mut Vec<Message>) -> bool {
        let mut rejected = false;
        for message in batch.drain(..) {
            if let Message::Event(stream, event) = &message {
                news::tell(&self.fleet, *stream, event);
                match event {
                    StreamEvent::Session(Event::Nacked { .. } | Event::Forgiven { .. }) => rejected = true,
                    StreamEvent::Opened { .. } | StreamEvent::Closed { .. } => {
                        self.write_at.get_or_insert(self.clock.now() + WRITE_EVERY);
                    }
                    StreamEvent::Session(_) | StreamEvent::Foreign => {}
                }
            }
            self.fleet.handle_message(self.clock.now(), message);
        }
        rejected
    }
}

async fn save(memo: &Arc<Memo>, value: serde_json::Result<serde_json::Value>, otherwise: &str) {
    let memo = Arc::clone(memo);
    let saved = spawn_blocking(move || anyhow::Ok(memo.save(&value?)?)).await;
    if let Err(error) = saved.map_err(anyhow::Error::from).flatten() {
        error!("{error:#}; {otherwise}");
    }
}

fn remembered<T: Serialize + DeserializeOwned + Default>(memo: &Memo, what: &str) -> anyhow::Result<T> {
    let (remembered, damage) = memo.load()?;
    if let Some(damage) = damage {
        warn!("{damage}; {what} is forgotten");
    }
    let value: Option<T> = serde_json::from_value(remembered).unwrap_or_else(|error| {
        warn!("{error}; {what} is forgotten");
        None
    });
    Ok(value.unwrap_or_default())
}
