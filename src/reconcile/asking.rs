//! What rollouts want to know: questions put out, answers taken in, and the measurements behind verdicts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Effect, Reconciler, Turn};
use crate::analysis::{Kind, Run, Verdict};
use crate::rollout::{self, Answer, Ask, Question};
use crate::spec::{AnalysisTemplate, SpecSet};

impl Reconciler {
    /// Has everything asked that `asks` holds and nobody asks yet, and withdraws what is not wanted any more.
    pub(super) fn ask(&mut self, now: Duration, name: &Arc<str>, asks: Vec<Ask>, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(name) else { return };
        let wanted = |decision: &Arc<str>| asks.iter().any(|ask| ask.decision == *decision);
        let gone: Vec<_> = member.asked.iter().filter(|decision| !wanted(decision)).cloned().collect();
        for decision in gone {
            member.asked.remove(&decision);
            withdraw(&mut self.asked, &mut self.runs, decision, turn);
        }
        for Ask { decision, question } in asks {
            if !member.asked.insert(Arc::clone(&decision)) {
                continue;
            }
            self.asked.insert(Arc::clone(&decision), Arc::clone(name));
            match question {
                Question::Hook { hook, call } => turn.after.push(Effect::Call(decision, hook, Box::new(call))),
                Question::Analysis { templates, background } => {
                    let (kind, templates) = (kind(background), found(self.spec.as_deref(), &templates));
                    // One that an earlier process had begun goes on.
                    let run = match member.measured.runs.remove(&decision) {
                        Some(saved) => Run::resume(now, name, kind, &templates, &saved),
                        None => Run::new(now, name, kind, &templates),
                    };
                    self.runs.insert(Arc::clone(&decision), run);
                    turn.runs.insert(decision);
                }
            }
        }
    }

    /// Has the runs of a member whose templates are not as they were `before` go on with those of today: what is still
    /// measured as it was keeps its figures.
    pub(super) fn judge_anew(&mut self, now: Duration, name: &Arc<str>, before: Option<&SpecSet>, turn: &mut Turn) {
        let Some(member) = self.members.get(name) else { return };
        for Ask { decision, question } in member.machine.asks() {
            let Question::Analysis { templates, background } = question else { continue };
            let today = found(self.spec.as_deref(), &templates);
            if let Some(run) = self.runs.get_mut(&decision)
                && today != found(before, &templates)
            {
                *run = Run::resume(now, name, kind(background), &today, &run.save(now));
                turn.after.push(Effect::Withdraw(Arc::clone(&decision)));
                turn.runs.insert(decision);
            }
        }
    }

    /// Takes the answer to what is asked under `decision`.
    pub(super) fn take_answer(&mut self, now: Duration, decision: Arc<str>, answer: Answer, turn: &mut Turn) {
        let Some(name) = self.asked.remove(&decision) else { return };
        self.runs.remove(&decision);
        let Some(member) = self.members.get_mut(&name) else { return };
        member.asked.remove(&decision);
        let entries = member.machine.handle(self.epoch + now, rollout::Input::Answer { decision, answer });
        self.settle(now, &name, entries, true, turn);
    }

    /// Takes a measurement of the run behind `decision`.
    pub(super) fn take_measured(
        &mut self,
        now: Duration,
        decision: Arc<str>,
        id: usize,
        value: Result<Value, String>,
        turn: &mut Turn,
    ) {
        if let Some(run) = self.runs.get_mut(&decision) {
            run.take(now, id, value);
            if let Some(name) = self.asked.get(&decision).cloned() {
                // A restart is not to forget it.
                if let Some(member) = self.members.get_mut(&name) {
                    member.measured.news = true;
                }
                self.plan(now, &name);
            }
            turn.runs.insert(decision);
        }
    }

    /// Lets the runs in which something is due, or has changed, go on.
    pub(super) fn advance_runs(&mut self, now: Duration, turn: &mut Turn) {
        let due = self.runs.iter().filter(|(_, run)| run.next_deadline().is_some_and(|due| due <= now));
        turn.runs.extend(due.map(|(decision, _)| Arc::clone(decision)));
        let reporting = self.meter.is_reported(now);
        while let Some(decision) = turn.runs.pop_first() {
            let member = self.asked.get(&decision).and_then(|name| self.members.get(name));
            let (Some(run), Some(member)) = (self.runs.get_mut(&decision), member) else { continue };
            for measurement in run.advance(now, &member.facts(now, self.epoch, reporting)) {
                turn.after.push(Effect::Measure(Arc::clone(&decision), measurement));
            }
            let answer = match run.verdict() {
                None => continue,
                Some(Verdict::Successful(words)) => Answer::Passed(words),
                Some(Verdict::Failed(words)) => Answer::No(words),
                Some(Verdict::Inconclusive(words)) => Answer::Inconclusive(words),
            };
            turn.after.push(Effect::Withdraw(Arc::clone(&decision)));
            self.take_answer(now, decision, answer, turn);
        }
    }

    /// How far the analyses of a rollout are: those it waits for, and what those beside its steps have to add.
    pub(super) fn progress_of(&self, now: Duration, name: &str) -> (Vec<String>, Vec<String>) {
        let Some(member) = self.members.get(name) else { return Default::default() };
        let facts = member.facts(now, self.epoch, self.meter.is_reported(now));
        let runs: Vec<_> = member.asked.iter().filter_map(|decision| self.runs.get(decision)).collect();
        let (beside, awaited): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.is_background());
        let told = beside.into_iter().map(|run| run.progress_beside(&awaited, now, &facts));
        let told = told.filter(|words| !words.is_empty()).collect();
        (awaited.into_iter().map(|run| run.progress(now, &facts)).collect(), told)
    }
}

fn kind(background: bool) -> Kind {
    if background { Kind::Background } else { Kind::Inline }
}

/// Nobody wants to know `decision` any more.
pub(super) fn withdraw(
    asked: &mut BTreeMap<Arc<str>, Arc<str>>,
    runs: &mut BTreeMap<Arc<str>, Run>,
    decision: Arc<str>,
    turn: &mut Turn,
) {
    asked.remove(&decision);
    runs.remove(&decision);
    turn.after.push(Effect::Withdraw(decision));
}

/// Those of the templates that there are. The check across files lets none be missing.
pub(super) fn found(spec: Option<&SpecSet>, names: &[Arc<str>]) -> Vec<Arc<AnalysisTemplate>> {
    if names.is_empty() {
        return Vec::new();
    }
    let all = spec.into_iter().flat_map(|spec| spec.files.values()).flat_map(|file| &file.templates);
    let known: BTreeMap<_, _> = all.map(|template| (&template.name, template)).collect();
    names.iter().filter_map(|name| known.get(name).map(|template| Arc::clone(template))).collect()
}
