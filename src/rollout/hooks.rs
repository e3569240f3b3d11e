//! When which hook is asked, and what its answer does. The types are Flagger's; where our steps differ from its
//! intervals, this is how they fit:
//!
//! * `confirm-rollout`: before anything moves; also before a preview. Until yes.
//! * `pre-rollout`: of a canary before its first step; of blue-green before the switch, with the preview on the fleet,
//!   where a smoke test can reach it. A no aborts.
//! * `rollout`: in each `setWeight`, once the fleet has it, before going on. A no aborts.
//! * `confirm-traffic-increase`: before each step that raises the new version's weight, and before the switch. Until
//!   yes.
//! * `confirm-promotion`: before all traffic goes over for good. Until yes.
//! * `rollback`: over and over while a rollout is under way, whatever it waits for. A yes aborts, a no or no answer
//!   changes nothing.
//! * `post-rollout`: once when a rollout has ended: promoted, aborted, or taken back by an edit of the file; not when
//!   another version supersedes it. The answer decides nothing.
//! * `event`: for each entry of the journal. The answer decides nothing.
//!
//! "Until yes" asks again [`INTERVAL`](super::ask) after each no; `promote` goes past it. All is asked and answered also
//! while a person holds the rollout, which then does not go on. A question stays out until it is answered or its stage
//! is over; an answer to any other is ignored. Notices are told one at a time to each hook, in order, at least once: one
//! that did not reach its hook is told again, under the same decision.

use std::sync::Arc;
use std::time::Duration;

use super::ask::{Answer, Ask, FlaggerPhase, INTERVAL, Notice, Progress, Question, analysis_key, background_key, key};
use super::asked::Asked;
use super::blue_green::{self, Gate};
use super::canary;
use super::gates::{self, Wait};
use super::journal::{Actor, Entry};
use super::machine::Machine;
use super::record::{Record, Stage};
use crate::spec::{Rollout, Step, Strategy, Webhook, WebhookKind};

impl Machine {
    /// All that is wanted to be asked at the time of the last input. What is here stays here until it is answered, or
    /// until the answer would make no difference.
    #[must_use]
    pub fn asks(&self) -> Vec<Ask> {
        let (spec, record) = (&self.spec, &self.record);
        let gates = &record.gates;
        let out = |key: &str| gates.asked.get(key).is_some_and(|asked| asked.out);
        let progress = progress(spec, record);
        let mut asks = Vec::new();
        for hook in &spec.webhooks {
            if out(&key(hook)) {
                asks.push(record.ask_hook(hook, progress));
            }
            let notice = gates.notices.iter().find(|notice| notice.is_for(hook));
            asks.extend(notice.filter(|notice| notice.rest.is_zero()).map(|notice| notice.ask(&record.name, hook)));
        }
        let templates = gates::templates(spec, record).filter(|templates| out(&analysis_key(templates)));
        asks.extend(templates.map(|templates| record.ask_analysis(templates)));
        let templates = gates::background(spec, record).filter(|templates| out(&background_key(templates)));
        asks.extend(templates.map(|templates| record.ask_background(templates)));
        asks
    }

    /// Takes the answer to a question that is out.
    pub(super) fn answer(&mut self, decision: &str, answer: Answer) {
        let Some(Ask { question, .. }) = self.asks().into_iter().find(|ask| *ask.decision == *decision) else {
            return;
        };
        let answer = answer.in_short();
        match question {
            Question::Hook { hook, .. } => self.hook_answers(&hook, answer),
            Question::Analysis { templates, background: false } => self.judged(&templates, answer),
            Question::Analysis { templates, background: true } => self.judged_beside(&templates, answer),
        }
    }

    fn hook_answers(&mut self, hook: &Arc<Webhook>, answer: Answer) {
        let gates = &mut self.record.gates;
        if matches!(hook.kind, WebhookKind::Event | WebhookKind::PostRollout) {
            if let Some(index) = gates.notices.iter().position(|notice| notice.is_for(hook)) {
                match answer {
                    Answer::Unreached(_) => gates.notices[index].rest = INTERVAL,
                    Answer::Yes | Answer::Passed(_) | Answer::No(_) | Answer::Inconclusive(_) => {
                        drop(gates.notices.remove(index));
                    }
                }
            }
            return;
        }
        let name = Wait::Hook(hook).words();
        gates.learn(&key(hook), Some(answer.clone()));
        match (hook.kind, answer) {
            (WebhookKind::Rollback, Answer::Yes) => self.abort(Actor::Engine, format!("{name} says yes")),
            (WebhookKind::Rollback, _) => {}
            (_, Answer::Yes) => self.opened = Some(format!("{name} says yes")),
            (
                WebhookKind::PreRollout | WebhookKind::Rollout,
                Answer::No(words) | Answer::Unreached(words) | Answer::Inconclusive(words),
            ) => self.abort(Actor::Engine, format!("{name}: {words}")),
            _ => {}
        }
    }

    fn judged(&mut self, templates: &[Arc<str>], answer: Answer) {
        let name = Wait::Analysis(templates).words();
        // The figures are for the journal.
        let kept = if matches!(answer, Answer::Passed(_)) { Answer::Yes } else { answer.clone() };
        self.record.gates.learn(&analysis_key(templates), Some(kept));
        match answer {
            Answer::Yes => self.opened = Some(format!("{name} passes")),
            Answer::Passed(words) => self.opened = Some(format!("{name} passes: {words}")),
            Answer::No(words) | Answer::Unreached(words) => {
                self.abort(Actor::Engine, format!("{name} fails: {words}"));
            }
            Answer::Inconclusive(words) => {
                self.transition(Actor::Engine, format!("{name} is inconclusive: {words}"), |_| {});
            }
        }
    }

