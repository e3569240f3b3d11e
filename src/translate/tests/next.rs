//! A world made from the one before is the one made from nothing, whatever changed; and only what changed is made.

use super::*;

/// What is in one file, by a few dice.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    /// Which rollout, for which nodes, with which address of its first version, with canary nodes.
    Rollout(u8, u8, u8, bool),
    /// Which RouteConfiguration, for which nodes, naming which two rollouts.
    Route(u8, u8, [u8; 2]),
    /// Which cluster, one of a rollout's among them; whose endpoints it asks for.
    Cluster(u8, u8),
    /// Endpoints of which cluster.
    Endpoints(u8),
}

fn selector(dice: u8) -> Arc<NodeSelector> {
    match dice {
        0 => in_cluster("edge"),
        1 => in_cluster("core"),
        _ => everyone(),
    }
}

fn cluster_name(dice: u8) -> String {
    ["r0/a", "r1/b", "own"][usize::from(dice % 3)].to_owned()
}

fn file(path: &str, pieces: &[Piece]) -> FileSpec {
    let mut file = FileSpec { path: path.into(), ..FileSpec::default() };
    for piece in pieces {
        match piece {
            Piece::Rollout(which, nodes, address, canary) => {
                let first = format!("10.0.0.{address}:80");
                let versions: &[(&str, &[&str])] = &[("a", &[&first]), ("b", &[])];
                let mut made = Rollout::clone(&rollout(&format!("r{which}"), &selector(*nodes), versions));
                made.convergence.canary_nodes = canary.then(|| in_cluster("edge"));
                file.rollouts.push(Arc::new(made));
            }
            Piece::Route(which, nodes, names) => {
                let route = |name: &u8| json!({"match": {"prefix": "/"}, "route": {"cluster": format!("r{name}")}});
                let routes: Vec<_> = names.iter().map(route).collect();
                let host = json!({"name": "h", "domains": ["*"], "routes": routes});
                let json = json!({"name": format!("web{which}"), "virtual_hosts": [host]});
                file.resources.push(document(ResourceKind::RouteConfiguration, &selector(*nodes), &json));
            }
            Piece::Cluster(which, asks) => {
                let config = json!({"eds_config": {"ads": {}}, "service_name": cluster_name(*asks)});
                let json = eds_cluster(&cluster_name(*which), &config);
                file.resources.push(document(ResourceKind::Cluster, &everyone(), &json));
            }
            Piece::Endpoints(which) => {
                let json = json!({"cluster_name": cluster_name(*which)});
                file.resources.push(document(ResourceKind::ClusterLoadAssignment, &everyone(), &json));
            }
        }
    }
    file
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        4 => (0..3u8, 0..6u8, 1..3u8, any::<bool>()).prop_map(|(a, b, c, d)| Piece::Rollout(a, b, c, d)),
        4 => (0..3u8, 0..6u8, [0..3u8, 0..3u8]).prop_map(|(a, b, c)| Piece::Route(a, b, c)),
        1 => (0..3u8, 0..3u8).prop_map(|(a, b)| Piece::Cluster(a, b)),
        1 => (0..3u8).prop_map(Piece::Endpoints),
    ];
    prop::collection::vec(piece, 0..3)
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A file gets another content.
    Edit(usize, Vec<Piece>),
    /// A file gets the content that it has, read anew.
    Touch(usize),
    /// A rollout gets other traffic, maybe with nodes ahead; or is not served.
    Move(u8, Option<(u32, Option<u32>)>),
    /// Nodes ask, so that their group is known.
    Ask(&'static str),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4usize, pieces()).prop_map(|(file, pieces)| Step::Edit(file, pieces)),
        1 => (0..4usize).prop_map(Step::Touch),
        3 => (0..3u8, prop::option::weighted(0.9, (0..4u32, prop::option::of(0..4u32))))
            .prop_map(|(rollout, traffic)| Step::Move(rollout, traffic)),
        2 => prop::sample::select(&["edge", "core", "other"][..]).prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 1..24)
}

