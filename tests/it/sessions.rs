//! Properties of the session over random schedules, against one model client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serin::xds::{
    ClientKind, Event, Rejection, Request, Resource, ResourceType, Response, Session, Settings, Snapshot, TypeSet,
    Variant, Version,
};

use crate::fake_envoy::{Content, FakeEnvoy, Update};

const CLUSTERS: usize = 4;
const ROUTES: usize = 2;
const TYPES: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener, ResourceType::Route];

/// A snapshot in a form that shrinks well.
#[derive(Debug, Clone)]
struct World {
    /// Per cluster: absent, or its variant; 3 is one that Envoy rejects.
    clusters: [Option<u8>; CLUSTERS],
    /// Per cluster: variant of its endpoints; `None`: a cluster without EDS.
    endpoints: [Option<u8>; CLUSTERS],
    /// Per route: its variant (3 is rejected) and the clusters it sends to, as bits.
    routes: [(u8, u8); ROUTES],
}

fn resource(name: String, text: String) -> Resource {
    Resource::new(name, Bytes::from(text))
}

/// The bodies of these resources are text: `routes=a,b` in a listener, and `bad` in what the client rejects.
fn content(_: ResourceType, resource: &Resource) -> Content {
    let text = String::from_utf8_lossy(&resource.body).into_owned();
    let routes = text.split_whitespace().find_map(|word| word.strip_prefix("routes=")).unwrap_or_default();
    Content {
        routes: routes.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        bad: text.contains("bad"),
        // What a session makes up for endpoints that nobody defines.
        empty: text.starts_with('\n'),
        ..Content::of(resource)
    }
}

impl World {
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut sets: BTreeMap<ResourceType, Vec<Arc<Resource>>> = BTreeMap::new();
        for (i, variant) in self.clusters.iter().enumerate() {
            let Some(variant) = variant else { continue };
            let name = format!("c{i}");
            let bad = if *variant == 3 { " bad" } else { "" };
            let eds = self.endpoints[i];
            let mut cluster = resource(name.clone(), format!("cluster {variant} {}{bad}", eds.is_some()));
            cluster.endpoints = eds.map(|_| Arc::from(name.as_str()));
            sets.entry(ResourceType::Cluster).or_default().push(Arc::new(cluster));
            if let Some(endpoints) = eds {
                let endpoints = resource(name, format!("endpoints {endpoints}"));
                sets.entry(ResourceType::Endpoint).or_default().push(Arc::new(endpoints));
            }
        }
        let mut names = Vec::new();
        for (i, (variant, bits)) in self.routes.iter().enumerate() {
            let name = format!("r{i}");
            let bad = if *variant == 3 { " bad" } else { "" };
            let clusters: Vec<String> = (0..CLUSTERS)
                .filter(|c| bits & (1 << c) != 0 && self.clusters[*c].is_some())
                .map(|c| format!("c{c}"))
                .collect();
            let mut route = resource(name.clone(), format!("route {variant} {clusters:?}{bad}"));
            route.clusters = clusters.iter().map(|c| Arc::from(c.as_str())).collect();
            sets.entry(ResourceType::Route).or_default().push(Arc::new(route));
            names.push(name);
        }
        let listener = resource("l".into(), format!("listener routes={}", names.join(",")));
        sets.insert(ResourceType::Listener, vec![Arc::new(listener)]);
        Arc::new(Snapshot::new(sets.into_iter().map(|(ty, set)| (ty, Arc::new(TypeSet::new(set))))))
    }
}

fn world(bad: bool) -> impl Strategy<Value = World> {
    let top = if bad { 4u8 } else { 3 };
    (
        prop::array::uniform4(prop::option::weighted(0.7, 0..top)),
        prop::array::uniform4(prop::option::weighted(0.7, 0..3u8)),
        prop::array::uniform2((0..top, 0..16u8)),
    )
        .prop_map(|(clusters, endpoints, routes)| World { clusters, endpoints, routes })
}

