//! The pure root: inputs in, effects out. It routes and never decides: traffic comes from [`crate::rollout`], resources
//! from [`crate::translate`], who has them from [`crate::fleet`]. One task owns the [`Reconciler`], feeds it what happens
//! and carries out what it answers.
//!
//! Each rollout of the files has a [`Machine`]. What an input changes about one is written down before it is served
//! ([`Effect::Journal`], [`Effect::Save`], then [`Effect::Publish`]), so that a crash in between repeats a step and
//! never skips one.

mod asking;
mod evidence;
mod member;
mod message;
mod remembered;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::analysis::{Measurement, Run};
use crate::fleet::Standing;
use crate::rollout::{self, Answer, Call, Entry, Record, Status};
use crate::spec::{Rollout, Served, SpecSet, Webhook};
use crate::translate::World;
use member::Member;
use remembered::Rises;

pub use message::{Message, Reply};

/// For whoever passes messages on: the word that was probably meant.
pub use crate::spec::suggest;

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
    Measured(Arc<str>, usize, Result<f64, String>),
    /// [`Reconciler::next_deadline`] has come.
    Tick,
}

/// What is to be done, in order.
pub enum Effect {
    /// Write these down.
    Journal(Vec<Entry>),
    /// Keep this in place of what was kept of the rollout before.
    Save(Box<Record>),
    /// Serve this from now on, unless [`Reconciler::remembered`] has something to put in its place.
    Publish(Publication),
    /// Call this hook, for this decision.
    Call(Arc<str>, Arc<Webhook>, Box<Call>),
    /// Ask for this value, for this decision.
    Measure(Arc<str>, Measurement),
    /// Nobody wants to know any more what is asked for this decision.
    Withdraw(Arc<str>),
    /// Read so many of the newest entries of a rollout's journal, and answer with them.
    History(Arc<str>, usize, Reply<Option<Result<Vec<Entry>, String>>>),
    /// Tell somebody that what is above is done.
    Answer(Box<dyn FnOnce() + Send>),
}

/// A world to serve.
pub struct Publication {
    /// Counts them; [`Standing::world`] is about this one.
    pub number: u64,
    /// What to serve.
    pub world: Arc<World>,
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
    /// What is left of rollouts that no file names now.
    found: BTreeMap<Arc<str>, Found>,
    spec: Option<Arc<SpecSet>>,
    members: BTreeMap<Arc<str>, Member>,
    /// What each of `members` asks for.
    served: BTreeMap<Arc<str>, Served>,
    world: Arc<World>,
    /// Of `world`; 0 before the first is published.
    number: u64,
    /// What must not be served before it is remembered.
    rises: Rises,
    standing: Arc<Standing>,
    /// When which member is to be looked at.
    due: BTreeSet<(Duration, Arc<str>)>,
    /// Which member wants to know each decision that is asked for.
    asked: BTreeMap<Arc<str>, Arc<str>>,
    /// The measurements behind those decisions that are verdicts.
    runs: BTreeMap<Arc<str>, Run>,
}

impl Reconciler {
    /// Goes on after an earlier process. `epoch` is the wall time, since the Unix epoch, from which inputs count theirs.
    /// `past` is what was served, oldest first: proxies that come back may still have it, and what they have decides in
    /// which order they are sent what is new.
    #[must_use]
    pub fn after(epoch: Duration, past: &[SpecSet], found: BTreeMap<Arc<str>, Found>) -> Self {
        let served = |rollout: &Rollout| match found.get(&rollout.name) {
            Some(Found::Record(record, _)) => {
                Served { traffic: record.traffic().clone(), ahead: record.ahead().cloned() }
            }
            _ => Served::from(crate::spec::Traffic::of(rollout::split(rollout))),
        };
        let world = past.iter().fold(World::default(), |world, spec| {
            let served = rollouts(spec).into_values().map(|rollout| (Arc::clone(&rollout.name), served(rollout)));
            world.next(spec, &served.collect())
        });
        Self { epoch, found, world: Arc::new(world), ..Self::default() }
    }

