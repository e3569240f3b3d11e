//! A control plane in one's hand: the reconciler, a disk, a clock, and nodes that settle when told to.

use serde_json::Value;

use super::*;
use crate::fleet::{Fleet, StreamEvent, StreamId};
use crate::rollout::{Command, Refusal, Status, Verb};
use crate::spec::{Admitted, Options, json};
use crate::xds::{Event, Rejection, ResourceType, Variant};

/// Where the wall clock stands at the start.
pub(super) const EPOCH: Duration = Duration::from_secs(1_800_000_000);

const ROUTES: &str = "resources:\n- {\"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: web, \
                      virtual_hosts: [{name: all, domains: [\"*\"], routes: [{match: {prefix: /}, route: {cluster: \
                      checkout}}]}]}\n";

/// The rollout `checkout` of `blue` and `green`, `strategy` in YAML's flow style; more of its spec may follow.
pub(super) fn document(target: &str, strategy: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: checkout}}\nspec:\n  versions:\n    blue: \
         {{endpoints: [\"10.0.0.1:80\"]}}\n    green: {{endpoints: [\"10.0.0.2:80\"]}}\n  target: {target}\n  strategy: \
         {strategy}\n"
    )
}

/// These rollouts, and a route to `checkout`.
pub(super) fn spec(rollouts: &str) -> Arc<SpecSet> {
    let files = [("a.yaml".into(), rollouts.into()), ("routes.yaml".into(), ROUTES.into())].into();
    Arc::new(Admitted::restore(&files, &Options::default()).expect("no mistakes").spec_set())
}

/// The weight of green, as requests are split by what `world` has for `node`.
pub(super) fn green(world: &World, node: &str) -> u64 {
    let node = Node { id: node.into(), ..Node::default() };
    let Some(routes) = world.render(&node).into_iter().find(|resource| resource.ty == ResourceType::Route) else {
        return 0;
    };
    let message = json::to_value(&routes.message).expect("json");
    let hosts = message["virtual_hosts"].as_array().expect("hosts");
    let last = hosts[0]["routes"].as_array().expect("routes").last().expect("a route").clone();
    let clusters = last["route"]["weighted_clusters"]["clusters"].as_array().cloned().unwrap_or_default();
    let weight = |cluster: &Value| cluster["weight"].as_u64().unwrap_or_default();
    clusters.iter().filter(|cluster| cluster["name"] == "checkout/green").map(weight).sum()
}

/// What outlives a process.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) records: BTreeMap<Arc<str>, Found>,
    pub(super) journal: Vec<Entry>,
    /// Takes nothing.
    pub(super) full: bool,
    spec: Arc<SpecSet>,
}

pub(super) struct Rig {
    pub(super) reconciler: Reconciler,
    pub(super) fleet: Fleet,
    /// What is served; node `n1` and so on.
    pub(super) world: Arc<World>,
    /// Since the process started.
    pub(super) now: Duration,
    pub(super) disk: Disk,
    /// The weight of green in every world that was served.
    pub(super) seen: Vec<u64>,
    pub(super) nodes: u64,
    started: Duration,
    /// Writes and publications that are carried out before the process is killed; counted down.
    pub(super) life: Option<usize>,
}

impl Rig {
    /// Serves `rollouts` to so many nodes, which have what there is.
    pub(super) fn new(rollouts: &str, nodes: u64) -> Self {
        let mut rig = Self {
            reconciler: Reconciler::after(EPOCH, &[], BTreeMap::new()),
            fleet: Fleet::default(),
            world: Arc::default(),
            now: Duration::ZERO,
            disk: Disk::default(),
            seen: Vec::new(),
            nodes,
            started: EPOCH,
            life: None,
        };
        rig.edit(rollouts);
        (1..=nodes).for_each(|node| rig.connect(node));
        rig.settle_all();
        rig
    }

    pub(super) fn edit(&mut self, rollouts: &str) -> bool {
        self.disk.spec = spec(rollouts);
        self.input(Input::Spec(Arc::clone(&self.disk.spec)))
    }

    /// Whether the process lived through it.
    pub(super) fn input(&mut self, input: Input) -> bool {
        let mut after = Vec::new();
        for effect in self.reconciler.handle(self.now, input) {
            if matches!(effect, Effect::Journal(_) | Effect::Save(_)) && self.is_killed() {
                return false;
            }
            match effect {
                Effect::Journal(_) | Effect::Save(_) if self.disk.full => {}
                Effect::Journal(entries) => self.disk.journal.extend(entries),
                Effect::Save(record) => {
                    self.disk.records.insert(record.name().into(), Found::Record(record, None));
                }
                Effect::Answer(answer) => after.push(answer),
                Effect::Call(..) | Effect::Measure(..) | Effect::Withdraw(_) | Effect::History(..) => {}
            }
        }
        let Reconciler { members, watched, .. } = &self.reconciler;
        let watching = members.iter().filter(|(_, member)| member.watches_room());
        assert!(watching.map(|(name, _)| name).eq(watched), "what is kept up is what a look at all finds");
        if let Some(publication) = self.reconciler.publish(!self.disk.full) {
            if self.is_killed() {
                return false;
            }
            self.world = publication.world;
            self.fleet.aim(publication.number, Arc::clone(&self.world) as Arc<dyn Assign>);
            // Rendered apart: what is served must not know of nodes that did not come.
            let apart = World::new(&self.disk.spec, &self.reconciler.served);
            self.seen.push(green(&apart, "n1"));
        }
        for answer in after {
            answer();
        }
        true
    }