#[derive(Debug, Clone)]
enum Op {
    /// The server has a new snapshot.
    Publish(World),
    /// One message arrives at the client.
    ToClient,
    /// One message arrives at the server.
    ToServer,
    /// Health checks are done.
    Warm,
    /// From now on clusters warm at once, or not.
    WarmAtOnce(bool),
    /// Time passes, in milliseconds.
    Wait(u32),
    /// The stream breaks and the client comes back.
    Reconnect,
}

/// Schedules with rejected content and an unbroken stream, or the other way round.
fn either() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![ops(true, false), ops(false, true)]
}

fn ops(bad: bool, breaks: bool) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => world(bad).prop_map(Op::Publish),
        12 => Just(Op::ToClient),
        12 => Just(Op::ToServer),
        3 => Just(Op::Warm),
        1 => any::<bool>().prop_map(Op::WarmAtOnce),
        2 => (0..3_000u32).prop_map(Op::Wait),
        1 => Just(if breaks { Op::Reconnect } else { Op::Warm }),
    ];
    vec(op, 1..120)
}

/// A session and a model client with the wire between them.
struct Pair {
    settings: Settings,
    now: Duration,
    session: Session,
    client: FakeEnvoy,
    snapshot: Arc<Snapshot>,
    earlier: Vec<Arc<Snapshot>>,
    to_client: VecDeque<Response>,
    to_server: VecDeque<Request>,
    rejections: BTreeMap<&'static str, Vec<Rejection>>,
    /// What the client rejected and the snapshot still has.
    rejected: BTreeSet<(ResourceType, Arc<str>, Version)>,
    /// What it was sent again all the same.
    resent: Vec<String>,
    settled: BTreeMap<ResourceType, Version>,
    unanswered: BTreeMap<ResourceType, usize>,
    transcript: Vec<String>,
}

impl Pair {
    fn new(variant: Variant, ordered: bool, first: &World) -> Self {
        let settings = Settings {
            variant,
            client: ClientKind::Envoy,
            ack_timeout: Duration::from_secs(20),
            aggregated: true,
            ordered,
        };
        let snapshot = first.snapshot();
        let mut session = Session::new(settings.clone(), Vec::new(), Vec::new());
        session.handle_snapshot(Duration::ZERO, Arc::clone(&snapshot));
        let mut pair = Self {
            settings,
            now: Duration::ZERO,
            session,
            client: FakeEnvoy::new(variant),
            snapshot,
            earlier: Vec::new(),
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            rejections: BTreeMap::new(),
            rejected: BTreeSet::new(),
            resent: Vec::new(),
            settled: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            transcript: Vec::new(),
        };
        pair.pump();
        pair
    }

    fn apply(&mut self, op: &Op) {
        self.transcript.push(format!("{:?} {op:?}", self.now));
        match op {
            Op::Publish(world) => {
                self.earlier.push(Arc::clone(&self.snapshot));
                self.snapshot = world.snapshot();
                let snapshot = &self.snapshot;
                self.rejected.retain(|(ty, name, version)| is_current(snapshot, *ty, name, *version));
                self.session.handle_snapshot(self.now, Arc::clone(&self.snapshot));
            }
            Op::ToClient => {
                if let Some(response) = self.to_client.pop_front() {
                    self.client.handle(&Update::of(&response, content));
                }
            }
            Op::ToServer => {
                if let Some(request) = self.to_server.pop_front() {
                    self.transcript.push(format!("  <- {request:?}"));
                    self.session.handle_request(self.now, request);
                }
            }
            Op::Warm => self.client.finish_warming(),
            Op::WarmAtOnce(at_once) => self.client.warms_at_once = *at_once,
            // Requests do not stay on the wire for as long as a client may take to ask for all its types.
            Op::Wait(_) if !self.to_server.is_empty() => {}
            Op::Wait(ms) => self.now += Duration::from_millis(u64::from(*ms)),
            // Of a state-of-the-world client that comes back in the middle of several changes at once, nobody can tell
            // what it has: see `Session::recall`.
            Op::Reconnect
                if self.settings.variant == Variant::Sotw && !self.settled.contains_key(&ResourceType::Cluster) => {}
            Op::Reconnect => self.reconnect(),
        }
        self.pump();
    }

