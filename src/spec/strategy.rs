//! How traffic moves between versions: the vocabulary of rollouts, as valid values.
//!
//! Words and meanings are those of Argo Rollouts where it has them. Weights are parts of [`TOTAL_WEIGHT`], so 25 is
//! 0.25 %. Sugar (`stepWeight`, `stepWeights`) is expanded to steps when the file is read.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NodeSelector;

/// Weights of one split add up to this: two decimals of a percent.
pub const TOTAL_WEIGHT: u32 = 10_000;

/// How long an old version's cluster stays after promotion where the file does not say: as long as Argo Rollouts waits
/// before it takes the old pods away.
const SCALE_DOWN_DELAY: Duration = Duration::from_secs(30);

/// How traffic is split: parts of [`TOTAL_WEIGHT`] per version, one entry for each version in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split(pub Vec<(Arc<str>, u32)>);

/// How traffic moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The file is the split; no engine.
    Weights(Split),
    /// A little traffic first, more as it proves good.
    Canary(Canary),
    /// All traffic at once, and back at once.
    BlueGreen(BlueGreen),
}

/// `strategy.canary`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// In order; after the last the new version is stable. Without any, it takes all traffic at once.
    pub steps: Vec<Step>,
    /// Judged all the way, beside the steps.
    pub analysis: Option<BackgroundAnalysis>,
    /// Users keep their version while the weight rises.
    pub affinity: Option<Affinity>,
    /// How long the old version's cluster stays after promotion.
    pub scale_down_delay: Duration,
}

impl Default for Canary {
    fn default() -> Self {
        Self { steps: Vec::new(), analysis: None, affinity: None, scale_down_delay: SCALE_DOWN_DELAY }
    }
}

/// One step of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Parts of [`TOTAL_WEIGHT`] for the new version; done when the fleet has it.
    SetWeight(u32),
    /// Waits for so long from the end of the step before, or until promoted (`None`).
    Pause(Option<Duration>),
    /// Requests that match go to the new version; without matches the route of that name is taken away.
    SetHeaderRoute(HeaderRoute),
    /// A copy of requests goes to the new version; a percentage of 0 takes the mirror of that name away.
    SetMirrorRoute(MirrorRoute),
    /// Waits for the verdict on the metrics of these templates.
    Analysis(Vec<Arc<str>>),
}

/// Requests that go to one version whatever the weights say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeaderRoute {
    /// Names it for later steps.
    pub name: Arc<str>,
    /// All must match.
    pub matches: Vec<HeaderMatch>,
}

/// One condition on a request header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// Header name, lower case.
    pub header: Arc<str>,
    /// What its value must be.
    pub value: StringMatch,
}

/// A condition on text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StringMatch {
    /// The whole text.
    Exact(String),
    /// How it begins.
    Prefix(String),
    /// An RE2 expression over the whole text.
    Regex(String),
}

/// A copy of requests for one version; answers are thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorRoute {
    /// Names it for later steps.
    pub name: Arc<str>,
    /// Whole percent of requests, 0 to 100.
    pub percentage: u32,
}

/// `sessionAffinity`: what tells users apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Affinity {
    /// A request header, e.g. a user id.
    Header(Arc<str>),
    /// A cookie that the application or an earlier hop sets.
    Cookie(Arc<str>),
}

/// `strategy.blueGreen`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlueGreen {
    /// Who sees the new colour before the switch.
    pub preview: Vec<HeaderMatch>,
    /// Whether the switch comes by itself (default) or waits for `promote`.
    pub auto_promotion_enabled: bool,
    /// How long to wait, once the fleet has the preview, before the switch comes by itself.
    pub auto_promotion: Option<Duration>,
    /// Not before this instant: time since the Unix epoch.
    pub switch_at: Option<Duration>,
    /// Templates whose metrics must pass before the switch.
    pub pre_promotion_analysis: Vec<Arc<str>>,
    /// Templates whose metrics must pass after the switch, or it is taken back.
    pub post_promotion_analysis: Vec<Arc<str>>,
    /// How long the old colour stays warm after the switch.
    pub scale_down_delay: Duration,
}

