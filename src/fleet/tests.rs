//! The fold, event by event.

mod standing;

use std::sync::Arc;

use super::*;

const CDS: ResourceType = ResourceType::Cluster;
const RDS: ResourceType = ResourceType::Route;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn version(text: &str) -> Version {
    Version::of(text.as_bytes())
}

fn opened(node: &str, group: &str) -> StreamEvent {
    StreamEvent::Opened {
        node: node.into(),
        cluster: "edge".into(),
        group: group.into(),
        user_agent: "envoy 1.40.0".into(),
        variant: Variant::Delta,
        peer: "127.0.0.1:1".into(),
    }
}

fn acked(ty: ResourceType, nonce: u64, text: &str) -> Event {
    Event::Acked { ty, nonce, version: version(text), took: Duration::ZERO }
}

fn rejection(ty: ResourceType, name: &str) -> Rejection {
    Rejection {
        ty,
        suspects: [(Arc::from(name), version("bad"))].into(),
        named: true,
        fresh: BTreeSet::new(),
        error: format!("{name}: refused"),
    }
}

struct Rig(Fleet);

impl Rig {
    fn session(&mut self, seconds: u64, stream: u64, event: Event) {
        self.0.handle(at(seconds), StreamId(stream), StreamEvent::Session(event));
    }

    fn settle(&mut self, seconds: u64, stream: u64, ty: ResourceType, text: &str) {
        self.session(seconds, stream, Event::Subscribed { ty });
        self.session(seconds, stream, Event::Sent { ty, nonce: 1, version: version(text) });
        self.session(seconds, stream, acked(ty, 1, text));
        self.session(seconds, stream, Event::Settled { ty, version: version(text) });
    }

    fn show(&self, node: &str, ty: ResourceType) -> TypeView {
        let view = self.0.view();
        let node = view.nodes.iter().find(|n| n.id == node).expect("node");
        node.types.iter().find(|t| t.ty == ty.short_name()).expect("type").clone()
    }
}

fn rig(nodes: u64) -> Rig {
    let mut fleet = Fleet::default();
    for i in 0..nodes {
        fleet.handle(at(0), StreamId(i), opened(&format!("n{i}"), "default"));
    }
    Rig(fleet)
}

#[test]
fn a_type_goes_from_not_sent_over_stale_to_synced() {
    let mut rig = rig(1);
    rig.session(1, 0, Event::Subscribed { ty: CDS });
    assert_eq!((rig.show("n0", CDS).status, rig.show("n0", CDS).since), (Status::NotSent, at(1)));
    rig.session(2, 0, Event::Sent { ty: CDS, nonce: 7, version: version("a") });
    assert_eq!((rig.show("n0", CDS).status, rig.show("n0", CDS).version), (Status::Stale, None));
    rig.session(3, 0, acked(CDS, 7, "a"));
    assert_eq!(rig.show("n0", CDS).status, Status::Stale, "acknowledged is not yet all it should have");
    rig.session(3, 0, Event::Settled { ty: CDS, version: version("a") });
    let shown = rig.show("n0", CDS);
    assert_eq!((shown.status, shown.version, shown.nonce), (Status::Synced, Some(version("a").to_string()), Some(7)));
    rig.session(9, 0, Event::Unsettled { ty: CDS });
    assert_eq!((rig.show("n0", CDS).status, rig.show("n0", CDS).since), (Status::Stale, at(9)));
}

#[test]
fn a_rejection_is_named_and_outlives_the_stream_until_it_is_forgiven() {
    let mut rig = rig(1);
    rig.settle(1, 0, CDS, "a");
    rig.session(2, 0, Event::Unsettled { ty: CDS });
    rig.session(2, 0, Event::Nacked { nonce: 2, version: version("b"), rejection: rejection(CDS, "shop/blue") });
    let shown = rig.show("n0", CDS);
    assert_eq!(
        (shown.status, shown.version),
        (Status::Nack, Some(version("a").to_string())),
        "pinned is the last good"
    );
    assert_eq!(
        (shown.error.as_deref(), &*shown.resources),
        (Some("shop/blue: refused"), &["shop/blue".to_owned()][..])
    );

    rig.0.handle(at(3), StreamId(0), StreamEvent::Closed { reason: "reset".into() });
    assert_eq!(rig.0.rejections("n0").len(), 1);
    rig.0.handle(at(4), StreamId(9), opened("n0", "default"));
    rig.session(4, 9, Event::Subscribed { ty: CDS });
    assert_eq!(rig.show("n0", CDS).status, Status::Nack);
    rig.session(5, 9, Event::Forgiven { ty: CDS });
    assert_eq!((rig.0.rejections("n0").len(), rig.show("n0", CDS).status), (0, Status::Stale));
    rig.session(6, 9, Event::Settled { ty: CDS, version: version("c") });
    assert_eq!((rig.show("n0", CDS).status, rig.show("n0", CDS).error), (Status::Synced, None));
}

