//! A rollout, a fleet and a clock for the tests, and what they print of a whole rollout.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::spec::{
    Affinity, Backend, BlueGreen, Canary, Convergence, HeaderMatch, HeaderRoute, MirrorRoute, Origin, Rollout, Split,
    Step, Strategy, StringMatch, Version,
};

mod ahead;
mod background;
mod blue_green;
mod canary;
mod capacity;
mod commands;
mod convergence;
mod edits;
mod group;
mod hooks;
mod properties;
mod rejection;
mod simulation;
mod stopped;
mod windows;

/// Wall time at which the tests begin.
const START: Duration = Duration::from_secs(1_800_000_000);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn rollout(target: &str, strategy: Strategy) -> Rollout {
    let version = |name: &str| Version {
        name: name.into(),
        backend: Backend::Existing(format!("checkout-{name}").into()),
        cluster_name: format!("checkout-{name}").into(),
    };
    Rollout {
        name: "checkout".into(),
        nodes: Arc::default(),
        versions: ["red", "green", "blue"].map(version).into(),
        target: Some(target.into()),
        strategy,
        convergence: Convergence::default(),
        progress_deadline: secs(600),
        progress_deadline_abort: false,
        rollback_window: 0,
        webhooks: Vec::new(),
        promotion_windows: Vec::new(),
        group: None,
        capacity_gate: None,
        origin: Origin { file: "a.yaml".into(), line: 1, column: 1 },
    }
}

fn canary(steps: &[Step]) -> Strategy {
    Strategy::Canary(Canary { steps: steps.into(), analysis: None, affinity: None, scale_down_delay: secs(30) })
}

fn weights(blue: u32, green: u32) -> Strategy {
    Strategy::Weights(Split(vec![("red".into(), 0), ("green".into(), green), ("blue".into(), blue)]))
}

fn pause(time: u64) -> Step {
    Step::Pause(Some(secs(time)))
}

fn header(name: &str) -> Vec<HeaderMatch> {
    vec![HeaderMatch { header: name.into(), value: StringMatch::Exact("1".into()) }]
}

fn header_route(name: &str) -> Step {
    Step::SetHeaderRoute(HeaderRoute { name: name.into(), matches: header("x-canary") })
}

fn mirror(percentage: u32) -> Step {
    Step::SetMirrorRoute(MirrorRoute { name: "shadow".into(), percentage })
}

/// A machine at work, the clock it is given, and the transcript of all it wrote down.
struct Stage {
    machine: Machine,
    spec: Rollout,
    now: Duration,
    nodes: usize,
    entries: Vec<Entry>,
    transcript: String,
}

impl Stage {
    /// Blue is stable and served.
    fn new(strategy: Strategy) -> Self {
        Self::of(rollout("blue", strategy))
    }

    fn of(spec: Rollout) -> Self {
        let (machine, entries) = Machine::first_seen(START, Arc::new(spec.clone()));
        let mut stage = Self { machine, spec, now: START, nodes: 3, entries: Vec::new(), transcript: String::new() };
        stage.write(&entries);
        stage.converge();
        stage
    }

    fn write(&mut self, entries: &[Entry]) {
        self.entries.extend_from_slice(entries);
        for entry in entries {
            let at = entry.at.saturating_sub(START).as_secs();
            writeln!(self.transcript, "{at}s {}: {} -> {}", entry.actor, entry.why, entry.to).expect("text");
        }
    }

    fn input(&mut self, input: Input) -> Vec<Entry> {
        let entries = self.machine.handle(self.now, input);
        self.write(&entries);
        entries
    }

    /// Edits the file.
    fn edit(&mut self, edit: impl FnOnce(&mut Rollout)) -> Vec<Entry> {
        edit(&mut self.spec);
        self.input(Input::Spec(Arc::new(self.spec.clone())))
    }

    fn target(&mut self, target: &str) -> Vec<Entry> {
        self.edit(|spec| spec.target = Some(target.into()))
    }

