//! The task of one discovery stream: it owns the stream's session and moves bytes between it and the transport.
//!
//! Requests are read whether or not the client reads (a client that is not read from fills the connection with small
//! frames until h2 ends it); responses are pulled from the session only when there is room, so a slow client is sent
//! the newest state next and never a queue of old ones. Spawned by [`super::discovery`], one per call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use tracing::{debug, info};

use super::bodies::Bodies;
use super::frame::{Frame, Outgoing};
use super::proto::envoy::service::discovery::v3 as discovery;
use super::report::{Presence, ask};
use super::stop::{Stop, shutting_down};
use super::wire::{self, Inbound};
use super::{Config, limits};
use crate::fleet::{Message, StreamEvent, StreamId};
use crate::xds::{Assign, Assignment, Node, Request, RequestBody, ResourceType, Session, Settings, Variant};

/// The response that waits while the one before it is on its way. More room would only hold stale ones.
pub(super) const ROOM: usize = 1;

/// Requests that wait for a decision: a client asks for a type once, and changes its mind a few times.
const MAX_HELD: usize = 100;

/// Why most streams end, in the words the fleet is shown.
const DISCONNECTED: &str = "the client disconnected";

/// What all streams of the server share.
pub(super) struct Environment {
    pub(super) config: Config,
    /// The end of the server.
    pub(super) stop: Stop,
    /// The next [`StreamId`].
    next_stream: AtomicU64,
    /// What has been encoded of the newest world.
    newest: Mutex<Option<Encoded>>,
}

/// What has been encoded of one world.
struct Encoded {
    world: Weak<dyn Assign>,
    bodies: Arc<Bodies>,
}

impl Environment {
    /// With no streams yet.
    pub(super) fn new(config: Config, stop: Stop) -> Self {
        Self { config, stop, next_stream: AtomicU64::new(0), newest: Mutex::default() }
    }

    /// What has been encoded of `world`. Kept for the world that was asked for last.
    fn bodies(&self, world: &Arc<dyn Assign>) -> Arc<Bodies> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.as_ref().filter(|known| std::ptr::addr_eq(known.world.as_ptr(), Arc::as_ptr(world)));
        if let Some(known) = known {
            return Arc::clone(&known.bodies);
        }
        let bodies = Arc::new(Bodies::new(&self.config.instance));
        *newest = Some(Encoded { world: Arc::downgrade(world), bodies: Arc::clone(&bodies) });
        bodies
    }
}

/// One call, as the transport hands it over.
pub(super) struct Call<Q> {
    pub(super) inbound: Streaming<Q>,
    pub(super) outbound: mpsc::Sender<Outgoing>,
    pub(super) variant: Variant,
    /// The one type of a stream that is not aggregated.
    pub(super) only: Option<ResourceType>,
    pub(super) peer: String,
}

/// Serves one call to its end.
pub(super) async fn run<Q: Into<Inbound>>(environment: Arc<Environment>, call: Call<Q>) {
    let outbound = call.outbound.clone();
    if let Err(status) = serve(&environment, call).await {
        // The session is gone by now; what waits for room is the status alone, until the client reads or leaves.
        drop(outbound.send(Err(status)).await);
    }
}

async fn serve<Q: Into<Inbound>>(environment: &Environment, mut call: Call<Q>) -> Result<(), Status> {
    let mut stop = environment.stop.clone();
    let mut first: Inbound = tokio::select! {
        message = call.inbound.message() => match message? {
            Some(message) => message.into(),
            None => return Ok(()),
        },
        () = call.outbound.closed() => return Ok(()),
        () = stop.wait() => return Err(shutting_down()),
    };
    let (mut conversation, presence) = match Conversation::open(environment, &call, first.node.take()).await {
        Ok(opened) => opened,
        Err(status) => {
            info!(peer = call.peer, code = ?status.code(), reason = status.message(), "stream refused");
            return Err(status);
        }
    };
    let end = conversation.run(&mut call, first, &presence).await;
    let reason = end.as_ref().copied().unwrap_or_else(Status::message);
    debug!(peer = call.peer, node = ?conversation.node.id, reason, "stream closed");
    presence.close(reason);
    end.map(drop)
}

