//! What must outlive the process for nothing to be counted twice, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Counts;
use super::meter::Meter;
use super::node::{Flushed, Loads};

/// How far the counters of all proxies are counted, of some clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bases(pub BTreeMap<Arc<str>, NodeBases>);

/// Those of one proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeBases {
    /// How long it had been running when it last said so.
    pub uptime: Option<Duration>,
    /// Whether it reported load: a proxy keeps what it could not report.
    pub loads: bool,
    /// By cluster.
    pub clusters: BTreeMap<Arc<str>, Base>,
}

/// How far the counters of one cluster are counted; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// [`super::Metrics::completed`]
    pub completed: Option<u64>,
    /// [`super::Metrics::failed`]
    pub failed: Option<u64>,
    /// [`super::Metrics::none_healthy`]
    pub none_healthy: Option<u64>,
    /// Counted, and in no interval yet.
    pub held: Counts,
    /// What was counted from the metrics service and is still to come in a load report.
    pub credit: Counts,
}

impl Meter {
    /// How far the counters of `clusters` are counted, for [`Self::restore`] in a later process. To be kept together
    /// with what the intervals so far added up to.
    #[must_use]
    pub fn bases(&self, clusters: &BTreeSet<Arc<str>>) -> Bases {
        let of_node = |node: &super::node::Node| {
            let known = clusters.iter().filter_map(|name| Some((Arc::clone(name), node.base(name)?)));
            NodeBases {
                uptime: node.flushed.as_ref().and_then(|flushed| flushed.uptime),
                loads: node.loads != Loads::Never,
                clusters: known.collect(),
            }
        };
        let all = self.nodes.iter().map(|(name, node)| (Arc::clone(name), of_node(node)));
        Bases(all.filter(|(_, bases)| !bases.clusters.is_empty()).collect())
    }

    /// Goes on from what an earlier process had counted. Of clusters that do not count nothing is taken: [`Self::count`]
    /// comes first. What the proxy has
    /// reported since stays.
    pub fn restore(&mut self, now: Duration, bases: Bases) {
        for (name, NodeBases { uptime, loads, clusters }) in bases.0 {
            let clusters: Vec<_> =
                clusters.into_iter().filter_map(|(name, base)| Some((self.counts(&name)?, base))).collect();
            if clusters.is_empty() {
                continue;
            }
            let Some(node) = self.admit(now, &name) else { return };
            let flushed =
                node.flushed.get_or_insert_with(|| Flushed { at: None, uptime: None, counted: Arc::default() });
            if flushed.at.is_none() {
                flushed.uptime = flushed.uptime.max(uptime);
            }
            if loads && node.loads == Loads::Never {
                node.loads = Loads::Ended;
            }
            for (name, base) in clusters {
                node.clusters.entry(name).or_default().restore(base);
            }
        }
    }
}
