//! Plays a [`Script`] on a session, and checks what must hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serin::xds::{
    ClientKind, Event, Rejection, Request, RequestBody, ResourceType, Response, Session, Settings, Snapshot, Variant,
    Version,
};

use crate::client::Asked;
use crate::script::{Ask, Claim, Nonce, Op, Script, World};

/// How many earlier snapshots a session is told of.
const REMEMBERED: usize = 8;

/// How often a calm client answers before it must be at rest: a change goes down the types and comes back up, and each
/// may wait for a deadline.
const MAX_ROUNDS: usize = 100;

/// Bound on the words of a rejection, in bytes, with what says that they were cut.
const MAX_WORDS: usize = 2_048 + 64;

static TRANSCRIPT: LazyLock<bool> = LazyLock::new(|| std::env::var_os("TRANSCRIPT").is_some());

/// Plays `script`.
///
/// # Panics
///
/// If the session does what it must not do.
pub fn run(variant: Variant, script: &Script) {
    let mut play = Play::new(variant, script);
    for op in &script.ops {
        play.apply(op);
    }
    if play.innocent {
        play.rest();
    }
    play.world.renew();
    play.publish();
    play.rest();
}

struct Play {
    settings: Settings,
    now: Duration,
    /// When the stream began.
    started: Duration,
    session: Session,
    world: World,
    /// All there ever were; the last is in force.
    snapshots: Vec<Arc<Snapshot>>,
    /// The types that were asked for on this stream.
    types: BTreeMap<ResourceType, Asked>,
    nonce: u64,
    /// What the fleet remembers of this client.
    rejections: Vec<Rejection>,
    /// Those of them that stand.
    standing: Vec<Rejection>,
    /// What the session was told of them when the stream began.
    carried: Vec<Rejection>,
    /// The client has rejected nothing that this stream knows of.
    innocent: bool,
}

impl Play {
    fn new(variant: Variant, script: &Script) -> Self {
        let settings = Settings {
            variant,
            client: if script.envoy { ClientKind::Envoy } else { ClientKind::Other },
            ack_timeout: Duration::from_secs(20),
            aggregated: script.aggregated,
            ordered: script.ordered,
        };
        let world = if script.full { World::full() } else { World::default() };
        let mut play = Self {
            session: Session::new(settings.clone(), Vec::new(), Vec::new()),
            settings,
            now: Duration::from_secs(1),
            started: Duration::ZERO,
            snapshots: vec![world.snapshot()],
            world,
            types: BTreeMap::new(),
            nonce: 0,
            rejections: Vec::new(),
            standing: Vec::new(),
            carried: Vec::new(),
            innocent: true,
        };
        play.connect();
        play
    }

    fn apply(&mut self, op: &Op) {
        say(|| format!("{:?} {op:?}", self.now));
        match op {
            Op::Answer { ty, oldest, error } => {
                let Some(asked) = self.types.get(&ty.ty()) else { return };
                let response = if *oldest { asked.unanswered.front() } else { asked.unanswered.back() };
                let Some(nonce) = response.map(|(_, response)| response.nonce) else { return };
                self.answer(ty.ty(), nonce, error.as_ref().map(|words| words.text()));
            }
            Op::Ask(ask) => self.request(self.read(ask)),
            Op::Poll => drop(self.poll()),
            Op::PollAll => self.poll_all(),
            Op::Edit(edit) => self.world.edit(edit),
            Op::Publish => self.publish(),
            Op::Wait(units) => self.now += Duration::from_millis(10) * u32::from(*units),
            Op::WaitForDeadline => self.now = self.deadline().unwrap_or(self.now),
            Op::Reconnect => self.connect(),
        }
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshots[self.snapshots.len() - 1]
    }

    /// A new stream of the same client.
    fn connect(&mut self) {
        let earlier = self.snapshots.iter().rev().skip(1).take(REMEMBERED).cloned().collect();
        self.session = Session::new(self.settings.clone(), self.rejections.clone(), earlier);
        self.types.clear();
        self.nonce = 0;
        self.started = self.now;
        self.carried = self.rejections.clone();
        self.innocent = self.rejections.is_empty();
        self.standing = self.rejections.clone();
        self.take_snapshot();
    }

    fn publish(&mut self) {
        self.snapshots.push(self.world.snapshot());
        self.take_snapshot();
    }

    fn take_snapshot(&mut self) {
        self.session.handle_snapshot(self.now, Arc::clone(&self.snapshots[self.snapshots.len() - 1]));
        self.forgive();
        for event in self.events() {
            self.note(&event);
        }
    }

