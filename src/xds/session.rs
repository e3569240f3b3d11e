//! The session of one stream: a pure state machine for both variants of the protocol.
//!
//! It follows one ladder for each request (remember the subscription; then: rejection, acknowledgement, or neither)
//! and pulls responses out of [`super::plan`]. At most one response of a type is unanswered at a time, so a slow
//! client costs one response and next gets the newest state; only a CDS response that is never answered is replaced,
//! since Envoy withholds its acknowledgement while a cluster cannot warm.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::channel::{Carried, Channel, InFlight, Opened};
use super::held::Held;
use super::order::{self, REMOVAL_GRACE};
use super::plan::Plan;
use super::subscription::Subscription;
use super::{
    ClientKind, Event, Names, Rejection, Request, RequestBody, Resource, ResourceType, Response, Settings, Snapshot,
    Variant, Version,
};

mod subscribing;

/// How many earlier snapshots are remembered. What a client still holds of them it lets go of within a few.
const MAX_EARLIER: usize = 4;

/// The session of one stream: sans-IO, for both variants.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    started: Option<Duration>,
    /// When the client last asked for a type it had not asked for before.
    last_opened: Duration,
    target: Arc<Snapshot>,
    earlier: Vec<Arc<Snapshot>>,
    /// Counts snapshots: the order of states of this stream.
    generation: u64,
    last_nonce: u64,
    channels: [Channel; ResourceType::COUNT],
    events: VecDeque<Event>,
    /// Whether the client said it has something from an earlier stream.
    came_back: bool,
    /// Whether this node rejected clusters on an earlier stream.
    clusters_rejected: bool,
    /// Whether a type was settled since the last look at what waits for it.
    progress: bool,
}

impl Session {
    /// A session that has heard nothing yet. `rejections` is what this node rejected on earlier streams, `earlier` what
    /// its group had before ([`super::Assign::earlier`]).
    #[must_use]
    pub fn new(settings: Settings, rejections: Vec<Rejection>, earlier: Vec<Arc<Snapshot>>) -> Self {
        let clusters_rejected = rejections.iter().any(|rejection| rejection.ty == ResourceType::Cluster);
        let mut channels: [Channel; ResourceType::COUNT] = std::array::from_fn(|_| Channel::default());
        for rejection in rejections {
            let channel = &mut channels[rejection.ty.index()];
            // The client may have what it rejected, and does not say so when it comes back.
            if settings.variant == Variant::Delta {
                for name in &rejection.fresh {
                    channel.held.insert(Arc::clone(name), Held::default());
                }
            }
            channel.rejections.push(rejection);
        }
        Self {
            settings,
            started: None,
            last_opened: Duration::ZERO,
            target: Arc::new(Snapshot::new([])),
            earlier,
            generation: 0,
            last_nonce: 0,
            channels,
            events: VecDeque::new(),
            came_back: false,
            clusters_rejected,
            progress: false,
        }
    }

    /// Takes the group's newest snapshot; the first must be given before the first request.
    pub fn handle_snapshot(&mut self, now: Duration, snapshot: Arc<Snapshot>) {
        self.started.get_or_insert(now);
        if Arc::ptr_eq(&self.target, &snapshot) {
            return;
        }
        let before = std::mem::replace(&mut self.target, snapshot);
        if self.generation > 0 {
            self.earlier.insert(0, Arc::clone(&before));
            self.earlier.truncate(MAX_EARLIER);
        }
        self.generation += 1;
        for ty in ResourceType::ALL {
            let target = self.target.set(ty);
            let channel = &mut self.channels[ty.index()];
            let settled = channel.settled == Some(target.version());
            if settled {
                channel.caught_up = self.generation;
            }
            channel.retarget(before.set(ty), target, self.generation);
            // A change that is taken back before anybody polled leaves a settled type to be set right.
            if !settled || before.set(ty).version() != target.version() {
                self.forgive(ty);
            }
        }
    }

