//! Canary nodes, which get a change of traffic before the others.

use super::*;

/// Proxies of the cluster `edge` see it, those of them in the region `eu` get each change first.
fn spec_with_canary_nodes() -> SpecSet {
    let canary = NodeSelector { region: Some(Glob::new("eu").expect("glob")), ..NodeSelector::default() };
    let mut checkout =
        (*rollout("checkout", &in_cluster("edge"), &[("blue", &["10.0.0.1:80"]), ("green", &[])])).clone();
    checkout.convergence.canary_nodes = Some(Arc::new(canary));
    let route = document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "checkout"));
    let other = document(ResourceKind::RouteConfiguration, &everyone(), &route_to("other", "cart"));
    spec_set(&[("a", &[Arc::new(checkout)], &[route, other])])
}

fn served(traffic: u32, ahead: Option<u32>) -> Map<Arc<str>, Served> {
    let green = |weight| Traffic::of(Split(vec![("blue".into(), TOTAL_WEIGHT - weight), ("green".into(), weight)]));
    Map::from([("checkout".into(), Served { traffic: green(traffic), ahead: ahead.map(green) })])
}

fn at(cluster: &str, region: &str) -> Node {
    Node { region: region.to_owned(), ..node(cluster) }
}

fn green(world: &World, node: &Node) -> Option<Json> {
    let route = seen(&world.assign(node).snapshot, ResourceType::Route, "r");
    route.pointer("/virtual_hosts/0/routes/0/route/weighted_clusters/clusters/1/weight").cloned()
}

#[test]
fn only_canary_nodes_that_see_the_rollout_get_what_is_ahead() {
    let world = World::new(&spec_with_canary_nodes(), &served(0, Some(1_000)));
    assert_eq!(green(&world, &at("edge", "eu")), Some(json!(1_000)));
    assert_eq!(green(&world, &at("edge", "us")), Some(json!(0)));
    assert_eq!(green(&world, &at("core", "eu")), None);
}

#[test]
fn with_nobody_ahead_all_get_the_same() {
    let world = World::new(&spec_with_canary_nodes(), &served(1_000, None));
    let [canary, other] = ["eu", "us"].map(|region| world.assign(&at("edge", region)).snapshot);
    assert_eq!(canary, other);
}

#[test]
fn groups_keep_their_names_and_the_others_their_bytes() {
    let spec = spec_with_canary_nodes();
    let nodes = ["eu", "us"].map(|region| at("edge", region));
    let asked = |world: World| {
        for node in &nodes {
            world.assign(node);
        }
        world
    };
    let before = asked(World::new(&spec, &served(0, None)));
    let during = asked(before.next(&spec, &served(0, Some(1_000))));
    let after = asked(during.next(&spec, &served(1_000, None)));
    let [canary, other] = &nodes;
    for node in &nodes {
        let groups = [&before, &during, &after].map(|world| world.assign(node).group);
        assert_eq!((&groups[0], &groups[0]), (&groups[1], &groups[2]));
    }
    let of = |world: &World, node: &Node| world.assign(node).snapshot;
    assert_eq!(of(&before, other), of(&during, other));
    assert_eq!(of(&before, other).version(), of(&during, other).version());
    assert_eq!(of(&during, canary), of(&after, other));
    assert_eq!(during.assign(canary).snapshot, World::new(&spec, &served(0, Some(1_000))).assign(canary).snapshot);
    let route = |world: &World, node: &Node, name: &str| get(&of(world, node), ResourceType::Route, name);
    assert!(Arc::ptr_eq(&route(&before, other, "r"), &route(&during, other, "r")), "not encoded again");
    assert!(Arc::ptr_eq(&route(&during, canary, "r"), &route(&after, canary, "r")), "not encoded again");
    assert!(!Arc::ptr_eq(&route(&before, canary, "r"), &route(&during, canary, "r")));
    assert!(Arc::ptr_eq(&route(&during, canary, "other"), &route(&during, other, "other")));
}
