//! `serin get`: one rollout.

use std::io::{self, IsTerminal, Write};

use clap::Args;

use super::{Rollout, RolloutArgs, encode, read, words};
use crate::admin::{RolloutReport, UserReport};
use crate::cli::output::{CLEAR, NONE, Report, printable};
use crate::cli::{Outcome, watch};

const EXAMPLES: &str = "\
Convergence counts the proxies that have acknowledged the traffic in force, and says who was last and how long it \
took. --user needs sessionAffinity: the exit code is 1 if the version of a user cannot be told.

Examples:
  serin get checkout
  serin get checkout --watch
  serin get checkout --user ann@example.com
  serin get checkout -o json | jq '.weights[] | select(.version == \"green\")'";

/// Which rollout, and how to show it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct GetArgs {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// Go on showing it: redrawn on a terminal, else a line for each change
    #[arg(long, short)]
    watch: bool,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
    /// Print which version the user with this id gets: the value of the header or cookie of sessionAffinity
    #[arg(long, value_name = "ID", conflicts_with = "watch")]
    user: Option<String>,
}

pub(super) fn run(args: &GetArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let rollout = args.rollout.rollout();
    if let Some(user) = &args.user {
        return show_user(&rollout, user, args.output, out, err);
    }
    let ask = || rollout.get("");
    let first = ask()?;
    let redraw = args.watch && io::stdout().is_terminal();
    let mut shown = Shown { output: args.output, redraw, last: None };
    if !args.watch {
        shown.show(out, &first)?;
        return Ok(Outcome::Positive);
    }
    watch::watch(first, err, ask, |text, _| {
        if let Some(text) = text {
            shown.show(out, &text)?;
            out.flush()?;
        }
        Ok(None)
    })
}

fn show_user(
    rollout: &Rollout,
    user: &str,
    output: Report,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let text = rollout.get(&format!("?user={}", encode(user)))?;
    let report: UserReport = read(&text)?;
    match (output, &report.version) {
        (Report::Json, _) => writeln!(out, "{text}")?,
        (Report::Text, Some(version)) => writeln!(out, "{}", printable(version))?,
        (Report::Text, None) => {
            writeln!(err, "serin: {}", printable(&report.reason.unwrap_or_default()))?;
            return Ok(Outcome::Negative);
        }
    }
    Ok(if report.version.is_some() { Outcome::Positive } else { Outcome::Negative })
}

/// What was shown last.
pub(super) struct Shown {
    pub(super) output: Report,
    pub(super) redraw: bool,
    pub(super) last: Option<RolloutReport>,
}

impl Shown {
    pub(super) fn show(&mut self, out: &mut dyn Write, text: &str) -> anyhow::Result<()> {
        let report: RolloutReport = read(text)?;
        if self.redraw && self.output == Report::Text {
            out.write_all(CLEAR.as_bytes())?;
            return Ok(write(out, &report)?);
        }
        let last = self.last.replace(words::timeless(&report));
        if last == self.last {
            return Ok(());
        }
        match (self.output, last) {
            (Report::Json, _) => writeln!(out, "{text}")?,
            (Report::Text, None) => write(out, &report)?,
            (Report::Text, Some(_)) => writeln!(out, "{} {}", report.at, printable(&words::line(&report)))?,
        }
        Ok(())
    }
}

/// The rollout as a block of lines.
fn write(out: &mut dyn Write, report: &RolloutReport) -> io::Result<()> {
    let RolloutReport { at, since, phase, .. } = report;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    let undone = if report.undone { " (by undo, until the file's target changes)" } else { "" };
    let target = report.target.as_ref().map(|target| format!("{target}{undone}"));
    let step = report.step.as_ref().map(|step| format!("{}/{} {}", step.index, step.of, step.words));
    let lines = [
        ("Name", report.name.clone()),
        ("Strategy", report.strategy.clone()),
        ("Phase", format!("{phase:?} since {}", words::ago(since, at))),
        ("Message", report.message.clone()),
        ("Stable", or_none(report.stable.clone())),
        ("Target", or_none(target)),
        ("Step", or_none(step)),
        ("Weights", words::weights(&report.weights)),
        ("Seen", or_none(report.seen.as_ref().map(words::seen))),
        ("Convergence", or_none(report.convergence.as_ref().map(words::nodes))),
        ("Revision", report.revision.to_string()),
        ("Sequence", report.sequence.to_string()),
    ];
    let analysis = report.analysis.iter().map(|words| ("Analysis", words.clone()));
    lines
        .into_iter()
        .chain(analysis)
        .try_for_each(|(label, value)| writeln!(out, "{:<13}{}", format!("{label}:"), printable(&value)))
}
