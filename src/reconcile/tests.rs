use prost_reflect::DynamicMessage;
use serde_json::json;

use super::*;
use crate::spec::{Backend, FileSpec, Origin, Resource, ResourceKind, Rollout, Strategy, Version, descriptor};
use crate::xds::{Assign, Node, ResourceType};

fn spec(target: &str, line: u32) -> Arc<SpecSet> {
    let version = |name: &str| Version {
        name: name.into(),
        backend: Backend::Existing(format!("checkout-{name}").into()),
        cluster_name: format!("checkout-{name}").into(),
    };
    let rollout = Rollout {
        name: "checkout".into(),
        nodes: Arc::default(),
        versions: vec![version("blue"), version("green")],
        target: Some(target.into()),
        strategy: Strategy::BlueGreen(crate::spec::BlueGreen::default()),
        convergence: crate::spec::Convergence::default(),
        progress_deadline: std::time::Duration::from_secs(600),
        progress_deadline_abort: false,
        rollback_window: 0,
        webhooks: Vec::new(),
        promotion_windows: Vec::new(),
        group: None,
        origin: Origin { file: "a.yaml".into(), line, column: 1 },
    };
    let host = json!({"name": "v", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": "checkout"}}]});
    let descriptor = descriptor::message(ResourceType::VirtualHost.message_name()).expect("descriptor");
    let route = Resource {
        kind: ResourceKind::VirtualHost,
        name: "v".into(),
        message: DynamicMessage::deserialize(descriptor, host).expect("json"),
        nodes: Arc::default(),
        origin: Origin { file: "a.yaml".into(), line: 1, column: 1 },
    };
    let file = FileSpec {
        path: "a.yaml".into(),
        rollouts: vec![Arc::new(rollout)],
        resources: vec![Arc::new(route)],
        ..FileSpec::default()
    };
    Arc::new(SpecSet { files: BTreeMap::from([("a.yaml".into(), Arc::new(file))]) })
}

fn publish(reconciler: &mut Reconciler, spec: &Arc<SpecSet>) -> Option<Arc<World>> {
    published(reconciler.handle(Duration::ZERO, Input::Spec(Arc::clone(spec))))
}

fn published(effects: Vec<Effect>) -> Option<Arc<World>> {
    let mut worlds = effects.into_iter().filter_map(|effect| match effect {
        Effect::Publish(publication) => Some(publication.world),
        _ => None,
    });
    let world = worlds.next();
    assert!(worlds.next().is_none());
    world
}

fn traffic(world: &World) -> Vec<Arc<str>> {
    let snapshot = world.assign(&Node::default()).snapshot;
    snapshot.set(ResourceType::VirtualHost).get("v").expect("v").clusters.to_vec()
}

#[test]
fn documents_equal_to_those_in_force_change_nothing() {
    let mut reconciler = Reconciler::default();
    assert!(publish(&mut reconciler, &spec("blue", 1)).is_some());
    assert!(publish(&mut reconciler, &spec("blue", 1)).is_none());
    assert!(publish(&mut reconciler, &spec("green", 1)).is_some());
    assert!(publish(&mut reconciler, &spec("blue", 1)).is_some());
}

#[test]
fn documents_that_only_moved_keep_their_versions() {
    let mut reconciler = Reconciler::default();
    let before = publish(&mut reconciler, &spec("blue", 1)).expect("the first load");
    let after = publish(&mut reconciler, &spec("blue", 9)).expect("the edit");
    let version = |world: &World| world.assign(&Node::default()).snapshot.version();
    assert_eq!(version(&before), version(&after));
}

#[test]
fn an_empty_load_is_published_too() {
    // Whether a load is whole is for whoever loads: what comes in here is in force.
    assert!(publish(&mut Reconciler::default(), &Arc::default()).is_some());
}
