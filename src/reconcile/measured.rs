//! What proxies measured of one rollout: the evidence of the way under way, and what its versions can carry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::analysis::{Book, Evidence, Names, Recent, Saved, State, Window, capacity, tests_of};
use crate::rollout::{Limit, Machine, Room, SeenStatus};
use crate::spec::{AnalysisTemplate, CapacityGate, Rollout, Step, Strategy, TOTAL_WEIGHT, Traffic};
use crate::telemetry::{Bases, Interval, Live};

/// Proxies that have not reported by then, after a start, do not.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// A report is news for so long, and every node has sent one by then.
const EARLY: Duration = Duration::from_secs(35);

/// Requests in flight are averaged over about so long: each gauge is of one moment. What is more now counts at once.
const SMOOTH: Duration = Duration::from_secs(30);

/// What proxies measured of one rollout.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// The way that the book is about: [`Machine::way`]; 0 before the first.
    way: u64,
    pub(super) book: Book,
    /// Latencies of the stable version while nothing moves.
    before: Recent,
    /// How many healthy endpoints the stable version had when it last carried everything.
    carried: Option<u64>,
    /// The generation of the traffic that every node has, and since when.
    settled: Option<(u64, Duration)>,
    /// When each node last said how many requests it sent.
    heard: BTreeMap<Arc<str>, Duration>,
    in_flight: Smooth,
    /// Runs that an earlier process had under way, by decision.
    pub(super) runs: BTreeMap<Arc<str>, Saved>,
    /// Whether there is more than was kept.
    pub(super) news: bool,
    /// What the machine was last told by this process.
    room: Option<Room>,
}

/// What is kept of it, beside the record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    way: u64,
    book: Book,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<u64>,
    /// How far the proxies' counters are in the book.
    bases: Bases,
    runs: BTreeMap<Arc<str>, Saved>,
}

impl Measured {
    /// Goes on from what an earlier process kept; with how far counters were counted. `None`
    /// if it cannot be read.
    pub(super) fn restore(kept: &Value) -> Option<(Self, Bases)> {
        let Kept { way, book, carried, bases, runs } = Kept::deserialize(kept).ok()?;
        Some((Self { way, book, carried, runs, ..Self::default() }, bases))
    }

    /// Whether the book is that of the way under way.
    pub(super) fn is_about(&self, machine: &Machine) -> bool {
        self.way == machine.way()
    }

    /// All that must outlive the process, with the runs under way.
    pub(super) fn kept(&mut self, bases: Bases, mut runs: BTreeMap<Arc<str>, Saved>) -> Option<Value> {
        self.news = false;
        let Self { way, book, carried, .. } = self;
        // Those that nobody has asked for again yet are not over.
        for (decision, saved) in &self.runs {
            runs.entry(Arc::clone(decision)).or_insert_with(|| saved.clone());
        }
        let kept = Kept { way: *way, book: book.clone(), carried: *carried, bases, runs };
        serde_json::to_value(kept).ok()
    }

    /// Whether a way is under way, or was last.
    pub(super) fn has_evidence(&self) -> bool {
        self.way != 0
    }

    /// Opens a new book if another way has begun, and takes up the tests of `templates`. To be called of a machine that
    /// rises.
    pub(super) fn follow(&mut self, machine: &Machine, templates: &[Arc<AnalysisTemplate>]) {
        if self.way != machine.way() {
            self.way = machine.way();
            self.book = Book::default();
            self.book.prime(&self.before.all());
            self.heard.clear();
            self.runs.clear();
        }
        self.book.adopt(tests_of(templates));
    }

