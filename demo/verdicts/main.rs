//! `make verdicts`: whether new versions are judged as they should be, shown on real Envoys under load.
//!
//! Each new version is rolled out on a fleet of its own, again and again, while all is well and while one of three
//! proxies is in trouble. Ends with 1 when any verdict was wrong; then the logs of that trial are kept.

mod case;
mod fleet;
mod garbage;
mod relay;
#[path = "../rig/mod.rs"]
#[expect(dead_code, reason = "the demo and the tests need more of it")]
mod rig;
mod service;
mod trial;
mod visitors;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use futures::{StreamExt, stream};

use case::{Case, Trouble};
use rig::load::real;
use rig::repository;
use trial::{Outcome, Plan};

/// Whether new versions are judged as they should be, shown on real Envoys under load.
#[derive(Parser)]
struct Arguments {
    /// An Envoy to run, as `tools/envoy.sh` finds one.
    #[arg(long, env = "ENVOY")]
    envoy: PathBuf,
    /// How often each version is rolled out on a fleet that is well, and on one of which one proxy is in trouble.
    #[arg(long, env = "RUNS", default_value_t = 1)]
    runs: u64,
    /// Trials at a time; each has three Envoys.
    #[arg(long, env = "ABREAST", default_value_t = 2)]
    abreast: usize,
    /// Only versions and fleets with this in their words, e.g. "slower" or "all well"; more than one: all of them.
    #[arg(long)]
    only: Vec<String>,
}

/// The new versions, in a few words.
const CASES: [(Case, &str); 5] = [
    (Case::Fails, "fails 2 %"),
    (Case::Tail, "2 % ten times as slow"),
    (Case::Slower, "25 % slower"),
    (Case::Dead, "drops dead"),
    (Case::Fine, "fine"),
];

/// The fleets.
const TROUBLES: [(Trouble, &str); 4] = [
    (Trouble::None, "all well"),
    (Trouble::CutOff, "one cut off"),
    (Trouble::Restarted, "one restarted"),
    (Trouble::Garbage, "one sends garbage"),
];

/// All trials of one version on one fleet.
struct Row {
    case: &'static str,
    fleet: &'static str,
    outcomes: Vec<Result<Outcome>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Where that cannot be written there is nobody to be told so.
            let _ = writeln!(stdout(), "verdicts: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all was right.
async fn run(arguments: &Arguments) -> Result<bool> {
    let serin = binary()?;
    let root = repository().join("demo/run/verdicts");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut trials = Vec::new();
    let all = TROUBLES.into_iter().flat_map(|trouble| CASES.map(|case| (trouble, case)));
    for ((trouble, fleet), (case, name)) in all {
        let words = format!("{name}, {fleet}");
        if !arguments.only.iter().all(|part| words.contains(part.as_str())) {
            continue;
        }
        for seed in 1..=arguments.runs {
            let plan = Plan {
                case,
                trouble,
                seed,
                weight: 10,
                connections: 15,
                every: Duration::from_millis(50),
                serin: serin.clone(),
                envoy: arguments.envoy.clone(),
            };
            let (row, words) = (rows.len(), format!("{words}, run {seed}"));
            let dir = root.join(format!("{case:?}-{trouble:?}-{seed}"));
            trials.push(async move {
                let outcome = one(&plan, &dir).await;
                // Who has stopped reading still waits for the exit code.
                let _ = writeln!(stdout(), "{words}: {}", told(&outcome));
                (row, outcome)
            });
        }
        rows.push(Row { case: name, fleet, outcomes: Vec::new() });
    }
    let mut trials = stream::iter(trials).buffer_unordered(arguments.abreast);
    while let Some((row, outcome)) = trials.next().await {
        rows[row].outcomes.push(outcome);
    }
    let mut out = stdout();
    writeln!(
        out,
        "\n{:<22} {:<18} {:>9} {:>22} {:>14} {:>16} {:>14}",
        "new version", "fleet", "right", "verdict", "length", "bad until back", "harmed"
    )?;
    writeln!(
        out,
        "{:<22} {:<18} {:>9} {:>22} {:>14} {:>16} {:>14}",
        "", "", "", "", "median, max", "median, max", "of the new"
    )?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", row.words()))?;
    Ok(rows.iter().all(|row| row.right() == row.outcomes.len()))
}

/// Runs one and keeps what it wrote only when it went wrong.
async fn one(plan: &Plan, dir: &Path) -> Result<Outcome> {
    std::fs::create_dir_all(dir)?;
    let outcome = trial::run(plan, dir).await?;
    if outcome.wrongs.is_empty() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(outcome)
}

fn told(outcome: &Result<Outcome>) -> String {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return format!("could not be run: {error:#}"),
    };
    let verdict = if outcome.promoted { "promoted" } else { "not promoted" };
    let wrong =
        if outcome.wrongs.is_empty() { String::new() } else { format!("WRONG: {}; ", outcome.wrongs.join("; ")) };
    format!(
        "{wrong}{verdict} after {}, {} of {} requests harmed, {} on the new version: {}{}",
        seconds(outcome.length),
        outcome.total.harmed(),
        outcome.total.requests,
        outcome.total.of("green"),
        outcome.message,
        outcome.story
    )
}

impl Row {
    fn right(&self) -> usize {
        self.outcomes.iter().flatten().filter(|outcome| outcome.wrongs.is_empty()).count()
    }

    fn words(&self) -> String {
        let all: Vec<&Outcome> = self.outcomes.iter().flatten().collect();
        let promoted = all.iter().filter(|outcome| outcome.promoted).count();
        let harmed: u64 = all.iter().map(|outcome| outcome.total.harmed()).sum();
        let canary: u64 = all.iter().map(|outcome| outcome.total.of("green")).sum();
        let each = |n: u64| real(n) / real(u64::try_from(all.len().max(1)).unwrap_or(1));
        format!(
            "{:<22} {:<18} {:>9} {:>22} {:>14} {:>16} {:>14}",
            self.case,
            self.fleet,
            format!("{}/{}", self.right(), self.outcomes.len()),
            format!("{promoted} of {} promoted", all.len()),
            spread(all.iter().map(|outcome| outcome.length).collect()),
            spread(all.iter().filter_map(|outcome| outcome.took).collect()),
            format!("{:.0} of {:.0}", each(harmed), each(canary)),
        )
    }
}

/// Median and maximum.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    match times.last() {
        Some(max) => format!("{}, {}", seconds(times[times.len() / 2]), seconds(*max)),
        None => "-".to_owned(),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The `serin` that cargo built beside this example.
fn binary() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let target = example.parent().and_then(Path::parent).context("this program lies in no target folder")?;
    Ok(target.join("serin"))
}
