//! Counting against a world.

use super::*;
use crate::xds::{Assign, Assignment, Node, Resource, Snapshot, TypeSet};

/// In every group but `elsewhere` one route, which says `0`, and a cluster that nodes may have rejected.
struct Route(&'static str);

impl Route {
    fn version(&self) -> Version {
        self.snapshot().set(RDS).version()
    }

    fn snapshot(&self) -> Snapshot {
        let route = Resource::new("main", bytes::Bytes::from_static(self.0.as_bytes()));
        let cluster = Resource::new("shop/blue", bytes::Bytes::from_static(b"bad"));
        let sets = [(CDS, cluster), (RDS, route)].map(|(ty, one)| (ty, Arc::new(TypeSet::new([Arc::new(one)]))));
        Snapshot::new(sets)
    }
}

impl Assign for Route {
    fn assign(&self, _: &Node) -> Assignment {
        Assignment { group: "default".into(), snapshot: Arc::new(self.snapshot()) }
    }

    fn earlier(&self, _: &Node) -> Vec<Arc<Snapshot>> {
        Vec::new()
    }

    fn group(&self, group: &str) -> Option<Arc<Snapshot>> {
        (group != "elsewhere").then(|| Arc::new(self.snapshot()))
    }
}

/// Nothing but another cluster of the name.
struct Mended;

impl Assign for Mended {
    fn assign(&self, _: &Node) -> Assignment {
        Assignment { group: "default".into(), snapshot: self.group("default").unwrap() }
    }

    fn earlier(&self, _: &Node) -> Vec<Arc<Snapshot>> {
        Vec::new()
    }

    fn group(&self, _: &str) -> Option<Arc<Snapshot>> {
        let cluster = Arc::new(Resource::new("shop/blue", bytes::Bytes::from_static(b"good")));
        Some(Arc::new(Snapshot::new([(CDS, Arc::new(TypeSet::new([cluster])))])))
    }
}

fn aim(rig: &mut Rig, number: u64, route: &'static str) -> Version {
    rig.0.aim(number, Arc::new(Route(route)));
    Route(route).version()
}

fn settled(rig: &mut Rig, stream: u64, version: Version) {
    rig.session(1, stream, Event::Subscribed { ty: RDS });
    rig.session(1, stream, Event::Settled { ty: RDS, version });
}

fn default_group(rig: &mut Rig) -> GroupStanding {
    rig.0.standing().groups.remove("default").unwrap_or_default()
}

fn counts(rig: &mut Rig) -> (usize, usize, usize, usize) {
    let group = default_group(rig);
    (group.nodes, group.pending, group.rejecting, group.away.len())
}

#[test]
fn nodes_are_counted_once_they_have_settled_on_the_world() {
    let mut rig = rig(3);
    assert_eq!(counts(&mut rig), (3, 3, 0, 0), "nobody knows a world yet");
    let a = aim(&mut rig, 1, "a");
    (0..2).for_each(|stream| settled(&mut rig, stream, a));
    let group = default_group(&mut rig);
    assert_eq!((group.nodes, group.pending, group.some_pending), (3, 1, vec!["n2".to_owned()]));
    assert_eq!(group.latest.as_deref(), Some("n1"));

    let b = aim(&mut rig, 2, "b");
    assert_eq!((counts(&mut rig), rig.0.standing().world), ((3, 3, 0, 0), 2));
    settled(&mut rig, 0, b);
    assert_eq!(counts(&mut rig), (3, 2, 0, 0));
    rig.session(2, 0, Event::Unsettled { ty: RDS });
    assert_eq!(counts(&mut rig), (3, 3, 0, 0));

    aim(&mut rig, 3, "a");
    assert_eq!(counts(&mut rig), (3, 2, 0, 0), "n1 never left what is wanted again");
}

#[test]
fn a_node_that_asked_for_nothing_has_nothing() {
    let mut rig = rig(1);
    let a = aim(&mut rig, 1, "a");
    assert_eq!(counts(&mut rig), (1, 1, 0, 0));
    settled(&mut rig, 0, a);
    assert_eq!(counts(&mut rig), (1, 0, 0, 0));
    // Of a type without resources it must hear so too.
    rig.session(2, 0, Event::Subscribed { ty: CDS });
    assert_eq!(counts(&mut rig), (1, 1, 0, 0));
}

#[test]
fn nodes_that_leave_are_away_until_they_return() {
    let mut rig = rig(2);
    let a = aim(&mut rig, 1, "a");
    (0..2).for_each(|stream| settled(&mut rig, stream, a));
    rig.0.handle(at(5), StreamId(0), StreamEvent::Closed { reason: "gone".into() });
    assert_eq!(*default_group(&mut rig).away, [Away { node: "n0".into(), since: at(5) }]);
    assert_eq!(counts(&mut rig), (1, 0, 0, 1));
    assert_eq!(rig.0.expected(at(60), at(60)), BTreeMap::from([("n0", "default"), ("n1", "default")]));
    assert_eq!(rig.0.expected(at(65), at(60)), BTreeMap::from([("n1", "default")]));
    rig.0.handle(at(6), StreamId(7), opened("n0", "default"));
    assert_eq!(counts(&mut rig), (2, 1, 0, 0));
}

#[test]
fn nodes_of_an_earlier_process_are_away_until_they_return() {
    let mut rig = rig(0);
    rig.0.expect(at(0), BTreeMap::from([("n0".into(), "default".into()), ("n1".into(), "default".into())]));
    assert_eq!(counts(&mut rig), (0, 0, 0, 2));
    assert!(rig.0.view().nodes.is_empty(), "nothing is known of them that could be shown");
    rig.0.handle(at(1), StreamId(0), opened("n0", "elsewhere"));
    assert_eq!(*default_group(&mut rig).away, [Away { node: "n1".into(), since: at(0) }]);
    assert_eq!(rig.0.standing().groups["elsewhere"].nodes, 1);
}

#[test]
fn a_rejection_is_no_waiting_but_may_stand_beside_it() {
    let mut rig = rig(2);
    let a = aim(&mut rig, 1, "a");
    (0..2).for_each(|stream| settled(&mut rig, stream, a));
    let nacked = Event::Nacked { nonce: 2, version: version("b"), rejection: rejection(CDS, "shop/blue") };
    rig.session(2, 0, Event::Subscribed { ty: CDS });
    rig.session(2, 0, nacked);
    let group = default_group(&mut rig);
    assert_eq!((group.pending, group.rejecting), (0, 1));
    assert_eq!((&*group.rejected[0].node, group.rejected[0].pending), ("n0", false));

    rig.session(3, 0, Event::Unsettled { ty: RDS });
    let group = default_group(&mut rig);
    assert_eq!((group.pending, group.rejecting, group.rejected[0].pending), (1, 0, true));

    rig.session(4, 0, Event::Settled { ty: RDS, version: a });
    assert_eq!(counts(&mut rig), (2, 0, 1, 0));
    rig.0.aim(2, Arc::new(Mended));
    let group = default_group(&mut rig);
    assert_eq!((group.pending, group.rejecting, group.rejected.len()), (2, 0, 0), "nobody wants that any more");
    aim(&mut rig, 3, "a");
    rig.session(4, 0, Event::Forgiven { ty: CDS });
    assert_eq!(counts(&mut rig), (2, 1, 0, 0), "it waits for the next clusters");
}

#[test]
fn a_node_that_changes_its_group_keeps_what_it_has() {
    let mut rig = rig(1);
    let a = aim(&mut rig, 1, "a");
    settled(&mut rig, 0, a);
    rig.0.handle(at(2), StreamId(0), opened("n0", "edge"));
    let standing = rig.0.standing();
    assert_eq!(standing.groups.keys().collect::<Vec<_>>(), ["edge"]);
    assert_eq!((standing.groups["edge"].nodes, standing.groups["edge"].pending), (1, 0));
    assert_eq!(rig.show("n0", RDS).status, Status::Synced);
}

#[test]
fn counting_event_by_event_is_counting_all_anew() {
    use proptest::prelude::*;
    let event = prop_oneof![
        any::<bool>().prop_map(|edge| opened("", if edge { "edge" } else { "default" })),
        Just(StreamEvent::Closed { reason: String::new() }),
        prop_oneof![Just("a"), Just("b")]
            .prop_map(|route| StreamEvent::Session(Event::Settled { ty: RDS, version: Route(route).version() })),
        Just(StreamEvent::Session(Event::Unsettled { ty: RDS })),
        Just(StreamEvent::Session(Event::Forgiven { ty: RDS })),
        Just(StreamEvent::Session(Event::Nacked {
            nonce: 1,
            version: version("x"),
            rejection: rejection(RDS, "main")
        })),
    ];
    proptest!(|(events in prop::collection::vec((0_u64..6, event, 0_u8..8), 1..60))| {
        let mut fleet = Fleet::default();
        for (number, (stream, mut event, world)) in events.into_iter().enumerate() {
            if let StreamEvent::Opened { node, .. } = &mut event {
                *node = format!("n{}", stream % 3);
            }
            // A stream is opened once by its node, and again only in another group.
            fleet.handle(at(number as u64), StreamId(stream), event);
            match world {
                0 => fleet.aim(number as u64, Arc::new(Route("a"))),
                1 => fleet.aim(number as u64, Arc::new(Route("b"))),
                _ => {}
            }
            let counted = fleet.standing();
            let world = fleet.counts.world.clone();
            let before = std::mem::take(&mut fleet.counts);
            for node in fleet.nodes.values_mut() {
                node.place = None;
            }
            match world {
                Some(world) => fleet.aim(before.number, world),
                None => fleet.nodes.keys().cloned().collect::<Vec<_>>().iter().for_each(|id| fleet.count(id)),
            }
            let mut anew = fleet.standing();
            for (name, group) in &mut anew.groups {
                // Who was last cannot be told from the end alone.
                group.latest = counted.groups.get(name).and_then(|group| group.latest.clone());
            }
            prop_assert_eq!(counted, anew);
            fleet.counts = before;
            for id in fleet.nodes.keys().cloned().collect::<Vec<_>>() {
                let place = fleet.place(&id);
                fleet.nodes.get_mut(&id).unwrap().place = place;
            }
        }
    });
}