    /// Takes what a node measured, at a time since the start of the process and with the wall time of that. Whether it is
    /// evidence of the way under way.
    pub(super) fn take(
        &mut self,
        (now, epoch): (Duration, Duration),
        interval: &Interval,
        rollout: &Rollout,
        machine: &Machine,
    ) -> bool {
        let sample = |name: &str| interval.clusters.get(cluster(rollout, name)?);
        let stable = sample(machine.stable());
        let Some(to) = machine.rising() else {
            if let Some(latency) = stable.and_then(|sample| sample.latency.as_ref()) {
                self.before.take(now, latency);
            }
            return false;
        };
        let canary = sample(to);
        if canary.is_none() && stable.is_none() {
            return false;
        }
        let counted = [canary, stable].into_iter().flatten().any(|sample| sample.attempts.is_some());
        let since = self.heard.get(&interval.node).copied();
        if counted {
            self.heard.insert(Arc::clone(&interval.node), now);
        }
        let settled = self.settled.filter(|(generation, _)| *generation == machine.generation());
        let had = settled.is_some_and(|(_, at)| since.is_some_and(|since| since > at));
        let asked = had.then(|| asked(machine, to)).flatten();
        self.book.take(epoch + now, &interval.node, canary, stable, asked);
        self.news = true;
        true
    }

    /// Is told whether every node has the traffic in force.
    pub(super) fn settle(&mut self, now: Duration, generation: u64, converged: bool) {
        let same = self.settled.is_some_and(|(settled, _)| settled == generation);
        match (converged, same) {
            (false, _) => self.settled = None,
            (true, false) => self.settled = Some((generation, now)),
            (true, true) => {}
        }
    }

    /// What the versions can carry, if that is not what the machine was last told. `live` says how a cluster stands.
    pub(super) fn room(
        &mut self,
        now: Duration,
        rollout: &Rollout,
        machine: &Machine,
        live: impl Fn(&str) -> Live,
    ) -> Option<Room> {
        let lives: Vec<_> =
            rollout.versions.iter().map(|version| (&version.name, live(&version.cluster_name))).collect();
        let in_flight: u64 = lives.iter().map(|(_, live)| live.in_flight).fold(0, u64::saturating_add);
        let reported = lives.iter().any(|(_, live)| live.nodes > 0);
        let load = if reported { self.in_flight.take(now, in_flight) } else { 0.0 };
        let stable = machine.stable();
        let resting = machine.rising().is_none() && share(machine.traffic(), stable) == TOTAL_WEIGHT;
        if let Some((_, live)) = lives.iter().find(|(name, _)| *name == stable && resting) {
            self.carried = live.healthy.or(self.carried);
        }
        let quorum = rollout.convergence.quorum;
        let wanted: BTreeMap<_, _> = machine.wants().into_iter().collect();
        let limits = lives.into_iter().filter_map(|(name, live)| {
            // Nodes beyond the quorum are not waited for. What goes back is held by nothing but all of them.
            let needed = if name == stable { 1 } else { quorum.of(live.nodes) };
            let limit =
                if live.without > live.nodes.saturating_sub(needed) {
                    Some(Limit { most: 0, why: without(&live) })
                } else {
                    let proven = name == stable && self.carried.is_some_and(|carried| live.healthy >= Some(carried));
                    let unknown = name == stable && live.healthy.is_none();
                    rollout.capacity_gate.as_ref().filter(|_| !proven && !unknown).and_then(|gate| {
                        limit(gate, load, live.healthy, wanted.get(name).copied().unwrap_or(TOTAL_WEIGHT))
                    })
                };
            Some((Arc::clone(name), limit?))
        });
        let room = Room { limits: limits.collect() };
        // After a restart what was known before holds until there is something new.
        // Nodes report one by one: until all have had time to, less than all of the load is known.
        let unknown = self.room.is_none() && machine.knows_room() && (now < EARLY || (!reported && now < SILENCE));
        (!unknown && self.room.as_ref() != Some(&room)).then(|| self.room.insert(room).clone())
    }

    /// The split as it was seen, while something is under way.
    pub(super) fn seen(&self, machine: &Machine) -> Option<SeenStatus> {
        let version = Arc::clone(machine.rising().filter(|_| self.is_about(machine))?);
        let split = self.book.split();
        let (requests, of) = split.counts();
        (of > 0).then(|| SeenStatus { version, requests, of, warning: split.warning() })
    }
}

