//! The task of one discovery stream: it owns the stream's session and moves bytes between it and the transport.
//!
//! Requests are read whether or not the client reads (a client that is not read from fills the connection with small
//! frames until h2 ends it); responses are pulled from the session only when there is room, so a slow client is sent
//! the newest state next and never a queue of old ones. A client that takes nothing for a stated time is ended. Spawned
//! by [`super::discovery`], one per call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;
use tracing::{debug, info, warn};

use super::admission::FIRST_ANSWER_TIME;
use super::bodies::Bodies;
use super::connection::Ending;
use super::environment::Environment;
use super::frame::Frame;
use super::outlet::Outlet;
use super::proto::envoy::service::discovery::v3 as discovery;
use super::report::{Presence, ask};
use super::requests::{Inbound, Requests};
use super::stop::shutting_down;
use super::wire;
use super::{Config, limits};
use crate::fleet::{Message, StreamEvent};
use crate::xds::{Assignment, Event, Node, Request, RequestBody, ResourceType, Session, Settings, Variant};

/// Requests that wait for a decision: a client asks for a type once, and changes its mind a few times.
const MAX_HELD: usize = 100;

/// Why most streams end, in the words the fleet is shown.
const DISCONNECTED: &str = "the client disconnected";

/// One call, as the transport hands it over.
pub(super) struct Call {
    pub(super) inbound: Requests<Body>,
    pub(super) outlet: Outlet,
    pub(super) caller: Caller,
    /// How long it waits for being taken up.
    pub(super) wait: Duration,
    /// The end of its connection, where that has one.
    pub(super) ending: Option<Ending>,
}

/// Who calls, and for what.
pub(super) struct Caller {
    pub(super) variant: Variant,
    /// The one type of a stream that is not aggregated.
    pub(super) only: Option<ResourceType>,
    /// Its address.
    pub(super) peer: String,
}

/// Serves one call to its end.
pub(super) async fn run(environment: Arc<Environment>, mut call: Call) {
    if let Err(status) = serve(&environment, &mut call).await {
        // It waits for the client to read or leave, but nothing waits with it.
        call.outlet.send(Err(status));
    }
}

async fn serve(environment: &Environment, call: &mut Call) -> Result<(), Status> {
    let mut stop = environment.stop.clone();
    let Call { inbound, outlet, wait, caller, .. } = &mut *call;
    let taken_up = async {
        tokio::time::sleep(*wait).await;
        inbound.next().await
    };
    let mut first = tokio::select! {
        request = taken_up => match request? {
            Some(request) => request,
            None => return Ok(()),
        },
        () = outlet.gone() => return Ok(()),
        () = stop.wait() => return Err(shutting_down()),
    };
    // In a box: it is done before the rest begins, and a task is as large as the largest of what it keeps in itself.
    let (mut conversation, presence) = match Box::pin(Conversation::open(environment, caller, first.node.take())).await
    {
        Ok(opened) => opened,
        Err(status) => {
            info!(peer = caller.peer, code = ?status.code(), reason = status.message(), "stream refused");
            return Err(status);
        }
    };
    let end = conversation.run(call, first, &presence).await;
    let reason = end.as_ref().copied().unwrap_or_else(Status::message);
    debug!(peer = conversation.peer, node = ?conversation.node.id, reason, "stream closed");
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
    session: Box<Session>,
    /// What has been encoded of the world that the session was last given.
    bodies: Arc<Bodies>,
    /// Whether it is about to be answered for the first time, for one of its types.
    turn: Turn,
    /// Requests for routes of a client that has others than a guess would send it, until somebody has decided.
    held: Vec<Request>,
    /// Whether the fleet was told so.
    foreign_told: bool,
    /// Whether a type nobody serves has been logged.
    unknown_logged: bool,
}

/// Whether a stream is answered for the first time, which not all may be at once ([`super::admission`]).
enum Turn {
    /// It has been, and is a stream like any other.
    Over,
    /// It waits for its turn.
    Waiting,
    /// It is, until that time at the latest.
    Held { until: Duration, _permit: Option<OwnedSemaphorePermit> },
}

impl<'a> Conversation<'a> {
    /// Takes the node from the first message and nowhere else; later ones may leave it out.
    async fn open(
        environment: &'a Environment,
        caller: &Caller,
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
            variant: caller.variant,
            client: wire::client_kind(&node),
            aggregated: caller.only.is_none(),
            ack_timeout: *ack_timeout,
            ordered: *ordered,
        };
        let rejections = ask(fleet, |reply| Message::Rejections(node.id.clone(), reply)).await?;
        let mut session = Box::new(Session::new(settings, rejections, assign.earlier(&node)));
        session.handle_snapshot(clock(), snapshot);

