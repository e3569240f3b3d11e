//! The pure root: inputs in, effects out. It routes and never decides: traffic comes from [`crate::rollout`], resources
//! from [`crate::translate`], who has them from [`crate::fleet`]. One task owns the [`Reconciler`], feeds it what happens
//! and carries out what it answers.
//!
//! Each rollout of the files has a [`rollout::Machine`]. What an input changes about one is written down first
//! ([`Effect::Journal`], [`Effect::Save`]) and served then ([`Reconciler::publish`]), so that a crash in between repeats
//! a step and never skips one.

mod asking;
mod defined;
mod edits;
mod evidence;
mod groups;
mod measured;
mod member;
mod message;
mod telemetry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::analysis::{Measurement, Run};
use crate::fleet::Standing;
use crate::rollout::{self, Answer, Call, Entry, Record};
use crate::spec::{Rollout, Served, SpecSet, Webhook};
use crate::telemetry::{Meter, Report};
use crate::translate::World;
use crate::tree::Map;
use defined::Defined;
use groups::Groups;
use member::Member;

pub use message::{Message, Reply};

/// For whoever passes messages on: the word that was probably meant.
pub use crate::spec::suggest;

/// Records that are kept in one turn because they grow old; the others' turn comes soon.
const SAVES: usize = 20;

/// What happens.
pub enum Input {
    /// The documents in force, after each load. The first is the first full load: nothing is published before.
    Spec(Arc<SpecSet>),
    /// How the fleet stands.
    Standing(Arc<Standing>),
    /// Somebody asks or commands.
    Message(Message),
    /// What [`Effect::Call`] was answered. Of one that is withdrawn it is ignored.
    Answer(Arc<str>, Answer),
    /// What [`Effect::Measure`] gave, by its decision and the measurement's id; or why nothing.
    Measured(Arc<str>, usize, Result<serde_json::Value, String>),
    /// What a proxy measured.
    Telemetry(Report),
    /// [`Reconciler::next_deadline`] has come.
    Tick,
    /// The process is about to end: what has been waited is to be kept.
    Stop,
}

/// What is to be done: first what is to be written, then [`Reconciler::publish`], then the rest in order.
pub enum Effect {
    /// Write these down.
    Journal(Vec<Entry>),
    /// Keep this in place of what was kept of the rollout before.
    Save(Box<Record>),
    /// Call this hook, for this decision.
    Call(Arc<str>, Arc<Webhook>, Box<Call>),
    /// Ask for this value, for this decision.
    Measure(Arc<str>, Measurement),
    /// Nobody wants to know any more what is asked for this decision.
    Withdraw(Arc<str>),
    /// Read so many of the newest entries of a rollout's journal, and answer with them.
    History(Arc<str>, usize, Reply<Option<Result<Vec<Entry>, String>>>),
    /// Tell somebody how that went.
    Answer(Box<dyn FnOnce() + Send>),
}

/// A world to serve.
pub struct Publication {
    /// Counts them; [`Standing::world`] is about this one.
    pub number: u64,
    /// What to serve.
    pub world: Arc<World>,
    /// The clusters of which proxies are to report what they measure, from before they get the world.
    pub counted: Arc<BTreeSet<Arc<str>>>,
}

/// What an earlier process left of a rollout.
#[derive(Debug, Clone)]
pub enum Found {
    /// Its record; with why it may be older than what was served last, if so.
    Record(Box<Record>, Option<String>),
    /// It cannot be read, for that reason. The last entry of its journal, if there is one.
    Lost(String, Option<Box<Entry>>),
}

/// The pure root.
#[derive(Debug, Default)]
pub struct Reconciler {
    /// Wall time, since the Unix epoch, at zero of the time that inputs come with.
    epoch: Duration,
    /// Whether no process was here before, as far as is known.
    fresh: bool,
    /// What is left of rollouts that no file names now.
    found: BTreeMap<Arc<str>, Found>,
    spec: Option<Arc<SpecSet>>,
    members: BTreeMap<Arc<str>, Member>,
    /// The files that define each rollout.
    defined: Defined,
    /// Those of `members` that were stopped because the fleet has something else.
    foreign: BTreeSet<Arc<str>>,
    /// Those of `members` that are not at rest.
    active: BTreeSet<Arc<str>>,
    /// Those of `members` to which it matters what their versions can carry.
    watched: BTreeSet<Arc<str>>,
    /// The groups of `members`.
    groups: Groups,
    /// What is served of each of `members`.
    served: Map<Arc<str>, Served>,
    /// Those that ask for something else since.
    moved: BTreeSet<Arc<str>>,
    /// Those of them that rise, while that cannot be written down.
    waiting: BTreeSet<Arc<str>>,
    /// Whether documents have changed since the last publication.
    edited: bool,
    world: Arc<World>,
    /// Of `world`; 0 before the first is published.
    number: u64,
    standing: Arc<Standing>,
    /// When which member is to be looked at.
    due: BTreeSet<(Duration, Arc<str>)>,
    /// Which member wants to know each decision that is asked for.
    asked: BTreeMap<Arc<str>, Arc<str>>,
    /// The measurements behind those decisions that are verdicts.
    runs: BTreeMap<Arc<str>, Run>,
    /// What proxies measure of `counted`.
    meter: Meter,
    /// The clusters of all versions.
    counted: Arc<BTreeSet<Arc<str>>>,
    /// Which rollouts have each of them.
    owners: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Those of which it is to be seen what their versions can carry, and when that was last done.
    carried: BTreeSet<Arc<str>>,
    carried_at: Duration,
    /// When that was last done for all to whom it matters.
    swept_at: Duration,
    /// The last of them whose turn it was.
    carried_last: Arc<str>,
}

