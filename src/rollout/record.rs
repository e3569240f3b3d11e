//! What a rollout must not forget: its whole state, as one JSON value that the store keeps.
//!
//! The record is the state, not a copy of it: [`super::Machine`] works on it, so nothing can be missing from it. Time
//! waited is kept as time accumulated up to the last input, never as an instant to wait for: a process that was down, or
//! a clock that jumps, can lengthen a pause but not cut it short.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asked::Gates;
use super::capacity::Room;
use super::delivery::Delivery;
use super::journal::Actor;
use super::traffic;
use crate::spec::{Served, Split, TOTAL_WEIGHT, Traffic};

/// The layout written today. A record of another layout is not guessed at.
const SCHEMA: u32 = 1;

/// How many stable versions are remembered: what `undo` can go back to.
const MAX_HISTORY: usize = 50;

/// The whole state of one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    schema: u32,
    pub(super) name: Arc<str>,
    /// How many transitions there were.
    pub(super) sequence: u64,
    /// How often what is rolled out has changed, from 1.
    pub(super) revision: u64,
    /// The version to go back to. With plain weights: the heaviest.
    pub(super) stable: Arc<str>,
    /// The file's target when it was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Arc<str>>,
    /// Stands in for the target until the file's target changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undo: Option<Arc<str>>,
    pub(super) stage: Stage,
    /// Time in this stage and step; in a preview only from when the fleet has it.
    #[serde(with = "millis")]
    pub(super) waited: Duration,
    /// When the phase last changed.
    #[serde(with = "millis")]
    pub(super) since: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Hold>,
    /// Counts changes of `traffic` and `ahead`, from 1.
    pub(super) generation: u64,
    /// What was last served: to everybody, but for canary nodes while they are ahead.
    pub(super) traffic: Traffic,
    /// What canary nodes are served while they are ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ahead: Option<Traffic>,
    pub(super) delivery: Delivery,
    #[serde(default)]
    pub(super) gates: Gates,
    /// The last traffic that the fleet had of the rollout under way, before what it asks for now. `None`: all of it on
    /// the stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) good: Option<Traffic>,
    /// What a proxy rejected, until somebody decides. The traffic is back on `good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rejected: Option<Rejected>,
    /// What the versions can carry, as it was said last.
    #[serde(default, skip_serializing_if = "Room::is_empty")]
    pub(super) room: Room,
    /// The split in force while not all traffic fits on the version that all of it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retreat: Option<Split>,
    /// The versions that became stable, oldest first.
    pub(super) history: Vec<Past>,
    /// What verdicts rest on: kept for whoever gathers it, of no concern here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<serde_json::Value>,
}

/// Where a rollout is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Stage {
    /// The file is the split.
    Weights,
    /// All traffic on the stable version.
    Stable,
    /// On the way to another version, of which nothing has begun.
    Start { to: Arc<str> },
    /// A canary that has entered so many of its steps; the last of them is the one it is at.
    #[serde(rename_all = "camelCase")]
    Steps {
        to: Arc<str>,
        entered: usize,
        /// Somebody promoted past the pause it is at.
        passed: bool,
    },
    /// Blue-green before the switch.
    Preview {
        to: Arc<str>,
        /// Somebody promoted it.
        approved: bool,
    },
    /// All traffic on its way to one version, which is stable once the fleet has it; the way back too.
    Moving { to: Arc<str> },
    /// All traffic back on the stable version, though the file asks for another.
    Aborted { to: Arc<str>, why: String },
    /// How it came to the split in force is not known, so nothing moves until somebody decides.
    Stopped { to: Arc<str>, why: String },
}

/// Held because a proxy rejected what the rollout asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejected {
    /// What was asked for.
    pub(super) traffic: Traffic,
    /// Who rejected what, and why.
    pub(super) words: String,
    /// Nodes whose rejection is no reason to stop once somebody has decided to go on.
    pub(super) nodes: BTreeSet<String>,
}

/// Stopped by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    pub(super) by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A version that became stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) revision: u64,
    pub(super) version: Arc<str>,
}

/// Why a record cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by another release.
    #[error("record of layout {0}, this release reads layout {SCHEMA}")]
    Schema(u32),
    /// Its parts contradict each other.
    #[error("damaged record: {0}")]
    Damaged(&'static str),
}

impl Record {
    /// The same, with what verdicts rest on.
    #[must_use]
    pub fn with_evidence(self, evidence: Option<serde_json::Value>) -> Self {
        Self { evidence, ..self }
    }

    /// What was kept by [`Self::with_evidence`].
    #[must_use]
    pub fn evidence(&self) -> Option<&serde_json::Value> {
        self.evidence.as_ref()
    }

    /// Of a rollout that nothing is known of: `stable` is taken as stable.
    pub(super) fn new(now: Duration, name: Arc<str>, stable: Arc<str>, stage: Stage, traffic: Traffic) -> Self {
        Self {
            schema: SCHEMA,
            name,
            sequence: 0,
            revision: 1,
            history: vec![Past { revision: 1, version: Arc::clone(&stable) }],
            stable,
            target: None,
            undo: None,
            stage,
            waited: Duration::ZERO,
            since: now,
            hold: None,
            generation: 1,
            traffic,
            ahead: None,
            delivery: Delivery::default(),
            gates: Gates::default(),
            evidence: None,
            good: None,
            rejected: None,
            room: Room::default(),
            retreat: None,
        }
    }

