//! The fold of session events: which proxy has acknowledged what.
//!
//! Pure: events go in with the time, counting is O(1) per event, and [`Fleet::view`] is what people are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::xds::{Event, Rejection, ResourceType, Variant, Version};

/// Identifies one stream within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What a stream tells the fleet.
#[derive(Debug, Clone)]
pub enum StreamEvent {
    /// The first message came: who it is.
    Opened {
        /// `node.id`
        node: String,
        /// `node.cluster`
        cluster: String,
        /// The group whose snapshot it gets.
        group: String,
        /// `user_agent_name` and version, as text.
        user_agent: String,
        /// SotW or delta.
        variant: Variant,
        /// Address of the peer.
        peer: String,
    },
    /// Something happened in its session.
    Session(Event),
    /// It ended.
    Closed {
        /// Why, in words.
        reason: String,
    },
}

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

/// Called once with the answer to a question.
pub type Reply<T> = Box<dyn FnOnce(T) + Send>;

/// What the one task that owns the [`Fleet`] is sent.
pub enum Message {
    /// Something happened on a stream.
    Event(StreamId, StreamEvent),
    /// Asks for [`Fleet::view`].
    View(Reply<FleetView>),
    /// Asks for [`Fleet::rejections`] of a node.
    Rejections(String, Reply<Vec<Rejection>>),
}

/// The fold.
#[derive(Debug, Default)]
pub struct Fleet {}

impl Fleet {
    /// Takes one message.
    pub fn handle_message(&mut self, now: Duration, message: Message) {
        match message {
            Message::Event(stream, event) => self.handle(now, stream, event),
            Message::View(reply) => reply(self.view()),
            Message::Rejections(node, reply) => reply(self.rejections(&node)),
        }
    }

    /// Takes one event of one stream.
    pub fn handle(&mut self, _now: Duration, _stream: StreamId, _event: StreamEvent) {}

    /// How many connected nodes have settled on `version` of `ty` in `group`, and how many there are that asked for it.
    #[must_use]
    pub fn convergence(&self, _group: &str, _ty: ResourceType, _version: Version) -> (usize, usize) {
        (0, 0)
    }

    /// What `node` rejected and has not been healed of, for the next session it opens.
    #[must_use]
    pub fn rejections(&self, _node: &str) -> Vec<Rejection> {
        Vec::new()
    }

    /// What people are shown.
    #[must_use]
    pub fn view(&self) -> FleetView {
        let _: BTreeMap<(), ()> = BTreeMap::new();
        FleetView::default()
    }
}
