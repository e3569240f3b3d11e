//! Resource types, content versions, and one encoded resource.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// The types this server serves, in the order in which they are pushed: what is named before what names it
/// ("Eventual consistency considerations" of the protocol page).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceType {
    /// SDS
    Secret,
    /// RTDS
    Runtime,
    /// CDS
    Cluster,
    /// EDS
    Endpoint,
    /// ECDS
    ExtensionConfig,
    /// LDS
    Listener,
    /// SRDS
    ScopedRoute,
    /// RDS
    Route,
    /// VHDS
    VirtualHost,
}

impl ResourceType {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// All of them, in push order.
    pub const ALL: [ResourceType; Self::COUNT] = [
        ResourceType::Secret,
        ResourceType::Runtime,
        ResourceType::Cluster,
        ResourceType::Endpoint,
        ResourceType::ExtensionConfig,
        ResourceType::Listener,
        ResourceType::ScopedRoute,
        ResourceType::Route,
        ResourceType::VirtualHost,
    ];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Full protobuf name.
    #[must_use]
    pub const fn message_name(self) -> &'static str {
        match self {
            ResourceType::Secret => "envoy.extensions.transport_sockets.tls.v3.Secret",
            ResourceType::Runtime => "envoy.service.runtime.v3.Runtime",
            ResourceType::Cluster => "envoy.config.cluster.v3.Cluster",
            ResourceType::Endpoint => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            ResourceType::ExtensionConfig => "envoy.config.core.v3.TypedExtensionConfig",
            ResourceType::Listener => "envoy.config.listener.v3.Listener",
            ResourceType::ScopedRoute => "envoy.config.route.v3.ScopedRouteConfiguration",
            ResourceType::Route => "envoy.config.route.v3.RouteConfiguration",
            ResourceType::VirtualHost => "envoy.config.route.v3.VirtualHost",
        }
    }

    /// `type.googleapis.com/...`, as requests and responses carry it.
    #[must_use]
    pub fn type_url(self) -> String {
        format!("type.googleapis.com/{}", self.message_name())
    }

    /// The type behind a `type_url`; `None` for one this server does not serve.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        let name = url.strip_prefix("type.googleapis.com/")?;
        Self::ALL.into_iter().find(|t| t.message_name() == name)
    }

    /// The short name of its discovery service, as people say it.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            ResourceType::Secret => "SDS",
            ResourceType::Runtime => "RTDS",
            ResourceType::Cluster => "CDS",
            ResourceType::Endpoint => "EDS",
            ResourceType::ExtensionConfig => "ECDS",
            ResourceType::Listener => "LDS",
            ResourceType::ScopedRoute => "SRDS",
            ResourceType::Route => "RDS",
            ResourceType::VirtualHost => "VHDS",
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_name())
    }
}

/// A content hash: the first 64 bits of SHA-256. Equal content has equal versions on every replica and after every
/// restart; nothing else is promised. Written as 16 hexadecimal digits; never empty on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of some canonical bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The version of a list of named versions.
    #[must_use]
    pub fn of_all<'a>(parts: impl IntoIterator<Item = (&'a str, Version)>) -> Self {
        let mut hash = Sha256::new();
        for (name, version) in parts {
            hash.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(name.as_bytes());
            hash.update(version.0.to_be_bytes());
        }
        Self::finish(hash)
    }

    /// Reads back what [`fmt::Display`] wrote; `None` for a version that is none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    fn finish(hash: Sha256) -> Self {
        let digest = hash.finalize();
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(head))
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is no version")))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the names and versions of a set add up to. Does not depend on their order, so that a set that differs from another
/// in one resource need not be gone through: each pair counts as the first 128 bits of its SHA-256, and sums modulo 2^128
/// are an incremental hash (Bellare and Micciancio 1997, `AdHASH`). It tells apart what happens; it is no proof against
/// somebody who searches for two sets with one sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    total: u128,
    count: u64,
}

impl Sum {
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = (&'a str, Version)>) -> Self {
        let mut sum = Self::default();
        parts.into_iter().for_each(|(name, version)| sum.add(name, version));
        sum
    }

    pub(super) fn add(&mut self, name: &str, version: Version) {
        (self.total, self.count) = (self.total.wrapping_add(Self::one(name, version)), self.count.wrapping_add(1));
    }

    /// Takes back what was added.
    pub(super) fn take(&mut self, name: &str, version: Version) {
        (self.total, self.count) = (self.total.wrapping_sub(Self::one(name, version)), self.count.wrapping_sub(1));
    }

    pub(super) fn version(self) -> Version {
        Version::finish(Sha256::new().chain_update(self.count.to_be_bytes()).chain_update(self.total.to_be_bytes()))
    }

    fn one(name: &str, version: Version) -> u128 {
        // The version has one length, so no two pairs are one text.
        let digest = Sha256::new_with_prefix(version.0.to_be_bytes()).chain_update(name).finalize();
        let mut head = [0; 16];
        head.copy_from_slice(&digest[..16]);
        u128::from_be_bytes(head)
    }
}

/// One encoded resource, shared by every snapshot and stream that carries it.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The name proxies ask for.
    pub name: Arc<str>,
    /// Hash of `body`.
    pub version: Version,
    /// The encoded message, without its `Any`.
    pub body: Bytes,
    /// Clusters it sends traffic to (weight above 0): they must be warm before a proxy gets it. Sorted.
    pub clusters: Box<[Arc<str>]>,
    /// Of a Cluster that takes its endpoints from EDS over ADS: the ClusterLoadAssignment it asks for.
    pub endpoints: Option<Arc<str>>,
}

impl Resource {
    /// A resource with its version computed from `body`.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, body: Bytes) -> Self {
        Self { name: name.into(), version: Version::of(&body), body, clusters: Box::default(), endpoints: None }
    }
}
