//! The fold of session events: which proxy has acknowledged what.
//!
//! Pure: events go in with the time; [`Fleet::standing`] is what convergence is decided on, [`Fleet::view`] what people
//! are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::xds::{Event, Rejection, ResourceType, Variant, Version};
use standing::{Counts, Place};

mod standing;
mod view;

pub use standing::{Away, GroupStanding, Rejected, Standing};
pub use view::{FleetGauges, FleetView, GroupGauges, NodeView, Status, TypeView};

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
    /// It has routes that this process did not send, and keeps them: what it should have is a guess
    /// ([`crate::xds::Assign::is_guess`]).
    Foreign,
    /// It ended.
    Closed {
        /// Why, in words.
        reason: String,
    },
}

/// Called once with the answer to a question.
pub type Reply<T> = Box<dyn FnOnce(T) + Send>;

/// What the one task that owns the [`Fleet`] is sent.
pub enum Message {
    /// Something happened on a stream.
    Event(StreamId, StreamEvent),
    /// Asks for [`Fleet::view`].
    View(Reply<FleetView>),
    /// Asks for [`Fleet::gauges`].
    Gauges(Reply<FleetGauges>),
    /// Asks for [`Fleet::rejections`] of a node.
    Rejections(String, Reply<Vec<Rejection>>),
}

#[cfg(test)]
mod tests;

/// How many nodes that have gone are remembered, so that people can see what they last had. Bounds memory against
/// clients that make up a new id each time.
const MAX_GONE: usize = 10_000;

/// One type on one stream.
#[derive(Debug, Clone)]
struct TypeState {
    status: Status,
    since: Duration,
    version: Option<Version>,
    nonce: Option<u64>,
    error: Option<String>,
    resources: Vec<String>,
    settled: Option<Version>,
    /// The nonce of the newest response, and since when one has waited for its answer; `None` when all are answered.
    unanswered: Option<(u64, Duration)>,
}

/// One stream, or what is left of it.
#[derive(Debug, Clone)]
struct Stream {
    node: String,
    cluster: String,
    group: String,
    user_agent: String,
    variant: Variant,
    peer: String,
    types: [Option<TypeState>; ResourceType::COUNT],
    /// It came with routes that this process did not send.
    foreign: bool,
}

/// One node: its streams, and what it leaves behind when it goes.
#[derive(Debug, Default)]
struct Node {
    /// Oldest first; two of an aggregated client while the older one dies.
    streams: Vec<StreamId>,
    since: Duration,
    /// The last stream that ended, and why. Holds also the types of those that ended before it.
    last: Option<(Stream, String)>,
    rejections: Vec<Rejection>,
    /// The group it was in when an earlier process saw it, until it comes.
    expected_in: Option<String>,
    /// Where it is counted; `None` without a stream.
    place: Option<Place>,
}

/// The fold. Counting is O(log of what there is) per event: no event walks the fleet.
#[derive(Debug, Default)]
pub struct Fleet {
    streams: BTreeMap<StreamId, Stream>,
    nodes: BTreeMap<String, Node>,
    /// Nodes without a stream, longest gone first.
    gone: BTreeSet<(Duration, String)>,
    counts: Counts,
    /// Groups with a node that has what this process did not send.
    foreign: BTreeSet<String>,
}

impl Fleet {
    /// Goes on with what nodes rejected before this process, as [`Self::all_rejections`] told it.
    #[must_use]
    pub fn after(rejections: BTreeMap<String, Vec<Rejection>>) -> Self {
        let nodes = rejections.into_iter().map(|(id, rejections)| (id, Node { rejections, ..Node::default() }));
        Self { nodes: nodes.collect(), ..Self::default() }
    }

    /// What each node rejected and has not been forgiven; nodes without any are left out.
    #[must_use]
    pub fn all_rejections(&self) -> BTreeMap<&str, &[Rejection]> {
        let nodes = self.nodes.iter().filter(|(_, node)| !node.rejections.is_empty());
        nodes.map(|(id, node)| (id.as_str(), node.rejections.as_slice())).collect()
    }