/// A stream whose node is known.
struct Conversation<'a> {
    environment: &'a Environment,
    world: super::World,
    variant: Variant,
    only: Option<ResourceType>,
    peer: String,
    node: Node,
    group: Arc<str>,
    session: Session,
    /// What has been encoded of the world that the session was last given.
    bodies: Arc<Bodies>,
    names: limits::Names,
    /// Requests for routes of a client that has others than a guess would send it, until somebody has decided.
    held: Vec<Request>,
    /// Whether the fleet was told so.
    foreign_told: bool,
    /// Whether a type nobody serves has been logged.
    unknown_logged: bool,
}

impl<'a> Conversation<'a> {
    /// Takes the node from the first message and nowhere else; later ones may leave it out.
    async fn open<Q>(
        environment: &'a Environment,
        call: &Call<Q>,
        node: Option<discovery::Node>,
    ) -> Result<(Self, Presence), Status> {
        let node = match node {
            Some(node) if !node.id.is_empty() => node,
            Some(_) => return Err(Status::invalid_argument("the first message of a stream needs a node with an id")),
            None => return Err(Status::invalid_argument("the first message of a stream needs a node")),
        };
        limits::check_node(&node)?;
        let node = wire::node(node);

        let Config { fleet, clock, ack_timeout, ordered, .. } = &environment.config;
        let mut world = environment.config.world.clone();
        let assign = world.borrow_and_update().clone().ok_or_else(not_loaded)?;
        let Assignment { group, snapshot } = assign.assign(&node);

        let settings = Settings {
            variant: call.variant,
            client: wire::client_kind(&node),
            aggregated: call.only.is_none(),
            ack_timeout: *ack_timeout,
            ordered: *ordered,
        };
        let rejections = ask(fleet, |reply| Message::Rejections(node.id.clone(), reply)).await?;
        let mut session = Session::new(settings, rejections, assign.earlier(&node));
        session.handle_snapshot(clock(), snapshot);

        let conversation = Self {
            environment,
            world,
            variant: call.variant,
            only: call.only,
            peer: call.peer.clone(),
            node,
            group,
            session,
            bodies: environment.bodies(&assign),
            names: limits::Names::default(),
            held: Vec::new(),
            foreign_told: false,
            unknown_logged: false,
        };
        let stream = StreamId(environment.next_stream.fetch_add(1, Ordering::Relaxed));
        let presence = Presence::open(stream, fleet.clone(), conversation.opened()).await?;
        debug!(peer = call.peer, node = ?conversation.node.id, "stream opened");
        Ok((conversation, presence))
    }

