//! What stands in the way of a rollout's advance, although its own wait is over.
//!
//! First what is owed by the stage it is in, once the fleet has its traffic: the checks of a step (`rollout` hooks, the
//! verdict of an `analysis`), of a preview (`pre-rollout` hooks, `prePromotionAnalysis`) and of a switch
//! (`postPromotionAnalysis`). Then what stands before the next stage, in this order: promotion windows,
//! capacity for what comes, `confirm-rollout`, `pre-rollout` of a canary, `confirm-traffic-increase`, `confirm-promotion`, and last the group, so
//! that who is ready by itself goes together with the others. One thing is waited for at a time, hooks of one type in
//! the order of the file. What was answered with yes stays open while the stage lasts. Windows are asked once more where
//! the same stage brings more traffic later: before the canary nodes are followed, and before what was rejected is tried
//! again. So is capacity.
//!
//! Nothing here stands in the way of an abort, of the way back to the stable version, of a shortcut to an earlier one,
//! of `promote --full`, or of a stable version that was taken out of the file. Windows are not asked about `undo`. What
//! goes back where there is no room for all of it is for [`super::capacity`] to say.

use std::sync::Arc;
use std::time::Duration;

use super::advance;
use super::ask::{Answer, INTERVAL, analysis_key, background_key, key};
use super::asked::{Asked, Barrier};
use super::canary;
use super::capacity;
use super::delivery::{SETTLE, State};
use super::record::{Record, Stage};
use super::status::Phase;
use super::traffic;
use super::words::span;
use crate::spec::{
    Canary, OnTimeout, Rollout, Step, Strategy, TOTAL_WEIGHT, Webhook, WebhookKind, WindowVerdict, verdict,
};

/// What is waited for.
#[derive(Debug)]
pub(super) enum Wait<'a> {
    /// A hook's yes.
    Hook(&'a Arc<Webhook>),
    /// The verdict on these templates.
    Analysis(&'a [Arc<str>]),
    /// Somebody's word on an inconclusive verdict on these templates, which are judged beside the steps.
    Background(&'a [Arc<str>]),
    /// A version that can carry what it is to get.
    Capacity { version: Arc<str>, why: String },
    /// A promotion window.
    Window { until: Option<Duration>, why: String },
    /// The others of the group; `None` as long as nothing was said of them.
    Barrier(Option<String>),
}

/// What stands in the way now.
pub(super) fn wait<'a>(spec: &'a Rollout, record: &Record, now: Duration) -> Option<Wait<'a>> {
    if record.rejected.is_some() {
        return None;
    }
    let undecided = undecided(spec, record).map(Wait::Background);
    undecided.or_else(|| capacity::rest(record)).or_else(|| own(spec, record, now))
}

/// What stands in the way of the stage it is in. It is asked for also while something else does.
pub(super) fn own<'a>(spec: &'a Rollout, record: &Record, now: Duration) -> Option<Wait<'a>> {
    if record.rejected.is_some() {
        return None;
    }
    let follow = || follows(spec, record).then(|| held_back(spec, record, now)).flatten();
    owed(spec, record).or_else(follow).or_else(|| before(spec, record, now, &advance::goal(spec, record, now)?.0))
}

/// What it is judged by beside the steps, from the step on that the file says until it is over.
pub(super) fn background<'a>(spec: &'a Rollout, record: &Record) -> Option<&'a [Arc<str>]> {
    let Strategy::Canary(Canary { analysis: Some(analysis), .. }) = &spec.strategy else { return None };
    let entered = match &record.stage {
        Stage::Steps { entered, .. } => *entered,
        Stage::Moving { to } if *to != record.stable => usize::MAX,
        _ => 0,
    };
    (!record.gates.free && entered >= analysis.starting_step.max(1)).then_some(&*analysis.templates)
}

