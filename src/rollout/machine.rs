//! The state machine of one rollout. No clock and no I/O: time comes in with each input, traffic and journal go out.
//!
//! Every change goes through [`Machine::transition`], which works the traffic out anew, counts its generation and writes
//! the journal, so that no change goes unrecorded. Whoever drives it keeps the [`Record`] before serving the traffic,
//! and calls again at [`Machine::next_deadline`]. Edits of the file are in `edits`, commands in `commands`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::advance;
use super::ask::Answer;
use super::asked::Barrier;
use super::capacity::{self, Room};
use super::delivery::{Delivery, Evidence};
use super::gates::{self, Wait};
use super::journal::{Actor, Entry, Figures, Standing};
use super::record::{Record, RecordError, Stage};
use super::traffic;
use crate::spec::{Rollout, Strategy, Traffic};

/// What happens to a rollout. Commands come by [`Machine::command`], because they can be refused.
#[derive(Debug, Clone)]
pub enum Input {
    /// Its document, after each load.
    Spec(Arc<Rollout>),
    /// The deadline has come, or nothing but time has passed.
    Tick,
    /// How the fleet stands on the traffic; about an older generation it is ignored.
    Evidence(Evidence),
    /// The answer to one of [`Machine::asks`]; to anything else it is ignored.
    Answer {
        /// What was asked: [`super::Ask::decision`].
        decision: Arc<str>,
        /// What was answered.
        answer: Answer,
    },
    /// What its group says to the next advance: go (`None`), or whom it waits for. Of no concern without a group. It
    /// is forgotten with each stage: until the next word nothing goes on.
    Barrier(Option<String>),
    /// It is one of its group's members under way; what had failed there before, by member and number.
    Join(BTreeMap<Arc<str>, u64>),
    /// Its group has failed, in words: what is under way is aborted.
    Failed(String),
    /// What its versions can carry: all that is known of that now. See [`Machine::wants`].
    Room(Room),
}

/// One rollout.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) spec: Arc<Rollout>,
    pub(super) record: Record,
    /// Time of the last input.
    pub(super) now: Duration,
    /// How it stood before what is being handled now.
    standing: Standing,
    /// What has just stopped standing in the way.
    pub(super) opened: Option<String>,
    /// What is being handled has brought about so much.
    journal: Vec<Entry>,
}

impl Machine {
    /// A rollout that nothing is known of: the file's target is taken as stable, nothing moves.
    #[must_use]
    pub fn first_seen(now: Duration, spec: Arc<Rollout>) -> (Self, Vec<Entry>) {
        let now = whole_millis(now);
        let stable = wished(&spec);
        let (stage, why) = match &spec.strategy {
            Strategy::Weights(_) => (Stage::Weights, "seen for the first time: the file is the split".to_owned()),
            _ => (Stage::Stable, format!("seen for the first time: the file's target {stable} is taken as stable")),
        };
        let traffic = Traffic::of(traffic::whole(&spec, &stable));
        let mut record = Record::new(now, Arc::clone(&spec.name), stable, stage, traffic);
        record.target.clone_from(&spec.target);
        record.traffic = traffic::of(&spec, &record);
        Self::begun(now, record, spec, why)
    }

    /// The first transition of a new record.
    pub(super) fn begun(now: Duration, record: Record, spec: Arc<Rollout>, why: String) -> (Self, Vec<Entry>) {
        let mut machine = Self::new(now, record, spec);
        machine.standing.at = "not known".into();
        machine.transition(Actor::Engine, why, |_| {});
        let journal = std::mem::take(&mut machine.journal);
        (machine, journal)
    }

    /// Goes on from a record, under a document that may have changed since. Time since the record was made does not
    /// count as waited.
    pub fn restore(now: Duration, record: Record, spec: Arc<Rollout>) -> Result<(Self, Vec<Entry>), RecordError> {
        record.check()?;
        let mut machine = Self::new(whole_millis(now), record.with_evidence(None), Arc::clone(&spec));
        let journal = machine.handle(now, Input::Spec(spec));
        Ok((machine, journal))
    }

    fn new(now: Duration, record: Record, spec: Arc<Rollout>) -> Self {
        let standing = super::status::standing(&spec, &record, now);
        Self { spec, record, now, standing, opened: None, journal: Vec::new() }
    }