    /// Rejections fall when the content does; those that do not say which resource is to blame, when any of it does.
    fn forgive(&mut self) {
        let snapshot = Arc::clone(&self.snapshots[self.snapshots.len() - 1]);
        self.standing.retain_mut(|rejection| {
            let before = rejection.suspects.len();
            let set = snapshot.set(rejection.ty);
            rejection.suspects.retain(|name, version| set.get(name).is_some_and(|found| found.version == *version));
            let after = rejection.suspects.len();
            after > 0 && (rejection.named || after == before)
        });
    }

    fn read(&self, ask: &Ask) -> Request {
        let ty = ask.ty.ty();
        let asked = self.types.get(&ty);
        let nonce = match &ask.nonce {
            Nonce::Empty => String::new(),
            Nonce::Newest => asked
                .and_then(|asked| asked.unanswered.back())
                .map(|(_, response)| response.nonce.to_string())
                .unwrap_or_default(),
            Nonce::Any(nonce) => (u64::from(*nonce) % (self.nonce + 2)).to_string(),
            Nonce::Number(number) => number.to_string(),
            Nonce::Text(text) => text.clone(),
        };
        let body = match self.settings.variant {
            Variant::Sotw => {
                let claims = !ask.initial.list().is_empty();
                let version = if claims { self.claim(ty, None, &ask.version) } else { String::new() };
                RequestBody::Sotw { version, names: ask.subscribe.list() }
            }
            Variant::Delta => {
                let claim = |name: String| {
                    let version = self.claim(ty, Some(&name), &ask.version);
                    (name, version)
                };
                RequestBody::Delta {
                    subscribe: ask.subscribe.list(),
                    unsubscribe: ask.unsubscribe.list(),
                    initial: ask.initial.list().into_iter().map(claim).collect(),
                }
            }
        };
        Request { ty, nonce, error: ask.error.as_ref().map(|words| words.text()), body }
    }

    /// A version of a resource, or of all of a type.
    fn claim(&self, ty: ResourceType, name: Option<&str>, claim: &Claim) -> String {
        let of = |snapshot: &Snapshot| {
            let set = snapshot.set(ty);
            name.map_or(Some(set.version()), |name| set.get(name).map(|resource| resource.version))
        };
        let version = match claim {
            Claim::Current => of(self.snapshot()),
            Claim::Earlier(back) => self.snapshots.iter().rev().nth(usize::from(*back)).and_then(|old| of(old)),
            Claim::Sent => self.types.get(&ty).and_then(|asked| match name {
                Some(name) => asked.state.get(name).copied().flatten(),
                None => asked.version,
            }),
            Claim::Number(number) => return format!("{number:016x}"),
            Claim::Text(text) => return text.clone(),
        };
        version.map(|version| version.to_string()).unwrap_or_default()
    }

    /// A request that answers a response and changes nothing else.
    fn answer(&mut self, ty: ResourceType, nonce: u64, error: Option<String>) {
        let Some(asked) = self.types.get(&ty) else { return };
        let body = match self.settings.variant {
            Variant::Sotw => {
                let accepted = asked.version.filter(|_| error.is_none());
                let version = accepted.map(|version| version.to_string()).unwrap_or_default();
                RequestBody::SotwSameNames { version }
            }
            Variant::Delta => {
                RequestBody::Delta { subscribe: Vec::new(), unsubscribe: Vec::new(), initial: BTreeMap::new() }
            }
        };
        self.request(Request { ty, nonce: nonce.to_string(), error, body });
    }

    fn request(&mut self, request: Request) {
        say(|| format!("  <- {request:?}"));
        let Request { ty, nonce, error, body } = &request;
        let (ty, client) = (*ty, self.settings.client);
        let first = !self.types.contains_key(&ty);
        self.types.entry(ty).or_default().ask(ty, client, first, body);
        let (nonce, rejects) = (nonce.clone(), error.is_some());
        self.session.handle_request(self.now, request);

        let mut events = self.events();
        if first {
            assert_eq!(events.first(), Some(&Event::Subscribed { ty }), "the first request of a type says so");
            events.remove(0);
        }
        let unanswered = &self.types[&ty].unanswered;
        let answers = unanswered.iter().any(|(_, response)| response.nonce.to_string() == nonce);
        let answered = matches!(events.first(), Some(Event::Acked { .. } | Event::Nacked { .. }));
        assert!(!answers || answered, "the nonce of an unanswered response answers it");
        if answered {
            self.answered(ty, &nonce, rejects, &events.remove(0));
        }
        events.iter().for_each(|event| self.note(event));
    }

