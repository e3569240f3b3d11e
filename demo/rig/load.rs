//! Steady load on one proxy, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{http::Connection, now};

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Failures whose words are kept.
const SAMPLES: usize = 5;

/// What came of the requests so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Requests that were answered or failed.
    pub(crate) requests: u64,
    /// Of these: transport errors, time-outs, and answers other than 200.
    pub(crate) failed: u64,
    /// The 200 answers by colour.
    pub(crate) colours: BTreeMap<String, u64>,
    /// The first few failures: when after the load began, and what happened.
    pub(crate) failures: Vec<(Duration, String)>,
}

impl Tally {
    /// The requests that `colour` answered with 200.
    pub(crate) fn of(&self, colour: &str) -> u64 {
        self.colours.get(colour).copied().unwrap_or(0)
    }
}

#[cfg_attr(test, expect(dead_code, reason = "the screen of the demo reckons with these"))]
impl Tally {
    /// Requests that were answered with 200.
    pub(crate) fn answered(&self) -> u64 {
        self.colours.values().sum()
    }

    /// What has come since `earlier`.
    pub(crate) fn since(&self, earlier: &Tally) -> Tally {
        Tally {
            requests: self.requests - earlier.requests,
            failed: self.failed - earlier.failed,
            colours: self.colours.iter().map(|(colour, n)| (colour.clone(), n - earlier.of(colour))).collect(),
            failures: self.failures[earlier.failures.len()..].to_vec(),
        }
    }

    /// Adds another proxy's.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.failed += other.failed;
        for (colour, n) in &other.colours {
            *self.colours.entry(colour.clone()).or_default() += n;
        }
        self.failures.extend_from_slice(&other.failures);
    }
}

/// Keep-alive connections that ask one proxy again and again, until dropped.
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    connections: JoinSet<()>,
}

/// How much to ask of a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Keep-alive connections, each with one request at a time.
    pub(crate) connections: u32,
    /// Time from one request to the next on a connection; zero means as fast as answers come.
    pub(crate) every: Duration,
    /// Requests per connection; `u64::MAX` for no end.
    pub(crate) requests: u64,
}

impl Load {
    /// Starts asking for `target`: `HOST:PORT`, and a path behind it where that is not `/`. A name is looked up for each
    /// connection anew.
    pub(crate) fn start(target: impl Display, rate: Rate) -> Self {
        let target: Arc<str> = target.to_string().into();
        let tally = Arc::new(Mutex::new(Tally::default()));
        let began = now();
        let mut connections = JoinSet::new();
        for _ in 0..rate.connections {
            connections.spawn(ask(Arc::clone(&target), rate, Arc::clone(&tally), began));
        }
        Self { tally, connections }
    }

    /// What came of it so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every connection has made its requests.
    #[cfg_attr(not(test), expect(dead_code, reason = "the load of the demo has no end"))]
    pub(crate) async fn finish(mut self) -> Tally {
        while self.connections.join_next().await.is_some() {}
        self.tally()
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

async fn ask(target: Arc<str>, rate: Rate, tally: Arc<Mutex<Tally>>, began: Instant) {
    let mut pace = tokio::time::interval(rate.every.max(Duration::from_micros(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    for _ in 0..rate.requests {
        if !rate.every.is_zero() {
            pace.tick().await;
        }
        let answer = tokio::time::timeout(TIMEOUT, one(&target, &mut connection)).await;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.requests += 1;
        let failure = match answer {
            Ok(Ok((StatusCode::OK, colour))) => {
                *tally.colours.entry(colour).or_default() += 1;
                continue;
            }
            Ok(Ok((status, body))) => format!("{status}: {body}"),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer within {TIMEOUT:?}"),
        };
        connection = None;
        tally.failed += 1;
        if tally.failures.len() < SAMPLES {
            tally.failures.push((began.elapsed(), failure));
        }
    }
}

/// One request, on the connection there is or a new one.
async fn one(target: &str, slot: &mut Option<Connection>) -> anyhow::Result<(StatusCode, String)> {
    let (proxy, path) = target.split_once('/').unwrap_or((target, ""));
    // A proxy may close an idle connection, which fails no request.
    let connection = match slot.take_if(|open| !open.is_closed()) {
        Some(open) => slot.insert(open),
        None => slot.insert(Connection::open(proxy).await?),
    };
    let (status, body) = connection.get(&format!("/{path}")).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