    /// All that must survive a restart, as of the last input.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// What is to be served.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.record.traffic
    }

    /// What canary nodes are to be served in place of [`Self::traffic`], while they are ahead of the others.
    #[must_use]
    pub fn ahead(&self) -> Option<&Traffic> {
        self.record.ahead.as_ref()
    }

    /// Counts changes of the traffic; evidence names the generation it is about.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.record.generation
    }

    /// The transition with which the way to the present version began: another number, another way, another judgement.
    #[must_use]
    pub fn way(&self) -> u64 {
        self.record.gates.begun
    }

    /// The version to go back to. With plain weights: the heaviest.
    #[must_use]
    pub fn stable(&self) -> &Arc<str> {
        &self.record.stable
    }

    /// Whether nothing is under way and nothing waited for: only an edit or a command moves it.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self.record.stage, Stage::Weights | Stage::Stable | Stage::Aborted { .. } | Stage::Stopped { .. })
            && self.record.delivery.is_done()
            && self.record.retreat.is_none()
    }

    /// Whether somebody has to decide before anything moves, because what was known of it is lost.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.record.stage, Stage::Stopped { .. })
    }

    /// Takes one input at `now`, the wall time since the Unix epoch, of which whole milliseconds count.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Entry> {
        self.begin(now);
        match input {
            Input::Spec(spec) => self.edit(spec),
            Input::Evidence(evidence) if evidence.generation == self.record.generation => {
                self.record.delivery.learn(evidence);
            }
            Input::Answer { decision, answer } => self.answer(&decision, answer),
            Input::Barrier(words) => self.record.gates.barrier = words.map_or(Barrier::Open, Barrier::Wait),
            Input::Join(past) => self.record.gates.past = Some(past),
            Input::Room(room) => self.record.room = room,
            Input::Failed(words) if self.record.rising().is_some() => self.abort(Actor::Engine, words),
            Input::Failed(_) | Input::Evidence(_) | Input::Tick => {}
        }
        self.finish()
    }

    /// Lets the time since the last input pass. A clock that went back adds nothing.
    pub(super) fn begin(&mut self, now: Duration) {
        let now = whole_millis(now);
        gates::pass(&self.spec, &mut self.record, self.now, now.saturating_sub(self.now));
        self.now = now;
        self.standing = super::status::standing(&self.spec, &self.record, now);
    }

    /// Does what is due, and hands out what was written down.
    pub(super) fn finish(&mut self) -> Vec<Entry> {
        self.watch();
        self.fall_back();
        while let Some((stage, why)) = self.next() {
            let opened = self.opened.take().map(|opened| format!(": {opened}")).unwrap_or_default();
            self.transition(Actor::Engine, format!("{why}{opened}"), |record| record.enter(stage));
        }
        let opened = self.opened.take();
        if let Some(wait) =
            self.wait().filter(|wait| wait.told().is_some_and(|told| Some(told) != self.record.gates.told))
        {
            let goal = advance::goal(&self.spec, &self.record, self.now).filter(|_| !wait.is_check());
            let why = opened.or(goal.map(|(_, why)| why)).unwrap_or_else(|| self.record.delivery.outcome());
            self.transition(Actor::Engine, why, |_| {});
        }
        self.raise();
        std::mem::take(&mut self.journal)
    }

    /// The one way in which anything changes.
    pub(super) fn transition(&mut self, actor: Actor, mut why: String, change: impl FnOnce(&mut Record)) {
        let record = &mut self.record;
        let before = record.clone();
        let figures = record.delivery.evidence.as_ref().map(|evidence| Figures {
            converged: evidence.converged,
            nodes: evidence.nodes,
            waited: record.delivery.waited,
        });
        change(record);
        if record.stage != before.stage {
            record.waited = Duration::ZERO;
            record.delivery.restart();
            let goes_on = before.rising().is_some() && record.rising() == before.rising();
            record.gates.enter(record.sequence + 1, self.now, goes_on);
            if before.rising().is_none() {
                // What was rejected before a rollout began is not its doing.
                record.delivery.forgive();
            }
        }
        if record.stage != before.stage || record.rising().is_none() {
            record.rejected = None;
        }
        if record.rejected.is_none() {
            record.retreat = capacity::retreat(&self.spec, record, &before.traffic);
        }
        (record.traffic, record.ahead) = traffic::served(&self.spec, record);
        if (&record.traffic, &record.ahead) != (&before.traffic, &before.ahead) {
            record.generation += 1;
            let waived = record.delivery.waived;
            record.delivery = Delivery { ahead: record.ahead.is_some(), ..Delivery::default() };
            // Who resumes tries again; who promotes goes on without those that rejected it.
            let pardons = before.rejected.is_none() || waived;
            if pardons && record.rejected.is_none() && record.asked() == before.asked() {
                record.delivery.pardoned.clone_from(before.pardoned());
                record.delivery.waived = waived;
            }
            if before.delivery.is_done() && !before.delivery.is_rejected() {
                record.good = Some(before.traffic.clone());
            }
        }
        if record.rising() != before.rising() {
            record.good = None;
        }
        record.sequence += 1;
        let wait = gates::wait(&self.spec, record, self.now);
        let told = wait.as_ref().and_then(Wait::told);
        if let Some(wait) = wait.filter(|_| told.is_some() && told != record.gates.told) {
            why = format!("{why}; waits for {}", wait.words());
        }
        record.gates.told = told;
        let mut to = super::status::standing(&self.spec, record, self.now);
        if to.phase != self.standing.phase {
            record.since = self.now;
        }
        std::mem::swap(&mut self.standing, &mut to);
        let mut entry = Entry {
            at: self.now,
            rollout: Arc::clone(&record.name),
            sequence: record.sequence,
            revision: record.revision,
            from: to,
            to: self.standing.clone(),
            stable: Arc::clone(&record.stable),
            target: record.target().cloned(),
            actor,
            why,
            figures,
        };
        let ended = before.rising().is_some() && record.rising().is_none();
        self.notify(&mut entry, ended);
        self.journal.push(entry);
    }

    /// All traffic back on the stable version, in one transition, or as much as it can carry.
    pub(super) fn abort(&mut self, actor: Actor, why: String) {
        self.put_back(actor, why, true);
    }

    /// The same; unless it is `paced`, whatever it can carry.
    pub(super) fn put_back(&mut self, actor: Actor, why: String, paced: bool) {
        self.transition(actor, format!("aborted: {why}"), |record| {
            record.hold = None;
            record.gates.paced = paced;
            let to = Arc::clone(record.heading());
            record.stage = if to == record.stable { Stage::Moving { to } } else { Stage::Aborted { to, why } };
        });
    }

    /// The stage that follows now, with the reason; `None` while something is waited for.
    pub(super) fn next(&self) -> Option<(Stage, String)> {
        let stopped = self.record.hold.is_some() || self.record.rejected.is_some();
        if stopped || self.wait().is_some() {
            return None;
        }
        advance::goal(&self.spec, &self.record, self.now)
    }

    /// What stands in the way.
    pub(super) fn wait(&self) -> Option<Wait<'_>> {
        gates::wait(&self.spec, &self.record, self.now)
    }
}

/// Records keep whole milliseconds, so no finer time may have an effect.
pub(super) fn whole_millis(time: Duration) -> Duration {
    Duration::new(time.as_secs(), time.subsec_millis() * 1_000_000)
}

/// The version that the file wants to carry the traffic, or most of it.
pub(super) fn wished(spec: &Rollout) -> Arc<str> {
    let target = match &spec.strategy {
        Strategy::Weights(split) => heaviest(split.0.iter().map(|(name, weight)| (name, *weight))),
        Strategy::Canary(_) | Strategy::BlueGreen(_) => spec.target.clone(),
    };
    let first = || spec.versions.first().map(|version| Arc::clone(&version.name));
    target.or_else(first).unwrap_or_default()
}

/// The version with the largest weight; of equals the first.
pub(super) fn heaviest<'a>(split: impl Iterator<Item = (&'a Arc<str>, u32)>) -> Option<Arc<str>> {
    let heavier = |best: (&'a Arc<str>, u32), next: (&'a Arc<str>, u32)| if next.1 > best.1 { next } else { best };
    split.reduce(heavier).map(|(name, _)| Arc::clone(name))
}