impl Reconciler {
    /// Goes on after an earlier process. `epoch` is the wall time, since the Unix epoch, from which inputs count theirs.
    /// `past` is what was served, oldest first: proxies that come back may still have it, and what they have decides in
    /// which order they are sent what is new.
    #[must_use]
    pub fn after(epoch: Duration, past: &[SpecSet], found: BTreeMap<Arc<str>, Found>) -> Self {
        let fresh = found.is_empty();
        let served = |rollout: &Rollout| match found.get(&rollout.name) {
            Some(Found::Record(record, _)) => record.served(),
            _ => Served::from(crate::spec::Traffic::of(rollout::split(rollout))),
        };
        let world = past.iter().fold(World::default(), |world, spec| {
            let rollouts = Defined::default().take(None, spec).into_iter().flatten();
            world.next(spec, &rollouts.filter_map(|(name, rollout)| Some((name, served(rollout?)))).collect())
        });
        Self { epoch, fresh, found, world: Arc::new(world), ..Self::default() }
    }

    /// Takes one input at `now`, the time since the process started.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut turn = Turn::default();
        match input {
            Input::Spec(spec) => self.take_spec(now, &spec, &mut turn),
            Input::Standing(standing) => {
                self.standing = standing;
                self.stop_guessed(now, &mut turn);
                for name in self.active.iter().cloned().collect::<Vec<_>>() {
                    self.look(now, &name, &mut turn);
                }
            }
            Input::Tick => {
                while let Some((_, name)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
                    self.due.pop_first();
                    self.look(now, &name, &mut turn);
                }
            }
            Input::Stop => {
                for name in self.active.iter().cloned().collect::<Vec<_>>() {
                    let Some(member) = self.members.get_mut(&name) else { continue };
                    let entries = member.machine.handle(self.epoch + now, rollout::Input::Tick);
                    self.settle(now, &name, entries, true, &mut turn);
                }
            }
            Input::Message(message) => self.take_message(now, message, &mut turn),
            Input::Answer(decision, answer) => self.take_answer(now, decision, answer, &mut turn),
            Input::Measured(decision, id, value) => self.take_measured(now, decision, id, value, &mut turn),
            Input::Telemetry(report) => self.take_report(now, report, &mut turn),
        }
        self.judge_capacity(now, &mut turn);
        self.advance_runs(now, &mut turn);
        self.judge_groups(now, &mut turn);
        Self::effects(turn)
    }

    /// When to send [`Input::Tick`] even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let runs = self.runs.values().filter_map(Run::next_deadline);
        let due = self.due.first().map(|(due, _)| *due);
        due.into_iter().chain(runs).chain(self.capacity_due()).min()
    }

    /// What to serve from now on, after the effects of an input were `written` or not; `None` if that is what is served
    /// already. To be asked after each input.
    ///
    /// Nothing rises that is not written down: a crash would forget it, and clients see it rise again. What goes back
    /// to safety does not wait.
    pub fn publish(&mut self, written: bool) -> Option<Publication> {
        let spec = self.spec.as_ref()?;
        self.waiting.clear();
        for name in std::mem::take(&mut self.moved) {
            let Some(member) = self.members.get(&name) else { continue };
            let wanted = member.served();
            let before = self.served.get(&name).filter(|before| member.has_all_of(before));
            if !written && before.is_some_and(|before| member::rises(before, &wanted, member.machine.stable())) {
                self.waiting.insert(name);
            } else if before != Some(&wanted) {
                self.served.insert(name, wanted);
                self.edited = true;
            }
        }
        self.moved.clone_from(&self.waiting);
        if !std::mem::take(&mut self.edited) {
            return None;
        }
        let first = self.fresh && self.number == 0;
        let guess = first || !self.foreign.is_empty();
        self.world = Arc::new(self.world.next(spec, &self.served).guess(guess));
        self.number += 1;
        Some(Publication { number: self.number, world: Arc::clone(&self.world), counted: Arc::clone(&self.counted) })
    }

    /// Tells a rollout how the fleet stands on it, and lets it do what is due.
    fn look(&mut self, now: Duration, name: &Arc<str>, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(name) else { return };
        let current = self.standing.world == self.number && !self.waiting.contains(name);
        let evidence = current.then(|| evidence::of(&self.world, &self.standing, &member.spec, &member.machine, now));
        let (input, stale) = match evidence {
            Some((evidence, stale)) => (rollout::Input::Evidence(evidence), stale),
            None => (rollout::Input::Tick, None),
        };
        if let rollout::Input::Evidence(evidence) = &input {
            let converged = evidence.nodes > 0 && evidence.converged == evidence.nodes;
            member.measured.settle(now, evidence.generation, converged);
        }
        member.stale = stale;
        let entries = member.machine.handle(self.epoch + now, input);
        self.settle(now, name, entries, false, turn);
    }

    /// Stops those of which the fleet has something else than a process without memory takes for right.
    fn stop_guessed(&mut self, now: Duration, turn: &mut Turn) {
        let foreign: BTreeSet<_> =
            self.standing.groups.iter().filter(|(_, group)| group.foreign).map(|(name, _)| name.as_str()).collect();
        if foreign.is_empty() {
            return;
        }
        let sees =
            |member: &Member| self.world.audience(&member.spec).iter().any(|seat| foreign.contains(&*seat.group));
        let guessed = self.members.iter().filter(|(_, member)| member.guessed && sees(member));
        for name in guessed.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(&name) else { continue };
            let entries = member.stop(self.epoch + now);
            self.settle(now, &name, entries, true, turn);
        }
    }

    /// Notes what a rollout's last input led to: `entries`, its new traffic, when it is due again, and its record if
    /// that must be `kept` or would be too old.
    fn settle(&mut self, now: Duration, name: &Arc<str>, entries: Vec<Entry>, kept: bool, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(name) else { return };
        if self.served.get(name).is_none_or(|served| !member.asks_for(served)) {
            self.moved.insert(Arc::clone(name));
        }
        if member.foreign && !member.machine.is_stopped() {
            // Somebody has decided: the fleet is to have it, the same or not.
            member.foreign = false;
            self.edited = true;
        }
        if member.foreign {
            self.foreign.insert(Arc::clone(name))
        } else {
            self.foreign.remove(name)
        };
        if kept
            || !entries.is_empty()
            || (member.save_due(self.epoch).is_some_and(|due| due <= now) && turn.records.len() < SAVES)
        {
            member.saved = now;
            let evidence = member.kept(now, &self.meter, &self.runs);
            turn.records.push(member.machine.record().with_evidence(evidence));
        }
        turn.entries.extend(entries);
        turn.groups.extend(member.spec.group.clone());
        if member.machine.is_at_rest() {
            self.active.remove(name);
        } else {
            self.active.insert(Arc::clone(name));
        }
        if member.watches_room() {
            self.watched.insert(Arc::clone(name));
        } else {
            self.watched.remove(name);
        }
        let asks = member.machine.asks();
        let rises = member.machine.rising().is_some();
        if rises && !member.measured.is_about(&member.machine) {
            self.follow(name);
        }
        self.plan(now, name);
        self.ask(now, name, asks, turn);
    }

    /// Sees to it that a member is looked at when it is due.
    fn plan(&mut self, now: Duration, name: &Arc<str>) {
        let Some(member) = self.members.get_mut(name) else { return };
        let due = member.next_due(now, self.epoch);
        if due != member.due {
            self.due.remove(&(member.due, Arc::clone(name)));
            member.due = due;
        }
        if due < Duration::MAX {
            self.due.insert((due, Arc::clone(name)));
        }
    }

    fn effects(turn: Turn) -> Vec<Effect> {
        let Turn { entries, records, after, .. } = turn;
        let mut effects = Vec::new();
        if !entries.is_empty() {
            effects.push(Effect::Journal(entries));
        }
        effects.extend(records.into_iter().map(|record| Effect::Save(Box::new(record))));
        effects.extend(after);
        effects
    }
}

/// What one input has led to so far.
#[derive(Default)]
struct Turn {
    entries: Vec<Entry>,
    records: Vec<Record>,
    /// In which a member may have moved.
    groups: BTreeSet<Arc<str>>,
    /// Which may have come to an end, by their decision.
    runs: BTreeSet<Arc<str>>,
    after: Vec<Effect>,
}

impl Turn {
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: T) {
        self.after.push(Effect::Answer(Box::new(move || reply(answer))));
    }
}
