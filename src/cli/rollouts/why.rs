//! `serin why`: what a rollout is doing and who or what made it so, in one paragraph.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::{RolloutArgs, read, words};
use crate::admin::{EntryReport, FiguresReport, HistoryReport, RolloutReport};
use crate::cli::Outcome;
use crate::cli::output::printable;
use crate::rollout;

/// Entries of the journal that are looked at: more than a rollout has from its start to its end.
const LIMIT: usize = 1_000;

/// Commands that are named at most, the newest.
const COMMANDS: usize = 3;

const EXAMPLES: &str = "\
It says what is so and since when, what the fleet has of it, the last two transitions with who made them and why, \
how the revision began, and what people have ordered since. `serin history` has all of it.

Example:
  serin why checkout";

/// Which rollout.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct WhyArgs {
    #[command(flatten)]
    rollout: RolloutArgs,
}

pub(super) fn run(args: &WhyArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let rollout = args.rollout.rollout();
    let report: RolloutReport = read(&rollout.get("")?)?;
    let history: HistoryReport = read(&rollout.get(&format!("/history?limit={LIMIT}"))?)?;
    writeln!(out, "{}", printable(&paragraph(&report, &history.entries)))?;
    Ok(Outcome::Positive)
}

/// `entries` are the newest of the journal, oldest first.
pub(super) fn paragraph(report: &RolloutReport, entries: &[EntryReport]) -> String {
    let RolloutReport { at: now, name, phase, since, step, convergence, message, revision, sequence, .. } = report;
    let split = words::split_of(report);
    let place = match step {
        Some(step) => format!(" at step {}/{} ({}, {split})", step.index, step.of, step.words),
        None => format!(" ({split})"),
    };
    let mut text = sentence(&format!("{name} is {phase:?}{place} since {}: {message}", words::ago(since, now)));
    if let Some(convergence) = convergence {
        text += &sentence(&format!(" On the fleet: {}", words::nodes(convergence)));
    }
    if let Some(warning) = report.seen.as_ref().and_then(|seen| seen.warning.as_ref()) {
        text += &sentence(&format!(" Of the split: {warning}"));
    }
    for words in &report.analysis {
        text += &sentence(&format!(" Analysis: {words}"));
    }
    // The journal was read later: what it has beyond the report would contradict it.
    let entries: Vec<_> = entries.iter().filter(|entry| entry.sequence <= *sequence).collect();
    let told = entries.len().saturating_sub(2);
    for (entry, intro) in entries[told..].iter().rev().zip(["Made so by", "Before that"]) {
        text += &sentence(&format!(" {intro} {}{}", transition(entry, now), figures(entry)));
    }
    let mut current = entries[..told].iter().filter(|entry| entry.revision == *revision);
    // Else what was read may begin in the midst of it.
    let complete = entries.first().is_some_and(|oldest| oldest.revision != *revision || oldest.sequence == 1);
    if complete && let Some(first) = current.next() {
        text += &sentence(&format!(" Revision {revision} was begun by {}", transition(first, now)));
    }
    let commands = current.filter(|entry| !["engine", "file"].contains(&entry.actor.as_str()));
    let commands: Vec<_> = commands.map(|entry| transition(entry, now)).collect();
    let newest = &commands[commands.len().saturating_sub(COMMANDS)..];
    if !newest.is_empty() {
        text += &sentence(&format!(" Commands in between: {}", newest.join("; ")));
    }
    text
}

/// Who, when, and why.
fn transition(entry: &EntryReport, now: &str) -> String {
    let who = match entry.actor.as_str() {
        "file" => "an edit of the file",
        "engine" => "the engine",
        "unknown" => "somebody unknown",
        person => person,
    };
    format!("{who} at {}: {}", words::ago(&entry.at, now), entry.why)
}

/// How the fleet stood then, unless the reason says it.
fn figures(entry: &EntryReport) -> String {
    let figures = entry.figures.as_ref().filter(|figures| figures.nodes > 0 && !entry.why.contains(" nodes"));
    let words = figures.map(|FiguresReport { converged, nodes, waited_ms }| {
        let waited = rollout::span(Duration::from_millis(*waited_ms));
        format!(" ({converged}/{nodes} nodes had what was asked before, after {waited})")
    });
    words.unwrap_or_default()
}

/// With one full stop.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}
