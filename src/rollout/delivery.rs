//! How the fleet stands on the traffic in force: what counts as "the fleet has it", who is missing, who rejected it.
//!
//! A [`Delivery`] belongs to one generation of a rollout's traffic. Once done it stays done: a proxy that comes late or
//! goes away does not undo a step. What follows from lateness and rejection is for [`super::Machine`] to decide.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::millis;
use super::words::{names, span};
use crate::spec::Convergence;

/// How long canary nodes must have a change, stay connected and not reject it, before the others get it. What a proxy
/// dies of or rejects late shows within it: Envoy warms clusters and listeners for seconds after it acknowledged.
pub(super) const SETTLE: Duration = Duration::from_secs(10);

/// How many missing nodes and rejections are kept: enough to name in a message, few enough to write down each time.
pub(super) const NAMED: usize = 10;

/// How the fleet stands on the traffic of one generation. While [`super::Machine::ahead`] says that canary nodes are
/// ahead, the fleet is those nodes alone: the others have nothing new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The traffic it is about: [`super::Machine::generation`] when it was published.
    pub generation: u64,
    /// How many nodes should have it.
    pub nodes: usize,
    /// How many of them have acknowledged it; of canary nodes that are ahead only those that are connected count.
    pub converged: usize,
    /// The node that acknowledged last, or that everybody waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<String>,
    /// Nodes that have not acknowledged it; need not be all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Who rejected what, and why; need not be all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nacks: Vec<Nack>,
    /// All nodes that rejected it, by `node.id`; those of `nacks` count as named here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rejecting: BTreeSet<String>,
}

/// One proxy's rejection of what the traffic brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// `node.id`
    pub node: String,
    /// The type's short name, e.g. `RDS`.
    #[serde(rename = "type")]
    pub ty: String,
    /// The resources that may be to blame.
    pub resources: Vec<String>,
    /// The proxy's own words.
    pub error: String,
}

impl Nack {
    /// In one line.
    pub(super) fn words(&self) -> String {
        let Self { node, ty, resources, error } = self;
        let resources = names(resources, resources.len());
        let space = if resources.is_empty() { "" } else { " " };
        format!("{node} rejected {ty}{space}{resources}: {error}")
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// The fleet does not have it yet.
    #[default]
    Pending,
    /// Not in time; it is waited for all the same.
    Late,
    /// The way back from what was rejected was rejected too.
    Rejected,
    /// The fleet has it, or it was decided to go on without those who do not.
    Done,
}

/// The way of one generation of traffic to the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivery {
    pub(super) state: State,
    /// From the change of traffic until it was done.
    #[serde(with = "millis")]
    pub(super) waited: Duration,
    /// Since one more node had it, without time held by a person.
    #[serde(with = "millis")]
    pub(super) idle: Duration,
    /// Whether the progress deadline has passed over it.
    pub(super) stuck: bool,
    /// The last word of the fleet about this generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<Evidence>,
    /// Nodes whose rejection somebody has decided to live with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) pardoned: BTreeSet<String>,
    /// Whether pardoned nodes are not waited for either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) waived: bool,
    /// To the canary nodes, ahead of the others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ahead: bool,
    /// How long all canary nodes have had it.
    #[serde(default, with = "millis", skip_serializing_if = "Duration::is_zero")]
    pub(super) settled: Duration,
}

impl Delivery {
    /// Lets time pass. `held` says that a person stops the rollout, which is no lack of progress.
    pub(super) fn pass(&mut self, time: Duration, held: bool) {
        if self.settling() {
            self.settled += time;
            return;
        }
        if self.state != State::Done {
            self.waited += time;
        }
        if matches!(self.state, State::Pending | State::Late) && !held {
            self.idle += time;
        }
    }

    /// Takes the fleet's word, which must be about this generation.
    pub(super) fn learn(&mut self, mut evidence: Evidence) {
        evidence.missing.truncate(NAMED);
        evidence.rejecting.extend(evidence.nacks.iter().map(|nack| nack.node.clone()));
        evidence.nacks.sort_by_key(|nack| self.pardoned.contains(&nack.node));
        evidence.nacks.truncate(NAMED);
        let nodes = self.evidence.as_ref().map_or(0, |before| before.nodes);
        if evidence.nodes < nodes {
            self.settled = Duration::ZERO;
        }
        if evidence.converged > self.evidence.as_ref().map_or(0, |before| before.converged) {
            self.idle = Duration::ZERO;
        }
        self.evidence = Some(evidence);
        if !self.settling() {
            self.settled = Duration::ZERO;
        }
    }

    /// The same traffic serves another purpose: what was not done is waited for afresh. Who was pardoned for it stays so.
    pub(super) fn restart(&mut self) {
        if self.state != State::Done {
            let Self { evidence, pardoned, waived, ahead, .. } = std::mem::take(self);
            *self = Self { evidence, pardoned, waived, ahead, ..Self::default() };
        }
    }

