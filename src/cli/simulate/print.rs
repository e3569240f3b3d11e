//! A simulated rollout on paper: one line or one object per row, and how it ends.

use std::cmp::Ordering;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::admin::WeightReport;
use crate::analysis::figures::{grouped, whole};
use crate::rollout::Phase;
use crate::rollout::load::{Load, Tally};
use crate::rollout::simulate::{Row, Simulation};
use crate::spec::Split;

/// What is printed.
pub(super) struct Timeline<'a> {
    pub(super) rollout: &'a Arc<str>,
    pub(super) from: &'a Arc<str>,
    pub(super) to: &'a Arc<str>,
    pub(super) simulation: &'a Simulation,
    pub(super) load: Option<&'a Load>,
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    rollout: &'a str,
    from: &'a str,
    to: &'a str,
    rows: Vec<RowDocument<'a>>,
    end: EndDocument<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowDocument<'a> {
    at_ms: u128,
    phase: Phase,
    step: &'a str,
    weights: Vec<WeightReport>,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Vec<TallyDocument>>,
}

/// What a version has got since the edit.
#[derive(Serialize)]
struct TallyDocument {
    version: Arc<str>,
    requests: u64,
    failed: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndDocument<'a> {
    at_ms: u128,
    phase: Phase,
    message: &'a str,
    promotable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Vec<TallyDocument>>,
    /// If all requests had gone to the version before the edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_without: Option<u64>,
}

impl Timeline<'_> {
    /// In JSON.
    pub(super) fn document(&self) -> Document<'_> {
        let Simulation { rows, end, .. } = self.simulation;
        let tallies = self.tallies();
        let traffic = |index| tallies.get(index).map(|tally: &Vec<_>| tally.iter().map(TallyDocument::new).collect());
        let described = rows.iter().enumerate().map(|(index, row)| RowDocument {
            at_ms: row.at.as_millis(),
            phase: row.phase,
            step: &row.step,
            weights: percent(&row.weights),
            what: &row.what,
            traffic: traffic(index),
        });
        Document {
            rollout: self.rollout,
            from: self.from,
            to: self.to,
            rows: described.collect(),
            end: EndDocument {
                at_ms: end.at.as_millis(),
                phase: end.phase,
                message: &end.message,
                promotable: end.promotable,
                traffic: traffic(rows.len()),
                failed_without: self.load.map(|load| whole(load.failed(self.from, end.at))),
            },
        }
    }

    /// As a table. Before each row `pass` is told how much time it comes after the last.
    pub(super) fn write(&self, out: &mut dyn Write, pass: &mut dyn FnMut(Duration)) -> anyhow::Result<()> {
        let Simulation { rows, end, .. } = self.simulation;
        let tallies = self.tallies();
        let mut lines = vec![header(self.load.is_some())];
        lines.extend(rows.iter().enumerate().map(|(index, row)| cells(row, tallies.get(index))));
        let mut widths = vec![0; lines[0].len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut now = Duration::ZERO;
        // The header comes with the first row.
        let times = std::iter::once(Duration::ZERO).chain(rows.iter().map(|row| row.at));
        for (line, at) in lines.iter().zip(times) {
            pass(at.saturating_sub(now));
            now = at;
            let padded: Vec<_> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            writeln!(out, "{}", padded.join("  ").trim_end())?;
            out.flush()?;
        }
        pass(end.at.saturating_sub(now));
        let hint = if end.promotable { "; --promote goes past" } else { "" };
        let toll = self.load.zip(tallies.last()).map(|(load, tally)| self.toll(load, tally)).unwrap_or_default();
        writeln!(out, "ends {:?} at {}: {}{hint}{toll}", end.phase, time(end.at), end.message)?;
        Ok(())
    }

    /// One list per row and one for the end, if requests are counted.
    fn tallies(&self) -> Vec<Vec<Tally>> {
        self.load.map(|load| load.tallies(self.simulation)).unwrap_or_default()
    }

    /// What it costs in all.
    fn toll(&self, load: &Load, tally: &[Tally]) -> String {
        let requests = whole(tally.iter().map(|version| version.requests).sum());
        let failed = whole(tally.iter().map(|version| version.failed).sum());
        let without = whole(load.failed(self.from, self.simulation.end.at));
        let compared = match failed.cmp(&without) {
            Ordering::Equal => "as many as".to_owned(),
            Ordering::Less => format!("{} fewer than", grouped(without - failed)),
            Ordering::Greater => format!("{} more than", grouped(failed - without)),
        };
        format!("; of {} requests {} would fail: {compared} without the rollout", grouped(requests), grouped(failed))
    }
}

impl TallyDocument {
    fn new(tally: &Tally) -> Self {
        let Tally { version, requests, failed } = tally;
        Self { version: Arc::clone(version), requests: whole(*requests), failed: whole(*failed) }
    }
}

fn header(load: bool) -> Vec<String> {
    let traffic: &[&str] = if load { &["REQUESTS", "FAILED"] } else { &[] };
    [&["TIME", "PHASE", "STEP", "WEIGHTS"], traffic, &["WHAT"]].concat().into_iter().map(str::to_owned).collect()
}

fn cells(row: &Row, tally: Option<&Vec<Tally>>) -> Vec<String> {
    let mut cells = vec![time(row.at), format!("{:?}", row.phase), row.step.clone(), row.shares()];
    for count in [(|tally| tally.requests) as fn(&Tally) -> f64, |tally| tally.failed] {
        let words = |tally: &Vec<Tally>| {
            let words = tally.iter().map(|tally| format!("{} {}", tally.version, grouped(whole(count(tally)))));
            words.collect::<Vec<_>>().join(" ")
        };
        cells.extend(tally.map(words));
    }
    cells.push(row.what.clone());
    cells
}

fn percent(split: &Split) -> Vec<WeightReport> {
    let report = |(version, weight): &(Arc<str>, u32)| WeightReport {
        version: version.to_string(),
        weight: f64::from(*weight) / 100.0,
    };
    split.0.iter().map(report).collect()
}

/// `+0s`, `+10m1s`, `+1d0.25s`: every unit that is not zero, since rows may be close together.
fn time(at: Duration) -> String {
    let seconds = at.as_secs();
    let mut text = "+".to_owned();
    for (count, unit) in [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm')] {
        if count > 0 {
            text = format!("{text}{count}{unit}");
        }
    }
    match (seconds % 60, at.subsec_millis()) {
        (0, 0) if text.len() > 1 => text,
        (seconds, 0) => format!("{text}{seconds}s"),
        (seconds, millis) => format!("{text}{}s", format!("{seconds}.{millis:03}").trim_end_matches('0')),
    }
}