/// The same, where the verdict was inconclusive and nobody has decided.
pub(super) fn undecided<'a>(spec: &'a Rollout, record: &Record) -> Option<&'a [Arc<str>]> {
    background(spec, record).filter(|templates| {
        let asked = record.gates.asked.get(&background_key(templates));
        asked.is_some_and(|asked| !asked.past && matches!(asked.answer, Some(Answer::Inconclusive(_))))
    })
}

/// The key of what is judged beside the steps, unless somebody has to decide first.
pub(super) fn beside(spec: &Rollout, record: &Record) -> Option<String> {
    background(spec, record).filter(|_| undecided(spec, record).is_none()).map(background_key)
}

/// What the stage it is in is judged by.
pub(super) fn templates<'a>(spec: &'a Rollout, record: &Record) -> Option<&'a [Arc<str>]> {
    let templates = match (&record.stage, &spec.strategy) {
        (Stage::Steps { entered, .. }, Strategy::Canary(canary)) => match canary.steps.get(entered.checked_sub(1)?)? {
            Step::Analysis(templates) => templates,
            _ => return None,
        },
        (Stage::Preview { .. }, Strategy::BlueGreen(options)) => &options.pre_promotion_analysis,
        (Stage::Moving { to }, Strategy::BlueGreen(options)) if *to != record.stable && !record.gates.free => {
            &options.post_promotion_analysis
        }
        _ => return None,
    };
    Some(templates).filter(|templates| !templates.is_empty()).map(Vec::as_slice)
}

fn owed<'a>(spec: &'a Rollout, record: &Record) -> Option<Wait<'a>> {
    if !record.delivery.is_done() {
        return None;
    }
    let hook = match (&record.stage, &spec.strategy) {
        (Stage::Steps { entered, .. }, Strategy::Canary(canary)) => {
            let step = entered.checked_sub(1).and_then(|index| canary.steps.get(index));
            matches!(step, Some(Step::SetWeight(_))).then(|| shut(spec, record, WebhookKind::Rollout)).flatten()
        }
        (Stage::Preview { .. }, Strategy::BlueGreen(_)) => shut(spec, record, WebhookKind::PreRollout),
        _ => None,
    };
    let unjudged = |templates: &&[Arc<str>]| record.gates.answer(&analysis_key(templates)) != Some(&Answer::Yes);
    hook.or_else(|| templates(spec, record).filter(unjudged).map(Wait::Analysis))
}

/// What stands before `next`.
fn before<'a>(spec: &'a Rollout, record: &Record, now: Duration, next: &Stage) -> Option<Wait<'a>> {
    let first = matches!(record.stage, Stage::Start { .. });
    let (weight, last) = match (next, &spec.strategy) {
        (Stage::Steps { entered, .. }, Strategy::Canary(canary)) => {
            (canary::weight(canary.steps.get(..*entered).unwrap_or(&canary.steps)), false)
        }
        (Stage::Preview { .. }, _) => (0, false),
        (Stage::Moving { .. }, _) => (TOTAL_WEIGHT, true),
        _ => return None,
    };
    let rises = weight > record.weight(record.heading());
    let canary = matches!(spec.strategy, Strategy::Canary(_));
    let shut = |kind, counts: bool| counts.then(|| shut(spec, record, kind)).flatten();
    let window = (first || rises).then(|| window(spec, record, now)).flatten();
    // Who sees a preview needs somebody to answer.
    let parts = if matches!(next, Stage::Preview { .. }) { Some(1) } else { rises.then_some(weight) };
    let short = || record.room.short(record.heading(), parts?);
    window
        .or_else(short)
        .or_else(|| shut(WebhookKind::ConfirmRollout, first))
        .or_else(|| shut(WebhookKind::PreRollout, first && canary))
        .or_else(|| shut(WebhookKind::ConfirmTrafficIncrease, rises))
        .or_else(|| shut(WebhookKind::ConfirmPromotion, last))
        .or_else(|| barrier(spec, record))
}