    /// It is done, or is taken to be.
    pub(super) fn finish(&mut self) {
        self.state = State::Done;
        self.stuck = false;
    }

    /// Rejections known so far are no reason to stop any more.
    pub(super) fn forgive(&mut self) {
        let rejecting = self.evidence.iter().flat_map(|evidence| &evidence.rejecting);
        self.pardoned.extend(rejecting.cloned());
    }

    /// Whether any node rejects it, whoever has decided to live with that.
    pub(super) fn is_rejected(&self) -> bool {
        self.evidence.as_ref().is_some_and(|evidence| !evidence.rejecting.is_empty())
    }

    /// How many nodes there are, as far as it is known.
    pub(super) fn nodes(&self) -> usize {
        self.evidence.as_ref().map_or(0, |evidence| evidence.nodes)
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether all canary nodes have it, and there is one.
    pub(super) fn settling(&self) -> bool {
        self.ahead && self.counts().is_some_and(|(nodes, converged)| nodes > 0 && converged >= nodes)
    }

    /// How many are waited for, and how many of them have it.
    fn counts(&self) -> Option<(usize, usize)> {
        let Evidence { nodes, converged, rejecting, .. } = self.evidence.as_ref()?;
        let waived = if self.waived { rejecting.intersection(&self.pardoned).count() } else { 0 };
        Some((nodes.saturating_sub(waived), *converged))
    }

    /// Whether enough of the fleet has it. A fleet of nobody has everything, unless somebody is expected. What canary
    /// nodes have does not end the delivery.
    pub(super) fn reached(&self, convergence: &Convergence) -> bool {
        if self.ahead {
            return false;
        }
        let Some((nodes, converged)) = self.counts() else { return false };
        match convergence.expected_nodes {
            None => nodes == 0 || converged >= convergence.quorum.of(nodes),
            Some(expected) => {
                let expected = expected as usize;
                nodes >= expected && converged >= convergence.quorum.of(nodes)
            }
        }
    }

    /// A rejection that nobody has decided to live with, in words.
    pub(super) fn rejection(&self) -> Option<String> {
        let evidence = self.evidence.as_ref()?;
        let named = evidence.nacks.iter().find(|nack| !self.pardoned.contains(&nack.node)).map(Nack::words);
        named.or_else(|| {
            let node = evidence.rejecting.difference(&self.pardoned).next()?;
            Some(format!("{node} rejected it"))
        })
    }

    /// Who is waited for.
    pub(super) fn awaited(&self, convergence: &Convergence) -> String {
        let Some(Evidence { nodes, converged, missing, .. }) = &self.evidence else {
            return "on its way to the fleet".to_owned();
        };
        if self.ahead {
            return self.awaited_ahead(*nodes, *converged, missing);
        }
        if let Some(expected) = convergence.expected_nodes.filter(|expected| *nodes < *expected as usize) {
            return format!("waiting for proxies: {nodes} of {expected} expected are connected");
        }
        let behind = nodes.saturating_sub(*converged);
        if behind == 0 {
            return format!("{} nodes make the quorum, but only {nodes} are connected", convergence.quorum.of(*nodes));
        }
        let who = names(missing, behind);
        let colon = if who.is_empty() { "" } else { ": " };
        format!("waiting for {behind} of {nodes} nodes{colon}{who}")
    }

    fn awaited_ahead(&self, nodes: usize, converged: usize, missing: &[String]) -> String {
        if nodes == 0 {
            return "no canary node is connected".to_owned();
        }
        if self.settling() {
            let follow = match SETTLE.saturating_sub(self.settled) {
                Duration::ZERO => "the others follow".to_owned(),
                left => format!("the others follow in {}", span(left)),
            };
            return format!("{}, {follow}", self.outcome());
        }
        let behind = nodes.saturating_sub(converged);
        let who = names(missing, behind);
        let colon = if who.is_empty() { "" } else { ": " };
        format!("waiting for {behind} of {nodes} canary nodes{colon}{who}")
    }

    /// How it came to be done.
    pub(super) fn outcome(&self) -> String {
        match &self.evidence {
            None => "the fleet has it".to_owned(),
            Some(Evidence { nodes: 0, .. }) => "no proxies are connected that could have it".to_owned(),
            Some(Evidence { nodes, converged, slowest, .. }) => {
                let slowest = slowest.as_ref().map(|node| format!(", slowest {node}")).unwrap_or_default();
                let canary = if self.ahead { "canary " } else { "" };
                format!("{converged}/{nodes} {canary}nodes have it after {}{slowest}", span(self.waited))
            }
        }
    }
}