fn traffic(share: u32) -> Traffic {
    Traffic::of(Split(vec![("a".into(), TOTAL_WEIGHT - share), ("b".into(), share)]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_next_world_is_the_world(start in prop::collection::vec(pieces(), 4), steps in steps()) {
        let path = |index: usize| Arc::<str>::from(format!("f{index}"));
        let mut contents = start;
        let parsed = |(index, pieces): (usize, &Vec<Piece>)| (path(index), Arc::new(file(&path(index), pieces)));
        let mut spec = SpecSet { files: contents.iter().enumerate().map(parsed).collect() };
        let mut served: Map<Arc<str>, Served> =
            (0..3).map(|rollout| (format!("r{rollout}").into(), traffic(0).into())).collect();
        let mut world = World::new(&spec, &served);
        for step in steps {
            match step {
                Step::Ask(cluster) => drop(world.assign(&node(cluster))),
                Step::Edit(index, pieces) if pieces.is_empty() => {
                    contents[index].clear();
                    spec.files.remove(&path(index));
                }
                Step::Edit(index, pieces) => {
                    spec.files.extend([parsed((index, &pieces))]);
                    contents[index] = pieces;
                }
                Step::Touch(index) => spec.files.extend([parsed((index, &contents[index]))]),
                Step::Move(rollout, None) => drop(served.remove(&*format!("r{rollout}"))),
                Step::Move(rollout, Some((all, ahead))) => {
                    let moved = Served { traffic: traffic(all), ahead: ahead.map(traffic) };
                    served.insert(format!("r{rollout}").into(), moved);
                }
            }
            world = world.next(&spec, &served);
            // Asking makes groups known; the world goes on as if nobody had.
            let (again, anew) = (world.next(&spec, &served), World::new(&spec, &served));
            for cluster in ["edge", "core", "other"] {
                let (next, new) = (again.assign(&node(cluster)), anew.assign(&node(cluster)));
                prop_assert_eq!(next.group, new.group);
                prop_assert_eq!(next.snapshot.version(), new.snapshot.version());
                prop_assert_eq!(next.snapshot, new.snapshot);
            }
        }
    }
}

/// The guard of "the cost follows what changed": counts, not times.
#[test]
fn a_change_of_one_among_many_makes_nothing_of_the_others() {
    const MANY: usize = 200;
    let name = |index: usize| format!("svc{index}");
    let part = |index: usize, address: &str| {
        let rollout = rollout(&name(index), &everyone(), &[("a", &[address]), ("b", &["10.0.1.1:80"])]);
        let route =
            document(ResourceKind::RouteConfiguration, &everyone(), &route_to(&format!("rc{index}"), &name(index)));
        (
            name(index).into(),
            Arc::new(FileSpec { rollouts: vec![rollout], resources: vec![route], ..FileSpec::default() }),
        )
    };
    let mut spec = SpecSet { files: (0..MANY).map(|index| part(index, "10.0.0.1:80")).collect() };
    let mut served: Map<Arc<str>, Served> = (0..MANY).map(|index| (name(index).into(), traffic(0).into())).collect();
    let world = World::new(&spec, &served);
    let before = snapshot(&world, "edge");
    let differing = |before: &Snapshot, after: &Snapshot| {
        let each = ResourceType::ALL.into_iter().flat_map(|ty| after.set(ty).iter().map(move |made| (ty, made)));
        let made = each.filter(|(ty, made)| !before.set(*ty).get(&made.name).is_some_and(|was| Arc::ptr_eq(was, made)));
        made.map(|(ty, made)| format!("{ty} {}", made.name)).collect::<Vec<_>>()
    };
    let same_sets = |before: &Snapshot, after: &Snapshot| {
        ResourceType::ALL.into_iter().filter(|ty| !Arc::ptr_eq(before.set(*ty), after.set(*ty))).collect::<Vec<_>>()
    };

    served.insert(name(7).into(), traffic(1_000).into());
    let moved = world.next(&spec, &served);
    let after = snapshot(&moved, "edge");
    assert_eq!(differing(&before, &after), ["RDS rc7"]);
    assert_eq!(same_sets(&before, &after), [ResourceType::Route]);

    spec.files.extend([part(9, "10.0.0.2:80")]);
    let edited = moved.next(&spec, &served);
    let last = snapshot(&edited, "edge");
    assert_eq!(differing(&after, &last), ["EDS svc9/a"]);
    assert_eq!(same_sets(&after, &last), [ResourceType::Endpoint]);

    spec.files.extend([part(9, "10.0.0.2:80")]);
    let touched = snapshot(&edited.next(&spec, &served), "edge");
    assert!(Arc::ptr_eq(&last, &touched), "read again, and nothing new in it");
}