    fn is_killed(&mut self) -> bool {
        match self.life.as_mut() {
            Some(0) => return true,
            Some(left) => *left -= 1,
            None => {}
        }
        false
    }

    /// Tells the reconciler how the fleet stands.
    pub(super) fn tell(&mut self) -> bool {
        let standing = Arc::new(self.fleet.standing());
        self.input(Input::Standing(standing))
    }

    pub(super) fn pass(&mut self, time: Duration) -> bool {
        self.now += time;
        self.input(Input::Tick)
    }

    pub(super) fn connect(&mut self, node: u64) {
        let id = format!("n{node}");
        let group = self.world.assign(&Node { id: id.clone(), ..Node::default() }).group.to_string();
        let opened = StreamEvent::Opened {
            node: id,
            cluster: String::new(),
            group,
            user_agent: String::new(),
            variant: Variant::Delta,
            peer: String::new(),
        };
        self.fleet.handle(self.now, StreamId(node), opened);
    }

    pub(super) fn disconnect(&mut self, node: u64) {
        self.fleet.handle(self.now, StreamId(node), StreamEvent::Closed { reason: "gone".into() });
    }

    /// Has the node acknowledge all that is served.
    pub(super) fn settle(&mut self, node: u64) {
        self.settle_but(node, ResourceType::Listener);
    }

    /// The same but for one type.
    pub(super) fn settle_but(&mut self, node: u64, but: ResourceType) {
        let snapshot = self.world.assign(&Node { id: format!("n{node}"), ..Node::default() }).snapshot;
        for ty in
            [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Route].into_iter().filter(|ty| *ty != but)
        {
            let version = snapshot.set(ty).version();
            let event = StreamEvent::Session(Event::Settled { ty, version });
            self.fleet.handle(self.now, StreamId(node), event);
        }
    }

    /// Has all nodes follow until nothing moves any more without time.
    pub(super) fn settle_all(&mut self) {
        loop {
            let before = Arc::clone(&self.world);
            (1..=self.nodes).for_each(|node| self.settle(node));
            self.tell();
            if Arc::ptr_eq(&before, &self.world) {
                return;
            }
        }
    }

    /// Has the node reject a resource of what is served.
    pub(super) fn reject(&mut self, node: u64, ty: ResourceType, name: &str) {
        let snapshot = self.world.assign(&Node { id: format!("n{node}"), ..Node::default() }).snapshot;
        let version = snapshot.set(ty).version();
        let rejected = snapshot.set(ty).get(name).expect("a resource of that name").version;
        let suspects = [(Arc::from(name), rejected)].into();
        let error = format!("{name} is not to my taste");
        let rejection = Rejection { ty, suspects, named: true, fresh: BTreeSet::new(), error };
        let stream = StreamId(node);
        self.fleet.handle(self.now, stream, StreamEvent::Session(Event::Unsettled { ty }));
        self.fleet.handle(self.now, stream, StreamEvent::Session(Event::Nacked { nonce: 1, version, rejection }));
    }

    /// The process is gone, and another one goes on with what is on the disk.
    pub(super) fn restart(&mut self, down: Duration) {
        self.started += self.now + down;
        let expected = self.fleet.expected(self.now, Duration::from_secs(600));
        let expected = expected.into_iter().map(|(node, group)| (node.to_owned(), group.to_owned())).collect();
        (self.now, self.life) = (Duration::ZERO, None);
        self.fleet = Fleet::default();
        self.fleet.expect(self.now, expected);
        let past = [SpecSet::clone(&self.disk.spec)];
        self.reconciler = Reconciler::after(self.started, &past, self.disk.records.clone());
        self.input(Input::Spec(Arc::clone(&self.disk.spec)));
    }

    pub(super) fn ask<T: Send + 'static>(&mut self, message: impl FnOnce(Reply<T>) -> Message) -> T {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.input(Input::Message(message(Box::new(move |value| drop(reply.send(value))))));
        answer.recv().expect("an answer")
    }

    pub(super) fn status(&mut self) -> Status {
        self.ask(|reply| Message::Get("checkout".into(), reply)).expect("checkout")
    }

    pub(super) fn command(&mut self, verb: Verb) -> Result<Status, Refusal> {
        let command = Command { verb, actor: "ann".into(), reason: None, seen: None };
        self.ask(|reply| Message::Command("checkout".into(), command, reply)).expect("checkout")
    }
}
