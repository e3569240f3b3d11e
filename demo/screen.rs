//! What a person sees: a block of lines that is drawn over and over on a terminal, a line for each change elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal, Stdout, Write, stdout};
use std::time::Duration;

use anyhow::Result;
use serin::admin::{RolloutReport, WeightReport};
use tokio::sync::watch;

use crate::feed::{Scene, sum};
use crate::rig::load::{Tally, real};
use crate::rollout_file::RolloutFile;
use crate::stage::{Edge, ROLLOUT, Stage};
use crate::story::ms;

/// How often a terminal is drawn.
const FRAME: Duration = Duration::from_millis(500);

/// Frames over which the seen split is counted: two seconds.
const WINDOW: usize = 4;

/// Transitions that a terminal shows.
const LINES: usize = 6;

/// Where the demo speaks.
pub(crate) struct Screen {
    out: Stdout,
    live: bool,
    /// Lines of the block on the terminal now.
    drawn: usize,
    /// The load at the last frames under the weights in force.
    window: VecDeque<Vec<Tally>>,
    /// The last weights that were shown, and whether what was seen under them was.
    shown: (Vec<WeightReport>, bool),
    /// Lines of the story that were printed.
    told: usize,
    trouble: Vec<String>,
}

impl Screen {
    /// Standard output.
    pub(crate) fn new() -> Self {
        let out = stdout();
        let live = out.is_terminal();
        Self { out, live, drawn: 0, window: VecDeque::new(), shown: (Vec::new(), false), told: 0, trouble: Vec::new() }
    }

    /// One line that stays.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "{line}")?;
        Ok(())
    }

    /// What is running, and what to do.
    pub(crate) fn introduce(&mut self, stage: &Stage, file: &RolloutFile, by_hand: bool) -> Result<()> {
        for (colour, upstream) in &stage.upstreams {
            self.say(&format!("  {colour} is served at http://{}", upstream.addr))?;
        }
        for edge in &stage.edges {
            self.say(&format!("  {} ({}) takes requests at http://{}", edge.id, edge.mode, edge.addr))?;
        }
        let (serin, server) = (stage.command.display(), stage.serin.admin());
        self.say(&format!("  serin answers at http://{server}/api/v1/rollouts/{ROLLOUT}"))?;
        if by_hand {
            let (line, path) = (file.line()?, file.path().display());
            self.say(&format!("\nedit line {line} of {path} to `target: green` and save; then, in another terminal:"))?;
            for (verb, what) in
                [("promote", "passes the pause"), ("abort", "all traffic back"), ("why", "what happens")]
            {
                self.say(&format!("  {serin} {verb:<7} {ROLLOUT} --server http://{server}   # {what}"))?;
            }
            self.say("Ctrl-C ends")?;
        }
        self.say("")
    }

    /// Draws until it cannot; ends only with an error.
    pub(crate) async fn run(&mut self, stage: &Stage, mut scenes: watch::Receiver<Scene>) -> Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        loop {
            if self.live {
                frames.tick().await;
            } else {
                tokio::select! {
                    _ = frames.tick() => {}
                    changed = scenes.changed() => {
                        changed?;
                        self.tell(&scenes.borrow_and_update().clone())?;
                        continue;
                    }
                }
            }
            let scene = scenes.borrow().clone();
            if self.shown.0 != scene.report.weights {
                // What was seen before says nothing about them.
                self.window.clear();
                self.shown = (scene.report.weights.clone(), false);
            }
            self.window.push_back(scene.tallies.clone());
            if self.window.len() > WINDOW + 1 {
                self.window.pop_front();
            }
            if self.live {
                let block = self.block(stage, &scene);
                self.draw(&block)?;
            } else if !self.shown.1 && self.window.len() == WINDOW + 1 {
                self.shown.1 = true;
                let total = scene.total();
                let seen = seen(&scene.report, &total.since(&sum(&self.window[0])));
                self.say(&format!(
                    "        seen in 2 s: {seen}   {}, x-canary: true gets {}",
                    counts(&total),
                    list(&scene.canary)
                ))?;
            }
        }
    }

    /// The last lines.
    pub(crate) fn finish(&mut self, scene: &Scene) -> Result<()> {
        if !self.live {
            self.tell(scene)?;
        }
        self.say(&format!("demo: {}", scene.story.summary(&scene.total())))
    }

    /// Prints what is new.
    fn tell(&mut self, scene: &Scene) -> Result<()> {
        for line in &scene.story.lines[self.told..] {
            self.say(line)?;
        }
        self.told = scene.story.lines.len();
        if self.trouble != scene.trouble {
            self.trouble.clone_from(&scene.trouble);
            for line in &scene.trouble {
                self.say(line)?;
            }
        }
        Ok(())
    }

    /// Draws `block` over the one before.
    fn draw(&mut self, block: &str) -> Result<()> {
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}A", self.drawn)?;
        }
        // No wrapping while this is written: a line of the block is a line of the terminal.
        write!(self.out, "\x1b[?7l")?;
        for line in block.lines() {
            writeln!(self.out, "\x1b[2K{line}")?;
        }
        write!(self.out, "\x1b[J\x1b[?7h")?;
        self.out.flush()?;
        self.drawn = block.lines().count();
        Ok(())
    }

    /// The state of everything, for a terminal.
    fn block(&self, stage: &Stage, scene: &Scene) -> String {
        let Scene { report, story, tallies, canary, .. } = scene;
        let before = &self.window[0];
        let total = scene.total();
        let mut lines = vec![headline(report), format!("  {}", report.message), String::new()];
        lines.push(format!("asked     {}", asked(report)));
        lines.push(format!("seen      {}   in the last 2 s", seen(report, &total.since(&sum(before)))));
        lines.push(format!("followed  {}", convergence(report)));
        lines.push(String::new());
        lines.push(format!(
            "{:<8} {:<6} {:<28} {:<15} {:>9} {:>7}",
            "Envoy", "", "seen", "x-canary: true", "requests", "failed"
        ));
        for (((Edge { id, mode, .. }, tally), before), canary) in
            stage.edges.iter().zip(tallies).zip(before).zip(canary)
        {
            let seen = seen(report, &tally.since(before));
            let (requests, failed) = (tally.requests, tally.failed);
            lines.push(format!("{id:<8} {mode:<6} {seen:<28} {canary:<15} {requests:>9} {failed:>7}"));
        }
        lines.push(String::new());
        let mut line = counts(&total);
        for (what, times) in [("save", &story.saves), ("abort", &story.aborts)] {
            if let Some(time) = times.last() {
                let _ = write!(line, "; last {what} to last ACK {}", ms(*time));
            }
        }
        lines.push(line);
        lines.extend(total.failures.first().map(|(at, words)| format!("first failure after {at:.1?}: {words}")));
        lines.extend(scene.trouble.iter().cloned());
        lines.push(String::new());
        lines.extend(story.lines.iter().skip(story.lines.len().saturating_sub(LINES)).cloned());
        // Envoy's own words may have many.
        lines.iter().map(|line| line.replace('\n', " ") + "\n").collect()
    }
}