    /// Takes one message.
    pub fn handle_message(&mut self, now: Duration, message: Message) {
        match message {
            Message::Event(stream, event) => self.handle(now, stream, event),
            Message::View(reply) => reply(self.view()),
            Message::Gauges(reply) => reply(self.gauges()),
            Message::Rejections(node, reply) => reply(self.rejections(&node)),
        }
    }

    /// Takes one event of one stream. Events of a stream that was never opened, or has ended, are ignored.
    pub fn handle(&mut self, now: Duration, stream: StreamId, event: StreamEvent) {
        match event {
            StreamEvent::Opened { node, cluster, group, user_agent, variant, peer } => {
                let types = std::array::from_fn(|_| None);
                self.opened(
                    now,
                    stream,
                    Stream { node, cluster, group, user_agent, variant, peer, types, foreign: false },
                );
            }
            StreamEvent::Session(event) => self.session(now, stream, event),
            StreamEvent::Foreign => {
                let Some(stream) = self.streams.get_mut(&stream) else { return };
                stream.foreign = true;
                self.foreign.insert(stream.group.clone());
                let node = stream.node.clone();
                self.count(&node);
            }
            StreamEvent::Closed { reason } => self.closed(now, stream, reason),
        }
    }

    /// What `node` rejected and has not been forgiven, for the next session it opens.
    #[must_use]
    pub fn rejections(&self, node: &str) -> Vec<Rejection> {
        self.nodes.get(node).map(|node| node.rejections.clone()).unwrap_or_default()
    }

    /// The node whose stream this is, as long as it is open.
    #[must_use]
    pub fn node_of(&self, stream: StreamId) -> Option<&str> {
        self.streams.get(&stream).map(|stream| &*stream.node)
    }

