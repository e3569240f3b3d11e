//! A whole fleet in virtual time: files, admission, translation, sessions, model proxies and the fleet view, with
//! nothing between them that is not in the program, driven by a seed. A seed that fails prints how it came to that.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use prost::Message;
use serin::fleet::{Fleet, Status, StreamEvent, StreamId};
use serin::reconcile::{Effect, Found, Input, Reconciler};
use serin::spec::{self, Admission, Admitted, Files};
use serin::translate::World;
use serin::xds::{Assign, ClientKind, Node, Request, Resource, ResourceType, Response, Session, Settings, Variant};

use crate::fake_envoy::{Content, FakeEnvoy, Update};

const PROXIES: usize = 6;
const SERVICES: u64 = 3;

/// xorshift64*: small, good enough, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// A proxy with its stream: the session on the server's side, the model on the other.
struct Proxy {
    node: Node,
    variant: Variant,
    stream: StreamId,
    session: Session,
    model: FakeEnvoy,
    to_client: VecDeque<Response>,
    to_server: VecDeque<Request>,
}

struct Simulation {
    random: Random,
    now: Duration,
    files: Files,
    admitted: Admitted,
    reconciler: Reconciler,
    /// What outlives the control plane.
    found: BTreeMap<Arc<str>, Found>,
    world: Arc<World>,
    fleet: Fleet,
    proxies: Vec<Proxy>,
    streams: u64,
    story: Vec<String>,
}

fn listener_and_routes() -> String {
    let mut text = String::from(
        r#"resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: web
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        rds: {route_config_name: web, config_source: {ads: {}}}
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: web
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
"#,
    );
    for i in 0..SERVICES {
        let _ = writeln!(text, "    - {{match: {{prefix: /{i}}}, route: {{cluster: s{i}}}}}");
    }
    text
}