/// The first hook of this type that has not said yes.
fn shut<'a>(spec: &'a Rollout, record: &Record, kind: WebhookKind) -> Option<Wait<'a>> {
    let mut hooks = spec.webhooks.iter().filter(|hook| hook.kind == kind);
    hooks.find(|hook| record.gates.answer(&key(hook)) != Some(&Answer::Yes)).map(Wait::Hook)
}

fn window<'a>(spec: &Rollout, record: &Record, now: Duration) -> Option<Wait<'a>> {
    if record.undo.as_ref() == Some(record.heading()) {
        return None;
    }
    match verdict(&spec.promotion_windows, now) {
        WindowVerdict::Open => None,
        WindowVerdict::Shut { until, why } => Some(Wait::Window { until, why }),
    }
}

/// The window, or the lack of capacity, that keeps the fleet from what is asked for, where that is more of the new
/// version than is in force: what was rejected is not tried again, and nobody follows the canary nodes.
pub(super) fn held_back<'a>(spec: &Rollout, record: &Record, now: Duration) -> Option<Wait<'a>> {
    let to = record.heading();
    let wanted = traffic::part(&traffic::asked(spec, record), to);
    if record.gates.free || wanted <= traffic::part(&record.traffic, to) {
        return None;
    }
    window(spec, record, now).or_else(|| record.room.short(to, wanted))
}

/// Whether nothing but a person or a window keeps the others from what the canary nodes have.
fn follows(spec: &Rollout, record: &Record) -> bool {
    let Record { delivery, .. } = record;
    let passed_over = spec.convergence.on_timeout == OnTimeout::Continue
        && delivery.state == State::Pending
        && delivery.waited >= spec.convergence.timeout;
    delivery.ahead && (delivery.settled >= SETTLE || passed_over && !delivery.settling())
}

fn barrier<'a>(spec: &Rollout, record: &Record) -> Option<Wait<'a>> {
    match &record.gates.barrier {
        _ if spec.group.is_none() => None,
        Barrier::Unknown => Some(Wait::Barrier(None)),
        Barrier::Wait(words) => Some(Wait::Barrier(Some(words.clone()))),
        Barrier::Open => None,
    }
}

/// Lets time pass from `now` on. While a gate stands where the wait of the stage itself is over, that wait stays as it
/// is.
pub(super) fn pass(spec: &Rollout, record: &mut Record, now: Duration, time: Duration) {
    if time.is_zero() {
        return;
    }
    let waits = wait(spec, record, now).is_some();
    let over = waits && advance::goal(spec, record, now).is_some();
    record.pass(time, over);
    record.gates.pass(time, waits);
}

/// How long until something is due: a hook to be asked or told again, a window to open.
pub(super) fn left(spec: &Rollout, record: &Record, now: Duration) -> Option<Duration> {
    let wait = own(spec, record, now);
    let opens = match &wait {
        Some(Wait::Window { until: Some(until), .. }) if record.hold.is_none() => Some(until.saturating_sub(now)),
        _ => None,
    };
    let again = |key: String| record.gates.asked.get(&key).and_then(Asked::again);
    let gate = match &wait {
        Some(Wait::Hook(hook)) => again(key(hook)),
        _ => None,
    };
    let gate = gate.into_iter().chain(beside(spec, record).and_then(again));
    let told = record.gates.notices.iter().map(|notice| notice.rest).filter(|rest| !rest.is_zero());
    rollback(spec, record).filter_map(|hook| again(key(hook))).chain(gate).chain(opens).chain(told).min()
}

/// The rollback hooks, while there is something to roll back.
pub(super) fn rollback<'a>(spec: &'a Rollout, record: &Record) -> impl Iterator<Item = &'a Arc<Webhook>> {
    let rising = record.rising().is_some();
    spec.webhooks.iter().filter(move |hook| rising && hook.kind == WebhookKind::Rollback)
}

