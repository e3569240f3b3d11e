//! `serin status`: waits until a rollout is done, for pipelines.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::{RolloutArgs, read, words};
use crate::admin::{self, RolloutReport};
use crate::app::Clock;
use crate::cli::output::printable;
use crate::cli::{Outcome, fleet, watch};
use crate::rollout::Phase;

const EXAMPLES: &str = "\
It looks once a second, prints a line for each change of phase and step, and ends when the rollout is Healthy with its target stable, or \
Degraded, or after --timeout. A rollout that is paused until somebody promotes it is waited for like any other.

Right after an edit of the file the server may not have read it yet, and the rollout is still Healthy as it was \
before. Name the version that the edit asks for with --target: then Healthy and Degraded count only for that version.

Exit codes: 0 Healthy, 1 Degraded or not done in time, 2 no such rollout, no server at the start, or wrong usage.

Examples:
  serin status checkout --timeout 5m
  sed -i 's/target: blue/target: green/' checkout.yaml
  serin status checkout --target green --timeout 30m || serin why checkout
  serin status checkout --timeout 0s     # how is it now?";

/// What to wait for, and how long.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// Give up after so long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Wait until this version is stable, also if the file's target is still another [default: the target]
    #[arg(long, value_name = "VERSION")]
    target: Option<String>,
}

pub(super) fn run(args: &StatusArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let rollout = args.rollout.rollout();
    let clock = Clock::start();
    let ask = || read::<RolloutReport>(&rollout.get("")?);
    let first = ask()?;
    if args.target.is_some() && first.strategy == "weights" {
        bail!("{} has plain weights and no target: leave --target out", first.name);
    }
    let mut wait = Wait::new(args.target.clone());
    let outcome = watch::watch(first, err, ask, |report, err| {
        if let Some(report) = report {
            if let Some(line) = wait.line(&report) {
                writeln!(out, "{line}")?;
                out.flush()?;
            }
            if let Some(outcome) = wait.end(&report) {
                return Ok(Some(outcome));
            }
        }
        let Some(timeout) = args.timeout.filter(|timeout| clock.now() >= *timeout) else { return Ok(None) };
        let timeout = humantime::format_duration(timeout);
        writeln!(err, "serin: not done after {timeout}: {}", wait.awaited)?;
        Ok(Some(Outcome::Negative))
    })?;
    // A file that is held back by a mistake may be the one that was edited.
    if let Ok(files) = rollout.client.get("/api/v1/diagnostics") {
        for line in fleet::trouble(&read::<admin::Report>(&files)?) {
            writeln!(err, "serin: {line}")?;
        }
    }
    Ok(outcome)
}

/// What is waited for, and what was said of it last.
pub(super) struct Wait {
    target: Option<String>,
    /// What changes worth a line: phase, target, revision, and step.
    said: Option<(Phase, Option<String>, u64, Option<usize>)>,
    /// What the last report was waiting for.
    pub(super) awaited: String,
}

impl Wait {
    pub(super) fn new(target: Option<String>) -> Self {
        Self { target, said: None, awaited: String::new() }
    }

    /// A line about the report, if it is news.
    pub(super) fn line(&mut self, report: &RolloutReport) -> Option<String> {
        self.awaited = match &self.target {
            Some(version) if !self.concerns(report) => {
                let target = report.target.as_deref().unwrap_or("no version");
                format!("the target is {target}, not {version}")
            }
            _ => printable(&report.message),
        };
        let step = report.step.as_ref().map(|step| step.index);
        let news = Some((report.phase, report.target.clone(), report.revision, step));
        let line = || printable(&format!("{} {}", report.at, words::line(report)));
        (self.said != news).then(|| {
            self.said = news;
            line()
        })
    }

    /// How it ended, if it has.
    pub(super) fn end(&self, report: &RolloutReport) -> Option<Outcome> {
        match report.phase {
            _ if !self.concerns(report) => None,
            Phase::Healthy if report.stable == report.target => Some(Outcome::Positive),
            Phase::Degraded => Some(Outcome::Negative),
            Phase::Healthy | Phase::Progressing | Phase::Paused => None,
        }
    }

    /// Whether the report is about the version that is waited for.
    fn concerns(&self, report: &RolloutReport) -> bool {
        self.target.is_none() || self.target == report.target
    }
}