/// What the model needs to know of real resources.
fn content(ty: ResourceType, resource: &Resource) -> Content {
    let mut content = Content::of(resource);
    if ty == ResourceType::Listener {
        let listener = Listener::decode(resource.body.clone()).unwrap();
        for filter in listener.filter_chains.iter().flat_map(|chain| &chain.filters) {
            let Some(filter::ConfigType::TypedConfig(config)) = &filter.config_type else { continue };
            let manager = HttpConnectionManager::decode(&*config.value).unwrap();
            if let Some(RouteSpecifier::Rds(rds)) = manager.route_specifier {
                content.routes.insert(rds.route_config_name);
            }
        }
    }
    content
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut simulation = Self {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            now: Duration::ZERO,
            files: Files::new(),
            admitted: Admitted::default(),
            reconciler: Reconciler::default(),
            found: BTreeMap::new(),
            world: Arc::default(),
            fleet: Fleet::default(),
            proxies: Vec::new(),
            streams: 0,
            story: Vec::new(),
        };
        simulation.files.insert("web.yaml".into(), listener_and_routes().into());
        for service in 0..SERVICES {
            simulation.write_service(service);
        }
        simulation.load();
        for i in 0..PROXIES {
            let variant = if i % 2 == 0 { Variant::Delta } else { Variant::Sotw };
            let node = Node { id: format!("edge-{i}"), cluster: "edge".into(), ..Node::default() };
            let model = FakeEnvoy::new(variant);
            let (stream, session) = simulation.open(&node, variant);
            let queues = (VecDeque::new(), VecDeque::new());
            let (to_client, to_server) = queues;
            simulation.proxies.push(Proxy { node, variant, stream, session, model, to_client, to_server });
        }
        simulation
    }

    /// One edit: versions come and go, endpoints change, the target moves or the weights do.
    fn write_service(&mut self, service: u64) {
        let generation = self.random.below(4);
        let random = &mut self.random;
        let versions: Vec<String> = (0..2 + random.below(2)).map(|i| format!("v{}", (generation + i) % 5)).collect();
        let mut text = format!("apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: s{service}}}\nspec:\n");
        let _ = writeln!(text, "  cluster: {{connect_timeout: {}s}}\n  versions:", 1 + random.below(2));
        for version in &versions {
            let address = match random.below(4) {
                0 => format!("backend-{version}.internal:80"),
                n => format!("10.{service}.{n}.1:80"),
            };
            let _ = writeln!(text, "    {version}: {{endpoints: [\"{address}\"]}}");
        }
        let strategy = random.below(3);
        if strategy == 0 {
            let _ = writeln!(text, "  target: {}\n  strategy: {{blueGreen: {{}}}}", versions[0]);
        } else if strategy == 1 {
            let steps = "[{setWeight: 10}, {pause: {duration: 2s}}, {setWeight: 50}]";
            let _ = writeln!(text, "  target: {}\n  strategy: {{canary: {{steps: {steps}}}}}", versions[0]);
        } else {
            let share = random.below(101);
            let weights = format!("{}: {share}, {}: {}", versions[0], versions[1], 100 - share);
            let _ = writeln!(text, "  strategy: {{weights: {{{weights}}}}}");
        }
        self.files.insert(format!("s{service}.yaml").into(), text.into());
    }

    fn load(&mut self) {
        let admission = spec::admit(&self.admitted, &self.files, &BTreeMap::new(), &spec::Options::default());
        let Admission::Ready { admitted, held_back, diagnostics } = admission else { panic!("{admission:?}") };
        assert!(held_back.is_empty(), "{diagnostics:?}");
        self.admitted = admitted;
        let input = Input::Spec(Arc::new(self.admitted.spec_set()));
        self.steer(input);
    }

    /// Hands the reconciler an input, and carries out what it answers. Whether another world is served since.
    fn steer(&mut self, input: Input) -> bool {
        let before = Arc::clone(&self.world);
        for effect in self.reconciler.handle(self.now, input) {
            if let Effect::Save(record) = effect {
                self.found.insert(record.name().into(), Found::Record(record, None));
            }
        }
        self.publish();
        if Arc::ptr_eq(&before, &self.world) {
            return false;
        }
        for proxy in &mut self.proxies {
            proxy.session.handle_snapshot(self.now, self.world.assign(&proxy.node).snapshot);
        }
        true
    }

    fn publish(&mut self) {
        if let Some(publication) = self.reconciler.publish(true) {
            self.world = publication.world;
            self.fleet.aim(publication.number, Arc::clone(&self.world) as Arc<dyn Assign>);
        }
    }

    /// Tells the reconciler how the fleet stands and what time it is.
    fn follow(&mut self) -> bool {
        let standing = Arc::new(self.fleet.standing());
        self.steer(Input::Standing(standing)) | self.steer(Input::Tick)
    }

    fn open(&mut self, node: &Node, variant: Variant) -> (StreamId, Session) {
        let settings = Settings {
            variant,
            client: ClientKind::Envoy,
            ack_timeout: Duration::from_secs(20),
            aggregated: true,
            ordered: true,
        };
        let assignment = self.world.assign(node);
        let rejections = self.fleet.rejections(&node.id);
        let mut session = Session::new(settings, rejections, self.world.earlier(node));
        session.handle_snapshot(self.now, assignment.snapshot);
        self.streams += 1;
        let stream = StreamId(self.streams);
        let opened = StreamEvent::Opened {
            node: node.id.clone(),
            cluster: node.cluster.clone(),
            group: assignment.group.to_string(),
            user_agent: "model".into(),
            variant,
            peer: String::new(),
        };
        self.fleet.handle(self.now, stream, opened);
        (stream, session)
    }

    fn reconnect(&mut self, i: usize) {
        let (node, variant) = (self.proxies[i].node.clone(), self.proxies[i].variant);
        let closed = StreamEvent::Closed { reason: "reset".into() };
        self.fleet.handle(self.now, self.proxies[i].stream, closed);
        let (stream, session) = self.open(&node, variant);
        let proxy = &mut self.proxies[i];
        (proxy.stream, proxy.session) = (stream, session);
        proxy.to_client.clear();
        proxy.to_server.clear();
        proxy.model.reconnect();
    }

    /// The control plane is killed and started: what it knew of its proxies is gone, the files in force are kept.
    fn restart(&mut self) {
        let restored = Admitted::restore(&self.admitted.texts(), &spec::Options::default()).unwrap();
        let spec = restored.spec_set();
        let reconciler = Reconciler::after(Duration::ZERO, std::slice::from_ref(&spec), self.found.clone());
        (self.admitted, self.fleet, self.reconciler) = (restored, Fleet::default(), reconciler);
        self.reconciler.handle(self.now, Input::Spec(Arc::new(spec)));
        self.publish();
        (0..self.proxies.len()).for_each(|i| self.reconnect(i));
    }

    fn step(&mut self) {
        let i = usize::try_from(self.random.below(PROXIES as u64)).unwrap();
        let what = match self.random.below(100) {
            0..2 => {
                let service = self.random.below(SERVICES);
                self.write_service(service);
                self.load();
                format!("edit of s{service}")
            }
            2 if self.is_calm(i) => {
                self.reconnect(i);
                format!("edge-{i} reconnects")
            }
            3 if self.random.below(8) == 0 && (0..PROXIES).all(|i| self.is_calm(i)) => {
                self.restart();
                "the control plane restarts".into()
            }
            4 => {
                self.proxies[i].model.warms_at_once ^= true;
                format!("edge-{i} has slow health checks, or no longer")
            }
            5..10 => {
                self.proxies[i].model.finish_warming();
                format!("edge-{i} is warm")
            }
            10..55 => self.deliver_response(i),
            _ => self.deliver_request(i),
        };
        self.story.push(format!("{:?} {what}", self.now));
        self.pump(i);
        self.check(i);
        self.now += Duration::from_millis(self.random.below(20));
        if self.follow() {
            self.story.push(format!("{:?} rollouts move", self.now));
        }
    }

    /// Of a state-of-the-world client that breaks off in the middle of several changes nobody knows what it has.
    fn is_calm(&self, i: usize) -> bool {
        let synced = |proxy: &Proxy| {
            let view = self.fleet.view();
            let node = view.nodes.into_iter().find(|node| node.id == proxy.node.id);
            node.is_some_and(|node| node.types.iter().all(|ty| ty.status == Status::Synced))
        };
        self.proxies[i].variant == Variant::Delta || synced(&self.proxies[i])
    }

    fn deliver_response(&mut self, i: usize) -> String {
        let Some(response) = self.proxies[i].to_client.pop_front() else { return String::new() };
        self.proxies[i].model.handle(&Update::of(&response, content));
        format!("edge-{i} gets {} {}", response.ty, response.nonce)
    }

    fn deliver_request(&mut self, i: usize) -> String {
        let Some(request) = self.proxies[i].to_server.pop_front() else { return String::new() };
        let words = format!("edge-{i} says {} {:?}", request.ty, request.nonce);
        self.proxies[i].session.handle_request(self.now, request);
        words
    }

    fn pump(&mut self, i: usize) {
        let proxy = &mut self.proxies[i];
        while let Some(request) = proxy.model.next_request() {
            proxy.to_server.push_back(request);
        }
        while proxy.to_client.is_empty()
            && let Some(response) = proxy.session.poll_response(self.now)
        {
            proxy.to_client.push_back(response);
        }
        while let Some(event) = proxy.session.poll_event() {
            self.fleet.handle(self.now, proxy.stream, StreamEvent::Session(event));
        }
    }

    fn check(&self, i: usize) {
        let dangling = self.proxies[i].model.dangling();
        assert!(dangling.is_empty(), "edge-{i} sends traffic to {dangling:?}\n{}", self.story.join("\n"));
    }

    /// Lets everything arrive and every deadline pass.
    fn rest(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for i in 0..PROXIES {
                self.pump(i);
                moved |= !self.deliver_response(i).is_empty() | !self.deliver_request(i).is_empty();
                self.proxies[i].model.finish_warming();
                self.pump(i);
                self.check(i);
            }
            if !moved && !self.follow() {
                let sessions = self.proxies.iter().filter_map(|proxy| proxy.session.next_deadline(self.now));
                let Some(next) = sessions.chain(self.reconciler.next_deadline()).min() else { return };
                self.now = self.now.max(next);
                self.proxies.iter_mut().for_each(|proxy| proxy.model.time_out_fetches());
            }
        }
        panic!("does not come to rest\n{}", self.story.join("\n"));
    }

    /// Every proxy has what the files say, and the fleet view knows it.
    fn assert_converged(&mut self) {
        let view = self.fleet.view();
        assert_eq!(view.nodes.len(), PROXIES);
        for proxy in &self.proxies {
            let assignment = self.world.assign(&proxy.node);
            let shown = view.nodes.iter().find(|node| node.id == proxy.node.id).unwrap();
            for ty in [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener, ResourceType::Route] {
                let set = assignment.snapshot.set(ty);
                let want: BTreeMap<_, _> = set.iter().map(|r| (r.name.to_string(), r.version.to_string())).collect();
                assert_eq!(proxy.model.state(ty), want, "{} of {}\n{}", ty, shown.id, self.story.join("\n"));
                if want.is_empty() {
                    continue;
                }
                let state = shown.types.iter().find(|state| state.ty == ty.short_name()).unwrap();
                assert_eq!(state.status, Status::Synced, "{} of {}\n{}", ty, shown.id, self.story.join("\n"));
            }
        }
        self.fleet.aim(1, Arc::clone(&self.world) as Arc<dyn Assign>);
        let standing = self.fleet.standing();
        let counted: usize = standing.groups.values().map(|group| group.nodes).sum();
        assert_eq!(counted, PROXIES);
        for (name, group) in standing.groups {
            let behind = (group.pending, group.rejecting, group.away.len());
            assert_eq!(behind, (0, 0, 0), "{name}\n{}", self.story.join("\n"));
        }
    }
}

fn run(seed: u64) -> Vec<String> {
    let mut simulation = Simulation::new(seed);
    for i in 0..PROXIES {
        simulation.pump(i);
    }
    for _ in 0..600 {
        simulation.step();
    }
    simulation.rest();
    simulation.assert_converged();
    simulation.story
}

#[test]
fn fleets_follow_their_files() {
    for seed in 1..=200 {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_seed_tells_the_same_story_again() {
    assert_eq!(run(7), run(7));
}