    /// Whether `node` has a stream.
    #[must_use]
    pub fn is_connected(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| !node.streams.is_empty())
    }

    /// Whether `stream` is the only one that `node` has.
    #[must_use]
    pub fn is_last(&self, node: &str, stream: StreamId) -> bool {
        self.nodes.get(node).is_some_and(|node| node.streams == [stream])
    }

    /// What people are shown.
    #[must_use]
    pub fn view(&self) -> FleetView {
        FleetView { nodes: self.nodes.iter().filter_map(|(id, node)| self.node_view(id, node)).collect() }
    }

    /// A stream that is opened again has changed its group.
    fn opened(&mut self, now: Duration, id: StreamId, mut stream: Stream) {
        if let Some(before) = self.streams.remove(&id) {
            // Versions are of content, so what it has settled on says as much in the other group.
            (stream.types, stream.foreign) = (before.types, before.foreign);
        } else {
            let node = self.nodes.entry(stream.node.clone()).or_default();
            if node.streams.is_empty() {
                self.gone.remove(&(node.since, stream.node.clone()));
                node.since = now;
                (node.last, node.expected_in) = (None, None);
            }
            node.streams.push(id);
        }
        let name = stream.node.clone();
        self.streams.insert(id, stream);
        self.count(&name);
    }

    fn closed(&mut self, now: Duration, id: StreamId, reason: String) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let Some(node) = self.nodes.get_mut(&stream.node) else { return };
        node.streams.retain(|other| *other != id);
        for state in stream.types.iter_mut().flatten().filter(|state| state.status == Status::Synced) {
            (state.status, state.since) = (Status::Stale, now);
        }
        if let Some((before, _)) = node.last.take() {
            for (state, left) in stream.types.iter_mut().zip(before.types) {
                *state = state.take().or(left);
            }
        }
        let name = stream.node.clone();
        node.last = Some((stream, reason));
        if !node.streams.is_empty() {
            return self.count(&name);
        }
        node.since = now;
        self.gone.insert((now, name.clone()));
        self.count(&name);
        while self.gone.len() > MAX_GONE
            && let Some((_, longest)) = self.gone.pop_first()
        {
            self.nodes.remove(&longest);
        }
    }

    fn session(&mut self, now: Duration, id: StreamId, event: Event) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let node = self.nodes.entry(stream.node.clone()).or_default();
        let ty = match &event {
            Event::Nacked { rejection, .. } => rejection.ty,
            Event::Subscribed { ty }
            | Event::Sent { ty, .. }
            | Event::Acked { ty, .. }
            | Event::Forgiven { ty }
            | Event::Settled { ty, .. }
            | Event::Unsettled { ty } => *ty,
        };
        let slot = &mut stream.types[ty.index()];
        if matches!(event, Event::Forgiven { .. }) {
            node.rejections.retain(|rejection| rejection.ty != ty);
            if slot.is_none() {
                // Of a type that this stream has not asked for.
                let name = stream.node.clone();
                return self.count(&name);
            }
        }
        let rejected = node.rejections.iter().rev().find(|rejection| rejection.ty == ty);
        let state = slot.get_or_insert_with(|| TypeState::asked(now, rejected));
        match event {
            Event::Subscribed { .. } => {}
            Event::Sent { nonce, .. } => {
                state.unanswered = Some((nonce, state.unanswered.map_or(now, |(_, since)| since)));
                if state.status == Status::NotSent {
                    state.turn(Status::Stale, now);
                }
            }
            Event::Acked { nonce, version, .. } => {
                state.answered(nonce);
                (state.nonce, state.version) = (Some(nonce), Some(version));
            }
            Event::Nacked { nonce, rejection, .. } => {
                state.answered(nonce);
                state.accuse(&rejection);
                (state.settled, state.since) = (None, now);
                state.status = Status::Nack;
                node.rejections.push(rejection);
            }
            Event::Forgiven { .. } => state.turn(Status::Stale, now),
            Event::Settled { version, .. } => {
                (state.error, state.settled) = (None, Some(version));
                state.resources.clear();
                state.version.get_or_insert(version);
                state.turn(Status::Synced, now);
            }
            Event::Unsettled { .. } => {
                state.settled = None;
                if state.status == Status::Synced {
                    state.turn(Status::Stale, now);
                }
            }
        }
        let name = stream.node.clone();
        self.count(&name);
    }

    fn node_view(&self, id: &str, node: &Node) -> Option<NodeView> {
        let live: Vec<&Stream> = node.streams.iter().rev().filter_map(|stream| self.streams.get(stream)).collect();
        let newest = live.first().copied().or(node.last.as_ref().map(|(stream, _)| stream))?;
        let shown: Vec<&Stream> = if live.is_empty() { vec![newest] } else { live };
        // A node may have a stream per type, and for a while an older stream beside the one that replaces it.
        let state = |ty: ResourceType| shown.iter().find_map(|stream| stream.types[ty.index()].as_ref());
        Some(NodeView {
            id: id.to_owned(),
            cluster: newest.cluster.clone(),
            group: newest.group.clone(),
            user_agent: newest.user_agent.clone(),
            peer: newest.peer.clone(),
            variant: match newest.variant {
                Variant::Sotw => "sotw",
                Variant::Delta => "delta",
            },
            connected: !node.streams.is_empty(),
            since: node.since,
            reason: node.last.as_ref().filter(|_| node.streams.is_empty()).map(|(_, reason)| reason.clone()),
            types: ResourceType::ALL.into_iter().filter_map(|ty| Some(state(ty)?.view(ty))).collect(),
        })
    }
}

impl TypeState {
    fn asked(now: Duration, rejected: Option<&Rejection>) -> Self {
        let mut state = Self {
            status: Status::NotSent,
            since: now,
            version: None,
            nonce: None,
            error: None,
            resources: Vec::new(),
            settled: None,
            unanswered: None,
        };
        if let Some(rejection) = rejected {
            state.accuse(rejection);
            state.status = Status::Nack;
        }
        state
    }

    fn turn(&mut self, status: Status, now: Duration) {
        if self.status != status {
            (self.status, self.since) = (status, now);
        }
    }

    /// An answer speaks for the responses before it too.
    fn answered(&mut self, nonce: u64) {
        self.unanswered = self.unanswered.filter(|(newest, _)| nonce < *newest);
    }

    fn accuse(&mut self, rejection: &Rejection) {
        self.error = Some(rejection.error.clone());
        self.resources = rejection.suspects.keys().map(ToString::to_string).collect();
    }

    fn view(&self, ty: ResourceType) -> TypeView {
        TypeView {
            ty: ty.short_name(),
            status: self.status,
            version: self.version.map(|version| version.to_string()),
            nonce: self.nonce,
            since: self.since,
            error: self.error.clone(),
            resources: self.resources.clone(),
        }
    }
}