    /// Takes one input at `now`, the time since the process started.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut turn = Turn::default();
        match input {
            Input::Spec(spec) => self.take_spec(now, &spec, &mut turn),
            Input::Standing(standing) => {
                self.standing = standing;
                let active = self.members.iter().filter(|(_, member)| !member.machine.is_at_rest());
                for name in active.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
                    self.look(now, &name, &mut turn);
                }
            }
            Input::Tick => {
                while let Some((_, name)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
                    self.due.pop_first();
                    self.look(now, &name, &mut turn);
                }
            }
            Input::Message(message) => self.take_message(now, message, &mut turn),
            Input::Answer(decision, answer) => self.take_answer(now, decision, answer, &mut turn),
            Input::Measured(decision, id, value) => self.take_measured(now, decision, id, value, &mut turn),
        }
        self.advance_runs(now, &mut turn);
        self.judge_groups(now, &mut turn);
        self.effects(turn)
    }

    /// When to send [`Input::Tick`] even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let runs = self.runs.values().filter_map(Run::next_deadline);
        self.due.first().map(|(due, _)| *due).into_iter().chain(runs).min()
    }

    fn take_spec(&mut self, now: Duration, spec: &Arc<SpecSet>, turn: &mut Turn) {
        if self.spec.as_ref() == Some(spec) {
            return;
        }
        self.spec = Some(Arc::clone(spec));
        let rollouts = rollouts(spec);
        let gone: Vec<_> = self.members.keys().filter(|name| !rollouts.contains_key(*name)).cloned().collect();
        for name in gone {
            let Some(member) = self.members.remove(&name) else { continue };
            self.served.remove(&name);
            self.due.remove(&(member.due, Arc::clone(&name)));
            for decision in member.asked {
                self.asked.remove(&decision);
                self.runs.remove(&decision);
                turn.after.push(Effect::Withdraw(decision));
            }
            self.found.insert(name, Found::Record(Box::new(member.machine.record()), None));
        }
        for (name, rollout) in rollouts {
            let entries = match self.members.get_mut(&name) {
                Some(member) if member.spec == *rollout => continue,
                Some(member) => member.edit(self.epoch + now, rollout),
                None => {
                    let found = self.found.remove(&name);
                    if let Some(Found::Record(record, _)) = &found {
                        let served = Served { traffic: record.traffic().clone(), ahead: record.ahead().cloned() };
                        self.served.insert(Arc::clone(&name), served);
                    }
                    let (machine, entries) = member::begin(self.epoch + now, rollout, found);
                    self.members.insert(Arc::clone(&name), Member::new(Arc::clone(rollout), machine, now));
                    entries
                }
            };
            self.settle(now, &name, entries, true, turn);
        }
        turn.publish = true;
    }

    /// Tells a rollout how the fleet stands on it, and lets it do what is due.
    fn look(&mut self, now: Duration, name: &Arc<str>, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(name) else { return };
        let evidence = (self.standing.world == self.number && !self.rises.holds(name))
            .then(|| evidence::of(&self.world, &self.standing, &member.spec, &member.machine, now));
        let (input, stale) = match evidence {
            Some((evidence, stale)) => (rollout::Input::Evidence(evidence), stale),
            None => (rollout::Input::Tick, None),
        };
        member.stale = stale;
        let entries = member.machine.handle(self.epoch + now, input);
        self.settle(now, name, entries, false, turn);
    }

    /// Hands the members of the groups in which anything moved what their group says, until none moves any more.
    fn judge_groups(&mut self, now: Duration, turn: &mut Turn) {
        while let Some(group) = turn.groups.pop_first() {
            let members = self.members.iter().filter(|(_, member)| member.spec.group.as_ref() == Some(&group));
            let places: Vec<_> = members.map(|(name, member)| (Arc::clone(name), member.machine.place())).collect();
            for (name, word) in rollout::group::judge(&group, &places) {
                let Some(member) = self.members.get_mut(&name) else { continue };
                let word = Some((member.machine.place(), word));
                if member.told == word {
                    continue;
                }
                member.told.clone_from(&word);
                let Some((_, word)) = word else { continue };
                let entries = member.machine.handle(self.epoch + now, word.into());
                self.settle(now, &name, entries, false, turn);
            }
        }
    }

    fn take_message(&mut self, now: Duration, message: Message, turn: &mut Turn) {
        match message {
            Message::List(reply) => {
                for name in self.members.keys().cloned().collect::<Vec<_>>() {
                    self.look(now, &name, turn);
                }
                let all = self.members.keys().filter_map(|name| self.status(now, name)).collect();
                turn.answer(reply, all);
            }
            Message::Get(name, reply) => {
                self.look(now, &name, turn);
                turn.answer(reply, self.status(now, &name));
            }
            Message::User(name, user, reply) => {
                turn.answer(reply, self.members.get(&name).map(|member| member.version_of(&user)));
            }
            Message::Command(name, command, reply) => {
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
        if self.rises.holds(name) {
            status.message = format!("held until --state can be written to, see the log; {}", status.message);
        }
        if let Some(progress) = self.progress_of(name) {
            status.message = format!("{}; {progress}", status.message);
        }
        Some(status)
    }

    /// Notes what a rollout's last input led to: `entries`, its new traffic, when it is due again, and its record if
    /// that must be `kept` or would be too old.
    fn settle(&mut self, now: Duration, name: &Arc<str>, entries: Vec<Entry>, kept: bool, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(name) else { return };
        let served = member.served();
        match self.served.get(name) {
            Some(before) if *before == served => {}
            before => {
                if let Some(before) = before {
                    self.rises.note(name, before, &served, member.machine.stable());
                }
                turn.publish = true;
                self.served.insert(Arc::clone(name), served);
            }
        }
        if kept || !entries.is_empty() || member.is_save_due(now) {
            member.saved = now;
            turn.records.push(member.machine.record());
        }
        turn.entries.extend(entries);
        turn.groups.extend(member.spec.group.clone());
        let asks = member.machine.asks();
        let due = member.next_due(now, self.epoch);
        if due != member.due {
            self.due.remove(&(member.due, Arc::clone(name)));
            member.due = due;
        }
        if due < Duration::MAX {
            self.due.insert((due, Arc::clone(name)));
        }
        self.ask(now, name, asks, turn);
    }

    fn effects(&mut self, turn: Turn) -> Vec<Effect> {
        let Turn { entries, records, publish, after, .. } = turn;
        let mut effects = Vec::new();
        if !entries.is_empty() {
            effects.push(Effect::Journal(entries));
        }
        effects.extend(records.into_iter().map(|record| Effect::Save(Box::new(record))));
        if publish {
            effects.extend(self.publish_all().map(Effect::Publish));
        }
        effects.extend(after);
        effects
    }

    /// All that is asked for.
    fn publish_all(&mut self) -> Option<Publication> {
        self.rises.publish();
        let served = std::mem::take(&mut self.served);
        let publication = self.spec.clone().map(|spec| self.publish(&spec, &served));
        self.served = served;
        publication
    }

    fn publish(&mut self, spec: &SpecSet, served: &BTreeMap<Arc<str>, Served>) -> Publication {
        self.world = Arc::new(self.world.next(spec, served));
        self.number += 1;
        Publication { number: self.number, world: Arc::clone(&self.world) }
    }
}

/// What one input has led to so far.
#[derive(Default)]
struct Turn {
    entries: Vec<Entry>,
    records: Vec<Record>,
    publish: bool,
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

/// By name. Of two rollouts with one name the first counts, as in [`World`].
fn rollouts(spec: &SpecSet) -> BTreeMap<Arc<str>, &Arc<Rollout>> {
    let mut rollouts = BTreeMap::new();
    for rollout in spec.files.values().flat_map(|file| &file.rollouts) {
        rollouts.entry(Arc::clone(&rollout.name)).or_insert(rollout);
    }
    rollouts
}