#[test]
fn a_node_that_is_gone_is_still_shown() {
    let mut rig = rig(1);
    rig.settle(1, 0, CDS, "a");
    rig.0.handle(at(5), StreamId(0), StreamEvent::Closed { reason: "the client went away".into() });
    let view = rig.0.view();
    let node = &view.nodes[0];
    assert_eq!((node.connected, node.since, node.reason.as_deref()), (false, at(5), Some("the client went away")));
    assert_eq!((node.types[0].status, node.types[0].version.clone()), (Status::Stale, Some(version("a").to_string())));
    rig.0.handle(at(6), StreamId(1), opened("n0", "default"));
    assert!(rig.0.view().nodes[0].connected);
}

#[test]
fn a_node_with_a_stream_per_type_leaves_all_of_them_behind() {
    let mut rig = rig(1);
    rig.settle(1, 0, CDS, "a");
    rig.0.handle(at(1), StreamId(1), opened("n0", "default"));
    rig.settle(1, 1, RDS, "b");
    assert_eq!((rig.0.node_of(StreamId(1)), rig.0.is_connected("n0")), (Some("n0"), true));
    rig.0.handle(at(2), StreamId(0), StreamEvent::Closed { reason: "first".into() });
    assert_eq!((rig.0.view().nodes[0].reason.as_deref(), rig.0.is_connected("n0")), (None, true));
    rig.0.handle(at(3), StreamId(1), StreamEvent::Closed { reason: "second".into() });
    assert_eq!((rig.0.node_of(StreamId(1)), rig.0.is_connected("n0")), (None, false));
    assert_eq!(rig.0.view().nodes[0].reason.as_deref(), Some("second"));
    for (ty, text) in [(CDS, "a"), (RDS, "b")] {
        let shown = rig.show("n0", ty);
        assert_eq!((shown.status, shown.version), (Status::Stale, Some(version(text).to_string())));
    }
}

#[test]
fn the_newest_stream_of_a_node_speaks_for_it() {
    let mut rig = rig(1);
    rig.settle(1, 0, CDS, "a");
    rig.0.handle(at(2), StreamId(5), opened("n0", "default"));
    rig.settle(2, 5, CDS, "b");
    assert_eq!(rig.show("n0", CDS).version, Some(version("b").to_string()));
    rig.0.handle(at(3), StreamId(0), StreamEvent::Closed { reason: "old one".into() });
    assert!(rig.0.view().nodes[0].connected);
    assert_eq!(rig.0.view().nodes.len(), 1);
}

#[test]
fn nodes_that_are_gone_are_forgotten_from_the_oldest_on() {
    let mut rig = rig(0);
    for i in 0..=MAX_GONE as u64 {
        rig.0.handle(at(i), StreamId(i), opened(&format!("n{i}"), "default"));
        rig.0.handle(at(i), StreamId(i), StreamEvent::Closed { reason: String::new() });
    }
    let view = rig.0.view();
    assert_eq!(view.nodes.len(), MAX_GONE);
    assert!(view.nodes.iter().all(|node| node.id != "n0"));
}

#[test]
fn what_is_not_answered_is_known_by_its_age() {
    let mut rig = rig(2);
    let oldest = |rig: &mut Rig| -> Vec<_> {
        let unanswered = rig.0.gauges().unanswered;
        unanswered.into_iter().filter_map(|(ty, since)| Some((ty, since?))).collect()
    };
    let sent = |ty, nonce| Event::Sent { ty, nonce, version: version("a") };
    assert_eq!(rig.0.gauges().unanswered.len(), ResourceType::COUNT);
    assert_eq!(oldest(&mut rig), []);
    rig.session(1, 0, sent(CDS, 1));
    rig.session(2, 1, sent(CDS, 1));
    rig.session(3, 1, sent(RDS, 2));
    assert_eq!(oldest(&mut rig), [("CDS", at(1)), ("RDS", at(3))]);
    rig.session(4, 0, acked(CDS, 1, "a"));
    rig.session(5, 1, Event::Nacked { nonce: 2, version: version("a"), rejection: rejection(RDS, "routes") });
    assert_eq!(oldest(&mut rig), [("CDS", at(2))], "a rejection is an answer");
    // Clusters are sent anew while the client is silent: it has been so since the first.
    rig.session(6, 1, sent(CDS, 3));
    rig.session(7, 1, acked(CDS, 1, "a"));
    assert_eq!(oldest(&mut rig), [("CDS", at(2))]);
    rig.session(8, 1, acked(CDS, 3, "a"));
    assert_eq!(oldest(&mut rig), []);
    rig.session(9, 0, sent(CDS, 2));
    rig.0.handle(at(10), StreamId(0), StreamEvent::Closed { reason: "gone".into() });
    assert_eq!(oldest(&mut rig), [], "nobody is left to answer");
}

#[test]
fn streams_and_nodes_are_counted_for_graphs() {
    let mut rig = rig(3);
    let mut sotw = opened("n0", "default");
    if let StreamEvent::Opened { variant, .. } = &mut sotw {
        *variant = Variant::Sotw;
    }
    rig.0.handle(at(1), StreamId(9), sotw);
    rig.0.handle(at(1), StreamId(2), StreamEvent::Closed { reason: "gone".into() });
    let gauges = rig.0.gauges();
    assert_eq!((gauges.sotw_streams, gauges.delta_streams), (1, 2));
    let group = GroupGauges { synced: 0, stale: 2, nack: 0, away: 1 };
    assert_eq!(gauges.groups, [("default".to_owned(), group)].into());
}
