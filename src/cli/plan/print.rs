//! A plan on paper.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::Setting;
use super::figure::{about, figure, percent};
use super::room::{Rooms, Row};
use crate::analysis::figures::{grouped, whole};
use crate::analysis::plan::sample::Question;
use crate::analysis::plan::steps::Stage;
use crate::cli::output::{NONE, write_table};
use crate::rollout::span;

/// Everything that is printed.
pub(super) struct Paper<'a> {
    pub(super) setting: &'a Setting,
    /// The plan first.
    pub(super) choices: &'a [Choice],
    pub(super) learned: &'a [Learned],
    pub(super) rooms: Option<&'a Rooms>,
    pub(super) notes: &'a [String],
}

/// Some steps, and what to expect of them.
pub(super) struct Choice {
    pub(super) name: &'static str,
    /// Before all traffic.
    pub(super) stages: Vec<Stage>,
    pub(super) time: Duration,
    pub(super) cost: f64,
    pub(super) failed_if_bad: f64,
    pub(super) failed: f64,
}

/// What a verdict takes with one weight.
pub(super) struct Learned {
    pub(super) weight: u32,
    pub(super) to_fail: f64,
    pub(super) fails_in: Duration,
    pub(super) to_pass: f64,
    pub(super) passes_in: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    plan: ChoiceDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<ChoiceDocument>,
    all_at_once: ChoiceDocument,
    verdicts: Vec<LearnedDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<&'a [Row]>,
    notes: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChoiceDocument {
    steps: Vec<StepDocument>,
    seconds: f64,
    failed_if_bad: f64,
    failed: f64,
    cost: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepDocument {
    set_weight: f64,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LearnedDocument {
    /// Percent.
    weight: f64,
    fail_requests: f64,
    fail_seconds: f64,
    pass_requests: f64,
    pass_seconds: f64,
}

impl Paper<'_> {
    pub(super) fn document(&self) -> Document<'_> {
        let named = |name: &str| self.choices.iter().find(|choice| choice.name == name);
        let document = |choice: &Choice| self.choice(choice);
        let none = || ChoiceDocument { steps: Vec::new(), seconds: 0.0, failed_if_bad: 0.0, failed: 0.0, cost: 0.0 };
        Document {
            plan: named("plan").map_or_else(none, document),
            own: named("own").map(document),
            all_at_once: named("allAtOnce").map_or_else(none, document),
            verdicts: self.learned.iter().map(LearnedDocument::new).collect(),
            capacity: self.rooms.map(|rooms| &*rooms.each),
            notes: self.notes,
        }
    }

    fn choice(&self, choice: &Choice) -> ChoiceDocument {
        let step = |stage: &Stage| StepDocument {
            set_weight: f64::from(stage.weight) / 100.0,
            seconds: self.setting.time(stage.periods).as_secs_f64(),
        };
        ChoiceDocument {
            steps: choice.stages.iter().map(step).collect(),
            seconds: choice.time.as_secs_f64(),
            failed_if_bad: choice.failed_if_bad,
            failed: choice.failed,
            cost: choice.cost,
        }
    }

    /// As tables.
    pub(super) fn write(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let rows = self.choices.iter().map(|choice| {
            let name = match choice.name {
                "plan" => "the plan",
                "own" => "your steps",
                _ => "all at once",
            };
            let time = if choice.time.is_zero() { NONE.to_owned() } else { span(choice.time) };
            let failed = [choice.failed_if_bad, choice.failed, choice.cost].map(figure);
            let [if_bad, failed, cost] = failed;
            [name.to_owned(), time, if_bad, failed, cost, self.words(&choice.stages)]
        });
        write_table(out, ["", "TIME", "FAILED IF BAD", "FAILED", "COST", "STEPS"], rows)?;
        writeln!(out)?;
        let rows = self.learned.iter().map(|learned| {
            let Learned { weight, to_fail, fails_in, to_pass, passes_in } = learned;
            let [to_fail, to_pass] = [to_fail, to_pass].map(|requests| grouped(whole(*requests)));
            let [fails_in, passes_in] = [fails_in, passes_in].map(|time| about(*time));
            [format!("{} %", percent(*weight)), fails_in, to_fail, passes_in, to_pass]
        });
        write_table(out, ["WEIGHT", "FAILS IN", "REQUESTS", "PASSES IN", "REQUESTS"], rows)?;
        if let Some(rooms) = self.rooms {
            writeln!(out)?;
            write_rooms(rooms, out)?;
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        Ok(())
    }

    /// `5 % for 1m, 10 % for 1m, 100 %`
    fn words(&self, stages: &[Stage]) -> String {
        let stage =
            |stage: &Stage| format!("{} % for {}", percent(stage.weight), span(self.setting.time(stage.periods)));
        stages.iter().map(stage).chain(["100 %".to_owned()]).collect::<Vec<_>>().join(", ")
    }

    /// To be pasted under `strategy.canary`.
    pub(super) fn write_steps(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Question { alpha, allowed_increase, .. } = self.setting.question;
        let shown = |choice: &Choice| format!("{}, {} fail if bad", figure(choice.cost), figure(choice.failed_if_bad));
        let named = |name: &str| self.choices.iter().find(|choice| choice.name == name).map(shown).unwrap_or_default();
        writeln!(out, "# serin plan: expected cost {}; all at once {}.", named("plan"), named("allAtOnce"))?;
        writeln!(out, "# Nothing is learned without a verdict: the metric of an AnalysisTemplate with this test,")?;
        writeln!(out, "#   test: {{type: errorRatio, alpha: {alpha}, allowedIncrease: {allowed_increase}}}")?;
        writeln!(out, "# and in the place of a pause, or beside the steps:")?;
        writeln!(out, "#   analysis: {{templates: [{{templateName: NAME}}]}}")?;
        let Some(plan) = self.choices.first().filter(|plan| !plan.stages.is_empty()) else {
            writeln!(out, "steps: []")?;
            return Ok(());
        };
        writeln!(out, "steps:")?;
        plan.stages.iter().try_for_each(|stage| {
            writeln!(out, "- setWeight: {}", percent(stage.weight))?;
            writeln!(out, "- pause: {{duration: {}}}", exact(self.setting.time(stage.periods)))
        })?;
        Ok(())
    }
}

fn write_rooms(rooms: &Rooms, out: &mut dyn Write) -> io::Result<()> {
    let row = |row: &Row| {
        let gate = match (row.open, &row.words) {
            (Some(true), Some(words)) => format!("open: {words}"),
            (Some(false), Some(words)) => format!("shut: {words}"),
            _ => NONE.to_owned(),
        };
        let wait = row.mean_wait_ms.map_or(NONE.to_owned(), |wait| format!("{} ms", figure(wait)));
        [format!("{} %", percent(row.parts)), figure(row.in_flight), row.endpoints.to_string(), wait, gate]
    };
    let rows = rooms.each.iter().map(row);
    if rooms.endpoints.is_some() {
        return write_table(out, ["WEIGHT", "IN FLIGHT", "ENDPOINTS", "MEAN WAIT", "GATE"], rows);
    }
    let rows = rows.map(|[weight, in_flight, endpoints, _, _]| [weight, in_flight, endpoints]);
    write_table(out, ["WEIGHT", "IN FLIGHT", "ENDPOINTS"], rows)
}

/// Whole seconds, as a file has them: `90s`, `2m`.
fn exact(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds.is_multiple_of(3_600), seconds.is_multiple_of(60)) {
        (true, _) => format!("{}h", seconds / 3_600),
        (false, true) => format!("{}m", seconds / 60),
        (false, false) => format!("{seconds}s"),
    }
}

impl LearnedDocument {
    fn new(learned: &Learned) -> Self {
        Self {
            weight: f64::from(learned.weight) / 100.0,
            fail_requests: learned.to_fail,
            fail_seconds: learned.fails_in.as_secs_f64(),
            pass_requests: learned.to_pass,
            pass_seconds: learned.passes_in.as_secs_f64(),
        }
    }
}