impl Default for BlueGreen {
    fn default() -> Self {
        Self {
            preview: Vec::new(),
            auto_promotion_enabled: true,
            auto_promotion: None,
            switch_at: None,
            pre_promotion_analysis: Vec::new(),
            post_promotion_analysis: Vec::new(),
            scale_down_delay: SCALE_DOWN_DELAY,
        }
    }
}

/// `convergence`: when a step counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convergence {
    /// How many of the nodes must have acknowledged.
    pub quorum: Quorum,
    /// How long a step may take to get there.
    pub timeout: Duration,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// What happens when a proxy rejects what a step brings.
    pub on_nack: OnNack,
    /// A node without a stream for so long is left out of the count.
    pub stale_after: Duration,
    /// How many nodes there must be at least.
    pub expected_nodes: Option<u32>,
    /// They get each change first.
    pub canary_nodes: Option<Arc<NodeSelector>>,
}

/// A share of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// Percent, 1 to 100, rounded up to whole nodes.
    Percent(u32),
    /// So many nodes.
    Nodes(u32),
}

/// What happens when a step does not converge in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// Hold, say who is missing, go on by itself when they follow.
    Pause,
    /// Put all traffic back.
    Abort,
    /// Go on without them.
    Continue,
}

/// What happens when a proxy rejects what a step brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNack {
    /// Put all traffic back.
    Abort,
    /// Hold until somebody decides.
    Pause,
}

/// `capacityGate`: a version gets no more than its endpoints can carry.
///
/// In flight after the change, times `peak_factor`, is the offered load in erlangs; healthy endpoints times
/// `concurrency_per_endpoint` are the slots. The gate is open while the probability that a request has to wait
/// (Erlang C) and the utilisation are within their limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityGate {
    /// Requests that one endpoint handles at a time at full speed; at least 1.
    pub concurrency_per_endpoint: u32,
    /// Above 0, up to 1.
    pub max_wait_probability: f64,
    /// Above 0, up to 1.
    pub max_utilization: f64,
    /// How much more than now the peak is; at least 1.
    pub peak_factor: f64,
}

/// `canary.analysis`: judged all the way, beside the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundAnalysis {
    /// Names of templates, one or more.
    pub templates: Vec<Arc<str>>,
    /// It begins with this step: from 1 to the number of steps.
    pub starting_step: usize,
}

impl Default for Convergence {
    fn default() -> Self {
        Self {
            quorum: Quorum::Percent(100),
            timeout: Duration::from_secs(30),
            on_timeout: OnTimeout::Pause,
            on_nack: OnNack::Abort,
            stale_after: Duration::from_secs(60),
            expected_nodes: None,
            canary_nodes: None,
        }
    }
}

impl Quorum {
    /// How many of `nodes` are enough.
    #[must_use]
    pub fn of(self, nodes: usize) -> usize {
        match self {
            Self::Percent(percent) => (nodes * percent as usize).div_ceil(100),
            Self::Nodes(count) => count as usize,
        }
    }
}

/// What a rollout puts on the wire at one time: everything that translation needs beside the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The split, one entry for each version in the order of the file, so that sticky users keep their place.
    pub split: Split,
    /// In the order in which steps made them, each with the version it leads to. They come before the user's route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_routes: Vec<(HeaderRoute, Arc<str>)>,
    /// In the order in which steps made them, each with the version that gets the copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<(MirrorRoute, Arc<str>)>,
    /// How users are told apart, while a canary with affinity is under way or done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

/// What is served of a rollout at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// What everybody gets.
    pub traffic: Traffic,
    /// What `canaryNodes` get in its place, while they are ahead of the others.
    pub ahead: Option<Traffic>,
}

impl From<Traffic> for Served {
    fn from(traffic: Traffic) -> Self {
        Self { traffic, ahead: None }
    }
}

impl Traffic {
    /// Nothing but a split.
    #[must_use]
    pub fn of(split: Split) -> Self {
        Self { split, header_routes: Vec::new(), mirrors: Vec::new(), affinity: None }
    }
}