    /// The same beside the steps. What passes now is judged on.
    fn judged_beside(&mut self, templates: &[Arc<str>], answer: Answer) {
        let name = Wait::Background(templates).words();
        self.record.gates.note(&background_key(templates), Some(answer.clone()));
        match answer {
            Answer::Yes | Answer::Passed(_) => {}
            Answer::No(words) | Answer::Unreached(words) => {
                self.abort(Actor::Engine, format!("{name} fails: {words}"));
            }
            Answer::Inconclusive(words) => {
                if gates::undecided(&self.spec, &self.record).is_some() {
                    self.transition(Actor::Engine, format!("{name} is inconclusive: {words}"), |_| {});
                }
            }
        }
    }

    /// Puts out what is to be asked, and takes back what nobody is there to answer any more.
    pub(super) fn raise(&mut self) {
        let spec = Arc::clone(&self.spec);
        let record = &mut self.record;
        let judged = gates::templates(&spec, record).map(analysis_key);
        let hooks = spec.webhooks.iter().map(|hook| key(hook));
        let background = gates::background(&spec, record).map(background_key);
        let known: Vec<_> = hooks.chain(judged).chain(background).collect();
        let gone: Vec<_> = record.gates.asked.iter().filter(|(key, asked)| asked.out && !known.contains(key)).collect();
        for key in gone.into_iter().map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            record.gates.note(&key, None);
        }
        record.gates.notices.retain(|notice| spec.webhooks.iter().any(|hook| notice.is_for(hook)));
        let mut due: Vec<_> = gates::rollback(&spec, record).map(|hook| key(hook)).collect();
        due.extend(gates::beside(&spec, record));
        due.extend(match gates::own(&spec, record, self.now) {
            Some(Wait::Hook(hook)) => Some(key(hook)),
            Some(Wait::Analysis(templates)) => {
                // A verdict is given once; `resume` takes it back.
                Some(analysis_key(templates)).filter(|key| record.gates.answer(key).is_none())
            }
            _ => None,
        });
        for key in due {
            let asked = record.gates.asked.entry(key).or_default();
            asked.out = asked.out || Asked::is_due(asked);
        }
    }

    /// Has the hooks told of a transition. `ended` says that a rollout is over with it.
    pub(super) fn notify(&mut self, entry: &mut Entry, ended: bool) {
        let told = |hook: &&Arc<Webhook>| match hook.kind {
            WebhookKind::Event => true,
            WebhookKind::PostRollout => ended,
            _ => false,
        };
        let hooks: Vec<_> = self.spec.webhooks.iter().filter(told).collect();
        let dropped = self.record.gates.make_room(hooks.len());
        if dropped > 0 {
            let why = std::mem::take(&mut entry.why);
            entry.why = format!("{why}; {dropped} notices to hooks are dropped, too many wait");
        }
        let progress = progress(&self.spec, &self.record);
        let version = Arc::clone(self.record.heading());
        for hook in hooks {
            self.record.gates.notices.push_back(Notice::new(hook, entry, &version, progress));
        }
    }
}

/// How far it is, as Flagger would say it.
fn progress(spec: &Rollout, record: &Record) -> Progress {
    let Record { stage, waited, .. } = record;
    let phase = match stage {
        Stage::Weights => FlaggerPhase::Initialized,
        Stage::Start { .. } | Stage::Stopped { .. } => FlaggerPhase::Waiting,
        Stage::Steps { .. } | Stage::Preview { .. } => FlaggerPhase::Progressing,
        Stage::Moving { to } if *to != record.stable => FlaggerPhase::Promoting,
        Stage::Stable => FlaggerPhase::Succeeded,
        Stage::Moving { .. } | Stage::Aborted { .. } => FlaggerPhase::Failed,
    };
    let (steps, left) = match (stage, &spec.strategy) {
        (Stage::Start { .. }, Strategy::Canary(canary)) => (0, pauses(&canary.steps)),
        (Stage::Steps { entered, passed, .. }, Strategy::Canary(canary)) => {
            let step = entered.checked_sub(1).and_then(|index| canary.steps.get(index));
            let left = match step.map(|step| canary::progress(step, *waited, *passed)) {
                Some(canary::Progress::Waiting(left)) => left.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            (*entered, left + pauses(canary.steps.get(*entered..).unwrap_or_default()))
        }
        (Stage::Preview { approved, .. }, Strategy::BlueGreen(options)) => {
            match blue_green::gate(options, Duration::MAX, *waited, *approved) {
                Gate::Timer(left) => (0, left),
                _ => (0, Duration::ZERO),
            }
        }
        _ => (0, Duration::ZERO),
    };
    Progress { phase, weight: record.weight(record.heading()) / 100, steps, left }
}

fn pauses(steps: &[Step]) -> Duration {
    let pauses = steps.iter().map(|step| if let Step::Pause(Some(time)) = step { *time } else { Duration::ZERO });
    pauses.fold(Duration::ZERO, Duration::saturating_add)
}