        let conversation = Self {
            environment,
            world,
            variant: caller.variant,
            only: caller.only,
            peer: caller.peer.clone(),
            node,
            group,
            session,
            bodies: environment.bodies(&assign),
            turn: Turn::Over,
            held: Vec::new(),
            foreign_told: false,
            unknown_logged: false,
        };
        let presence = Presence::open(environment.next_stream(), fleet.clone(), conversation.opened()).await?;
        debug!(peer = caller.peer, node = ?conversation.node.id, "stream opened");
        Ok((conversation, presence))
    }

    /// Runs until the client leaves, which is `Ok` with the reason, or the stream has to end with a status.
    async fn run(&mut self, call: &mut Call, first: Inbound, presence: &Presence) -> Result<&'static str, Status> {
        let Call { inbound, outlet, ending, .. } = call;
        let mut stop = self.environment.stop.clone();
        self.handle(first)?;
        // When the session last had nothing to send; `None` while it may have, and the thing to wait for is room.
        let mut idle_since = None;
        loop {
            self.report(presence).await?;
            let stalls_at = outlet.waiting_since().map(|since| since + limits::STALLED);
            if stalls_at.is_some_and(|stalls_at| self.now() >= stalls_at) {
                return Err(self.stalled());
            }
            // Asked from that time on, so that no deadline falls between the poll and the question.
            let deadline = idle_since.and_then(|since| self.session.next_deadline(since));
            let next = [deadline, stalls_at, self.turn.ends_at()].into_iter().flatten().min();
            let pause = next.map(|next| next.saturating_sub(self.now()));
            tokio::select! {
                request = inbound.next() => match request {
                    Ok(Some(request)) => {
                        self.handle(request)?;
                        idle_since = None;
                    }
                    Ok(None) => return Ok("the client ended the stream"),
                    Err(_) if outlet.is_gone() => return Ok(DISCONNECTED),
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
                permit = self.environment.admission.turn(), if matches!(self.turn, Turn::Waiting) => {
                    self.turn = Turn::Held { until: self.now() + FIRST_ANSWER_TIME, _permit: permit };
                }
                room = outlet.room(), if idle_since.is_none() && !matches!(self.turn, Turn::Waiting) => {
                    let Ok(()) = room else { return Ok(DISCONNECTED) };
                    let now = self.now();
                    if let Some(response) = self.session.poll_response(now) {
                        let (ty, nonce) = (response.ty, response.nonce);
                        let body = self.bodies.body(self.variant, response);
                        let frame = Frame::new(nonce, &body)?;
                        self.environment.config.metrics.pushed(ty, frame.bytes());
                        outlet.send(Ok(frame));
                    } else {
                        idle_since = Some(now);
                        self.turn = Turn::Over;
                    }
                }
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    if self.turn.ends_at().is_some_and(|ends_at| self.now() >= ends_at) {
                        self.turn = Turn::Over;
                    }
                    idle_since = None;
                }
                () = outlet.gone() => return Ok(DISCONNECTED),
                () = Ending::wait(ending) => return Err(Ending::status()),
                () = stop.wait() => return Err(shutting_down()),
            }
        }
    }

    /// Ends a stream whose client takes nothing: it costs one response as long as it lasts, and is told so if it ever
    /// reads on.
    fn stalled(&self) -> Status {
        let time = limits::STALLED.as_secs();
        warn!(peer = self.peer, node = ?self.node.id, "took nothing of what it was sent for {time} s; stream ended");
        Status::unavailable(format!("the client took nothing of what it was sent for {time} s"))
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
        limits::check_names(&body)?;
        let named = limits::names(&body) > 0;
        let request = Request { ty, nonce, error, body };
        if self.holds(&request) {
            self.held.push(request);
            if self.held.len() > MAX_HELD {
                return Err(Status::resource_exhausted("too many requests for routes that are kept as they are"));
            }
        } else {
            self.session.handle_request(self.now(), request);
        }
        if named {
            self.session.share_names(ty, |names| self.environment.names.share(names));
            let held: usize = self.held.iter().map(|held| limits::names(&held.body)).sum();
            limits::check_count(self.session.named() + held)?;
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
            RequestBody::Sotw { version, .. } | RequestBody::SotwSameNames { version } => {
                !version.is_empty() && *version != set.version().to_string()
            }
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
                let ty = request.ty;
                self.session.handle_request(self.now(), request);
                self.session.share_names(ty, |names| self.environment.names.share(names));
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
            if matches!((&event, &self.turn), (Event::Subscribed { .. }, Turn::Over)) {
                self.turn = Turn::Waiting;
            }
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

impl Turn {
    fn ends_at(&self) -> Option<Duration> {
        match self {
            Turn::Held { until, .. } => Some(*until),
            Turn::Over | Turn::Waiting => None,
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
