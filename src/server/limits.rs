//! How much one client may ask for. Each number has its reason; going over one ends the stream with words, so that the
//! client's log says what to change.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use prost::Message;
use tonic::Status;

use super::proto::envoy::service::discovery::v3::Node;
use crate::xds::{RequestBody, ResourceType};

/// Largest request. gRPC's usual 4 MiB is too small for a delta client that reconnects: its first request of a type
/// lists every resource it holds, and one over the limit would lock it out for ever.
pub(super) const REQUEST_BYTES: usize = 32 << 20;

/// Largest message of the metrics service or load report: an Envoy with 10,000 clusters that are all in use sends 9 MB
/// of the statistics that `serin bootstrap` asks for.
pub(super) const MEASUREMENT_BYTES: usize = 16 << 20;

/// What is set aside for the request that is being read; grows as it needs to. Acknowledgements take some hundred bytes.
pub(super) const REQUEST_BUFFER: usize = 512;

/// Largest node, its extensions (which are never decoded) not counted. It is kept for as long as the stream lives.
const NODE_BYTES: usize = 64 << 10;

/// Names a stream may be subscribed to, over all types: ten times what a mesh of thousands of clusters needs.
const NAMES: usize = 100_000;

/// Longest resource name, in bytes: room for an `xdstp://` name with its context parameters.
const NAME_BYTES: usize = 4096;

/// Streams at once on one connection. ADS needs one; a proxy without ADS opens one per resource it waits for, and test
/// clients multiplex many. Past it a client opens another connection or waits. Without a limit of ours tonic lifts
/// hyper's.
pub(super) const CONCURRENT_STREAMS: u32 = 100;

/// A connection that was silent so long is pinged: a proxy behind a dead link is noticed without it having to speak.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// A ping unanswered for so long ends the connection.
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connections may take to end at shutdown: a stream ends at once, but a client may leave its end unread.
pub(super) const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Pause after a failed accept. Out of file descriptors every accept fails at once, and trying again without a pause
/// would take a whole core while the limit lasts.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Refuses a node that is too large to keep.
pub(super) fn check_node(node: &Node) -> Result<(), Status> {
    match node.encoded_len() {
        0..=NODE_BYTES => Ok(()),
        size => Err(Status::invalid_argument(format!("node of {size} bytes is over the limit of {NODE_BYTES}"))),
    }
}

/// The names one stream asks for or holds, counted by hash: a session keeps the names, this only bounds them.
#[derive(Debug, Default)]
pub(super) struct Names {
    hasher: RandomState,
    by_type: BTreeMap<ResourceType, HashSet<u64>>,
}

impl Names {
    /// Counts the names of one request in, and out, or says which limit it breaks.
    pub(super) fn take(&mut self, ty: ResourceType, body: &RequestBody) -> Result<(), Status> {
        let set = self.by_type.entry(ty).or_default();
        match body {
            RequestBody::Sotw { names, .. } => {
                set.clear();
                Self::add(&self.hasher, set, names)?;
            }
            RequestBody::Delta { subscribe, unsubscribe, initial } => {
                Self::add(&self.hasher, set, subscribe.iter().chain(initial.keys()))?;
                for name in unsubscribe {
                    set.remove(&self.hasher.hash_one(name));
                }
            }
        }
        match self.by_type.values().map(HashSet::len).sum() {
            0..=NAMES => Ok(()),
            count => Err(Status::resource_exhausted(format!(
                "{count} resource names on one stream are over the limit of {NAMES}"
            ))),
        }
    }

    fn add<'a>(
        hasher: &RandomState,
        set: &mut HashSet<u64>,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), Status> {
        for name in names {
            if name.len() > NAME_BYTES {
                let length = name.len();
                return Err(Status::invalid_argument(format!(
                    "resource name of {length} bytes is over the limit of {NAME_BYTES}"
                )));
            }
            set.insert(hasher.hash_one(name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn names(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|i| format!("name-{i}")).collect()
    }

    fn delta(subscribe: Vec<String>, unsubscribe: Vec<String>) -> RequestBody {
        RequestBody::Delta { subscribe, unsubscribe, initial: BTreeMap::new() }
    }

    #[test]
    fn sotw_names_replace_each_other_and_add_up_over_types() {
        let mut limit = Names::default();
        let request = |range| RequestBody::Sotw { version: String::new(), names: names(range) };
        for _ in 0..2 {
            limit.take(ResourceType::Endpoint, &request(0..NAMES)).unwrap();
        }
        let status = limit.take(ResourceType::Route, &request(0..1)).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "100001 resource names on one stream are over the limit of 100000");
    }

    #[test]
    fn delta_names_add_up_over_requests_and_count_once() {
        let mut limit = Names::default();
        for _ in 0..3 {
            limit.take(ResourceType::Endpoint, &delta(names(0..NAMES), Vec::new())).unwrap();
        }
        limit.take(ResourceType::Endpoint, &delta(names(NAMES..NAMES + 5), names(0..5))).unwrap();
        let status = limit.take(ResourceType::Endpoint, &delta(names(0..1), Vec::new())).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn held_names_count_and_have_a_length() {
        let long = "x".repeat(NAME_BYTES + 1);
        let body = RequestBody::Delta {
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            initial: [(long, "1".to_owned())].into(),
        };
        let status = Names::default().take(ResourceType::Cluster, &body).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }

    #[test]
    fn a_huge_node_is_refused() {
        check_node(&Node { id: "n".into(), ..Default::default() }).unwrap();
        let status = check_node(&Node { id: "n".repeat(NODE_BYTES), ..Default::default() }).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
