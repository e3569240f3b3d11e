//! The engine that moves rollouts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serin::fleet::{Fleet, StreamEvent, StreamId};
use serin::reconcile::{Input, Reconciler};
use serin::spec::SpecSet;
use serin::translate::World;
use serin::xds::{Assign, Event, Node, ResourceType, Variant};

use crate::claim::{Claim, Claims};
use crate::services::Services;

/// One rollout under way costs about the same each time the fleet is heard of, with ten thousand others at rest as with
/// ten.
const HEARD: Claim = Claim { name: "engine tick", sizes: [10, 10_000], most: 3.0 };

/// Where the wall clock stands at the start.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

const STREAM: StreamId = StreamId(1);

/// One in which the first service is for long.
const CANARY: &str = "canary: {steps: [{setWeight: 10}, {pause: {duration: 1h}}]}";

pub(crate) fn bench(claims: &mut Claims) {
    claims.check(&HEARD, |count| {
        let mut services = Services::new(count);
        let mut engine = Engine::new();
        engine.take(services.edit(CANARY, "v1"));
        engine.take(services.edit(CANARY, "v2"));
        let standing = Arc::new(engine.fleet.standing());
        let Engine { mut reconciler, mut now, .. } = engine;
        assert!(reconciler.next_deadline().is_some(), "the rollout waits for its pause to end");
        move || {
            now += Duration::from_millis(1);
            let effects = reconciler.handle(now, Input::Standing(Arc::clone(&standing)));
            (effects.len(), reconciler.publish(true).is_some())
        }
    });
}

/// A reconciler, and a fleet of one proxy that has everything.
struct Engine {
    reconciler: Reconciler,
    fleet: Fleet,
    now: Duration,
}

impl Engine {
    fn new() -> Self {
        let reconciler = Reconciler::after(EPOCH, &[], BTreeMap::new());
        Self { reconciler, fleet: Fleet::default(), now: Duration::ZERO }
    }

    /// Takes documents, and lets the fleet follow until nothing moves without time.
    fn take(&mut self, spec: SpecSet) {
        let mut input = Input::Spec(Arc::new(spec));
        loop {
            self.now += Duration::from_millis(1);
            self.reconciler.handle(self.now, input);
            let Some(publication) = self.reconciler.publish(true) else { return };
            self.follow(publication.number, publication.world);
            input = Input::Standing(Arc::new(self.fleet.standing()));
        }
    }

    fn follow(&mut self, number: u64, world: Arc<World>) {
        let id = "proxy".to_owned();
        let assignment = world.assign(&Node { id: id.clone(), ..Node::default() });
        if number == 1 {
            let opened = StreamEvent::Opened {
                node: id,
                cluster: String::new(),
                group: assignment.group.to_string(),
                user_agent: String::new(),
                variant: Variant::Delta,
                peer: String::new(),
            };
            self.fleet.handle(self.now, STREAM, opened);
        }
        self.fleet.aim(number, world);
        for ty in [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Route] {
            let settled = Event::Settled { ty, version: assignment.snapshot.set(ty).version() };
            self.fleet.handle(self.now, STREAM, StreamEvent::Session(settled));
        }
    }
}
