//! `make bench`: how soon, and at what cost, a change is on every proxy of a large fleet.
//!
//! A load client of its own, on one thread, since it shares the machine with the server: each stream has a connection,
//! asks for clusters, endpoints, listeners and routes in the order in which an Envoy that starts asks, and acknowledges
//! everything. The change is one service's weights in one file. A table goes to the standard output, and the same as
//! JSON to a file. Linux only: processor time and memory of the server are read from outside.

mod board;
mod call;
mod cell;
mod fleet;
mod grid;
mod message;
mod report;
mod server;
mod site;
mod stream;
mod trouble;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::LocalSet;

use cell::Cell;
use fleet::Contender;
use report::{Report, Row};

/// How soon, and at what cost, a change is on every proxy of a large fleet.
#[derive(Parser)]
struct Arguments {
    /// What to measure: VARIANT:LAYOUT:SERVICES:STREAMS, e.g. delta:split:1000:1000. VARIANT is sotw or delta; LAYOUT is
    /// one (all services in one route configuration) or split (one for each).
    #[arg(
        long,
        env = "CELLS",
        value_delimiter = ',',
        default_value = "sotw:one:1:1000,delta:one:1:1000,sotw:split:1000:1000,delta:split:1000:1000,sotw:one:1:5000,delta:one:1:5000"
    )]
    cells: Vec<Cell>,
    /// Changes per cell, after one that is not counted.
    #[arg(long, env = "CHANGES", default_value_t = 7)]
    changes: u32,
    /// The server. {serin} is what was built with this; {config}, {state}, {grpc}, {http}, {services} and {layout} are
    /// filled in.
    #[arg(long, default_value = "{serin} serve --config {config} --state {state} --xds {grpc} --admin {http}")]
    server: String,
    /// A server to hold it against, in the same words.
    #[arg(long, env = "PEER")]
    peer: Option<String>,
    /// A URL that has the peer make a change when something is posted to it, if it follows no files; {http} and
    /// {service} (its number) are filled in.
    #[arg(long, env = "PEER_CHANGE", requires = "peer")]
    peer_change: Option<String>,
    /// Where the figures go as JSON.
    #[arg(long, env = "JSON", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/fleet.json"))]
    json: PathBuf,
    /// Instead: for so many seconds streams come and go, with a change each second; 1 when at the end one is not given
    /// the newest routes.
    #[arg(long, env = "CHURN", value_name = "SECONDS", conflicts_with = "stalled")]
    churn: Option<u64>,
    /// Instead: how soon a change arrives with so many streams beside that never read.
    #[arg(long, env = "STALLED", value_name = "STREAMS")]
    stalled: Option<u32>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The one clock of this program.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time; the ban is meant for the product")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run(Arguments::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be written there is nobody to be told so.
            let _ = writeln!(stdout(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { cells, changes, server, peer, peer_change, json, churn, stalled, bench: _ } = arguments;
    raise_file_limit(&cells, stalled.unwrap_or_default())?;
    let mut contenders = vec![Contender { name: "serin", command: server, change: None }];
    contenders.extend(peer.map(|command| Contender { name: "peer", command, change: peer_change }));
    let mut out = stdout();
    let processors = std::thread::available_parallelism()?.get();
    let mut report = Report { processors, changes, cells: Vec::new() };
    if churn.is_none() && stalled.is_none() {
        report::heading(&mut out)?;
    }
    for cell in cells {
        let mut servers = Vec::new();
        for contender in &contenders {
            if let Some(seconds) = churn {
                trouble::churn(cell, contender, Duration::from_secs(seconds), &mut out).await?;
            } else if let Some(stalled) = stalled {
                trouble::stalled(cell, contender, stalled, changes, &mut out).await?;
            } else {
                servers.push(grid::measure(cell, contender, changes).await?);
            }
        }
        if !servers.is_empty() {
            let row = Row { cell, servers };
            row.print(&mut out)?;
            report.cells.push(row);
        }
    }
    if !report.cells.is_empty() {
        report.save(&json)?;
        writeln!(out, "as JSON: {}", json.display())?;
    }
    Ok(())
}

/// A stream takes a file descriptor here and one in the server, which inherits the limit.
fn raise_file_limit(cells: &[Cell], stalled: u32) -> Result<()> {
    /// Files, timers and the like.
    const OTHERS: u64 = 200;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let most = cells.iter().map(|cell| cell.streams).max().unwrap_or_default();
    let needed = u64::from(most) + u64::from(stalled) + OTHERS;
    if hard < needed {
        bail!("{needed} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn)");
    }
    Ok(())
}
