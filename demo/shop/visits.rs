//! Steady load on many targets, and its account: a line a second, a page at any time, a summary at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::{Json, Router, routing::get};
use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::rig::load::{Load, Rate, Tally, real};
use crate::rig::now;

/// Keep-alive connections to each target.
const CONNECTIONS: u32 = 4;

#[derive(Args)]
pub(crate) struct LoadArgs {
    /// What to ask for: HOST:PORT, or HOST:PORT/PATH
    #[arg(required = true)]
    targets: Vec<String>,
    /// Requests per second for each target
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Where the account is shown as JSON
    #[arg(long, default_value = "0.0.0.0:8081")]
    listen: SocketAddr,
}

/// What came of one target.
#[derive(Serialize)]
struct Account {
    requests: u64,
    /// Transport errors, time-outs, and answers other than 200.
    failed: u64,
    /// The 200 answers by colour.
    answered: BTreeMap<String, u64>,
    /// The first few failures, with the seconds since the load began.
    failures: Vec<(f64, String)>,
}

type Loads = BTreeMap<String, Load>;

/// Asks until it is told to stop.
pub(crate) async fn run(args: LoadArgs) -> Result<()> {
    let page = TcpListener::bind(args.listen).await.with_context(|| format!("the page needs {}", args.listen))?;
    let every = Duration::from_secs(1) * CONNECTIONS / args.rate;
    let rate = Rate { connections: CONNECTIONS, every, requests: u64::MAX };
    let loads = args.targets.into_iter().map(|target| (target.clone(), Load::start(target, rate)));
    let loads: Arc<Loads> = Arc::new(loads.collect());
    let shown = Arc::clone(&loads);
    let router = Router::new().route("/", get(move || std::future::ready(Json(accounts(&shown)))));
    tokio::select! {
        served = axum::serve(page, router) => served?,
        told = tell(&loads) => told?,
        stopped = crate::stopped() => stopped?,
    }
    writeln!(stdout(), "{}", serde_json::to_string(&accounts(&loads))?)?;
    Ok(())
}

fn accounts(loads: &Loads) -> BTreeMap<String, Account> {
    let account = |tally: Tally| Account {
        requests: tally.requests,
        failed: tally.failed,
        answered: tally.colours,
        failures: tally.failures.into_iter().map(|(at, words)| (at.as_secs_f64(), words)).collect(),
    };
    loads.iter().map(|(target, load)| (target.clone(), account(load.tally()))).collect()
}

/// A line a second: who answered in it, by path, and the failures of all time, by target.
async fn tell(loads: &Loads) -> Result<()> {
    let began = now();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut before: BTreeMap<&str, Tally> = BTreeMap::new();
    seconds.tick().await;
    loop {
        seconds.tick().await;
        let (mut paths, mut total) = (BTreeMap::<&str, Tally>::new(), Tally::default());
        let mut failed = String::new();
        for (target, load) in loads {
            let tally = load.tally();
            let last = before.insert(target, tally.clone()).unwrap_or_default();
            let path = target.find('/').map_or("/", |at| &target[at..]);
            paths.entry(path).or_default().add(&tally.since(&last));
            total.add(&tally);
            if tally.failed > 0 {
                write!(failed, " {target} {}", tally.failed)?;
            }
        }
        let mut line = format!("{:>4}s ", began.elapsed().as_secs());
        for (path, tally) in &paths {
            write!(line, " {path}")?;
            for (colour, n) in &tally.colours {
                write!(line, " {colour} {:.1} %", 100.0 * real(*n) / real(tally.answered()))?;
            }
        }
        writeln!(stdout(), "{line}  {} requests, {} failed{failed}", total.requests, total.failed)?;
    }
}
