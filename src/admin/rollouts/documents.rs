//! What the API says of rollouts. Times are RFC 3339 in UTC, `...Ms` are milliseconds, weights are percent.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::rollout::{ConvergenceStatus, Entry, Figures, Phase, SeenStatus, Standing, Status, StepStatus};

/// Seconds from the Unix epoch to the end of the year 9999, the last that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// `GET /api/v1/rollouts`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutList {
    /// By name.
    pub rollouts: Vec<RolloutReport>,
}

/// `GET /api/v1/rollouts/NAME`, and what a command answers: how a rollout stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutReport {
    /// When this was answered.
    pub at: String,
    /// Its name.
    pub name: String,
    /// `canary`, `blueGreen` or `weights`.
    pub strategy: String,
    /// Its phase.
    pub phase: Phase,
    /// When the phase began.
    pub since: String,
    /// What is awaited, or why it is as it is.
    pub message: String,
    /// The version to go back to; none with plain weights.
    pub stable: Option<String>,
    /// The version that is to be stable: the file's target, or what `undo` put in its place.
    pub target: Option<String>,
    /// Whether `undo` overrides the file's target.
    pub undone: bool,
    /// How often what is rolled out has changed.
    pub revision: u64,
    /// How many transitions there were; a command that names it as `seen` is refused after the next.
    pub sequence: u64,
    /// The step a canary is at.
    pub step: Option<StepReport>,
    /// The split asked of the fleet, in the order of the file.
    pub weights: Vec<WeightReport>,
    /// How the fleet stands on it, as far as it is known.
    pub convergence: Option<ConvergenceReport>,
    /// The split as proxies report it, since the asked one last changed; nothing before the first reports.
    #[serde(default)]
    pub seen: Option<SeenReport>,
    /// How far each analysis beside its steps is, in words, but for what the message says.
    #[serde(default)]
    pub analysis: Vec<String>,
}

/// The split as proxies have seen it, on those that had acknowledged the asked one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenReport {
    /// The version under way.
    pub version: String,
    /// Its share of the requests to it and to the stable version, in percent with two decimals.
    pub weight: f64,
    /// Requests that it got.
    pub requests: u64,
    /// Requests that both got.
    pub of: u64,
    /// That this cannot be chance, in words.
    pub warning: Option<String>,
}

/// The step a canary is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// Which, from 1; 0 before the first.
    pub index: usize,
    /// Of how many.
    pub of: usize,
    /// What it is.
    pub words: String,
}

/// The share of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightReport {
    /// Its name.
    pub version: String,
    /// Percent, with two decimals.
    pub weight: f64,
}

/// How much of the fleet has the traffic in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConvergenceReport {
    /// So many nodes have.
    pub converged: usize,
    /// So many should.
    pub nodes: usize,
    /// Who was last, or is waited for.
    pub slowest: Option<String>,
    /// From the change until it was done, or until now.
    pub waited_ms: u64,
}

/// `GET /api/v1/rollouts/NAME?user=ID`: exactly one of `version` and `reason` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserReport {
    /// The rollout.
    pub rollout: String,
    /// What `sessionAffinity` looks at.
    pub user: String,
    /// The version that this user gets.
    pub version: Option<String>,
    /// Why none can be told.
    pub reason: Option<String>,
}

/// `GET /api/v1/rollouts/NAME/history`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// When this was answered.
    pub at: String,
    /// The rollout.
    pub rollout: String,
    /// Oldest first.
    pub entries: Vec<EntryReport>,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryReport {
    /// When.
    pub at: String,
    /// Its how-manieth, from 1.
    pub sequence: u64,
    /// The revision it belongs to.
    pub revision: u64,
    /// How the rollout stood before.
    pub from: StandingReport,
    /// How it stood then.
    pub to: StandingReport,
    /// Who made it so: `file`, `engine`, or the actor of a command.
    pub actor: String,
    /// Why, in words.
    pub why: String,
    /// The fleet at that moment, about the traffic in force before.
    pub figures: Option<FiguresReport>,
}

/// How a rollout stood, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingReport {
    /// Its phase.
    pub phase: Phase,
    /// What it was at, in words.
    pub at: String,
    /// The split in force.
    pub weights: Vec<WeightReport>,
}

/// Counts of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FiguresReport {
    /// Nodes that had acknowledged.
    pub converged: usize,
    /// Nodes that should have.
    pub nodes: usize,
    /// How long the fleet had taken, or been waited for.
    pub waited_ms: u64,
}

impl RolloutReport {
    pub(super) fn new(at: String, status: Status) -> Self {
        Self {
            at,
            name: status.name.to_string(),
            strategy: status.strategy.to_owned(),
            phase: status.phase,
            since: instant(status.since),
            message: status.message,
            stable: status.stable.as_deref().map(str::to_owned),
            target: status.target.as_deref().map(str::to_owned),
            undone: status.undone,
            revision: status.revision,
            sequence: status.sequence,
            step: status.step.map(|StepStatus { index, of, words }| StepReport { index, of, words }),
            weights: weights(&status.weights.0),
            seen: status.seen.map(SeenReport::new),
            analysis: status.analysis,
            convergence: status.convergence.map(|ConvergenceStatus { converged, nodes, slowest, waited }| {
                ConvergenceReport { converged, nodes, slowest, waited_ms: millis(waited) }
            }),
        }
    }
}

impl SeenReport {
    #[expect(clippy::cast_precision_loss, reason = "requests of one step are fewer than 2^53")]
    fn new(SeenStatus { version, requests, of, warning }: SeenStatus) -> Self {
        let weight = (10_000.0 * requests as f64 / of as f64).round() / 100.0;
        Self { version: version.to_string(), weight, requests, of, warning }
    }
}

impl EntryReport {
    pub(super) fn new(entry: Entry) -> Self {
        Self {
            at: instant(entry.at),
            sequence: entry.sequence,
            revision: entry.revision,
            from: StandingReport::new(entry.from),
            to: StandingReport::new(entry.to),
            actor: entry.actor.to_string(),
            why: entry.why,
            figures: entry.figures.map(|Figures { converged, nodes, waited }| FiguresReport {
                converged,
                nodes,
                waited_ms: millis(waited),
            }),
        }
    }
}

impl StandingReport {
    fn new(standing: Standing) -> Self {
        Self { phase: standing.phase, at: standing.at, weights: weights(&standing.weights.0) }
    }
}

/// Hundredths of a percent to percent.
fn weights(split: &[(impl AsRef<str>, u32)]) -> Vec<WeightReport> {
    let report = |(version, weight): &(_, u32)| WeightReport {
        version: AsRef::<str>::as_ref(version).to_owned(),
        weight: f64::from(*weight) / 100.0,
    };
    split.iter().map(report).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time since the Unix epoch as RFC 3339 in UTC; what is later than can be written is the last that can.
fn instant(since_epoch: Duration) -> String {
    let at = SystemTime::UNIX_EPOCH + since_epoch.min(Duration::from_secs(LAST_SECOND));
    humantime::format_rfc3339_millis(at).to_string()
}
