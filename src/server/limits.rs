//! How much one client may ask for. Each number has its reason; going over one ends the stream with words, so that the
//! client's log says what to change.

use std::time::Duration;

use prost::Message;
use tonic::Status;

use super::proto::envoy::service::discovery::v3::Node;
use crate::xds::RequestBody;

/// Largest request. gRPC's usual 4 MiB is too small for a delta client that reconnects: its first request of a type
/// lists every resource it holds, and one over the limit would lock it out for ever.
pub(super) const REQUEST_BYTES: usize = 32 << 20;

/// Largest message of the metrics service or load report: an Envoy with 10,000 clusters that are all in use sends 9 MB
/// of the statistics that `serin bootstrap` asks for.
pub(super) const MEASUREMENT_BYTES: usize = 16 << 20;

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

/// What one connection may send before this side has read it. That much is always read at once, and 1 MiB is room for
/// 2,000 small requests: h2 ends a connection with more unread ones than half its window holds at 256 bytes each.
pub(super) const CONNECTION_WINDOW: u32 = 1 << 20;

/// What one stream may send before this side has read it: the longest acknowledgements of a large sidecar in one go; the
/// few longer requests take turns.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;

/// What is handed to the transport at a time. It moves as long as it comes for the next: at 64 KiB the slowest line that
/// counts as moving has 2 KiB/s.
pub(super) const PIECE: usize = 64 << 10;

/// What the transport keeps of one stream before it sends: one piece on its way and one that follows. It is shared with
/// other streams, but it is kept in memory for as long as it is not sent.
pub(super) const SEND_BUFFER: usize = 2 * PIECE;

/// A client that takes nothing of what it was sent for so long is ended. An Envoy reads while it warms, and while it
/// applies what it was sent for at most a few seconds; one that does not for longer is stopped or behind a dead link.
/// Shorter than what it takes to notice a dead connection, so that it is said what was wrong.
pub(super) const STALLED: Duration = Duration::from_secs(30);

/// A connection that has opened no stream by then is closed: it takes a file descriptor and says nothing.
pub(super) const FIRST_STREAM: Duration = Duration::from_secs(10);

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

/// Refuses a request with a name that is too long to keep.
pub(super) fn check_names(body: &RequestBody) -> Result<(), Status> {
    let longest = match body {
        RequestBody::Sotw { names, .. } => names.iter().map(String::len).max(),
        RequestBody::SotwSameNames { .. } => None,
        RequestBody::Delta { subscribe, unsubscribe: _, initial } => {
            subscribe.iter().chain(initial.keys()).map(String::len).max()
        }
    };
    match longest.unwrap_or_default() {
        0..=NAME_BYTES => Ok(()),
        length => {
            Err(Status::invalid_argument(format!("resource name of {length} bytes is over the limit of {NAME_BYTES}")))
        }
    }
}

/// How many names a request brings, or takes away.
pub(super) fn names(body: &RequestBody) -> usize {
    match body {
        RequestBody::Sotw { names, .. } => names.len(),
        RequestBody::SotwSameNames { .. } => 0,
        RequestBody::Delta { subscribe, unsubscribe, initial } => subscribe.len() + unsubscribe.len() + initial.len(),
    }
}

/// Refuses a stream with more names than it may have.
pub(super) fn check_count(names: usize) -> Result<(), Status> {
    match names {
        0..=NAMES => Ok(()),
        count => Err(Status::resource_exhausted(format!(
            "{count} resource names on one stream are over the limit of {NAMES}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use tonic::Code;

    use super::*;
    use crate::xds::{ClientKind, Request, ResourceType, Session, Settings, Snapshot, Variant};

    /// A session as a stream drives it.
    struct Stream(Session);

    impl Stream {
        fn new(variant: Variant) -> Self {
            let ack_timeout = Duration::from_secs(20);
            let client = ClientKind::Envoy;
            let settings = Settings { variant, client, ack_timeout, aggregated: true, ordered: true };
            let mut session = Session::new(settings, Vec::new(), Vec::new());
            session.handle_snapshot(Duration::ZERO, Arc::new(Snapshot::new([])));
            Self(session)
        }

        fn take(&mut self, ty: ResourceType, body: RequestBody) -> Result<(), Status> {
            check_names(&body)?;
            let request = Request { ty, nonce: String::new(), error: None, body };
            self.0.handle_request(Duration::ZERO, request);
            check_count(self.0.named())
        }
    }

    fn list(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|i| format!("name-{i}")).collect()
    }

    fn delta(subscribe: Vec<String>, unsubscribe: Vec<String>) -> RequestBody {
        RequestBody::Delta { subscribe, unsubscribe, initial: BTreeMap::new() }
    }

    #[test]
    fn sotw_names_replace_each_other_and_add_up_over_types() {
        let mut stream = Stream::new(Variant::Sotw);
        let request = |range| RequestBody::Sotw { version: String::new(), names: list(range) };
        for _ in 0..2 {
            stream.take(ResourceType::Endpoint, request(0..NAMES)).unwrap();
        }
        let status = stream.take(ResourceType::Route, request(0..1)).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "100001 resource names on one stream are over the limit of 100000");
    }

    #[test]
    fn delta_names_add_up_over_requests_and_count_once() {
        let mut stream = Stream::new(Variant::Delta);
        for _ in 0..3 {
            stream.take(ResourceType::Endpoint, delta(list(0..NAMES), Vec::new())).unwrap();
        }
        stream.take(ResourceType::Endpoint, delta(list(NAMES..NAMES + 5), list(0..5))).unwrap();
        let status = stream.take(ResourceType::Endpoint, delta(list(0..1), Vec::new())).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn held_names_count_and_have_a_length() {
        let initial = |names: Vec<String>| RequestBody::Delta {
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            initial: names.into_iter().map(|name| (name, "1".to_owned())).collect(),
        };
        let status = Stream::new(Variant::Delta).take(ResourceType::Cluster, initial(list(0..NAMES + 1))).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let status = Stream::new(Variant::Delta).take(ResourceType::Cluster, initial(vec!["x".repeat(NAME_BYTES + 1)]));
        assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_huge_node_is_refused() {
        check_node(&Node { id: "n".into(), ..Default::default() }).unwrap();
        let status = check_node(&Node { id: "n".repeat(NODE_BYTES), ..Default::default() }).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
