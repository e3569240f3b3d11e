//! `serin history`: what became of a rollout.

use std::io::{self, Write};

use clap::Args;

use super::{RolloutArgs, read, words};
use crate::admin::{EntryReport, HistoryReport};
use crate::cli::Outcome;
use crate::cli::output::{Report, printable, write_table};

const HEADER: [&str; 8] = ["TIME", "SEQUENCE", "REVISION", "ACTOR", "PHASE", "AT", "WEIGHTS", "WHY"];

const EXAMPLES: &str = "\
One line per transition, oldest first. ACTOR is file (an edit), engine (serin itself), or whoever gave a command. \
AT and WEIGHTS are what was so from then on.

Examples:
  serin history checkout
  serin history checkout --limit 1000 -o json | jq -r '.entries[].why'";

/// Which rollout, and how far back.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct HistoryArgs {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// The newest transitions, at most so many (up to 10000)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
}

pub(super) fn run(args: &HistoryArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let text = args.rollout.rollout().get(&format!("/history?limit={}", args.limit))?;
    match args.output {
        Report::Json => writeln!(out, "{text}")?,
        Report::Text => write(out, &read(&text)?)?,
    }
    Ok(Outcome::Positive)
}

fn write(out: &mut dyn Write, history: &HistoryReport) -> io::Result<()> {
    write_table(out, HEADER, history.entries.iter().map(row))
}

fn row(entry: &EntryReport) -> [String; HEADER.len()] {
    let (from, to) = (entry.from.phase, entry.to.phase);
    let phase = if from == to { format!("{to:?}") } else { format!("{from:?} → {to:?}") };
    [
        words::seconds(&entry.at),
        entry.sequence.to_string(),
        entry.revision.to_string(),
        entry.actor.clone(),
        phase,
        entry.to.at.clone(),
        words::weights(&entry.to.weights),
        entry.why.clone(),
    ]
    .map(|cell| printable(&cell))
}