    /// Takes one request.
    pub fn handle_request(&mut self, now: Duration, request: Request) {
        self.started.get_or_insert(now);
        let Request { ty, nonce, error, body } = request;
        let channel = &mut self.channels[ty.index()];
        let before = std::mem::replace(&mut channel.opened, Opened::Asked);
        let first = before != Opened::Asked;
        if before == Opened::No {
            self.last_opened = now;
            self.events.push_back(Event::Subscribed { ty });
        }
        let accepted = match body {
            RequestBody::Sotw { version, names } => {
                self.came_back |= first && !version.is_empty();
                self.subscribe_sotw(ty, first, &version, &names);
                Version::parse(&version)
            }
            RequestBody::SotwSameNames { version } => {
                // As the first of a type it would be one without any.
                if first {
                    self.came_back |= !version.is_empty();
                    self.subscribe_sotw(ty, first, &version, &[]);
                }
                Version::parse(&version)
            }
            RequestBody::Delta { subscribe, unsubscribe, initial } => {
                self.came_back |= first && !initial.is_empty();
                self.subscribe_delta(ty, first, &subscribe, &unsubscribe, initial);
                None
            }
        };
        let channel = &mut self.channels[ty.index()];
        let Some(response) = channel.answered(&nonce) else { return };
        let envoy = self.settings.client == ClientKind::Envoy;
        match error {
            // Envoy, freed from a cluster that could not warm, acknowledges the newest response under the error words
            // of an older one; where a version stands for all that it has, the version says so.
            Some(_) if envoy && order::is_full_state(ty) && accepted == Some(response.version) => {
                self.acked(now, ty, &response);
            }
            Some(error) => {
                let rejection = channel.nacked(&response, Rejection::new(ty, error));
                // The content may have changed while the answer was on its way.
                self.events.push_back(Event::Nacked { nonce: response.nonce, version: response.version, rejection });
                self.forgive(ty);
            }
            None => self.acked(now, ty, &response),
        }
    }

    /// The next response, if one is due. Call until `None` whenever the transport has room, after each `handle_*`
    /// and at [`Self::next_deadline`]. A response handed out counts as sent.
    pub fn poll_response(&mut self, now: Duration) -> Option<Response> {
        self.open_clusters_unasked(now);
        loop {
            self.progress = false;
            let response = ResourceType::ALL.into_iter().find_map(|ty| self.poll_type(ty, now));
            if response.is_some() || !self.progress {
                return response;
            }
        }
    }

