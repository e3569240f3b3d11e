//! What people are shown of the fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Fleet;
use crate::xds::{ResourceType, Variant};

/// How one node stands with one type. Words of Envoy's client status service and of `istioctl proxy-status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Has acknowledged all it should have.
    Synced,
    /// Was sent, or waits for, something it has not acknowledged yet; or is disconnected.
    Stale,
    /// Rejected what it was sent.
    Nack,
    /// Asked, and was sent nothing yet.
    NotSent,
}

/// One node and one type, for people. Times are durations since the process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeView {
    /// The type's short name, e.g. `CDS`.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// How it stands.
    pub status: Status,
    /// The version pinned by the last acknowledged nonce.
    pub version: Option<String>,
    /// The nonce that pinned it.
    pub nonce: Option<u64>,
    /// Since when it stands so.
    pub since: Duration,
    /// The proxy's error words, of a NACK.
    pub error: Option<String>,
    /// The resources that may be to blame, of a NACK.
    pub resources: Vec<String>,
}

/// One node, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeView {
    /// `node.id`
    pub id: String,
    /// `node.cluster`
    pub cluster: String,
    /// The group whose snapshot it gets.
    pub group: String,
    /// Its `user_agent`.
    pub user_agent: String,
    /// Its address.
    pub peer: String,
    /// `sotw` or `delta`.
    pub variant: &'static str,
    /// Whether it has a stream now.
    pub connected: bool,
    /// Since when it is connected or not.
    pub since: Duration,
    /// Why its last stream ended, when it is not connected.
    pub reason: Option<String>,
    /// Per type it asked for, in push order.
    pub types: Vec<TypeView>,
}

/// The whole fleet, for people; nodes by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FleetView {
    /// By id.
    pub nodes: Vec<NodeView>,
}

/// What is drawn over time of the fleet: numbers, and no names of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetGauges {
    /// By group.
    pub groups: BTreeMap<String, GroupGauges>,
    /// Open discovery streams of the state of the world.
    pub sotw_streams: usize,
    /// Open incremental discovery streams.
    pub delta_streams: usize,
    /// By the short names of all types: since when the response that has waited longest is not answered.
    pub unanswered: Vec<(&'static str, Option<Duration>)>,
}

/// The nodes of one group, each counted once. Connected are the first three.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupGauges {
    /// Those that have all they should.
    pub synced: usize,
    /// Those that have yet to acknowledge something.
    pub stale: usize,
    /// Those that have all but what they rejected.
    pub nack: usize,
    /// Those without a stream that are still known.
    pub away: usize,
}

impl Fleet {
    /// What is drawn over time.
    pub fn gauges(&mut self) -> FleetGauges {
        let groups = self.standing().groups.into_iter().map(|(name, group)| {
            let gauges = GroupGauges {
                synced: group.nodes - group.pending - group.rejecting,
                stale: group.pending,
                nack: group.rejecting,
                away: group.away.len(),
            };
            (name, gauges)
        });
        let mut gauges = FleetGauges { groups: groups.collect(), ..FleetGauges::default() };
        let mut oldest: [Option<Duration>; ResourceType::COUNT] = [None; ResourceType::COUNT];
        for stream in self.streams.values() {
            match stream.variant {
                Variant::Sotw => gauges.sotw_streams += 1,
                Variant::Delta => gauges.delta_streams += 1,
            }
            for (oldest, state) in oldest.iter_mut().zip(&stream.types) {
                if let Some((_, since)) = state.as_ref().and_then(|state| state.unanswered) {
                    *oldest = Some(oldest.map_or(since, |oldest| since.min(oldest)));
                }
            }
        }
        gauges.unanswered = ResourceType::ALL.map(ResourceType::short_name).into_iter().zip(oldest).collect();
        gauges
    }
}
