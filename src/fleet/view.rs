//! What people are shown of the fleet.

use std::time::Duration;

use serde::Serialize;

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