    fn reconnect(&mut self) {
        self.to_client.clear();
        self.to_server.clear();
        self.unanswered.clear();
        self.settled.clear();
        self.client.reconnect();
        let rejections = self.rejections.values().flatten().cloned().collect();
        let earlier = self.earlier.iter().rev().take(8).cloned().collect();
        self.session = Session::new(self.settings.clone(), rejections, earlier);
        self.session.handle_snapshot(self.now, Arc::clone(&self.snapshot));
    }

    /// Moves what can move by itself, and checks what must hold at every step.
    fn pump(&mut self) {
        while let Some(request) = self.client.next_request() {
            self.to_server.push_back(request);
        }
        // The transport has room for one response.
        while self.to_client.is_empty()
            && let Some(response) = self.session.poll_response(self.now)
        {
            self.transcript.push(format!("  -> {response:?}"));
            let again = |r: &&Arc<Resource>| self.rejected.contains(&(response.ty, Arc::clone(&r.name), r.version));
            self.resent.extend(response.resources.iter().find(again).map(|r| format!("{} {}", response.ty, r.name)));
            self.to_client.push_back(response);
        }
        while let Some(event) = self.session.poll_event() {
            self.note(event);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Sent { ty, .. } => *self.unanswered.entry(ty).or_default() += 1,
            Event::Acked { ty, .. } => *self.unanswered.entry(ty).or_default() = 0,
            Event::Nacked { rejection, .. } => {
                *self.unanswered.entry(rejection.ty).or_default() = 0;
                let suspects =
                    rejection.suspects.iter().map(|(name, version)| (rejection.ty, Arc::clone(name), *version));
                let current = |(ty, name, version): &(ResourceType, Arc<str>, Version)| {
                    is_current(&self.snapshot, *ty, name, *version)
                };
                self.rejected.extend(suspects.filter(current));
                self.rejections.entry(rejection.ty.short_name()).or_default().push(rejection);
            }
            Event::Forgiven { ty } => drop(self.rejections.remove(ty.short_name())),
            Event::Settled { ty, version } => {
                self.settled.insert(ty, version);
            }
            Event::Unsettled { ty } => drop(self.settled.remove(&ty)),
            Event::Subscribed { .. } => {}
        }
    }

    /// Lets everything arrive and every deadline pass.
    fn drain(&mut self) -> bool {
        for _ in 0..2_000 {
            let before = (self.to_client.len(), self.to_server.len());
            self.apply(&Op::ToClient);
            self.apply(&Op::ToServer);
            self.apply(&Op::Warm);
            if before == (0, 0) && self.to_client.is_empty() && self.to_server.is_empty() {
                let Some(next) = self.session.next_deadline(self.now) else { return true };
                self.now = next;
                self.client.time_out_fetches();
                self.pump();
            }
        }
        false
    }

    /// Traffic to clusters that are not there and warm. A client that has no routes at all is given them even if
    /// it has just rejected one of their clusters: a part of its traffic fails then instead of all.
    fn dangling(&self) -> BTreeSet<String> {
        let mut dangling = self.client.dangling();
        dangling.retain(|name| !self.client.refused.contains(name));
        dangling
    }

    fn responses_pending(&self) -> usize {
        self.unanswered.values().copied().max().unwrap_or(0)
    }

    fn story(&self) -> String {
        self.transcript.join("\n")
    }
}

fn is_current(snapshot: &Snapshot, ty: ResourceType, name: &str, version: Version) -> bool {
    snapshot.set(ty).get(name).is_some_and(|resource| resource.version == version)
}