/// `shop is Paused, target green, stable blue, step 3/7 pause 3s`
fn headline(report: &RolloutReport) -> String {
    let RolloutReport { name, phase, .. } = report;
    let mut line = format!("{name} is {phase:?}");
    for (what, version) in [("target", &report.target), ("stable", &report.stable)] {
        if let Some(version) = version {
            let _ = write!(line, ", {what} {version}");
        }
    }
    if let Some(step) = &report.step {
        let _ = write!(line, ", step {}/{} {}", step.index, step.of, step.words);
    }
    line
}

/// `3/3 nodes, slowest edge-c, 0.04s`
fn convergence(report: &RolloutReport) -> String {
    let Some(fleet) = &report.convergence else { return "nothing known yet".to_owned() };
    let slowest = fleet.slowest.as_ref().map(|node| format!(", slowest {node}")).unwrap_or_default();
    let waited = Duration::from_millis(fleet.waited_ms).as_secs_f64();
    format!("{}/{} nodes{slowest}, {waited:.2}s", fleet.converged, fleet.nodes)
}

fn counts(total: &Tally) -> String {
    format!("{} requests, {} failed", total.requests, total.failed)
}

fn asked(report: &RolloutReport) -> String {
    let parts = report.weights.iter().map(|part| format!("{} {:5.1} %", part.version, part.weight));
    parts.collect::<Vec<_>>().join("  ")
}

fn seen(report: &RolloutReport, tally: &Tally) -> String {
    let all = real(tally.answered());
    let parts = report.weights.iter().map(|part| match all {
        0.0 => format!("{}     - %", part.version),
        _ => format!("{} {:5.1} %", part.version, 100.0 * real(tally.of(&part.version)) / all),
    });
    parts.collect::<Vec<_>>().join("  ")
}

/// Each word once.
fn list(words: &[String]) -> String {
    let mut words = words.to_vec();
    words.sort();
    words.dedup();
    words.join(" or ")
}
