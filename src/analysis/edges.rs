//! Latencies in buckets: quantiles, sums, and the edges at which versions are compared.

use super::evidence::float;
use crate::telemetry::{Counts, Histogram};

/// In a sum of histograms: what Envoy's buckets and a ladder of a user's own have together, many times over.
const MAX_EDGES: usize = 256;

/// A quantile is known well enough for choosing an edge when so many requests of the stable version are expected to be
/// slower than it. The choice decides how soon a change is seen, never how often there is a false alarm.
const SLOWER: f64 = 5.0;

/// Requests that are enough for any quantile, and those that are too few for all.
const ENOUGH: f64 = 10_000.0;
const TOO_FEW: f64 = 50.0;

impl Histogram {
    /// The latency in milliseconds that a share `q` of the requests does not exceed; linear inside of a bucket, as
    /// `histogram_quantile` of Prometheus has it. What is slower than the last edge may be as slow as it likes: beyond
    /// it is infinite. `None` for `q` outside of 0 to 1, and without requests or edges.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if !(0.0..=1.0).contains(&q) || self.count == 0 {
            return None;
        }
        let rank = q * float(self.count);
        let mut below = (0.0, 0);
        for &(edge, count) in finite(self) {
            if float(count) >= rank {
                let (start, before) = below;
                if count <= before || edge <= 0.0 {
                    return Some(if edge <= 0.0 { edge } else { start });
                }
                let part = (rank - float(before)) / float(count - before);
                return Some(start + (edge - start) * part);
            }
            below = (edge, count);
        }
        finite(self).last().map(|_| f64::INFINITY)
    }
}

/// Requests, and as errors those slower than `edge`. `None` where there is no such edge: nothing between edges is known.
pub(super) fn slower(histogram: &Histogram, edge: f64) -> Option<Counts> {
    let (_, fast) = histogram.buckets.iter().find(|(own, _)| own.total_cmp(&edge).is_eq())?;
    Some(Counts { requests: histogram.count, errors: histogram.count.saturating_sub(*fast) })
}

/// Adds `more` to `sum`. Where they have the same edges, that is exact; where not, the sum has the edges of both, and
/// what one of them does not know at an edge is taken as linear inside of its bucket.
pub(super) fn add(sum: &mut Histogram, more: &Histogram) {
    if more.count == 0 || finite(more).next().is_none() {
        return;
    }
    if sum.buckets.is_empty() {
        *sum = Histogram { count: more.count, buckets: finite(more).copied().take(MAX_EDGES).collect() };
        return;
    }
    for (edge, _) in finite(more) {
        if let Err(index) = sum.buckets.binary_search_by(|(own, _)| own.total_cmp(edge))
            && sum.buckets.len() < MAX_EDGES
        {
            let count = at_most(sum, *edge);
            sum.buckets.insert(index, (*edge, count));
        }
    }
    for (edge, count) in &mut sum.buckets {
        *count = count.saturating_add(at_most(more, *edge));
    }
    sum.count = sum.count.saturating_add(more.count);
}

/// What has come to `sum` since it was `earlier`.
pub(super) fn since(sum: &Histogram, earlier: &Histogram) -> Histogram {
    let count = sum.count.saturating_sub(earlier.count);
    let mut least = 0;
    let buckets = sum.buckets.iter().map(|&(edge, all)| {
        least = all.saturating_sub(at_most(earlier, edge)).clamp(least, count.max(least));
        (edge, least)
    });
    Histogram { count, buckets: buckets.collect() }
}

/// How many were at most as slow as `edge`: exact at an edge, linear between two, and beyond the last those that are
/// known to be.
fn at_most(histogram: &Histogram, edge: f64) -> u64 {
    let mut below = (0.0, 0);
    for &(own, count) in finite(histogram) {
        if own >= edge {
            let (start, before) = below;
            let part = if own > edge { ((edge - start) / (own - start)).clamp(0.0, 1.0) } else { 1.0 };
            return before + rounded(float(count.saturating_sub(before)) * part);
        }
        below = (own, count);
    }
    below.1
}

/// The edges nearest to `quantiles` and to `slo` (milliseconds), rising; with each, whether it is that of the SLO. By
/// ratio, for latencies are told apart by ratios. `None` as long as too little is known.
pub(super) fn choose(stable: &Histogram, quantiles: &[f64], slo: Option<f64>) -> Option<Vec<(f64, bool)>> {
    let rarest = quantiles.iter().map(|q| SLOWER / (1.0 - q)).fold(TOO_FEW, f64::max).min(ENOUGH);
    if float(stable.count) < rarest {
        return None;
    }
    let nearest = |wanted: f64| {
        let edges = finite(stable).map(|(edge, _)| *edge).filter(|edge| *edge > 0.0);
        edges.min_by(|a, b| (a / wanted).ln().abs().total_cmp(&(b / wanted).ln().abs()))
    };
    let slo = slo.filter(|slo| *slo > 0.0).and_then(nearest);
    // Where all is faster than any clock, the quantile is zero: the first edge is the nearest. Of one beyond the last
    // edge that is the nearest.
    let wanted = quantiles.iter().filter_map(|q| stable.quantile(*q));
    let wanted = wanted.map(|value| value.clamp(f64::MIN_POSITIVE, f64::MAX));
    let mut edges: Vec<_> = wanted.filter_map(nearest).chain(slo).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let is_slo = |edge: f64| slo.is_some_and(|slo| slo.total_cmp(&edge).is_eq());
    (!edges.is_empty()).then(|| edges.into_iter().map(|edge| (edge, is_slo(edge))).collect())
}

/// Whether each edge that would be chosen now has one of `edges`, rising, no farther away than the next bucket: versions
/// are then compared where the stable version has its `quantiles`. True too where too little is known to choose.
pub(super) fn fit(edges: &[f64], stable: &Histogram, quantiles: &[f64]) -> bool {
    let ladder: Vec<f64> = finite(stable).map(|(edge, _)| *edge).collect();
    let near = |wanted: f64| {
        let index = ladder.partition_point(|edge| *edge < wanted);
        let next = ladder.get(index + 1).copied().unwrap_or(f64::INFINITY);
        let last = index.checked_sub(1).and_then(|index| ladder.get(index)).copied().unwrap_or(0.0);
        edges.iter().any(|edge| (last..=next).contains(edge))
    };
    choose(stable, quantiles, None).is_none_or(|wanted| wanted.into_iter().all(|(edge, _)| near(edge)))
}

fn finite(histogram: &Histogram) -> impl Iterator<Item = &(f64, u64)> {
    histogram.buckets.iter().filter(|(edge, _)| edge.is_finite())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and saturates")]
fn rounded(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests;