    /// The rollout it belongs to.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was last served.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The same, with what canary nodes were served while they were ahead.
    #[must_use]
    pub fn served(&self) -> Served {
        Served { traffic: self.traffic.clone(), ahead: self.ahead.clone() }
    }

    /// Whether it can be gone on with.
    pub fn check(&self) -> Result<(), RecordError> {
        if self.schema != SCHEMA {
            return Err(RecordError::Schema(self.schema));
        }
        let total: u64 = self.traffic.split.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total != u64::from(TOTAL_WEIGHT) {
            return Err(RecordError::Damaged("weights do not add up to 100"));
        }
        if self.history.is_empty() || self.generation == 0 || self.revision == 0 {
            return Err(RecordError::Damaged("it has no beginning"));
        }
        Ok(())
    }

    /// Lets time pass. A preview counts from when the fleet has it; what is `over` does not count any more, nor what was
    /// rejected.
    pub(super) fn pass(&mut self, time: Duration, over: bool) {
        let counts = !matches!(self.stage, Stage::Preview { .. }) || self.delivery.is_done();
        if !over && counts && self.rejected.is_none() {
            self.waited += time;
        }
        self.delivery.pass(time, self.hold.is_some());
    }

    /// The version that carries the traffic when all goes well.
    pub(super) fn heading(&self) -> &Arc<str> {
        match &self.stage {
            Stage::Weights | Stage::Stable => &self.stable,
            Stage::Start { to }
            | Stage::Steps { to, .. }
            | Stage::Preview { to, .. }
            | Stage::Moving { to }
            | Stage::Aborted { to, .. }
            | Stage::Stopped { to, .. } => to,
        }
    }

    /// What is to be stable: the file's target, or what `undo` put in its place.
    pub(super) fn target(&self) -> Option<&Arc<str>> {
        self.undo.as_ref().or(self.target.as_ref()).filter(|_| self.stage != Stage::Weights)
    }

    /// The version under way to take the stable one's place.
    pub(super) fn rising(&self) -> Option<&Arc<str>> {
        match &self.stage {
            Stage::Start { to } | Stage::Steps { to, .. } | Stage::Preview { to, .. } => Some(to),
            Stage::Moving { to } if *to != self.stable => Some(to),
            Stage::Weights | Stage::Stable | Stage::Moving { .. } | Stage::Aborted { .. } | Stage::Stopped { .. } => {
                None
            }
        }
    }

    /// The version that all traffic goes to as far as it can carry it: back, or to one that was stable before.
    pub(super) fn receding(&self) -> Option<&Arc<str>> {
        match &self.stage {
            _ if !self.gates.paced => None,
            Stage::Start { .. } | Stage::Aborted { .. } => Some(&self.stable),
            Stage::Moving { to } => Some(to),
            Stage::Weights | Stage::Stable | Stage::Steps { .. } | Stage::Preview { .. } | Stage::Stopped { .. } => {
                None
            }
        }
    }

    /// What was last asked for, whether the fleet has it or not.
    pub(super) fn asked(&self) -> &Traffic {
        let rejected = self.rejected.as_ref().map(|rejected| &rejected.traffic);
        rejected.or(self.ahead.as_ref()).unwrap_or(&self.traffic)
    }

    /// Nodes whose rejection of what was asked for somebody has decided to live with.
    pub(super) fn pardoned(&self) -> &BTreeSet<String> {
        self.rejected.as_ref().map_or(&self.delivery.pardoned, |rejected| &rejected.nodes)
    }

    /// The share of a version in the split asked for, in parts of [`TOTAL_WEIGHT`].
    pub(super) fn weight(&self, version: &str) -> u32 {
        traffic::part(self.asked(), version)
    }

    /// What is under way to the fleet is there, or is taken to be. After the canary nodes the others follow.
    pub(super) fn go_on(&mut self) {
        match self.ahead.take() {
            Some(ahead) => self.traffic = ahead,
            None => self.delivery.finish(),
        }
    }

    /// Goes over to `stage`. The version that all traffic has moved to becomes the stable one.
    pub(super) fn enter(&mut self, stage: Stage) {
        if stage == Stage::Stable {
            self.stable = Arc::clone(self.heading());
            self.hold = None;
            if self.history.last().is_none_or(|last| last.version != self.stable) {
                self.history.push(Past { revision: self.revision, version: Arc::clone(&self.stable) });
                let excess = self.history.len().saturating_sub(MAX_HISTORY);
                self.history.drain(..excess);
            }
        }
        self.gates.paced = false;
        self.stage = stage;
    }
}

/// Times as whole milliseconds: exact, because the engine takes no smaller ones in.
pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::rollout) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(in crate::rollout) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