/// The names of all templates that a rollout is judged by.
pub(super) fn templates(rollout: &Rollout) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = match &rollout.strategy {
        Strategy::Canary(canary) => {
            let inline = canary.steps.iter().filter_map(|step| match step {
                Step::Analysis(templates) => Some(templates),
                _ => None,
            });
            inline.chain(canary.analysis.as_ref().map(|analysis| &analysis.templates)).flatten().cloned().collect()
        }
        Strategy::BlueGreen(options) => {
            options.pre_promotion_analysis.iter().chain(&options.post_promotion_analysis).cloned().collect()
        }
        Strategy::Weights(_) => Vec::new(),
    };
    names.sort();
    names.dedup();
    names
}

fn cluster<'a>(rollout: &'a Rollout, version: &str) -> Option<&'a str> {
    rollout.versions.iter().find(|known| *known.name == *version).map(|version| &*version.cluster_name)
}

fn share(traffic: &Traffic, version: &str) -> u32 {
    traffic.split.0.iter().find(|(name, _)| **name == *version).map_or(0, |(_, weight)| *weight)
}

/// The share of the requests to both versions that `to` is to get, from 0 to 1. `None` where other things than weights
/// lead to it: routes by header, mirrors, canary nodes that are ahead.
fn asked(machine: &Machine, to: &str) -> Option<f64> {
    let traffic = machine.traffic();
    if machine.ahead().is_some() || !traffic.header_routes.is_empty() || !traffic.mirrors.is_empty() {
        return None;
    }
    let (to, stable) = (f64::from(share(traffic, to)), f64::from(share(traffic, machine.stable())));
    (to + stable > 0.0).then(|| to / (to + stable))
}

fn without(Live { without, nodes, some_without, .. }: &Live) -> String {
    let named = some_without.join(", ");
    let more = without.saturating_sub(some_without.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("no healthy endpoint on {without} of {nodes} nodes ({named}{more})")
}

/// `None` where all of it can be carried.
fn limit(gate: &CapacityGate, load: f64, healthy: Option<u64>, wanted: u32) -> Option<Limit> {
    let Some(healthy) = healthy else {
        let why = "no proxy reports how many of its endpoints are healthy: serin bootstrap switches telemetry on";
        return Some(Limit { most: 0, why: why.to_owned() });
    };
    let most = capacity::most(gate, load, healthy);
    let share = f64::from(wanted.max(most + 1).min(TOTAL_WEIGHT)) / f64::from(TOTAL_WEIGHT);
    (most < TOTAL_WEIGHT).then(|| Limit { most, why: capacity::check(gate, load, share, healthy).to_string() })
}

/// An average that forgets.
#[derive(Debug, Default)]
struct Smooth(Option<(Duration, f64)>);

impl Smooth {
    #[expect(clippy::cast_precision_loss, reason = "requests in flight are far fewer than 2^53")]
    fn take(&mut self, now: Duration, value: u64) -> f64 {
        let value = value as f64;
        let average = match self.0 {
            None => value,
            Some((at, before)) => {
                let kept = (-now.saturating_sub(at).as_secs_f64() / SMOOTH.as_secs_f64()).exp();
                value + (before - value) * kept
            }
        };
        self.0 = Some((now, average));
        average.max(value)
    }
}

/// What a run is told.
pub(super) struct Facts<'a> {
    pub(super) book: &'a Book,
    pub(super) names: Names<'a>,
    /// The book counts wall time.
    pub(super) epoch: Duration,
    pub(super) reported: bool,
}

impl Evidence for Facts<'_> {
    fn state(&self, key: &str) -> State {
        self.book.verdict(key).unwrap_or(State::Open)
    }

    fn ln_evidence(&self, key: &str) -> Option<f64> {
        self.book.ln_evidence(key)
    }

    fn words(&self, key: &str) -> String {
        self.book.words(key, self.names)
    }

    fn forecast(&self, key: &str, now: Duration) -> Option<String> {
        self.book.forecast(key, self.epoch + now, self.names)
    }

    fn window(&self) -> Window {
        let totals = self.book.totals();
        let (canary, stable) = (totals.canary(), totals.stable());
        Window { canary: canary.counts, stable: stable.counts, latency: canary.latency.clone() }
    }

    fn is_reported(&self) -> bool {
        self.reported
    }
}