impl Asked {
    /// In how long it is due again; `None` when it is due or asked.
    fn again(&self) -> Option<Duration> {
        let answered = self.answer.is_some() && !self.out;
        answered.then(|| INTERVAL.saturating_sub(self.rest)).filter(|left| !left.is_zero())
    }

    /// Whether it is time to ask.
    pub(super) fn is_due(&self) -> bool {
        !self.out && (self.answer.is_none() || self.rest >= INTERVAL)
    }
}

impl Wait<'_> {
    /// Tells one from another within a stage.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Hook(hook) => key(hook),
            Self::Analysis(templates) => analysis_key(templates),
            Self::Background(templates) => background_key(templates),
            Self::Capacity { version, .. } => format!("capacity/{version}"),
            Self::Window { .. } => "window".to_owned(),
            Self::Barrier(_) => "barrier".to_owned(),
        }
    }

    /// The same, if it is worth writing down and was not when it came.
    pub(super) fn told(&self) -> Option<String> {
        (!matches!(self, Self::Barrier(None) | Self::Background(_))).then(|| self.key())
    }

    /// Whether it is an answer that comes by itself, and decides: it is not waited for, it is worked for.
    pub(super) fn is_check(&self) -> bool {
        match self {
            Self::Hook(hook) => matches!(hook.kind, WebhookKind::PreRollout | WebhookKind::Rollout),
            Self::Analysis(_) | Self::Barrier(None) => true,
            Self::Background(_) | Self::Capacity { .. } | Self::Window { .. } | Self::Barrier(Some(_)) => false,
        }
    }

    /// The phase of a rollout that waits for it.
    pub(super) fn phase(&self, record: &Record) -> Phase {
        let undecided = record.gates.answer(&self.key()).is_some();
        if self.is_check() && !undecided { Phase::Progressing } else { Phase::Paused }
    }

    /// Its name.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Hook(hook) => format!("{} hook `{}`", hook.kind.word(), hook.name),
            Self::Analysis(templates) => format!("analysis {}", templates.join(", ")),
            Self::Background(templates) => format!("background analysis {}", templates.join(", ")),
            Self::Capacity { version, why } if why.is_empty() => format!("capacity of {version}"),
            Self::Capacity { version, why } => format!("capacity of {version}: {why}"),
            Self::Window { why, .. } => format!("a promotion window: {why}"),
            Self::Barrier(words) => words.clone().unwrap_or_else(|| "its group".to_owned()),
        }
    }

    /// The same, with what was answered so far.
    pub(super) fn answered(&self, record: &Record) -> String {
        let said = record.gates.answer(&self.key()).and_then(Answer::words);
        format!("{}{}", self.words(), said.map(|said| format!(": {said}")).unwrap_or_default())
    }

    /// What people are told who ask what is waited for.
    pub(super) fn message(&self, record: &Record, now: Duration) -> String {
        let waited = span(record.gates.waited);
        let answered = self.answered(record);
        match (self, record.gates.asked.get(&self.key())) {
            (Self::Analysis(_), Some(Asked { answer: Some(_), .. })) => {
                format!("inconclusive {answered} ({waited}): serin promote {0}, or resume to judge again", record.name)
            }
            (Self::Background(_), _) => format!(
                "inconclusive {answered} ({waited}): serin resume {0} judges on, serin promote {0} goes past it",
                record.name
            ),
            (Self::Hook(_), Some(asked @ Asked { answer: Some(_), .. })) => {
                let times = if asked.times() == 1 { "once" } else { &format!("{} times", asked.times()) };
                format!("waiting for {answered} (asked {times}, {waited})")
            }
            _ => match self {
                Self::Window { until: Some(until), .. } => {
                    format!("waiting for {answered}, at least {} more ({waited})", span(until.saturating_sub(now)))
                }
                _ => format!("waiting for {answered} ({waited})"),
            },
        }
    }
}