    fn answered(&mut self, ty: ResourceType, text: &str, rejects: bool, event: &Event) {
        let (Event::Acked { nonce, version, .. } | Event::Nacked { nonce, version, .. }) = event else { return };
        assert_eq!(text.parse(), Ok(*nonce), "no answer without its nonce");
        let asked = self.types.get_mut(&ty).expect("asked for");
        let taken = asked.take(*nonce);
        let last = taken.last().expect("no answer to nothing");
        assert_eq!((last.nonce, last.version), (*nonce, *version), "a nonce pins its version");
        let sent: BTreeSet<(String, Version)> =
            taken.iter().flat_map(|r| &r.resources).map(|r| (r.name.to_string(), r.version)).collect();
        match event {
            Event::Nacked { rejection, .. } => {
                assert!(rejects && rejection.ty == ty && rejection.error.len() <= MAX_WORDS, "{rejection:?}");
                let sent_it = |(name, version): (&Arc<str>, &Version)| sent.contains(&(name.to_string(), *version));
                assert!(rejection.suspects.iter().all(sent_it), "blamed without having been sent: {rejection:?}");
                assert!(rejection.fresh.iter().all(|name| rejection.suspects.contains_key(name)), "{rejection:?}");
                let spared = sent.into_iter().filter(|(name, _)| !rejection.suspects.contains_key(&**name));
                asked.good.extend(spared);
                asked.state.retain(|name, _| !rejection.suspects.contains_key(name.as_str()));
                asked.claimed.extend(rejection.fresh.iter().map(ToString::to_string));
                self.rejections.push(rejection.clone());
                self.standing.push(rejection.clone());
                self.forgive();
                self.innocent = false;
            }
            _ => asked.good.extend(sent),
        }
    }

    fn poll_all(&mut self) {
        for _ in 0..=ResourceType::COUNT {
            if self.poll().is_none() {
                return;
            }
        }
        panic!("more responses than types at one time");
    }

    fn poll(&mut self) -> Option<()> {
        let response = self.session.poll_response(self.now);
        let events = self.events();
        if events.contains(&Event::Subscribed { ty: ResourceType::Cluster }) {
            let expected = self.carried.iter().any(|rejection| rejection.ty == ResourceType::Cluster)
                && self.settings.aggregated
                && self.settings.client == ClientKind::Envoy
                && self.now >= self.started + self.settings.ack_timeout
                && !self.types.is_empty()
                && !self.types.contains_key(&ResourceType::Cluster);
            assert!(expected, "clusters unasked, for no reason");
            self.types.insert(ResourceType::Cluster, Asked::everything());
        }
        let sent = |event: &&Event| matches!(event, Event::Sent { .. });
        let told = response.as_ref().map(|r| Event::Sent { ty: r.ty, nonce: r.nonce, version: r.version });
        assert!(events.iter().filter(sent).eq(told.iter()), "told {events:?} of {response:?}");
        for event in &events {
            match event {
                Event::Sent { .. } => {}
                Event::Subscribed { ty } => assert_eq!(*ty, ResourceType::Cluster, "unasked"),
                event => self.note(event),
            }
        }
        let response = response?;
        say(|| format!("  -> {response:?}"));
        self.check(&response);
        self.nonce = response.nonce;
        let whole = self.settings.variant == Variant::Sotw && is_whole(response.ty);
        let asked = self.types.get_mut(&response.ty).expect("asked for");
        asked.receive(self.now, response, whole);
        Some(())
    }

    fn check(&self, response: &Response) {
        let Response { ty, nonce, version: _, resources, removed } = response;
        let asked = self.types.get(ty).unwrap_or_else(|| panic!("{ty} was never asked for"));
        assert!(*nonce > self.nonce, "nonces grow");
        if let Some((sent_at, _)) = asked.unanswered.back() {
            let overdue = self.now >= *sent_at + self.settings.ack_timeout;
            assert!(*ty == ResourceType::Cluster && overdue, "{ty} is not answered yet");
        }
        let names: BTreeSet<&str> = resources.iter().map(|resource| &*resource.name).collect();
        let gone: BTreeSet<&str> = removed.iter().map(|name| &**name).collect();
        assert!(names.len() == resources.len() && gone.len() == removed.len(), "a name twice: {response:?}");
        assert!(names.is_disjoint(&gone), "set and removed: {response:?}");
        for name in &names {
            assert!(asked.covers(name), "{ty} {name} was not asked for: {response:?}");
        }
        let carried = || self.carried.iter().filter(|rejection| rejection.ty == *ty);
        for name in &gone {
            let tainted = asked.claimed.contains(*name) || carried().any(|rejection| rejection.fresh.contains(*name));
            assert!(tainted || asked.covers(name), "{ty} {name} is none of its: {response:?}");
        }
        for resource in resources {
            let fact = (resource.name.to_string(), resource.version);
            let accused = |rejection: &Rejection| rejection.suspects.get(&resource.name) == Some(&fact.1);
            let standing = self.standing.iter().filter(|rejection| rejection.ty == *ty).any(accused);
            assert!(!standing || asked.named_version || asked.good.contains(&fact), "sent again: {resource:?}");
        }
        let whole = self.settings.variant == Variant::Sotw && is_whole(*ty);
        match self.settings.variant {
            Variant::Sotw => assert!(gone.is_empty(), "nothing is removed by name: {response:?}"),
            Variant::Delta => {}
        }
        if whole {
            let accused = self.standing.iter().any(|rejection| rejection.ty == *ty);
            let kept = asked.state.keys().filter(|name| self.snapshot().set(*ty).get(name).is_some());
            let lost: Vec<_> = kept.filter(|name| !names.contains(name.as_str())).collect();
            assert!(lost.is_empty() || accused, "{ty} {lost:?} would be lost: {response:?}");
        } else {
            assert!(asked.answer_due || !(names.is_empty() && gone.is_empty()), "says nothing: {response:?}");
        }
    }

