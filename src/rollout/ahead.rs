//! Canary nodes get each change first: the others follow once all of those that are connected have it and have kept it
//! for [`SETTLE`].

use super::delivery::{SETTLE, State};
use super::journal::Actor;
use super::machine::Machine;
use super::record::Record;
use super::words::span;

impl Machine {
    /// Whether the way to the canary nodes is theirs alone to end: they are settling, or a person or a
    /// window holds the others back.
    pub(super) fn watch_ahead(&mut self) -> bool {
        let delivery = &self.record.delivery;
        if !delivery.ahead || self.record.hold.is_some() {
            return delivery.ahead;
        }
        if self.wait().is_some() {
            return true;
        }
        if delivery.settled >= SETTLE {
            let why = format!("{} and kept it for {}: the others follow", delivery.outcome(), span(SETTLE));
            self.transition(Actor::Engine, why, Record::go_on);
            return true;
        }
        if delivery.settling() && (delivery.state == State::Late || delivery.stuck) {
            let outcome = delivery.outcome();
            self.transition(Actor::Engine, outcome, |record| {
                record.delivery.state = State::Pending;
                record.delivery.stuck = false;
            });
        }
        self.record.delivery.settling()
    }
}
