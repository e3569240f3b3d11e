//! The model that parsed documents become. A value of these types holds together: no half-valid rollout exists.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost_reflect::DynamicMessage;

use super::analysis::AnalysisTemplate;
use super::nodes::Glob;
use super::strategy::{CapacityGate, Convergence, Strategy};
use super::webhook::Webhook;
use super::window::PromotionWindow;
use super::yaml::Position;
use crate::tree::{Change, Map};

/// Where a document stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Path as given to the parser.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// What a proxy says of itself in the first message of a stream, as far as selectors look at it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeIdentity {
    /// `node.id`.
    pub id: String,
    /// `node.cluster`.
    pub cluster: String,
    /// `node.metadata`.
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// `node.locality.region`.
    pub region: String,
    /// `node.locality.zone`.
    pub zone: String,
    /// `node.locality.sub_zone`.
    pub sub_zone: String,
}

/// Which proxies see a document. All given conditions must hold; an empty selector takes every node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeSelector {
    /// Glob over `node.id` (`*` any run, `?` one character).
    pub id: Option<Glob>,
    /// Glob over `node.cluster`.
    pub cluster: Option<Glob>,
    /// Metadata key (dots descend) to glob over the value as text.
    pub metadata: BTreeMap<String, Glob>,
    /// Glob over `node.locality.region`.
    pub region: Option<Glob>,
    /// Glob over `node.locality.zone`.
    pub zone: Option<Glob>,
    /// Glob over `node.locality.sub_zone`.
    pub sub_zone: Option<Glob>,
}