    /// The fleet has what is served now, but for `missing`.
    fn evidence(&mut self, missing: &[&str]) -> Vec<Entry> {
        let evidence = Evidence {
            generation: self.machine.generation(),
            nodes: self.nodes,
            converged: self.nodes - missing.len(),
            slowest: missing.first().map(|node| (*node).to_owned()),
            missing: missing.iter().map(|node| (*node).to_owned()).collect(),
            ..Evidence::default()
        };
        self.input(Input::Evidence(evidence))
    }

    fn converge(&mut self) -> Vec<Entry> {
        self.evidence(&[])
    }

    /// One node rejects what is served now, two have it.
    fn nack(&mut self, node: &str) -> Vec<Entry> {
        self.nacks(&[(node, "RDS")], self.nodes - 1)
    }

    /// Nodes reject what is served now, by type; so many have it.
    fn nacks(&mut self, nacks: &[(&str, &str)], converged: usize) -> Vec<Entry> {
        let nack = |(node, ty): &(&str, &str)| Nack {
            node: (*node).to_owned(),
            ty: (*ty).to_owned(),
            resources: vec!["edge".to_owned()],
            error: "unknown cluster".to_owned(),
        };
        let evidence = Evidence {
            generation: self.machine.generation(),
            nodes: self.nodes,
            converged,
            missing: nacks.iter().map(|(node, _)| (*node).to_owned()).collect(),
            nacks: nacks.iter().map(nack).collect(),
            ..Evidence::default()
        };
        self.input(Input::Evidence(evidence))
    }

    fn wait(&mut self, time: u64) -> Vec<Entry> {
        self.now += secs(time);
        self.input(Input::Tick)
    }

    /// The versions can carry so many parts, and these words say why no more; the others carry everything.
    fn room(&mut self, limits: &[(&str, u32, &str)]) -> Vec<Entry> {
        let limit = |(version, most, why): &(&str, u32, &str)| {
            (Arc::from(*version), Limit { most: *most, why: (*why).to_owned() })
        };
        self.input(Input::Room(Room { limits: limits.iter().map(limit).collect() }))
    }

    fn command(&mut self, verb: Verb) -> Result<Vec<Entry>, Refusal> {
        let command = Command { verb, actor: "alice".into(), reason: None, seen: None };
        let entries = self.machine.command(self.now, command)?;
        self.write(&entries);
        Ok(entries)
    }

    fn order(&mut self, verb: Verb) -> Vec<Entry> {
        self.command(verb).expect("carried out")
    }

    fn refused(&mut self, verb: Verb) -> String {
        let before = self.machine.record();
        let refusal = self.command(verb).expect_err("refused");
        assert_eq!(self.machine.record(), before, "a refused command changes nothing");
        refusal.to_string()
    }

    /// Written down, and read again by another process.
    fn restart(&mut self) -> Vec<Entry> {
        let json = serde_json::to_string(&self.machine.record()).expect("json");
        let record: Record = serde_json::from_str(&json).expect("record");
        let (machine, entries) = Machine::restore(self.now, record, Arc::new(self.spec.clone())).expect("restored");
        self.machine = machine;
        self.write(&entries);
        entries
    }

    /// The same once more, to see what would become of it.
    fn fork(&self) -> Self {
        let (machine, spec) = (self.machine.clone(), self.spec.clone());
        Self { machine, spec, entries: Vec::new(), transcript: String::new(), ..*self }
    }

    fn status(&self) -> Status {
        let status = self.machine.status(self.now);
        let drawn = self.machine.gauges(self.now);
        let said = Gauges {
            name: Arc::clone(&status.name),
            phase: status.phase,
            since: status.since,
            step: status.step.as_ref().map(|step| (step.index, step.of)),
            weights: status.weights.clone(),
            convergence: status
                .convergence
                .as_ref()
                .filter(|_| !self.machine.is_at_rest())
                .map(|c| (c.converged, c.nodes)),
            seen: None,
        };
        assert_eq!(drawn, said, "what is drawn is what is said");
        status
    }

    fn message(&self) -> String {
        self.status().message
    }

    fn phase(&self) -> Phase {
        self.status().phase
    }

    fn weight(&self, version: &str) -> u32 {
        let split = &self.machine.traffic().split.0;
        split.iter().find(|(name, _)| **name == *version).expect("version").1
    }

    /// What was written down since it was asked for last.
    fn transcript(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }
}