    /// The next event, oldest first. Drain after each call that changes the session.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::poll_response`] again even if nothing happens; may lie in the past of a caller that has
    /// polled since.
    #[must_use]
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        let started = self.started?;
        let unanswered =
            self.channels.iter().filter_map(Channel::waiting_since).map(|at| at + self.settings.ack_timeout);
        unanswered
            .chain([self.last_opened + REMOVAL_GRACE, started + self.settings.ack_timeout])
            .filter(|deadline| *deadline > now)
            .min()
    }

    /// Puts an equal copy of the names the client is subscribed to of a type, one that others have too, in their place.
    pub fn share_names(&mut self, ty: ResourceType, share: impl FnOnce(Names) -> Names) {
        self.channels[ty.index()].subscription.share(share);
    }

    /// How many names the client has brought: those that it is subscribed to, and those of what it says it has and this
    /// side does not know.
    #[must_use]
    pub fn named(&self) -> usize {
        self.channels.iter().map(Channel::named).sum()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn target(&self) -> &Snapshot {
        &self.target
    }

    /// Snapshots of the past, newest first.
    pub(super) fn earlier(&self) -> &[Arc<Snapshot>] {
        &self.earlier
    }

    pub(super) fn channel(&self, ty: ResourceType) -> &Channel {
        &self.channels[ty.index()]
    }

    pub(super) fn started(&self) -> Duration {
        self.started.unwrap_or_default()
    }

    /// Whether this client is about to ask for clusters: an Envoy that comes back while clusters are warming asks for
    /// them only when that is done.
    pub(super) fn expects_clusters(&self, now: Duration) -> bool {
        let envoy = self.settings.aggregated && self.settings.client == ClientKind::Envoy;
        envoy && self.came_back && now < self.started() + self.settings.ack_timeout
    }

    pub(super) fn last_opened(&self) -> Duration {
        self.last_opened
    }

    fn acked(&mut self, now: Duration, ty: ResourceType, response: &InFlight) {
        self.channels[ty.index()].acked(response);
        let took = now.saturating_sub(response.sent_at);
        self.events.push_back(Event::Acked { ty, nonce: response.nonce, version: response.version, took });
    }

    fn poll_type(&mut self, ty: ResourceType, now: Duration) -> Option<Response> {
        let target = self.target.set(ty).version();
        let channel = self.channel(ty);
        let nothing_asked = channel.asked.is_empty() && !channel.answer_due;
        if !channel.is_open() || (channel.settled == Some(target) && nothing_asked) {
            return None;
        }
        let waiting = !channel.in_flight.is_empty();
        if waiting && !(ty == ResourceType::Cluster && self.is_overdue(channel, now)) {
            self.unsettle(ty);
            return None;
        }
        self.channels[ty.index()].fasten(self.target.set(ty));
        let plan = self.plan(ty, now);
        debug_assert_eq!(
            plan,
            self.plan_over(ty, now, &self.channel(ty).all(self.target.set(ty))),
            "what is fast of {ty}"
        );
        if !plan.send {
            let channel = &mut self.channels[ty.index()];
            for name in &plan.removed {
                channel.held.remove(name);
                channel.asked.remove(name);
            }
            if plan.complete && !waiting {
                self.settle(ty, target);
            } else {
                self.unsettle(ty);
            }
            return None;
        }
        self.unsettle(ty);
        self.last_nonce += 1;
        let version = plan.version.unwrap_or(target);
        let in_flight = InFlight {
            nonce: self.last_nonce,
            sent_at: now,
            version,
            target,
            set: self.carried(ty, &plan),
            covers: plan.complete.then_some(self.generation),
        };
        if ty == ResourceType::Cluster {
            self.follow_with_endpoints(&plan.changed);
        }
        let channel = &mut self.channels[ty.index()];
        for name in plan.removed.iter().chain(plan.changed.iter().map(|resource| &resource.name)) {
            channel.asked.remove(name);
        }
        for name in &plan.removed {
            channel.held.remove(name);
        }
        channel.sent(in_flight, &plan.changed);
        self.events.push_back(Event::Sent { ty, nonce: self.last_nonce, version });
        let (resources, removed) = match self.settings.variant {
            Variant::Sotw if order::is_full_state(ty) => (plan.whole, Vec::new()),
            Variant::Sotw => (plan.changed, Vec::new()),
            Variant::Delta => (plan.changed, plan.removed),
        };
        Some(Response { ty, nonce: self.last_nonce, version, resources, removed })
    }

    /// What a response by this plan sets.
    fn carried(&self, ty: ResourceType, plan: &Plan) -> Carried {
        let (channel, target) = (self.channel(ty), self.target.set(ty));
        // Who has nothing and is brought up to the whole set is sent all that it wants of it.
        let all =
            plan.complete && channel.held.is_empty() && channel.asked.iter().all(|name| target.get(name).is_some());
        if !all {
            return Carried::Some(plan.changed.iter().map(|r| (Arc::clone(&r.name), r.version)).collect());
        }
        debug_assert!(
            plan.changed.iter().eq(target.iter().filter(|resource| channel.subscription.covers(&resource.name))),
            "all of {ty}"
        );
        Carried::All(Arc::clone(target), channel.subscription.wanted().clone())
    }

    /// Envoy warms a changed cluster anew and waits for its endpoints, for which a delta client does not even ask:
    /// they follow, changed or not.
    fn follow_with_endpoints(&mut self, clusters: &[Arc<Resource>]) {
        let names: BTreeSet<Arc<str>> = clusters.iter().filter_map(|cluster| cluster.endpoints.clone()).collect();
        let endpoints = &mut self.channels[ResourceType::Endpoint.index()];
        // A client that comes back asks for clusters first: its request for endpoints is still on its way.
        let early = !endpoints.is_open();
        let wanted = names.into_iter().filter(|name| early || endpoints.subscription.covers(name));
        endpoints.asked.extend(wanted);
    }

    /// An Envoy whose clusters cannot warm does not ask for clusters when it comes back, but takes what it is sent:
    /// after the time that warming can take, it is sent its clusters unasked.
    fn open_clusters_unasked(&mut self, now: Duration) {
        // Not one that never asks for clusters: it would drop them without a word.
        let expected = self.clusters_rejected && self.settings.aggregated && self.settings.client == ClientKind::Envoy;
        let late = now >= self.started() + self.settings.ack_timeout;
        let asked = self.channels.iter().any(Channel::is_open);
        if expected && late && asked && !self.channel(ResourceType::Cluster).is_open() {
            let channel = &mut self.channels[ResourceType::Cluster.index()];
            channel.opened = Opened::Unasked;
            channel.subscription = Subscription::all();
            channel.loose = channel.all(self.target.set(ResourceType::Cluster));
            self.events.push_back(Event::Subscribed { ty: ResourceType::Cluster });
        }
    }

    fn forgive(&mut self, ty: ResourceType) {
        let channel = &mut self.channels[ty.index()];
        let accused = !channel.rejections.is_empty();
        channel.forgive(self.target.set(ty));
        if accused && channel.rejections.is_empty() {
            self.events.push_back(Event::Forgiven { ty });
        }
    }

    fn settle(&mut self, ty: ResourceType, version: Version) {
        let generation = self.generation;
        let channel = &mut self.channels[ty.index()];
        self.progress |= channel.caught_up < generation;
        channel.caught_up = generation;
        channel.held.rebase(self.target.set(ty), channel.subscription.wanted());
        if channel.settled != Some(version) {
            channel.settled = Some(version);
            self.events.push_back(Event::Settled { ty, version });
        }
    }

    fn unsettle(&mut self, ty: ResourceType) {
        if self.channels[ty.index()].settled.take().is_some() {
            self.events.push_back(Event::Unsettled { ty });
        }
    }
}

#[cfg(test)]
mod tests;
