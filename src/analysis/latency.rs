//! The latency test: that of errors, with "slower than an edge" for an error, at some edges of the buckets.
//!
//! Edges are chosen from latencies of the stable version that are no evidence: what was measured before the test
//! began, or where that is too little, its first intervals, which then do not count. What is tested at an edge has no
//! say in it, for an edge that is picked by the data it is tested with would find what is not there.
//!
//! What was before may be far from what is: a stable version that had just started, or another hour. At edges that
//! nearly all requests stay below, or none, a version that is slower looks like any other and would pass. So before it
//! passes, edges must be where the stable version has its quantiles during the test; else they are chosen anew, from
//! what is known by then, and what comes after is tested at them. Evidence that it is slower goes on: that of the
//! edges before times that of the new ones, for who may choose each bet by what was before cannot win by it (Ville 1939).
//! Evidence for passing starts again, for each set of edges makes a claim of its own.
//!
//! The evidence of all edges is their plain average, which holds however they depend on each other (Vovk and Wang 2021).
//! To pass, every edge must pass: a version that is too slow is so at one edge at least, and passes that edge with
//! probability β at most, so it passes all with β at most; nothing need be divided among the edges.
//!
//! Nodes may have different buckets. What a node measures without having an edge says nothing of that edge and is left
//! out there, never guessed between edges; how much that is, and of whom, is kept and said.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::edges;
use super::evidence::{Evidence, Question, ln_mean};
use super::trial::Claim;
use crate::telemetry::{Counts, Histogram};

/// Nodes without an edge that are named.
const MAX_NAMED: usize = 3;

/// Evidence at all edges.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slower {
    /// Rising. None until enough is known of the stable version to choose them.
    pub(super) edges: Vec<Edge>,
    /// ln E of the edges before these.
    #[serde(default)]
    earlier: f64,
    /// Some nodes that lack an edge.
    pub(super) lacking: BTreeSet<Arc<str>>,
    /// Requests of the canary that are left out at an edge, for the lack of it.
    pub(super) left_out: u64,
}

/// Evidence at one edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Edge {
    /// In milliseconds.
    pub(super) at: f64,
    /// Whether it is that of the SLO.
    pub(super) slo: bool,
    pub(super) evidence: Evidence,
}

impl Slower {
    /// Chooses the edges, if that is still to be done and enough is known. `slo` in milliseconds.
    pub(super) fn choose(&mut self, stable: &Histogram, quantiles: &[f64], slo: Option<f64>) {
        if self.edges.is_empty() {
            self.place(stable, quantiles, slo);
        }
    }

    /// Chooses the edges anew, if they are not where `stable` has its quantiles.
    pub(super) fn refit(&mut self, stable: &Histogram, quantiles: &[f64], slo: Option<f64>) {
        let edges: Vec<_> = self.edges.iter().map(|edge| edge.at).collect();
        if !edges::fit(&edges, stable, quantiles) {
            self.earlier = self.ln_worse();
            self.place(stable, quantiles, slo);
        }
    }

    fn place(&mut self, stable: &Histogram, quantiles: &[f64], slo: Option<f64>) {
        let edges = edges::choose(stable, quantiles, slo).unwrap_or_default();
        let edge = |(at, slo)| Edge { at, slo, evidence: Evidence::default() };
        self.edges = edges.into_iter().map(edge).collect();
    }

    /// Takes one stratum.
    pub(super) fn take(
        &mut self,
        question: Question,
        node: &str,
        canary: Option<&Histogram>,
        stable: Option<&Histogram>,
    ) {
        let Some(canary) = canary.filter(|canary| canary.count > 0) else { return };
        let mut lacks = false;
        for edge in &mut self.edges {
            let at = |histogram: &Histogram| edges::slower(histogram, edge.at);
            let (mine, theirs) = (at(canary), stable.and_then(at));
            lacks |= mine.is_none() || (theirs.is_none() && stable.is_some_and(|stable| stable.count > 0));
            edge.evidence.take(question, mine, theirs);
        }
        if lacks {
            self.left_out = self.left_out.saturating_add(canary.count);
            if self.lacking.len() < MAX_NAMED && !self.lacking.contains(node) {
                self.lacking.insert(node.into());
            }
        }
    }

    /// ln E against "no slower than allowed at any edge".
    pub(super) fn ln_worse(&self) -> f64 {
        if self.edges.is_empty() {
            return self.earlier;
        }
        let all: Vec<_> = self.edges.iter().map(|edge| edge.evidence.ln_worse()).collect();
        self.earlier + ln_mean(&all)
    }

    /// What must hold at `edge` for the canary to pass. By its own rate it passes when the share of slower requests is
    /// below `most` at the SLO, if given; else below that beyond the highest quantile: this quantile of the canary is
    /// then surely below the edge. Without that, an edge that no request reaches could never pass.
    pub(super) fn claim<'a>(edge: &'a Edge, quantiles: &[f64], most: Option<f64>) -> Claim<'a> {
        let highest = quantiles.iter().copied().fold(0.0, f64::max);
        let ceiling = most.filter(|_| edge.slo).unwrap_or(1.0 - highest);
        Claim { evidence: &edge.evidence, edge: Some(edge.at), ceiling: Some(ceiling) }
    }

    /// What the canary had beyond the SLO, if that is an edge.
    pub(super) fn beyond_slo(&self) -> Option<Counts> {
        self.edges.iter().find(|edge| edge.slo).map(|edge| edge.evidence.alone)
    }
}
