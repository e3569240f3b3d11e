//! Who a proxy says it is, and which snapshot is meant for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Snapshot;

/// The node of a stream's first message, as far as this server looks at it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// `node.id`
    pub id: String,
    /// `node.cluster`
    pub cluster: String,
    /// `node.metadata` as JSON values.
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// `node.locality.region`
    pub region: String,
    /// `node.locality.zone`
    pub zone: String,
    /// `node.locality.sub_zone`
    pub sub_zone: String,
    /// `node.user_agent_name`
    pub user_agent_name: String,
    /// The version of the user agent, as text.
    pub user_agent_version: String,
}

/// What is meant for a node.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Names the nodes that see the same documents.
    pub group: Arc<str>,
    /// What all of them should have.
    pub snapshot: Arc<Snapshot>,
}

/// One consistent state of everything this server serves.
pub trait Assign: Send + Sync {
    /// What `node` should have. Nodes that see the same documents get the very same snapshot.
    fn assign(&self, node: &Node) -> Assignment;

    /// What `node` should have had before, newest first, as far as it is remembered. A state-of-the-world client that
    /// comes back names the version it has, and what it has decides what may be taken from it, and when.
    fn earlier(&self, node: &Node) -> Vec<Arc<Snapshot>>;

    /// Whether all this is what a process without memory takes for right: where a client has something else, what it has
    /// counts until somebody decides.
    fn is_guess(&self) -> bool {
        false
    }

    /// What the nodes of `group` should have; `None` of a group that no node was assigned to, here or before.
    fn group(&self, group: &str) -> Option<Arc<Snapshot>>;
}
