//! `serin fleet`: who has acknowledged what.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use clap::Args;

use super::client::{Client, ServerArgs};
use super::output::{CLEAR, Report};
use super::{Outcome, watch};
use crate::admin;
use crate::admin::FleetReport;
use table::Row;

pub(super) use table::trouble;

const EXAMPLES: &str = "\
STATUS is one of:
  SYNCED    has acknowledged all it should have
  STALE     has not acknowledged yet what it was or will be sent; or is away
  NACK      rejected what it was sent; DETAIL has its own words
  NOT_SENT  asked, and was sent nothing yet

The last lines say when a change of the files was last taken in, and which files are held back by a mistake. An edit \
younger than that has not reached the table.

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
    let answer = ask(&client)?;
    if !args.watch {
        match args.output {
            Report::Json => writeln!(out, "{}", answer.fleet)?,
            Report::Text => table::write(out, &answer.fleet()?, &answer.files()?)?,
        }
        return Ok(Outcome::Positive);
    }
    let mut watch = Watch { output: args.output, redraw: io::stdout().is_terminal(), ..Watch::default() };
    watch::watch(
        answer,
        err,
        || ask(&client),
        |answer, _| {
            if let Some(answer) = answer {
                watch.show(out, &answer)?;
                out.flush()?;
            }
            Ok(None)
        },
    )
}

/// The pages that are shown, as the server wrote them.
struct Answer {
    fleet: String,
    files: String,
}

/// The files are asked for first: what they say was so before the fleet that is shown followed it.
fn ask(client: &Client) -> anyhow::Result<Answer> {
    let files = client.get("/api/v1/diagnostics")?;
    Ok(Answer { fleet: client.get("/api/v1/fleet")?, files })
}

impl Answer {
    fn fleet(&self) -> anyhow::Result<FleetReport> {
        serde_json::from_str(&self.fleet).context("the server's answer is not a fleet as this version knows it")
    }

    fn files(&self) -> anyhow::Result<admin::Report> {
        serde_json::from_str(&self.files).context("the server's answer is not a report as this version knows it")
    }
}

/// What a watch has shown last.
#[derive(Default)]
struct Watch {
    output: Report,
    redraw: bool,
    rows: Option<BTreeMap<(String, String), Row>>,
    nodes: String,
    trouble: Vec<String>,
}

impl Watch {
    fn show(&mut self, out: &mut dyn Write, answer: &Answer) -> anyhow::Result<()> {
        let report = answer.fleet()?;
        match self.output {
            Report::Json => {
                // One document per line, and only when more than the time of asking changed.
                let nodes = serde_json::to_string(&report.nodes)?;
                if nodes != self.nodes {
                    writeln!(out, "{}", answer.fleet)?;
                    self.nodes = nodes;
                }
            }
            Report::Text if self.redraw => {
                out.write_all(CLEAR.as_bytes())?;
                table::write(out, &report, &answer.files()?)?;
            }
            Report::Text => self.show_changes(out, &report, &answer.files()?)?,
        }
        Ok(())
    }

    fn show_changes(&mut self, out: &mut dyn Write, report: &FleetReport, files: &admin::Report) -> io::Result<()> {
        let rows: BTreeMap<_, _> = table::rows(report).into_iter().map(|row| (row.key(), row)).collect();
        let trouble = std::mem::replace(&mut self.trouble, table::trouble(files));
        let Some(before) = self.rows.replace(rows.clone()) else {
            return table::write(out, report, files);
        };
        for line in self.trouble.iter().filter(|line| !trouble.contains(line)) {
            writeln!(out, "{} {line}", report.at)?;
        }
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
