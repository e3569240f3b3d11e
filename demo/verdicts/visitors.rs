//! Those who ask a proxy, and know which version answered and what was wrong with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::rig::http::Connection;
use crate::rig::now;

/// A request that takes longer has failed; the route's own limit is 5 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Failures whose words are kept.
const SAMPLES: usize = 3;

/// What came of the requests so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Requests that were answered or failed.
    pub(crate) requests: u64,
    /// By the version that answered, whatever it answered.
    pub(crate) answered: BTreeMap<String, u64>,
    /// Those it answered with an error, by the same.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Those that no version answered: the proxy did, or nobody.
    pub(crate) lost: u64,
    /// Those that a fault made slow.
    pub(crate) slow: u64,
    /// When the first of them began that failed or that a fault made slow.
    pub(crate) first_bad: Option<Instant>,
    /// The first few requests that no version answered.
    pub(crate) losses: Vec<String>,
}

impl Tally {
    /// Requests that `version` answered.
    pub(crate) fn of(&self, version: &str) -> u64 {
        self.answered.get(version).copied().unwrap_or(0)
    }

    /// Requests that somebody would complain of.
    pub(crate) fn harmed(&self) -> u64 {
        self.failed.values().sum::<u64>() + self.lost + self.slow
    }

    /// Adds another proxy's.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.lost += other.lost;
        self.slow += other.slow;
        for (mine, others) in [(&mut self.answered, &other.answered), (&mut self.failed, &other.failed)] {
            for (version, n) in others {
                *mine.entry(version.clone()).or_default() += n;
            }
        }
        self.first_bad = [self.first_bad, other.first_bad].into_iter().flatten().min();
        self.losses.extend_from_slice(&other.losses);
    }

    fn take(&mut self, began: Instant, outcome: Result<(StatusCode, String), String>) {
        self.requests += 1;
        let (status, body) = match outcome {
            Ok(answer) => answer,
            Err(words) => return self.lose(began, words),
        };
        let (version, mark) = body.split_once(' ').unwrap_or((&body, ""));
        match (status, mark) {
            (StatusCode::OK, "") => {}
            (StatusCode::OK, "slow") => self.slow += 1,
            (_, "failed") => *self.failed.entry(version.to_owned()).or_default() += 1,
            _ => return self.lose(began, format!("{status}: {body}")),
        }
        *self.answered.entry(version.to_owned()).or_default() += 1;
        if !mark.is_empty() {
            self.first_bad = Some(self.first_bad.map_or(began, |first| first.min(began)));
        }
    }

    fn lose(&mut self, began: Instant, words: String) {
        self.lost += 1;
        self.first_bad = Some(self.first_bad.map_or(began, |first| first.min(began)));
        if self.losses.len() < SAMPLES {
            self.losses.push(words);
        }
    }
}

/// Keep-alive connections that ask one proxy again and again, until dropped.
pub(crate) struct Visitors {
    tally: Arc<Mutex<Tally>>,
    leave: tokio::sync::watch::Sender<bool>,
    connections: JoinSet<()>,
}

impl Visitors {
    /// Starts asking `proxy`, on so many connections, each with one request at a time and so long from one to the next.
    pub(crate) fn start(proxy: SocketAddr, count: u32, every: Duration) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (leave, stay) = tokio::sync::watch::channel(false);
        let mut connections = JoinSet::new();
        for nth in 0..count {
            // Not all at the same moment.
            let after = every * nth / count;
            let (tally, mut stay) = (Arc::clone(&tally), stay.clone());
            connections.spawn(async move {
                let mut pace = tokio::time::interval(every);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                pace.reset_after(after);
                let mut connection = None;
                while !*stay.borrow_and_update() {
                    tokio::select! {
                        _ = pace.tick() => ask(proxy, &mut connection, &tally).await,
                        _ = stay.changed() => {}
                    }
                }
            });
        }
        Self { tally, leave, connections }
    }

    /// What came of it so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the answers that are under way and asks no more.
    pub(crate) async fn leave(mut self) -> Tally {
        self.leave.send_replace(true);
        while self.connections.join_next().await.is_some() {}
        self.tally()
    }
}

async fn ask(proxy: SocketAddr, slot: &mut Option<Connection>, tally: &Mutex<Tally>) {
    let began = now();
    let outcome = match tokio::time::timeout(TIMEOUT, one(proxy, slot)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    };
    if outcome.is_err() {
        *slot = None;
    }
    tally.lock().unwrap_or_else(PoisonError::into_inner).take(began, outcome);
}

/// One request, on the connection there is or a new one.
async fn one(proxy: SocketAddr, slot: &mut Option<Connection>) -> Result<(StatusCode, String)> {
    // A proxy may close an idle connection, which fails no request.
    let connection = match slot.take_if(|open| !open.is_closed()) {
        Some(open) => slot.insert(open),
        None => slot.insert(Connection::open(proxy).await?),
    };
    let (status, body) = connection.get("/").await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
