//! What the journal of the rollout says has happened: a line for each transition, and the times in it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serin::admin::{EntryReport, WeightReport};
use serin::rollout::Phase;

use crate::rig::load::Tally;

/// The journal so far, told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    /// `sequence` of the last transition that is told here.
    pub(crate) sequence: u64,
    /// A line for each transition.
    pub(crate) lines: Vec<String>,
    /// For each edit, the time from its save to the last acknowledgement of what it changed first.
    pub(crate) saves: Vec<Duration>,
    /// For each abort, the time until the last proxy had acknowledged the way back.
    pub(crate) aborts: Vec<Duration>,
    /// The same for each change of traffic.
    deliveries: Vec<Duration>,
    edits: usize,
    steps: usize,
    began: Option<SystemTime>,
    /// When the file was saved whose first change is on its way.
    saved: Option<SystemTime>,
}

impl Story {
    /// Tells the next transition; the file was last `written` then.
    pub(crate) fn take(&mut self, entry: &EntryReport, written: Option<SystemTime>) {
        let EntryReport { from, to, actor, why, .. } = entry;
        let at = humantime::parse_rfc3339(&entry.at).unwrap_or(SystemTime::UNIX_EPOCH);
        let since = |earlier| at.duration_since(earlier).unwrap_or_default();
        let began = *self.began.get_or_insert(at);
        let mut line = format!(
            "{:>7} {:<11} {:<36} {:<18} {why}",
            format!("+{:.2}s", since(began).as_secs_f64()),
            format!("{:?}", to.phase),
            to.at,
            weights(&to.weights)
        );
        if let Some(took) = delivered(entry) {
            let _ = write!(line, "; {}", ms(took));
            self.deliveries.push(took);
            if let Some(saved) = self.saved.take() {
                let _ = write!(line, ", save to last ACK {}", ms(since(saved)));
                self.saves.push(since(saved));
            }
            if from.phase == Phase::Degraded {
                line += " from abort to last ACK";
                self.aborts.push(took);
            }
        }
        if actor == "file" {
            self.edits += 1;
            self.saved = written.filter(|written| *written <= at);
        }
        self.steps += usize::from(to.at != from.at && to.at.contains(" step "));
        self.sequence = entry.sequence;
        self.lines.push(line);
    }

    /// One line for the end.
    pub(crate) fn summary(&self, total: &Tally) -> String {
        let Self { edits, steps, .. } = self;
        let mut line = format!("{edits} edits, {steps} steps, {} requests, {} failed", total.requests, total.failed);
        let mut times = self.deliveries.clone();
        times.sort();
        if let Some(slowest) = times.last() {
            let median = ms(times[times.len() / 2]);
            let _ = write!(
                line,
                "; {} changes, each on every Envoy: median {median}, slowest {}",
                times.len(),
                ms(*slowest)
            );
        }
        if let Some(abort) = self.aborts.last() {
            let _ = write!(line, "; abort to last ACK {}", ms(*abort));
        }
        line
    }
}

/// How long the fleet took, if this entry says that it has followed.
fn delivered(entry: &EntryReport) -> Option<Duration> {
    let moved = match entry.from.phase {
        Phase::Progressing => true,
        // An abort is followed without another stage.
        Phase::Degraded => entry.to.phase == Phase::Degraded,
        Phase::Healthy | Phase::Paused => false,
    };
    let figures = entry.figures.as_ref().filter(|figures| moved && figures.converged == figures.nodes)?;
    Some(Duration::from_millis(figures.waited_ms))
}

/// `blue 95 green 5`
fn weights(weights: &[WeightReport]) -> String {
    weights.iter().map(|part| format!("{} {}", part.version, part.weight)).collect::<Vec<_>>().join(" ")
}

/// `31 ms`
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
