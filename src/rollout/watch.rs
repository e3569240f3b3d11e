//! How the traffic fares on the fleet, and when the machine is to be looked at again though nothing happens.

use std::time::Duration;

use super::blue_green::{self, Gate};
use super::canary::{self, Progress};
use super::delivery::{SETTLE, State};
use super::gates;
use super::journal::Actor;
use super::machine::{Machine, whole_millis};
use super::record::{Record, Stage};
use super::words::span;
use crate::spec::{OnNack, OnTimeout, Strategy};

impl Machine {
    /// Looks at how the traffic fares on the fleet. Works in every stage: a pause never blinds.
    pub(super) fn watch(&mut self) {
        if self.record.rejected.is_some() {
            return self.watch_return();
        }
        let convergence = &self.spec.convergence;
        let rising = self.record.rising().is_some();
        let delivery = &mut self.record.delivery;
        if rising && let Some(words) = delivery.rejection() {
            // Before a rollout begins nothing is taken back: what goes back then does so as far as it can be carried.
            let goes_back = matches!(self.record.stage, Stage::Start { .. }) && self.record.retreat.is_some();
            match convergence.on_nack {
                OnNack::Abort => return self.abort(Actor::Engine, words),
                OnNack::Pause if goes_back => {}
                OnNack::Pause => return self.take_back(words),
            }
        }
        if delivery.is_done() || self.watch_ahead() {
            return;
        }
        let (convergence, delivery) = (&self.spec.convergence, &mut self.record.delivery);
        if delivery.reached(convergence) {
            delivery.finish();
            let outcome = delivery.outcome();
            if matches!(self.record.stage, Stage::Weights | Stage::Aborted { .. } | Stage::Preview { .. }) {
                self.transition(Actor::Engine, outcome, |_| {});
            }
            return;
        }
        let awaited = delivery.awaited(convergence);
        if rising && delivery.state == State::Pending && delivery.waited >= convergence.timeout {
            let why = format!("not on the fleet after {}: {awaited}", span(convergence.timeout));
            match convergence.on_timeout {
                OnTimeout::Abort => return self.abort(Actor::Engine, why),
                OnTimeout::Continue => {
                    let why = format!("goes on though {why}");
                    return self.transition(Actor::Engine, why, Record::go_on);
                }
                OnTimeout::Pause => {
                    self.transition(Actor::Engine, why, |record| record.delivery.state = State::Late);
                }
            }
        }
        if self.can_get_stuck() && self.record.delivery.idle >= self.spec.progress_deadline {
            let why = format!("no progress for {}: {awaited}", span(self.spec.progress_deadline));
            if self.spec.progress_deadline_abort && rising {
                return self.abort(Actor::Engine, why);
            }
            self.transition(Actor::Engine, why, |record| record.delivery.stuck = true);
        }
    }

    /// Whether lack of progress counts, and was not told yet.
    fn can_get_stuck(&self) -> bool {
        let Record { stage, delivery, hold, rejected, .. } = &self.record;
        let moves = matches!(stage, Stage::Steps { .. } | Stage::Preview { .. } | Stage::Moving { .. });
        moves
            && hold.is_none()
            && rejected.is_none()
            && !delivery.stuck
            && !delivery.settling()
            && !(delivery.ahead && self.wait().is_some())
            && matches!(delivery.state, State::Pending | State::Late)
    }

    /// When something is due by itself, as wall time; `None` when only an input can move it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let Record { stage, delivery, waited, hold, rejected, .. } = &self.record;
        let convergence = &self.spec.convergence;
        let held = hold.is_some() || delivery.ahead && self.wait().is_some();
        let settle = (delivery.settling() && !held).then(|| SETTLE.saturating_sub(delivery.settled));
        let settles = delivery.ahead && (settle.is_some() || held);
        let times_out = self.record.rising().is_some() && rejected.is_none() && !settles;
        let timeout = (times_out && delivery.state == State::Pending)
            .then(|| convergence.timeout.saturating_sub(delivery.waited));
        let stuck = self.can_get_stuck().then(|| self.spec.progress_deadline.saturating_sub(delivery.idle));
        let gate = match (stage, &self.spec.strategy) {
            _ if hold.is_some() || rejected.is_some() || !delivery.is_done() => None,
            (Stage::Steps { entered, passed, .. }, Strategy::Canary(canary)) => {
                let step = entered.checked_sub(1).and_then(|index| canary.steps.get(index));
                match step.map(|step| canary::progress(step, *waited, *passed)) {
                    Some(Progress::Waiting(left)) => left,
                    _ => None,
                }
            }
            (Stage::Preview { approved, .. }, Strategy::BlueGreen(options)) => {
                match blue_green::gate(options, self.now, *waited, *approved) {
                    Gate::Timer(left) | Gate::Instant(left) => Some(left),
                    Gate::Open(_) | Gate::Promotion => None,
                }
            }
            _ => None,
        };
        let asks = gates::left(&self.spec, &self.record, self.now);
        let left = [settle, timeout, stuck, gate, asks].into_iter().flatten().min()?;
        Some(self.now + whole_millis(left + Duration::from_nanos(999_999)))
    }
}
