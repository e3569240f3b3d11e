//! A rejection that holds a rollout (`onNack: pause`): what was rejected is taken back until somebody decides.

use super::delivery::State;
use super::journal::Actor;
use super::machine::Machine;
use super::record::Rejected;
use super::traffic;

impl Machine {
    /// Holds until somebody decides, with what the fleet had before in force: who boots now must not get what others
    /// rejected.
    pub(super) fn take_back(&mut self, words: String) {
        let why = format!("{words}: back to what the fleet had");
        self.transition(Actor::Engine, why, |record| {
            record.delivery.forgive();
            record.delivery.restart();
            // After a step that takes traffic away from the new version, what the fleet had would give it more again.
            if let (Some(to), Some(good)) = (record.rising(), &record.good)
                && traffic::part(good, to) > traffic::part(record.asked(), to).min(traffic::part(&record.traffic, to))
            {
                record.good = None;
            }
            let (traffic, nodes) = (record.asked().clone(), record.delivery.pardoned.clone());
            record.rejected = Some(Rejected { traffic, words, nodes });
        });
    }

    /// How the way back fares. There is nowhere further back to go but by an abort.
    pub(super) fn watch_return(&mut self) {
        let delivery = &mut self.record.delivery;
        match delivery.rejection() {
            Some(_) if delivery.state == State::Rejected => {}
            Some(words) => {
                let why = format!("{words}: what the fleet had is rejected too");
                self.transition(Actor::Engine, why, |record| record.delivery.state = State::Rejected);
            }
            None if !delivery.is_done() && delivery.reached(&self.spec.convergence) => {
                delivery.finish();
                let outcome = delivery.outcome();
                self.transition(Actor::Engine, outcome, |_| {});
            }
            None => {}
        }
    }
}
