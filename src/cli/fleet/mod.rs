//! `serin fleet`: who has acknowledged what.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Outcome;
use super::client::{Client, ServerArgs};
use super::output::Report;
use crate::admin::FleetReport;
use table::Row;

/// How often `--watch` asks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Moves the cursor to the top left and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

const EXAMPLES: &str = "\
STATUS is one of:
  SYNCED    has acknowledged all it should have
  STALE     has not acknowledged yet what it was or will be sent; or is away
  NACK      rejected what it was sent; DETAIL has its own words
  NOT_SENT  asked, and was sent nothing yet

Examples:
  serin fleet
  serin fleet --watch
  serin fleet -o json | jq '.nodes[] | select(.connected | not) | .id'";

/// What to show, and of which server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FleetArgs {
    /// Go on showing it: redrawn on a terminal, else each line that changed
    #[arg(long, short)]
    watch: bool,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
    #[command(flatten)]
    server: ServerArgs,
}

/// Prints the fleet to `out`, once or until interrupted.
pub(super) fn run(args: &FleetArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let client = Client::new(&args.server);
    let text = client.get("/api/v1/fleet")?;
    if !args.watch {
        match args.output {
            Report::Json => writeln!(out, "{text}")?,
            Report::Text => table::write(out, &parse(&text)?)?,
        }
        return Ok(Outcome::Positive);
    }
    let mut watch = Watch { output: args.output, redraw: io::stdout().is_terminal(), rows: None, nodes: String::new() };
    let mut answer = Ok(text);
    let mut reachable = true;
    loop {
        match answer {
            Ok(text) => {
                reachable = true;
                watch.show(out, &text)?;
                out.flush()?;
            }
            // It may be restarting: a watch that ends then would have to be watched itself.
            Err(error) if reachable => {
                reachable = false;
                writeln!(err, "serin: {error:#}")?;
            }
            Err(_) => {}
        }
        thread::sleep(INTERVAL);
        answer = client.get("/api/v1/fleet");
    }
}

fn parse(text: &str) -> anyhow::Result<FleetReport> {
    serde_json::from_str(text).context("the server's answer is not a fleet as this version knows it")
}

/// What a watch has shown last.
struct Watch {
    output: Report,
    redraw: bool,
    rows: Option<BTreeMap<(String, String), Row>>,
    nodes: String,
}

impl Watch {
    fn show(&mut self, out: &mut dyn Write, text: &str) -> anyhow::Result<()> {
        let report = parse(text)?;
        match self.output {
            Report::Json => {
                // One document per line, and only when more than the time of asking changed.
                let nodes = serde_json::to_string(&report.nodes)?;
                if nodes != self.nodes {
                    writeln!(out, "{text}")?;
                    self.nodes = nodes;
                }
            }
            Report::Text if self.redraw => {
                out.write_all(CLEAR.as_bytes())?;
                table::write(out, &report)?;
            }
            Report::Text => self.show_changes(out, &report)?,
        }
        Ok(())
    }

    fn show_changes(&mut self, out: &mut dyn Write, report: &FleetReport) -> io::Result<()> {
        let rows: BTreeMap<_, _> = table::rows(report).into_iter().map(|row| (row.key(), row)).collect();
        let Some(before) = self.rows.replace(rows.clone()) else {
            return table::write(out, report);
        };
        for (key, row) in &rows {
            if before.get(key).is_none_or(|old| !row.same_but_for_age(old)) {
                writeln!(out, "{} {}", report.at, row.line())?;
            }
        }
        for (key, row) in before {
            if !rows.contains_key(&key) {
                writeln!(out, "{} {} (no longer known)", report.at, row.line())?;
            }
        }
        Ok(())
    }
}
