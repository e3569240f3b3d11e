//! What people and programs ask of the one task that owns the [`super::Reconciler`].

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::{Effect, Reconciler, Turn};
use crate::rollout::{Command, Entry, Gauges, Refusal, Status};

/// How many rollouts one [`Message::Gauges`] is answered for: a fraction of a millisecond's work.
const AT_ONCE: usize = 500;

/// Called once with the answer.
pub type Reply<T> = Box<dyn FnOnce(T) + Send>;

/// A question or a command. Where a rollout is named that there is none of, the answer is `None`.
pub enum Message {
    /// How all rollouts stand, by name.
    List(Reply<Vec<Status>>),
    /// What is drawn over time of some rollouts: the first by name after this one. To be asked again from the last on,
    /// until there are no more, so that ten thousand rollouts hold nobody up.
    Gauges(Option<Arc<str>>, Reply<Vec<Gauges>>),
    /// How one stands.
    Get(Arc<str>, Reply<Option<Status>>),
    /// Which version a user of it gets, by what [`crate::spec::Affinity`] looks at. `Err` says why none can be told.
    User(Arc<str>, String, Reply<Option<Result<Arc<str>, String>>>),
    /// Has a command carried out. The answer comes once the outcome was written, or could not be, and says
    /// how it stands then.
    Command(Arc<str>, Command, Reply<Option<Result<Status, Refusal>>>),
    /// The newest entries of its journal, at most so many, oldest first. `Err` says why it cannot be read.
    History(Arc<str>, usize, Reply<Option<Result<Vec<Entry>, String>>>),
}

impl Reconciler {
    pub(super) fn take_message(&mut self, now: Duration, message: Message, turn: &mut Turn) {
        match message {
            Message::List(reply) => {
                for name in self.members.keys().cloned().collect::<Vec<_>>() {
                    self.look(now, &name, turn);
                }
                let all = self.members.keys().filter_map(|name| self.status(now, name)).collect();
                turn.answer(reply, all);
            }
            Message::Gauges(after, reply) => {
                let after = after.map_or(Bound::Unbounded, Bound::Excluded);
                let some = self.members.range((after, Bound::Unbounded)).take(AT_ONCE);
                let gauges = some.map(|(_, member)| {
                    let seen = member.measured.seen(&member.machine);
                    Gauges { seen, ..member.machine.gauges(self.epoch + now) }
                });
                turn.answer(reply, gauges.collect());
            }
            Message::Get(name, reply) => {
                self.look(now, &name, turn);
                turn.answer(reply, self.status(now, &name));
            }
            Message::User(name, user, reply) => {
                turn.answer(reply, self.members.get(&name).map(|member| member.version_of(&user)));
            }
            Message::Command(name, command, reply) => {
                self.tell_room(now, &name, turn);
                let Some(member) = self.members.get_mut(&name) else { return turn.answer(reply, None) };
                let outcome = member.machine.command(self.epoch + now, command);
                let entries = match outcome {
                    Ok(entries) => entries,
                    Err(refusal) => return turn.answer(reply, Some(Err(refusal))),
                };
                self.settle(now, &name, entries, true, turn);
                turn.answer(reply, self.status(now, &name).map(Ok));
            }
            Message::History(name, limit, reply) => {
                if self.members.contains_key(&name) {
                    turn.after.push(Effect::History(name, limit, reply));
                } else {
                    turn.answer(reply, None);
                }
            }
        }
    }

    fn status(&self, now: Duration, name: &str) -> Option<Status> {
        let mut status = self.members.get(name)?.machine.status(self.epoch + now);
        let member = self.members.get(name)?;
        let (awaited, beside) = self.progress_of(now, name);
        if !awaited.is_empty() {
            status.message = format!("{}; {}", status.message, awaited.join("; "));
        }
        status.analysis = beside;
        status.seen = member.measured.seen(&member.machine);
        if self.waiting.contains(name) {
            status.message = format!("held until --state can be written to, see the log; {}", status.message);
        }
        Some(status)
    }
}