fn run(variant: Variant, first: &World, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut pair = Pair::new(variant, true, first);
    for op in ops {
        pair.apply(op);
        let dangling = pair.dangling();
        prop_assert!(dangling.is_empty(), "traffic to {dangling:?}\n{}", pair.story());
        prop_assert!(pair.resent.is_empty(), "sent again: {:?}\n{}", pair.resent, pair.story());
        prop_assert!(pair.responses_pending() <= 1 || pair.now > pair.settings.ack_timeout, "{}", pair.story());
    }
    prop_assert!(pair.drain(), "does not come to rest\n{}", pair.story());
    prop_assert!(pair.dangling().is_empty(), "dangling at rest\n{}", pair.story());
    Ok(())
}

fn converges(
    variant: Variant,
    first: &World,
    ops: &[Op],
    last: &World,
) -> Result<BTreeMap<ResourceType, BTreeMap<String, String>>, TestCaseError> {
    let mut pair = Pair::new(variant, true, first);
    for op in ops {
        pair.apply(op);
    }
    pair.apply(&Op::Publish(last.clone()));
    prop_assert!(pair.drain(), "does not come to rest\n{}", pair.story());
    let mut states = BTreeMap::new();
    for ty in TYPES {
        let target = pair.snapshot.set(ty);
        let want: BTreeMap<String, String> =
            target.iter().map(|r| (r.name.to_string(), r.version.to_string())).collect();
        let have = pair.client.state(ty);
        prop_assert_eq!(&have, &want, "{} at rest\n{}", ty, pair.story());
        prop_assert_eq!(pair.settled.get(&ty), Some(&target.version()), "{} settled\n{}", ty, pair.story());
        states.insert(ty, have);
    }
    // Nothing is sent when nothing changed.
    let quiet = pair.session.poll_response(pair.now + Duration::from_secs(3_600));
    prop_assert!(quiet.is_none(), "not quiet: {quiet:?}\n{}", pair.story());
    Ok(states)
}

fn every_type_in_use(world: &World) -> bool {
    (0..CLUSTERS).any(|i| world.clusters[i].is_some() && world.endpoints[i].is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_a_dangling_route_nor_rejected_content_again_sotw(first in world(false), ops in either()) {
        run(Variant::Sotw, &first, &ops)?;
    }

    #[test]
    fn never_a_dangling_route_nor_rejected_content_again_delta(first in world(false), ops in either()) {
        run(Variant::Delta, &first, &ops)?;
    }

    #[test]
    fn converges_to_the_snapshot_and_both_variants_agree(
        first in world(true), ops in ops(true, true), last in world(false).prop_filter("uses EDS", every_type_in_use),
    ) {
        let sotw = converges(Variant::Sotw, &first, &ops, &last)?;
        let delta = converges(Variant::Delta, &first, &ops, &last)?;
        prop_assert_eq!(sotw, delta);
    }
}

/// The properties can fail: without the order, the same schedules break traffic.
#[test]
fn without_the_order_traffic_breaks() {
    let blue = World { clusters: [Some(0), None, None, None], endpoints: [Some(0); 4], routes: [(0, 1), (0, 1)] };
    let green = World { clusters: [None, Some(0), None, None], endpoints: [Some(0); 4], routes: [(0, 2), (0, 2)] };
    let dangling = |ordered| {
        let mut pair = Pair::new(Variant::Delta, ordered, &blue);
        assert!(pair.drain());
        let mut seen = BTreeSet::new();
        for world in [&green, &blue, &green] {
            pair.apply(&Op::Publish(world.clone()));
            for _ in 0..40 {
                pair.apply(&Op::ToClient);
                seen.extend(pair.client.dangling());
                pair.apply(&Op::ToServer);
                seen.extend(pair.client.dangling());
            }
        }
        seen
    };
    assert_eq!(dangling(true), BTreeSet::new());
    assert!(!dangling(false).is_empty());
}
