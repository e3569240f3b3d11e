//! What passes between a session and its stream, free of transport types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Resource, ResourceType, TypeSet, Version};

/// Which of the two variants of the protocol a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// State of the world.
    Sotw,
    /// Incremental.
    Delta,
}

/// Whose implementation of the protocol is at the other end; it decides what an acknowledgement proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// `user_agent_name: envoy`: its CDS ACK says that the clusters are warm.
    Envoy,
    /// gRPC and everything else: asks for what it needs by name and keeps its old state until the new is whole.
    Other,
}

/// A discovery request of a known type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The type it speaks of.
    pub ty: ResourceType,
    /// `response_nonce`; empty in the first request of a type.
    pub nonce: String,
    /// The message of `error_detail`, which makes it a NACK.
    pub error: Option<String>,
    /// What depends on the variant.
    pub body: RequestBody,
}

/// The part of a request in which the variants differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestBody {
    /// `DiscoveryRequest`
    Sotw {
        /// `version_info`: the last version the client accepted.
        version: String,
        /// `resource_names`: the whole subscription.
        names: Vec<String>,
    },
    /// `DiscoveryRequest` with the names of the one before of its type.
    SotwSameNames {
        /// `version_info`
        version: String,
    },
    /// `DeltaDiscoveryRequest`
    Delta {
        /// `resource_names_subscribe`
        subscribe: Vec<String>,
        /// `resource_names_unsubscribe`
        unsubscribe: Vec<String>,
        /// `initial_resource_versions`: what the client holds, by name.
        initial: BTreeMap<String, String>,
    },
}

impl Default for RequestBody {
    /// What an acknowledgement of the delta variant says beside its nonce.
    fn default() -> Self {
        Self::Delta { subscribe: Vec::new(), unsubscribe: Vec::new(), initial: BTreeMap::new() }
    }
}

/// A discovery response, ready to be framed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The type it speaks of.
    pub ty: ResourceType,
    /// Unique within the stream, never empty.
    pub nonce: u64,
    /// SotW `version_info`, delta `system_version_info`.
    pub version: Version,
    /// What to set.
    pub resources: Vec<Arc<Resource>>,
    /// What to remove (delta only).
    pub removed: Vec<Arc<str>>,
}

/// Content a proxy rejected: not sent to it again, on this stream or a later one, until the content changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The type it was sent as.
    pub ty: ResourceType,
    /// The resources that may be to blame, in the version that was rejected.
    pub suspects: BTreeMap<Arc<str>, Version>,
    /// Whether the proxy's words name each of them. If not, any one of them may be to blame, and the others not.
    pub named: bool,
    /// Those of them that the proxy had nothing older of: nothing is lost when they are removed, and a rejected cluster
    /// that Envoy keeps among the warming ones must be.
    pub fresh: BTreeSet<Arc<str>>,
    /// The proxy's own words, cut to a bounded length.
    pub error: String,
}

impl Rejection {
    pub(super) fn new(ty: ResourceType, error: String) -> Self {
        Self { ty, suspects: BTreeMap::new(), named: false, fresh: BTreeSet::new(), error }
    }

    /// Whether what was rejected is still in `target`. A session forgives it once it is not.
    #[must_use]
    pub fn is_about(&self, target: &TypeSet) -> bool {
        let current = |(name, version): (&Arc<str>, &Version)| target.get(name).is_some_and(|r| r.version == *version);
        match self.suspects.iter().filter(|suspect| current(*suspect)).count() {
            // What only removed something is held against the whole set.
            0 => self.suspects.is_empty(),
            count => self.named || count == self.suspects.len(),
        }
    }
}

/// What happened on a stream, for the fleet view. Emitted in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The proxy asked for a type for the first time on this stream.
    Subscribed {
        /// The type.
        ty: ResourceType,
    },
    /// A response was handed to the transport.
    Sent {
        /// The type.
        ty: ResourceType,
        /// Its nonce.
        nonce: u64,
        /// The version it carries.
        version: Version,
    },
    /// The proxy acknowledged a response.
    Acked {
        /// The type.
        ty: ResourceType,
        /// The nonce that pins the version.
        nonce: u64,
        /// The version it carried.
        version: Version,
        /// From when it was handed to the transport.
        took: Duration,
    },
    /// The proxy rejected a response.
    Nacked {
        /// The nonce that pins the version.
        nonce: u64,
        /// The version it carried.
        version: Version,
        /// What was rejected and why.
        rejection: Rejection,
    },
    /// What was rejected of a type has changed since: it is no longer held against the proxy.
    Forgiven {
        /// The type.
        ty: ResourceType,
    },
    /// All that the group's set of this version means for this proxy has been acknowledged: nothing is in flight,
    /// held back or rejected.
    Settled {
        /// The type.
        ty: ResourceType,
        /// [`super::TypeSet::version`] of the snapshot's set.
        version: Version,
    },
    /// Not (or no longer) settled on the group's newest set.
    Unsettled {
        /// The type.
        ty: ResourceType,
    },
}

/// What a session is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// SotW or delta.
    pub variant: Variant,
    /// Whose implementation is at the other end.
    pub client: ClientKind,
    /// How long a response may stay unanswered before the session goes on without the answer. Longer than Envoy's own
    /// `initial_fetch_timeout` (15 s), within which warming ends by itself.
    pub ack_timeout: Duration,
    /// Whether the stream is aggregated, so that it carries all the types of this client.
    pub aggregated: bool,
    /// Make before break. Off only in tests that show what it is good for: every type is then pushed at once.
    pub ordered: bool,
}
