//! The documents of the API. `serin fleet` reads the same types that the pages are written from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fleet::{FleetView, NodeView, TypeView};

/// `GET /api/v1/fleet`. All times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetReport {
    /// When this was answered, by the clock that the other times were taken from.
    pub at: String,
    /// By id.
    pub nodes: Vec<NodeReport>,
}

/// One proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// `node.id`
    pub id: String,
    /// `node.cluster`
    pub cluster: String,
    /// Names the nodes that get the same resources.
    pub group: String,
    /// What it runs, e.g. `envoy 1.40.0`.
    pub user_agent: String,
    /// Its address.
    pub peer: String,
    /// `sotw` or `delta`.
    pub variant: String,
    /// Whether it has a stream now.
    pub connected: bool,
    /// Since when it is connected or not.
    pub since: String,
    /// Why its last stream ended, when it is not connected.
    pub reason: Option<String>,
    /// Per type it asked for, in push order.
    pub types: Vec<TypeReport>,
}

/// One proxy and one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeReport {
    /// `CDS`, `EDS`, ...
    #[serde(rename = "type")]
    pub ty: String,
    /// `SYNCED`, `STALE`, `NACK` or `NOT_SENT`.
    pub status: String,
    /// The version pinned by the last acknowledged nonce.
    pub version: Option<String>,
    /// That nonce.
    pub nonce: Option<u64>,
    /// Since when it stands so.
    pub since: String,
    /// The proxy's own words, of a NACK.
    pub error: Option<String>,
    /// The resources that may be to blame, of a NACK.
    pub resources: Vec<String>,
}

impl FleetReport {
    /// `wall` turns a time since the start into one of the calendar.
    pub(super) fn new(at: String, view: FleetView, wall: impl Fn(Duration) -> String) -> Self {
        let node = |node: NodeView| {
            let NodeView { id, cluster, group, user_agent, peer, variant, connected, since, reason, types } = node;
            let types = types.into_iter().map(|ty| TypeReport::new(ty, &wall)).collect();
            let (variant, since) = (variant.to_owned(), wall(since));
            NodeReport { id, cluster, group, user_agent, peer, variant, connected, since, reason, types }
        };
        Self { at, nodes: view.nodes.into_iter().map(node).collect() }
    }
}

impl TypeReport {
    fn new(view: TypeView, wall: impl Fn(Duration) -> String) -> Self {
        let TypeView { ty, status, version, nonce, since, error, resources } = view;
        let status = serde_json::to_value(status).ok().and_then(|word| word.as_str().map(str::to_owned));
        Self {
            ty: ty.to_owned(),
            status: status.unwrap_or_default(),
            version,
            nonce,
            since: wall(since),
            error,
            resources,
        }
    }
}

/// Whose snapshot is asked for. What is not given is empty, as it is in a node that does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeQuery {
    /// `node.id`
    pub id: String,
    /// `node.cluster`
    pub cluster: String,
    /// `node.metadata`, of which only texts can be asked for.
    pub metadata: BTreeMap<String, String>,
    /// `node.locality.region`
    pub region: String,
    /// `node.locality.zone`
    pub zone: String,
    /// `node.locality.sub_zone`
    pub sub_zone: String,
}

impl NodeQuery {
    /// From the pairs of a query; `None` if one is unknown or given twice, or the id is missing.
    pub(super) fn new(pairs: Vec<(String, String)>) -> Option<Self> {
        let mut node = Self::default();
        let mut given = BTreeMap::new();
        for (key, value) in pairs {
            if key == "metadata" {
                let (key, value) = value.split_once('=')?;
                node.metadata.insert(key.to_owned(), value.to_owned());
            } else if given.insert(key, value).is_some() {
                return None;
            }
        }
        node.id = given.remove("node")?;
        node.cluster = given.remove("cluster").unwrap_or_default();
        node.region = given.remove("region").unwrap_or_default();
        node.zone = given.remove("zone").unwrap_or_default();
        node.sub_zone = given.remove("sub_zone").unwrap_or_default();
        given.is_empty().then_some(node)
    }
}

/// `GET /api/v1/snapshot`: what a node would get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotReport {
    /// Names the nodes that get the same resources.
    pub group: String,
    /// Changes when anything below does.
    pub version: String,
    /// The types that hold anything, in push order.
    pub types: Vec<TypeSnapshot>,
}

/// The resources of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeSnapshot {
    /// `CDS`, `EDS`, ...
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// `type.googleapis.com/...`
    pub type_url: String,
    /// Hash over all resources of the type.
    pub version: String,
    /// By name.
    pub resources: Vec<ResourceReport>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceReport {
    /// The name proxies ask for.
    pub name: String,
    /// Hash of its content.
    pub version: String,
}

/// `GET /api/v1/diagnostics`: how the files stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When the last change of the files was taken in, RFC 3339 in UTC; `None` before the first.
    pub loaded: Option<String>,
    /// Why the directory itself cannot be read; what was read before goes on.
    pub unreadable: Option<String>,
    /// What is awaited before anything is served; `None` once something is.
    pub waiting: Option<String>,
    /// Files that hold a mistake and therefore run on their last good version.
    pub held: Vec<String>,
    /// Every mistake in the files as they are now.
    pub mistakes: Vec<Mistake>,
}

impl Report {
    /// Whether something is in force and no file has a mistake.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        let faultless = self.mistakes.iter().all(|mistake| mistake.severity != "error");
        self.loaded.is_some() && self.waiting.is_none() && self.unreadable.is_none() && faultless
    }
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mistake {
    /// Path of the file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// `error` or `warning`.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// The text at fault.
    pub found: String,
    /// What to do about it.
    pub help: Option<String>,
}
