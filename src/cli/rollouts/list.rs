//! `serin list`: all rollouts.

use std::io::{self, Write};

use clap::Args;

use super::{read, words};
use crate::admin::{RolloutList, RolloutReport};
use crate::cli::Outcome;
use crate::cli::client::{Client, ServerArgs};
use crate::cli::output::{NONE, Report, printable, write_table};

const HEADER: [&str; 6] = ["NAME", "PHASE", "STEP", "WEIGHTS", "CONVERGENCE", "MESSAGE"];

const EXAMPLES: &str = "\
PHASE is one of:
  Healthy      all traffic is where the file wants it
  Progressing  traffic moves, or the fleet is following
  Paused       waits for time to pass, for somebody, or for late proxies
  Degraded     aborted, or without progress for too long

CONVERGENCE counts the proxies that have acknowledged the traffic in force.

Examples:
  serin list
  serin list -o json | jq -r '.rollouts[] | select(.phase != \"Healthy\") | .name'";

/// Of which server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ListArgs {
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let text = Client::new(&args.server).get("/api/v1/rollouts")?;
    match args.output {
        Report::Json => writeln!(out, "{text}")?,
        Report::Text => write(out, &read(&text)?)?,
    }
    Ok(Outcome::Positive)
}

fn write(out: &mut dyn Write, list: &RolloutList) -> io::Result<()> {
    if list.rollouts.is_empty() {
        return writeln!(out, "no rollout is known: no file with `kind: Rollout` has been loaded");
    }
    write_table(out, HEADER, list.rollouts.iter().map(row))
}

fn row(report: &RolloutReport) -> [String; HEADER.len()] {
    let step = report.step.as_ref().map(|step| format!("{}/{}", step.index, step.of));
    let nodes = report.convergence.as_ref().map(|nodes| format!("{}/{}", nodes.converged, nodes.nodes));
    [
        report.name.clone(),
        format!("{:?}", report.phase),
        step.unwrap_or_else(|| NONE.to_owned()),
        words::split_of(report),
        nodes.unwrap_or_else(|| NONE.to_owned()),
        report.message.clone(),
    ]
    .map(|cell| printable(&cell))
}