    /// An event that answers no call in particular.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Settled { ty, version } => {
                let set = self.snapshot().set(*ty).version();
                let asked = self.types.get_mut(ty).expect("asked for");
                assert!(asked.unanswered.is_empty(), "{ty} settled with a response on its way");
                assert!(!self.standing.iter().any(|rejection| rejection.ty == *ty), "{ty} settled in spite of a NACK");
                assert_eq!(*version, set, "{ty} settled on what it is not");
                assert_ne!(asked.settled.replace(*version), Some(*version), "{ty} settled twice");
            }
            Event::Unsettled { ty } => {
                let asked = self.types.get_mut(ty).expect("asked for");
                assert!(asked.settled.take().is_some(), "{ty} was not settled");
            }
            Event::Forgiven { ty } => {
                assert!(!self.standing.iter().any(|rejection| rejection.ty == *ty), "{ty} forgiven too early");
                assert!(self.rejections.iter().any(|rejection| rejection.ty == *ty), "{ty} had nothing to forgive");
                self.rejections.retain(|rejection| rejection.ty != *ty);
            }
            event => panic!("out of place: {event:?}"),
        }
    }

    fn events(&mut self) -> Vec<Event> {
        let events: Vec<Event> = std::iter::from_fn(|| self.session.poll_event()).collect();
        events.iter().for_each(|event| say(|| format!("  .. {event:?}")));
        self.deadline();
        events
    }

    fn deadline(&self) -> Option<Duration> {
        let deadline = self.session.next_deadline(self.now);
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "a deadline in the past");
        deadline
    }

    /// From here on every response is accepted: the session comes to rest, and the client has what it asked for.
    fn rest(&mut self) {
        say(|| format!("{:?} calm", self.now));
        for _ in 0..MAX_ROUNDS {
            self.poll_all();
            let waiting: Vec<(ResourceType, u64)> = self
                .types
                .iter()
                .flat_map(|(ty, asked)| asked.unanswered.iter().map(|(_, response)| (*ty, response.nonce)))
                .collect();
            if waiting.is_empty() {
                match self.deadline() {
                    Some(deadline) => self.now = deadline,
                    None => return self.check_rest(),
                }
            }
            for (ty, nonce) in waiting {
                self.answer(ty, nonce, None);
            }
        }
        panic!("does not come to rest");
    }

    fn check_rest(&self) {
        for (ty, asked) in &self.types {
            let set = self.snapshot().set(*ty);
            assert_eq!(asked.settled, Some(set.version()), "{ty} is not settled: {:?}", self.session);
            for resource in set.iter().filter(|resource| asked.covers(&resource.name)) {
                let has = asked.state.get(&*resource.name).copied().flatten();
                assert_eq!(has, Some(resource.version), "{ty} {}: {:?}", resource.name, self.session);
            }
            let removes = self.settings.variant == Variant::Delta || is_whole(*ty);
            // An empty assignment stands for one that nobody defines.
            if removes && *ty != ResourceType::Endpoint {
                let extra: Vec<_> = asked.state.keys().filter(|name| set.get(name).is_none()).collect();
                assert!(extra.is_empty(), "{ty} {extra:?} should be gone: {:?}", self.session);
            }
            // In the state of the world, silence says that there is nothing of that name.
            let delta = self.settings.variant == Variant::Delta;
            let unheard = asked.awaiting.iter().filter(|name| delta || set.get(name).is_some());
            assert_eq!(unheard.count(), 0, "{ty} {:?} was never answered: {:?}", asked.awaiting, self.session);
        }
    }
}

/// Whether a state-of-the-world response of this type is all there is.
fn is_whole(ty: ResourceType) -> bool {
    matches!(ty, ResourceType::Cluster | ResourceType::Listener | ResourceType::ScopedRoute)
}

fn say(line: impl FnOnce() -> String) {
    if *TRANSCRIPT {
        eprintln!("{}", line());
    }
}
