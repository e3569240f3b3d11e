//! What a person sees: a block of lines that is drawn over and over on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal, Stdout, Write, stdout};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;

use crate::edits::Scene;
use crate::rig::load::{Tally, real};
use crate::rollout_file::RolloutFile;
use crate::stage::Stage;

/// How often a terminal is drawn.
const FRAME: Duration = Duration::from_millis(250);

/// Frames over which the seen split is counted: two seconds.
const WINDOW: usize = 8;

/// Where the demo speaks.
pub(crate) struct Screen {
    out: Stdout,
    live: bool,
    /// Lines of the block on the terminal now.
    drawn: usize,
}

impl Screen {
    /// Standard output.
    pub(crate) fn new() -> Self {
        let out = stdout();
        Self { live: out.is_terminal(), out, drawn: 0 }
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
        self.say(&format!("  serin answers at http://{}/api/v1/fleet", stage.serin.admin()))?;
        if by_hand {
            self.say(&format!("edit line {} of {} and save; Ctrl-C ends", file.line()?, file.path().display()))?;
        }
        self.say("")
    }

    /// Draws until it cannot; ends only with an error.
    pub(crate) async fn run(&mut self, stage: &Stage, mut scene: watch::Receiver<Scene>) -> Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        let mut window: VecDeque<Vec<Tally>> = VecDeque::new();
        for frame in 1_usize.. {
            frames.tick().await;
            let tallies: Vec<Tally> = stage.edges.iter().map(|edge| edge.load.tally()).collect();
            let news = scene.has_changed()?;
            let scene = scene.borrow_and_update().clone();
            if news {
                // What was seen before the edit says nothing about it.
                window.clear();
            }
            let before = window.front().unwrap_or(&tallies);
            if self.live {
                self.draw(&block(stage, &scene, &tallies, before))?;
            } else if news {
                self.say(&edit(&scene))?;
            } else if frame.is_multiple_of(WINDOW) {
                let total = sum(&tallies);
                self.say(&format!("  seen  {}   {}", seen(&scene, &total.since(&sum(before))), counts(&total)))?;
            }
            window.push_back(tallies);
            if window.len() > WINDOW {
                window.pop_front();
            }
        }
        Ok(())
    }

    /// The last line.
    pub(crate) fn finish(&mut self, summary: &str) -> Result<()> {
        self.say(&format!("demo: {summary}"))
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
}

/// The state of everything, for a terminal.
fn block(stage: &Stage, scene: &Scene, tallies: &[Tally], before: &[Tally]) -> String {
    let total = sum(tallies);
    let mut text = format!("asked   {}\n", asked(scene));
    let _ = writeln!(text, "seen    {}   in the last 2 s\n", seen(scene, &total.since(&sum(before))));
    let _ = writeln!(
        text,
        "{:<8} {:<6} {:<28} {:>9} {:>7}   last edit acknowledged",
        "Envoy", "", "seen", "requests", "failed"
    );
    for ((edge, tally), before) in stage.edges.iter().zip(tallies).zip(before) {
        let took = scene.took.get(edge.id).map_or_else(String::new, |took| format!("after {}", ms(*took)));
        let seen = seen(scene, &tally.since(before));
        let (id, mode) = (edge.id, edge.mode);
        let _ = writeln!(text, "{id:<8} {mode:<6} {seen:<28} {:>9} {:>7}   {took}", tally.requests, tally.failed);
    }
    let _ = writeln!(text, "\n{}; {}", counts(&total), followed(scene));
    if let Some((at, words)) = total.failures.first() {
        let _ = writeln!(text, "first failure after {at:.1?}: {words}");
    }
    for line in scene.problem.iter().flat_map(|problem| problem.lines()) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// What an edit came to, on one line.
fn edit(scene: &Scene) -> String {
    if let Some(problem) = &scene.problem {
        return problem.trim_end().to_owned();
    }
    let took = scene.took.iter().map(|(edge, took)| format!("{edge} {}", ms(*took)));
    format!("asked   {}   acknowledged by {}", asked(scene), took.collect::<Vec<_>>().join(", "))
}

fn counts(total: &Tally) -> String {
    format!("{} requests, {} failed", total.requests, total.failed)
}

fn followed(scene: &Scene) -> String {
    let last = scene.fleet.last().map_or_else(String::new, |took| format!(", the last in {}", ms(*took)));
    format!("{} edits followed by the whole fleet{last}", scene.fleet.len())
}

fn asked(scene: &Scene) -> String {
    let parts = scene.asked.iter().map(|(version, percent)| format!("{version} {percent:5.1} %"));
    parts.collect::<Vec<_>>().join("  ")
}

fn seen(scene: &Scene, tally: &Tally) -> String {
    let all = real(tally.answered().max(1));
    let parts = scene.asked.keys().map(|version| format!("{version} {:5.1} %", 100.0 * real(tally.of(version)) / all));
    parts.collect::<Vec<_>>().join("  ")
}

fn sum(tallies: &[Tally]) -> Tally {
    let mut total = Tally::default();
    for tally in tallies {
        total.add(tally);
    }
    total
}

fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
