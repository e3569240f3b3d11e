//! `make bench-reports`: what it costs to be told by a thousand proxies what they measure.
//!
//! Starts `serin` with canaries under way, and as many simulated proxies as asked for, each on a connection of its own
//! with the three streams of a real one. They acknowledge what they are sent, and report what Envoys under traffic would,
//! byte for byte as long. Said is what a proxy sends, and what `serin` takes for it by the process clock. Ends with 1
//! when `serin` has not counted exactly what was sent.

mod case;
mod files;
mod messages;
mod process;
mod proxy;
mod raw;
#[path = "../../demo/rig/mod.rs"]
#[expect(dead_code, reason = "the demo and the tests need more of it")]
mod rig;
mod run;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use case::Case;
use run::Outcome;

/// What it costs to be told by many proxies what they measure.
#[derive(Parser)]
struct Arguments {
    /// So many rollouts, of which each proxy sends traffic through so many; repeatable
    #[arg(long = "case", value_name = "ROLLOUTSxUSED", default_values = ["1x1", "100x20", "100x100", "1000x20"])]
    cases: Vec<Case>,
    /// Proxies
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// How often each reports its load and flushes its statistics, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=30))]
    interval: u32,
    /// How many of these intervals are measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    intervals: u32,
    /// What `cargo bench` says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Keep what `serin` says and remembers in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run_all(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be written there is nobody to be told so.
            let _ = writeln!(stdout(), "reports: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_all(arguments: &Arguments) -> Result<()> {
    process::allow_connections(arguments.nodes)?;
    let every = Duration::from_secs(arguments.interval.into());
    let mut out = stdout();
    writeln!(
        out,
        "{} proxies, a load report and a flush of each every {every:?}; measured for {:?} after two intervals\n",
        arguments.nodes,
        every * arguments.intervals,
    )?;
    writeln!(
        out,
        "| rollouts | used by each proxy | bytes/s per proxy | CPU ms/s per proxy | cores | RSS MiB | most |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for case in &arguments.cases {
        let temporary = tempfile::tempdir()?;
        let dir = match &arguments.keep {
            Some(keep) => keep.join(case.to_string()),
            None => temporary.path().to_owned(),
        };
        let plan = run::Plan {
            case: *case,
            nodes: arguments.nodes,
            every,
            intervals: arguments.intervals,
            serin: PathBuf::from(env!("CARGO_BIN_EXE_serin")),
            dir,
        };
        let outcome = run::run(&plan).await.with_context(|| format!("{case}"))?;
        row(&mut out, *case, &outcome)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, case: Case, outcome: &Outcome) -> Result<()> {
    let Outcome { bytes, cpu, cores, rss, most } = outcome;
    let Case { rollouts, used } = case;
    writeln!(
        out,
        "| {rollouts} | {used} | {bytes:.0} | {:.4} | {cores:.3} | {:.0} | {:.0} |",
        cpu * 1_000.0,
        rss / f64::from(1 << 20),
        most / f64::from(1 << 20),
    )?;
    Ok(())
}