/// The resource types that `resources:` may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// `envoy.config.cluster.v3.Cluster`
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`
    ClusterLoadAssignment,
    /// `envoy.config.listener.v3.Listener`
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`
    RouteConfiguration,
    /// `envoy.config.route.v3.ScopedRouteConfiguration`
    ScopedRouteConfiguration,
    /// `envoy.config.route.v3.VirtualHost`
    VirtualHost,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`
    Secret,
    /// `envoy.service.runtime.v3.Runtime`
    Runtime,
    /// `envoy.config.core.v3.TypedExtensionConfig`
    TypedExtensionConfig,
}

/// The message's name without its package.
impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl ResourceKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Cluster,
        Self::ClusterLoadAssignment,
        Self::Listener,
        Self::RouteConfiguration,
        Self::ScopedRouteConfiguration,
        Self::VirtualHost,
        Self::Secret,
        Self::Runtime,
        Self::TypedExtensionConfig,
    ];

    /// Full protobuf name.
    #[must_use]
    pub const fn message_name(self) -> &'static str {
        match self {
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::ClusterLoadAssignment => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::RouteConfiguration => "envoy.config.route.v3.RouteConfiguration",
            Self::ScopedRouteConfiguration => "envoy.config.route.v3.ScopedRouteConfiguration",
            Self::VirtualHost => "envoy.config.route.v3.VirtualHost",
            Self::Secret => "envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Runtime => "envoy.service.runtime.v3.Runtime",
            Self::TypedExtensionConfig => "envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The kind of that full protobuf name; `None` for a message that `resources:` may not hold.
    #[must_use]
    pub fn from_message_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.message_name() == name)
    }

    /// The field that holds the name proxies ask for.
    #[must_use]
    pub const fn name_field(self) -> &'static str {
        match self {
            Self::ClusterLoadAssignment => "cluster_name",
            _ => "name",
        }
    }
}

/// One Envoy resource, every field as its writer gave it.
#[derive(Clone, PartialEq)]
pub struct Resource {
    /// Its type.
    pub kind: ResourceKind,
    /// The name proxies ask for (`name`, or `cluster_name` of a ClusterLoadAssignment).
    pub name: Arc<str>,
    /// The whole message.
    pub message: DynamicMessage,
    /// Which proxies get it.
    pub nodes: Arc<NodeSelector>,
    /// Where it stands.
    pub origin: Origin,
}

/// The `Debug` of a `DynamicMessage` prints its descriptor too, which has no end where messages hold their own kind.
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, message: _, nodes, origin } = self;
        f.debug_struct("Resource")
            .field("kind", kind)
            .field("name", name)
            .field("nodes", nodes)
            .field("origin", origin)
            .finish_non_exhaustive()
    }
}

/// One address that serves a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// IP and port: sent as EDS.
    Ip(SocketAddr),
    /// Host name and port: makes the cluster STRICT_DNS.
    Host(String, u16),
}

/// What stands behind a version.
#[derive(Clone, PartialEq)]
pub enum Backend {
    /// A cluster of ours, named `ROLLOUT/VERSION`.
    Endpoints {
        /// The native Cluster fields (`spec.cluster` overlaid by the version's own); name, type, EDS config and
        /// load assignment are not set here.
        cluster: DynamicMessage,
        /// All IPs or all host names; never mixed; may be empty (a version with nobody behind it).
        endpoints: Vec<Endpoint>,
    },
    /// A cluster defined elsewhere: in `resources:` or in the bootstrap.
    Existing(Arc<str>),
}

/// Without the fields of the cluster, for the reason [`Resource`] has none.
impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoints { cluster: _, endpoints } => {
                f.debug_struct("Endpoints").field("endpoints", endpoints).finish_non_exhaustive()
            }
            Self::Existing(name) => f.debug_tuple("Existing").field(name).finish(),
        }
    }
}

/// One version of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its key in `versions:`.
    pub name: Arc<str>,
    /// What stands behind it.
    pub backend: Backend,
    /// The cluster that routes name for it: `ROLLOUT/VERSION`, or the existing cluster's name.
    pub cluster_name: Arc<str>,
}

/// A service, its versions, and how traffic moves between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// The virtual cluster's name.
    pub name: Arc<str>,
    /// Which proxies see it.
    pub nodes: Arc<NodeSelector>,
    /// Two or more, in the order of the file.
    pub versions: Vec<Version>,
    /// The version that should carry the traffic; always there unless the strategy is [`Strategy::Weights`].
    pub target: Option<Arc<str>>,
    /// How.
    pub strategy: Strategy,
    /// When a step counts.
    pub convergence: Convergence,
    /// How long a rollout may go without progress before it is reported as stuck.
    pub progress_deadline: Duration,
    /// Whether it is then aborted.
    pub progress_deadline_abort: bool,
    /// A version that was stable within so many revisions is taken back without steps; 0 switches that off.
    pub rollback_window: u32,
    /// In the order of the file.
    pub webhooks: Vec<Arc<Webhook>>,
    /// In the order of the file.
    pub promotion_windows: Vec<Arc<PromotionWindow>>,
    /// Moves in lockstep with the other rollouts that name this group.
    pub group: Option<Arc<str>>,
    /// A version gets no more than its endpoints can carry. Without it nobody asks.
    pub capacity_gate: Option<CapacityGate>,
    /// Where it stands.
    pub origin: Origin,
}

/// The documents of one file: those free of mistakes that can be seen in that file alone, and of the others the names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileSpec {
    /// Path as given to the parser.
    pub path: Arc<str>,
    /// Its rollouts.
    pub rollouts: Vec<Arc<Rollout>>,
    /// Its Envoy resources.
    pub resources: Vec<Arc<Resource>>,
    /// Its analysis templates.
    pub templates: Vec<Arc<AnalysisTemplate>>,
    /// What its documents name that may be defined in other files, in the order of the text.
    pub references: Vec<Reference>,
    /// What is left out of the above for its mistakes.
    pub broken: Vec<Broken>,
    /// The text from the document on in which a mistake of syntax ended the reading; empty if all was read.
    pub unread: Arc<str>,
}

/// A definition with mistakes, as far as it can be told: enough to know that its name is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Its name.
    pub name: Arc<str>,
    /// What it would define. `None` where that cannot be told, or not for which proxies.
    pub kind: Option<BrokenKind>,
    /// Where it stands.
    pub origin: Origin,
}

/// What a [`Broken`] definition would define.
#[derive(Debug, Clone, PartialEq)]
pub enum BrokenKind {
    /// A rollout.
    Rollout,
    /// An analysis template.
    AnalysisTemplate,
    /// An Envoy resource, and which proxies would get it.
    Resource(ResourceKind, Arc<NodeSelector>),
}

/// A name in a document that stands for something defined elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Where it stands in its file.
    pub position: Position,
    /// As written.
    pub name: Arc<str>,
    /// What it must name.
    pub role: Role,
    /// Which proxies get the document that it stands in; `None` where that has mistakes, and
    /// for what no proxy sees.
    pub nodes: Option<Arc<NodeSelector>>,
}

/// What a [`Reference`] is, and with it what it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `cluster` of a route's action: a cluster or a rollout.
    RouteAction,
    /// An entry of `weighted_clusters`: a cluster.
    WeightedCluster,
    /// `request_mirror_policies`: a cluster.
    Mirror,
    /// A TCP proxy: a cluster.
    TcpProxy,
    /// `existingCluster` of a version: a cluster, maybe one that only the bootstrap knows.
    ExistingCluster,
    /// RDS over ADS: a RouteConfiguration.
    RouteConfiguration,
    /// `templateName` of an analysis: an analysis template.
    AnalysisTemplate,
}

/// All documents in force, checked against each other. Sets that came from each other share what is the same.
#[derive(Debug, Clone, Default)]
pub struct SpecSet {
    /// By path.
    pub files: Map<Arc<str>, Arc<FileSpec>>,
}

impl PartialEq for SpecSet {
    fn eq(&self, other: &Self) -> bool {
        self.changes_from(other).next().is_none()
    }
}

impl SpecSet {
    /// The files that differ from those of `before`: path, as it was, as it is. Those that a set shares with the one it
    /// was made from are not looked into.
    pub fn changes_from<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = FileChange<'a>> {
        let changes = self.files.changes_by(&before.files, |a, b| Arc::ptr_eq(a, b) || a == b);
        changes.map(|Change { key: path, was, is }| FileChange { path, was, is })
    }
}

/// A file that is not in two sets alike.
#[derive(Debug, Clone, Copy)]
pub struct FileChange<'a> {
    /// Its path.
    pub path: &'a Arc<str>,
    /// In the earlier set, if it is there.
    pub was: Option<&'a Arc<FileSpec>>,
    /// In the later set, if it is there.
    pub is: Option<&'a Arc<FileSpec>>,
}
