//! The root, with the machines it drives and a fleet that answers when told to.

mod kills;
mod rig;
mod rollouts;
mod telemetry;

use super::*;
use crate::xds::{Assign, Node};
use rig::{document, spec};

fn publish(reconciler: &mut Reconciler, spec: &Arc<SpecSet>) -> Option<Arc<World>> {
    reconciler.handle(Duration::ZERO, Input::Spec(Arc::clone(spec)));
    reconciler.publish(true).map(|publication| publication.world)
}

#[test]
fn documents_equal_to_those_in_force_change_nothing() {
    let mut reconciler = Reconciler::default();
    assert!(publish(&mut reconciler, &spec(&document("blue", "{blueGreen: {}}"))).is_some());
    assert!(publish(&mut reconciler, &spec(&document("blue", "{blueGreen: {}}"))).is_none());
    assert!(publish(&mut reconciler, &spec(&document("green", "{blueGreen: {}}"))).is_some());
    assert!(publish(&mut reconciler, &spec(&document("blue", "{blueGreen: {}}"))).is_some());
}

#[test]
fn documents_that_only_moved_keep_their_versions() {
    let mut reconciler = Reconciler::default();
    let before = publish(&mut reconciler, &spec(&document("blue", "{blueGreen: {}}"))).expect("the first load");
    let after =
        publish(&mut reconciler, &spec(&format!("\n\n{}", document("blue", "{blueGreen: {}}")))).expect("the edit");
    let version = |world: &World| world.assign(&Node::default()).snapshot.version();
    assert_eq!(version(&before), version(&after));
}

#[test]
fn an_empty_load_is_published_too() {
    // Whether a load is whole is for whoever loads: what comes in here is in force.
    assert!(publish(&mut Reconciler::default(), &Arc::default()).is_some());
}