    /// Runs until the client leaves, which is `Ok` with the reason, or the stream has to end with a status.
    async fn run<Q: Into<Inbound>>(
        &mut self,
        call: &mut Call<Q>,
        first: Inbound,
        presence: &Presence,
    ) -> Result<&'static str, Status> {
        let mut stop = self.environment.stop.clone();
        self.handle(first)?;
        // When the session last had nothing to send; `None` while it may have, and the thing to wait for is room.
        let mut idle_since = None;
        loop {
            self.report(presence).await?;
            // Asked from that time on, so that no deadline falls between the poll and the question.
            let deadline = idle_since.and_then(|since| self.session.next_deadline(since));
            let pause = deadline.map(|deadline| deadline.saturating_sub(self.now()));
            tokio::select! {
                message = call.inbound.message() => match message {
                    Ok(Some(message)) => {
                        self.handle(message.into())?;
                        idle_since = None;
                    }
                    Ok(None) => return Ok("the client ended the stream"),
                    Err(_) if call.outbound.is_closed() => return Ok(DISCONNECTED),
                    Err(status) => {
                        let words = format!("cannot read requests: {}", status.message());
                        return Err(Status::new(status.code(), words));
                    }
                },
                changed = self.world.changed() => {
                    changed.map_err(|_| shutting_down())?;
                    self.take_world(presence).await?;
                    idle_since = None;
                }
                room = call.outbound.reserve(), if idle_since.is_none() => {
                    let Ok(room) = room else { return Ok(DISCONNECTED) };
                    let now = self.now();
                    match self.session.poll_response(now) {
                        Some(response) => {
                            let (ty, nonce) = (response.ty, response.nonce);
                            let body = self.bodies.body(self.variant, response);
                            let frame = Frame::new(nonce, &body)?;
                            self.environment.config.metrics.pushed(ty, frame.bytes());
                            room.send(Ok(Box::new(frame)));
                        }
                        None => idle_since = Some(now),
                    }
                }
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => idle_since = None,
                () = call.outbound.closed() => return Ok(DISCONNECTED),
                () = stop.wait() => return Err(shutting_down()),
            }
        }
    }

    /// Hands the session what concerns a type that is served here.
    fn handle(&mut self, inbound: Inbound) -> Result<(), Status> {
        let Inbound { node: _, type_url, nonce, error, body } = inbound;
        let Some(ty) = resolve(self.only, &type_url)? else {
            if !self.unknown_logged {
                debug!(peer = self.peer, node = ?self.node.id, ?type_url, "asked for a type that is not served");
                self.unknown_logged = true;
            }
            return Ok(());
        };
        self.names.take(ty, &body)?;
        let request = Request { ty, nonce, error, body };
        if self.holds(&request) {
            self.held.push(request);
            if self.held.len() > MAX_HELD {
                return Err(Status::resource_exhausted("too many requests for routes that are kept as they are"));
            }
        } else {
            self.session.handle_request(self.now(), request);
        }
        Ok(())
    }

    /// Whether a request waits until somebody has decided what is right.
    fn holds(&self, request: &Request) -> bool {
        if self.held.iter().any(|held| held.ty == request.ty) {
            return true;
        }
        let carries_routes =
            matches!(request.ty, ResourceType::Listener | ResourceType::Route | ResourceType::VirtualHost);
        if !carries_routes || !request.nonce.is_empty() {
            return false;
        }
        let Some(world) = self.world.borrow().clone().filter(|world| world.is_guess()) else { return false };
        let snapshot = world.assign(&self.node).snapshot;
        let set = snapshot.set(request.ty);
        match &request.body {
            RequestBody::Sotw { version, .. } => !version.is_empty() && *version != set.version().to_string(),
            RequestBody::Delta { initial, .. } => initial
                .iter()
                .any(|(name, version)| set.get(name).is_some_and(|resource| resource.version.to_string() != *version)),
        }
    }

    /// Takes what the newest world has for this node. A world that is taken away leaves everything as it is.
    async fn take_world(&mut self, presence: &Presence) -> Result<(), Status> {
        let Some(assign) = self.world.borrow_and_update().clone() else { return Ok(()) };
        let Assignment { group, snapshot } = assign.assign(&self.node);
        self.session.handle_snapshot(self.now(), snapshot);
        self.bodies = self.environment.bodies(&assign);
        if !assign.is_guess() {
            for request in std::mem::take(&mut self.held) {
                self.session.handle_request(self.now(), request);
            }
        }
        if group != self.group {
            self.group = group;
            presence.tell(self.opened()).await?;
        }
        Ok(())
    }

    async fn report(&mut self, presence: &Presence) -> Result<(), Status> {
        if !self.held.is_empty() && !self.foreign_told {
            self.foreign_told = true;
            presence.tell(StreamEvent::Foreign).await?;
        }
        while let Some(event) = self.session.poll_event() {
            self.environment.config.metrics.happened(&event);
            presence.tell(StreamEvent::Session(event)).await?;
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        (self.environment.config.clock)()
    }

    fn opened(&self) -> StreamEvent {
        let Node { id, cluster, user_agent_name, user_agent_version, .. } = &self.node;
        StreamEvent::Opened {
            node: id.clone(),
            cluster: cluster.clone(),
            group: self.group.to_string(),
            user_agent: format!("{user_agent_name} {user_agent_version}").trim().to_owned(),
            variant: self.variant,
            peer: self.peer.clone(),
        }
    }
}

/// Why a stream is refused before the first full load: an empty answer would delete what the proxy has.
pub(super) fn not_loaded() -> Status {
    Status::unavailable("no configuration has been loaded yet")
}

/// The type a request speaks of; `None` for one that nobody serves, which on an aggregated stream is no error.
fn resolve(only: Option<ResourceType>, type_url: &str) -> Result<Option<ResourceType>, Status> {
    match only {
        Some(ty) if type_url.is_empty() || ResourceType::from_type_url(type_url) == Some(ty) => Ok(Some(ty)),
        Some(ty) => Err(Status::invalid_argument(format!("this stream serves {}, not {type_url:?}", ty.type_url()))),
        None if type_url.is_empty() => {
            Err(Status::invalid_argument("a request on an aggregated stream needs a type_url"))
        }
        None => Ok(ResourceType::from_type_url(type_url)),
    }
}
