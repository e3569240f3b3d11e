use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};
use serde_json::{Value as Json, json};

use super::references::{self, References};
use super::replacement::{Replacement, Replacements};
use super::routes::{self, ROUTE_ACTION};
use super::*;
use crate::spec::nodes::Glob;
use crate::spec::{
    self, Backend, Endpoint, FileSpec, NodeSelector, Origin, ResourceKind, Rollout, Served, SpecSet, Split,
    TOTAL_WEIGHT, Traffic, Version, canonical, descriptor,
};
use crate::tree::Map;
use crate::xds::{Assign, Node, Resource, ResourceType, Snapshot};

mod ahead;
mod next;
mod traffic;

const KINDS: [ResourceKind; ResourceType::COUNT] = [
    ResourceKind::Secret,
    ResourceKind::Runtime,
    ResourceKind::Cluster,
    ResourceKind::ClusterLoadAssignment,
    ResourceKind::TypedExtensionConfig,
    ResourceKind::Listener,
    ResourceKind::ScopedRouteConfiguration,
    ResourceKind::RouteConfiguration,
    ResourceKind::VirtualHost,
];

const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A message of an xDS type from Envoy's JSON form.
fn message(ty: ResourceType, json: &Json) -> DynamicMessage {
    named(ty.message_name(), json)
}

fn named(name: &str, json: &Json) -> DynamicMessage {
    DynamicMessage::deserialize(descriptor::message(name).expect(name), json).expect("json")
}

fn origin() -> Origin {
    Origin { file: "a.yaml".into(), line: 1, column: 1 }
}

fn everyone() -> Arc<NodeSelector> {
    Arc::default()
}

fn in_cluster(glob: &str) -> Arc<NodeSelector> {
    Arc::new(NodeSelector { cluster: Some(Glob::new(glob).expect("glob")), ..NodeSelector::default() })
}

fn document(kind: ResourceKind, nodes: &Arc<NodeSelector>, json: &Json) -> Arc<spec::Resource> {
    let name = json.get("name").or(json.get("cluster_name")).and_then(Json::as_str).expect("a name").into();
    let message = message(resource_type(kind), json);
    Arc::new(spec::Resource { kind, name, message, nodes: Arc::clone(nodes), origin: origin() })
}

/// A rollout over versions given as name and endpoints; `=NAME` is an existing cluster.
fn rollout(name: &str, nodes: &Arc<NodeSelector>, versions: &[(&str, &[&str])]) -> Arc<Rollout> {
    let version = |(version, endpoints): &(&str, &[&str])| {
        let native = json!({"connect_timeout": "2s", "lb_policy": "LEAST_REQUEST"});
        let existing = endpoints.first().and_then(|first| first.strip_prefix('='));
        let (backend, cluster_name) = if let Some(existing) = existing {
            (Backend::Existing(existing.into()), existing.into())
        } else {
            let endpoints = endpoints.iter().map(|text| endpoint(text)).collect();
            let cluster = message(ResourceType::Cluster, &native);
            (Backend::Endpoints { cluster, endpoints }, format!("{name}/{version}").into())
        };
        Version { name: (*version).into(), backend, cluster_name }
    };
    let versions: Vec<Version> = versions.iter().map(version).collect();
    let target = Some(Arc::clone(&versions[0].name));
    let (name, nodes) = (name.into(), Arc::clone(nodes));
    Arc::new(Rollout {
        name,
        nodes,
        versions,
        target,
        strategy: spec::Strategy::BlueGreen(spec::BlueGreen::default()),
        convergence: spec::Convergence::default(),
        progress_deadline: std::time::Duration::from_secs(600),
        progress_deadline_abort: false,
        rollback_window: 0,
        webhooks: Vec::new(),
        promotion_windows: Vec::new(),
        group: None,
        capacity_gate: None,
        origin: origin(),
    })
}

fn endpoint(text: &str) -> Endpoint {
    if let Ok(address) = text.parse() {
        return Endpoint::Ip(address);
    }
    let (host, port) = text.rsplit_once(':').expect("host:port");
    Endpoint::Host(host.into(), port.parse().expect("port"))
}

/// A file: path, rollouts, resources.
type File<'a> = (&'a str, &'a [Arc<Rollout>], &'a [Arc<spec::Resource>]);

fn spec_set(files: &[File<'_>]) -> SpecSet {
    let file = |(path, rollouts, resources): &File<'_>| {
        let path: Arc<str> = (*path).into();
        let file = FileSpec {
            path: Arc::clone(&path),
            rollouts: rollouts.to_vec(),
            resources: resources.to_vec(),
            ..FileSpec::default()
        };
        (path, Arc::new(file))
    };
    SpecSet { files: files.iter().map(file).collect() }
}

fn splits(parts: &[(&str, &[(&str, u32)])]) -> Map<Arc<str>, Served> {
    let split = |weights: &[(&str, u32)]| Split(weights.iter().map(|(v, w)| ((*v).into(), *w)).collect());
    parts.iter().map(|(name, weights)| ((*name).into(), Traffic::of(split(weights)).into())).collect()
}

fn in_place(parts: &[(&str, &[(&str, u32)])]) -> Replacements {
    let of = |name: &str, weights: &[(&str, u32)]| Replacement {
        rollout: name.into(),
        weights: weights.iter().map(|(cluster, weight)| ((*cluster).into(), *weight)).collect(),
        header_routes: Vec::new(),
        mirrors: Vec::new(),
        affinity: None,
    };
    parts.iter().map(|(name, weights)| ((*name).into(), Arc::new(of(name, weights)))).collect()
}

fn node(cluster: &str) -> Node {
    Node { id: format!("{cluster}-1"), cluster: cluster.into(), ..Node::default() }
}

fn snapshot(world: &World, cluster: &str) -> Arc<Snapshot> {
    world.assign(&node(cluster)).snapshot
}

fn get(snapshot: &Snapshot, ty: ResourceType, name: &str) -> Arc<Resource> {
    Arc::clone(snapshot.set(ty).get(name).unwrap_or_else(|| panic!("no {ty} {name}")))
}

/// What a proxy reads from the bytes of a resource, as JSON with Envoy's names.
fn seen(snapshot: &Snapshot, ty: ResourceType, name: &str) -> Json {
    json_of(&decoded(ty.message_name(), &get(snapshot, ty, name)))
}

fn decoded(name: &str, resource: &Resource) -> DynamicMessage {
    DynamicMessage::decode(descriptor::message(name).expect(name), resource.body.clone()).expect("decode")
}

fn json_of(message: &DynamicMessage) -> Json {
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).expect("json")
}

fn names(resources: &[Arc<str>]) -> Vec<&str> {
    resources.iter().map(|name| &**name).collect()
}

fn route_to(name: &str, cluster: &str) -> Json {
    json!({"name": name, "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "7s", "retry_policy": {"retry_on": "5xx"}}}]}]})
}

fn eds_cluster(name: &str, eds: &Json) -> Json {
    json!({"name": name, "type": "EDS", "eds_cluster_config": eds})
}

#[test]
fn the_kinds_of_documents_and_the_types_served_are_the_same() {
    let served = KINDS.map(resource_type);
    assert_eq!(served, ResourceType::ALL);
    for ty in ResourceType::ALL {
        assert!(descriptor::message(ty.message_name()).is_some(), "{ty}");
    }
}

#[test]
fn versions_with_ip_endpoints_are_eds_clusters() {
    let rollout =
        rollout("checkout", &everyone(), &[("blue", &["10.0.0.2:80", "[::1]:81"]), ("green", &["10.0.0.1:82"])]);
    let world = World::new(&spec_set(&[("a", &[rollout], &[])]), &splits(&[("checkout", &[("blue", 10_000)])]));
    let snapshot = snapshot(&world, "edge");
    assert_eq!(
        seen(&snapshot, ResourceType::Cluster, "checkout/blue"),
        json!({"name": "checkout/blue", "type": "EDS", "connect_timeout": "2s", "lb_policy": "LEAST_REQUEST",
            "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}}})
    );
    let address =
        |ip: &str, port: u16| json!({"endpoint": {"address": {"socket_address": {"address": ip, "port_value": port}}}});
    assert_eq!(
        seen(&snapshot, ResourceType::Endpoint, "checkout/blue"),
        json!({"cluster_name": "checkout/blue", "endpoints": [{"locality": {}, "load_balancing_weight": 1,
            "lb_endpoints": [address("10.0.0.2", 80), address("::1", 81)]}]})
    );
    assert_eq!(get(&snapshot, ResourceType::Cluster, "checkout/blue").endpoints.as_deref(), Some("checkout/blue"));
    assert_eq!(snapshot.set(ResourceType::Endpoint).len(), 2);
}

#[test]
fn versions_with_host_names_are_dns_clusters() {
    let rollout = rollout("checkout", &everyone(), &[("blue", &["blue.local:80"]), ("green", &["10.0.0.1:82"])]);
    let mut v6 = (*rollout).clone();
    v6.name = "v6".into();
    v6.versions[0].cluster_name = "v6/blue".into();
    if let Backend::Endpoints { cluster, .. } = &mut v6.versions[0].backend {
        cluster.set_field_by_name("dns_lookup_family", Value::EnumNumber(2));
    }
    let spec = spec_set(&[("a", &[rollout, Arc::new(v6)], &[])]);
    let all = splits(&[("checkout", &[("blue", 10_000)]), ("v6", &[("blue", 10_000)])]);
    let snapshot = snapshot(&World::new(&spec, &all), "edge");
    assert_eq!(
        seen(&snapshot, ResourceType::Cluster, "checkout/blue"),
        json!({"name": "checkout/blue", "type": "STRICT_DNS", "connect_timeout": "2s", "lb_policy": "LEAST_REQUEST",
            "dns_lookup_family": "V4_PREFERRED", "load_assignment": {"cluster_name": "checkout/blue", "endpoints": [
                {"locality": {}, "load_balancing_weight": 1, "lb_endpoints": [{"endpoint": {"address": {"socket_address":
                    {"address": "blue.local", "port_value": 80}}}}]}]}})
    );
    assert_eq!(get(&snapshot, ResourceType::Cluster, "checkout/blue").endpoints, None);
    assert!(snapshot.set(ResourceType::Endpoint).get("checkout/blue").is_none());
    assert_eq!(seen(&snapshot, ResourceType::Cluster, "v6/blue")["dns_lookup_family"], "V6_ONLY");
}

#[test]
fn a_version_without_endpoints_has_an_empty_assignment_unless_a_document_has_one() {
    let rollout = rollout("checkout", &everyone(), &[("blue", &[]), ("green", &[]), ("old", &["=legacy"])]);
    let own = document(
        ResourceKind::ClusterLoadAssignment,
        &everyone(),
        &json!({"cluster_name": "checkout/green", "policy": {"overprovisioning_factor": 150}}),
    );
    let world = World::new(&spec_set(&[("a", &[rollout], &[own])]), &splits(&[("checkout", &[("blue", 10_000)])]));
    let snapshot = snapshot(&world, "edge");
    assert_eq!(seen(&snapshot, ResourceType::Endpoint, "checkout/blue"), json!({"cluster_name": "checkout/blue"}));
    assert_eq!(
        seen(&snapshot, ResourceType::Endpoint, "checkout/green"),
        json!({"cluster_name": "checkout/green", "policy": {"overprovisioning_factor": 150}})
    );
    assert!(snapshot.set(ResourceType::Cluster).get("legacy").is_none(), "an existing cluster is only named");
}

#[test]
fn every_cluster_that_asks_for_endpoints_over_ads_gets_an_answer() {
    let ads = json!({"ads": {}, "resource_api_version": "V3"});
    let clusters = [
        eds_cluster("plain", &json!({"eds_config": ads})),
        eds_cluster("renamed", &json!({"eds_config": {"self": {}}, "service_name": "svc"})),
        eds_cluster("elsewhere", &json!({"eds_config": {"path_config_source": {"path": "/x"}}})),
        json!({"name": "static", "type": "STATIC", "eds_cluster_config": {"eds_config": ads}}),
    ];
    let documents: Vec<_> = clusters.iter().map(|json| document(ResourceKind::Cluster, &everyone(), json)).collect();
    let snapshot = snapshot(&World::new(&spec_set(&[("a", &[], &documents)]), &Map::new()), "edge");
    let asks = |name: &str| get(&snapshot, ResourceType::Cluster, name).endpoints.clone();
    assert_eq!(asks("plain").as_deref(), Some("plain"));
    assert_eq!(asks("renamed").as_deref(), Some("svc"));
    assert_eq!((asks("elsewhere"), asks("static")), (None, None));
    let assignments: Vec<_> = snapshot.set(ResourceType::Endpoint).iter().map(|r| Arc::clone(&r.name)).collect();
    assert_eq!(names(&assignments), ["plain", "svc"]);
}

#[test]
fn a_route_to_a_rollout_is_split_and_nothing_else_of_it_changes() {
    let rollout =
        rollout("checkout", &everyone(), &[("blue", &["10.0.0.1:80"]), ("green", &[]), ("old", &["=legacy"])]);
    let documents = [
        document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "checkout")),
        document(ResourceKind::RouteConfiguration, &everyone(), &route_to("other", "cart")),
    ];
    let split = splits(&[("checkout", &[("old", 2_500), ("blue", 7_500)])]);
    let snapshot = snapshot(&World::new(&spec_set(&[("a", &[rollout], &documents)]), &split), "edge");
    let mut expected = json_of(&documents[0].message);
    let route = &mut expected["virtual_hosts"][0]["routes"][0]["route"];
    route.as_object_mut().expect("a route").remove("cluster");
    route["weighted_clusters"] = json!({"clusters": [
        {"name": "checkout/blue", "weight": 7_500}, {"name": "checkout/green", "weight": 0}, {"name": "legacy", "weight": 2_500}]});
    assert_eq!(seen(&snapshot, ResourceType::Route, "r"), expected);
    let resource = get(&snapshot, ResourceType::Route, "r");
    assert_eq!(names(&resource.clusters), ["checkout/blue", "legacy"], "sorted, and none of weight 0");
    let other = get(&snapshot, ResourceType::Route, "other");
    assert_eq!(other.body, canonical::encode(&documents[1].message), "untouched");
    assert_eq!(names(&other.clusters), ["cart"]);
}

/// Everywhere a route action may stand.
fn places(cluster: &str) -> Vec<(ResourceKind, Json)> {
    let routes = route_to("r", cluster);
    let host = &routes["virtual_hosts"][0];
    let hcm = json!({"@type": HCM, "stat_prefix": "in", "route_config": routes});
    let matcher = json!({"on_no_match": {"action": {"name": "list", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteList", "routes": host["routes"]}}}});
    vec![
        (ResourceKind::RouteConfiguration, routes.clone()),
        (ResourceKind::VirtualHost, host.clone()),
        (ResourceKind::VirtualHost, json!({"name": "m", "domains": ["*"], "matcher": matcher})),
        (
            ResourceKind::Listener,
            json!({"name": "l", "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}]}),
        ),
        (ResourceKind::Listener, json!({"name": "api", "api_listener": {"api_listener": hcm}})),
        (
            ResourceKind::ScopedRouteConfiguration,
            json!({"name": "s", "route_configuration": routes,
            "key": {"fragments": [{"string_key": "k"}]}}),
        ),
        (ResourceKind::TypedExtensionConfig, json!({"name": "x", "typed_config": hcm})),
    ]
}

#[test]
fn a_route_action_is_found_wherever_it_stands() {
    let rollout = rollout("checkout", &everyone(), &[("blue", &["10.0.0.1:80"]), ("green", &["10.0.0.1:81"])]);
    let split = splits(&[("checkout", &[("blue", 9_000), ("green", 1_000)])]);
    for (kind, json) in places("checkout") {
        let document = document(kind, &everyone(), &json);
        let name = Arc::clone(&document.name);
        let world = World::new(&spec_set(&[("a", &[Arc::clone(&rollout)], &[document])]), &split);
        let resource = get(&snapshot(&world, "edge"), resource_type(kind), &name);
        assert_eq!(names(&resource.clusters), ["checkout/blue", "checkout/green"], "{kind:?} {name}");
    }
}

#[test]
fn all_that_carries_traffic_is_named() {
    let tcp = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    let authz = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
    let jwt = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
    let route = json!({"weighted_clusters": {"clusters": [{"name": "w1", "weight": 1}, {"name": "w0", "weight": 0}]},
        "request_mirror_policies": [{"cluster": "mirror"}]});
    let listener = json!({"name": "l", "filter_chains": [
        {"filters": [{"name": "t", "typed_config": {"@type": tcp, "stat_prefix": "t", "cluster": "tcp"}}]},
        {"filters": [{"name": "t", "typed_config": {"@type": tcp, "stat_prefix": "t", "weighted_clusters":
            {"clusters": [{"name": "tw1", "weight": 1}]}}}]},
        {"filters": [{"name": "h", "typed_config": {"@type": HCM, "stat_prefix": "in",
            "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]},
            "http_filters": [
                {"name": "a", "typed_config": {"@type": authz, "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}}}},
                {"name": "j", "typed_config": {"@type": jwt, "providers": {"p": {"remote_jwks": {"http_uri":
                    {"uri": "https://x/keys", "cluster": "jwks", "timeout": "1s"}}}}}}]}}]}]});
    let documents = [
        document(ResourceKind::Listener, &everyone(), &listener),
        document(ResourceKind::Cluster, &everyone(), &json!({"name": "c", "load_assignment": {"cluster_name": "c"}})),
        document(ResourceKind::ClusterLoadAssignment, &everyone(), &json!({"cluster_name": "c"})),
    ];
    let snapshot = snapshot(&World::new(&spec_set(&[("a", &[], &documents)]), &Map::new()), "edge");
    let named = get(&snapshot, ResourceType::Listener, "l");
    assert_eq!(names(&named.clusters), ["authz", "jwks", "mirror", "tcp", "tw1", "w1"]);
    assert!(get(&snapshot, ResourceType::Cluster, "c").clusters.is_empty());
    assert!(get(&snapshot, ResourceType::Endpoint, "c").clusters.is_empty());
}

#[test]
fn nodes_that_see_the_same_documents_share_one_snapshot() {
    let edge = in_cluster("edge");
    let documents = [
        document(ResourceKind::Cluster, &everyone(), &json!({"name": "all"})),
        document(ResourceKind::Cluster, &edge, &json!({"name": "edge-only"})),
        document(ResourceKind::Cluster, &in_cluster("edge"), &json!({"name": "edge-too"})),
        document(ResourceKind::Cluster, &in_cluster("e*"), &json!({"name": "e"})),
    ];
    let world = World::new(&spec_set(&[("a", &[], &documents)]), &Map::new());
    let (a, b) = (world.assign(&node("edge")), world.assign(&Node { id: "other".into(), ..node("edge") }));
    assert!(Arc::ptr_eq(&a.snapshot, &b.snapshot));
    assert_eq!(&*a.group, "cluster=e*+cluster=edge");
    assert_eq!(a.snapshot.set(ResourceType::Cluster).len(), 4);
    let (core, mesh) = (world.assign(&node("core")), world.assign(&node("mesh")));
    assert!(Arc::ptr_eq(&core.snapshot, &mesh.snapshot));
    assert_eq!(&*core.group, "default");
    assert_eq!(core.snapshot.set(ResourceType::Cluster).len(), 1);
    let (x, y) = (get(&a.snapshot, ResourceType::Cluster, "all"), get(&core.snapshot, ResourceType::Cluster, "all"));
    assert!(Arc::ptr_eq(&x, &y), "groups share what both see");
}

#[test]
fn a_rollout_splits_only_the_routes_of_nodes_that_see_it() {
    let rollout = rollout("checkout", &in_cluster("edge"), &[("blue", &["10.0.0.1:80"]), ("green", &[])]);
    let route = document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "checkout"));
    let spec = spec_set(&[("a", &[rollout], &[Arc::clone(&route)])]);
    let world = World::new(&spec, &splits(&[("checkout", &[("blue", 10_000)])]));
    let of = |cluster: &str| get(&snapshot(&world, cluster), ResourceType::Route, "r");
    assert_eq!(names(&of("edge").clusters), ["checkout/blue"]);
    assert_eq!(of("core").body, canonical::encode(&route.message));
    assert!(snapshot(&world, "core").set(ResourceType::Cluster).is_empty());
}

#[test]
fn of_two_documents_with_one_name_the_first_in_path_order_wins() {
    let cluster = |timeout: &str, nodes| {
        document(ResourceKind::Cluster, nodes, &json!({"name": "c", "connect_timeout": timeout}))
    };
    let (first, second) = (cluster("1s", &in_cluster("edge")), cluster("2s", &everyone()));
    let world = World::new(&spec_set(&[("b", &[], &[second]), ("a", &[], &[first])]), &Map::new());
    let timeout =
        |cluster: &str| seen(&snapshot(&world, cluster), ResourceType::Cluster, "c")["connect_timeout"].clone();
    assert_eq!((timeout("edge"), timeout("core")), (json!("1s"), json!("2s")));
}

#[test]
fn the_next_world_is_equal_and_encodes_only_what_changed() {
    let rollout = rollout("checkout", &everyone(), &[("blue", &["10.0.0.1:80"]), ("green", &["10.0.0.1:81"])]);
    let documents = [
        document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "checkout")),
        document(ResourceKind::RouteConfiguration, &everyone(), &route_to("other", "cart")),
    ];
    let spec = spec_set(&[("a", &[rollout], &documents)]);
    let blue = World::new(&spec, &splits(&[("checkout", &[("blue", 10_000)])]));
    let before = snapshot(&blue, "edge");
    let split = splits(&[("checkout", &[("green", 10_000)])]);
    let green = blue.next(&spec, &split);
    let after = snapshot(&green, "edge");
    assert_eq!(after, snapshot(&World::new(&spec, &split), "edge"));
    let same = |ty, name| Arc::ptr_eq(&get(&before, ty, name), &get(&after, ty, name));
    assert!(same(ResourceType::Route, "other") && same(ResourceType::Cluster, "checkout/blue"));
    assert!(!same(ResourceType::Route, "r"));
    let back = snapshot(&green.next(&spec, &split), "edge");
    assert!(Arc::ptr_eq(&get(&after, ResourceType::Route, "r"), &get(&back, ResourceType::Route, "r")));
    assert_eq!(green.next(&SpecSet::default(), &split).render(&node("edge")), []);
}

#[test]
fn what_is_rendered_is_what_is_served() {
    let rollout = rollout("checkout", &everyone(), &[("blue", &["10.0.0.1:80"]), ("green", &["a.local:81"])]);
    let route = document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "checkout"));
    let world = World::new(&spec_set(&[("a", &[rollout], &[route])]), &splits(&[("checkout", &[("blue", 10_000)])]));
    let rendered = world.render(&node("edge"));
    let listed: Vec<_> = rendered.iter().map(|r| (r.ty.short_name(), &*r.name)).collect();
    assert_eq!(listed, [("CDS", "checkout/blue"), ("CDS", "checkout/green"), ("EDS", "checkout/blue"), ("RDS", "r")]);
    for Rendered { ty, name, message } in &rendered {
        let served = get(&snapshot(&world, "edge"), *ty, name);
        assert_eq!(*message, decoded(ty.message_name(), &served), "{ty} {name}");
    }
}

/// Any message of the Envoy API, from a stream of choices.
fn arbitrary(descriptor: &MessageDescriptor, choose: &mut impl FnMut(u32) -> u32, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    if descriptor.full_name() == "google.protobuf.Any" {
        let carried = [
            "config.route.v3.RouteList",
            "config.route.v3.VirtualHost",
            "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        ];
        let name = format!("envoy.{}", carried[choose(3) as usize]);
        let inner = arbitrary(&descriptor::message(&name).expect("carried"), choose, depth.saturating_sub(1));
        message.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{name}")));
        message.set_field_by_name("value", Value::Bytes(canonical::encode(&inner)));
        return message;
    }
    for field in descriptor.fields() {
        if field.containing_oneof().is_some_and(|oneof| oneof.fields().any(|member| message.has_field(&member))) {
            continue;
        }
        // What leads to route actions is likely, so that many messages hold some.
        let likely =
            matches!(field.name(), "virtual_hosts" | "routes" | "route" | "cluster" | "filter_chains" | "typed_config");
        if choose(8) >= if likely { 7 } else { 2 } || field.name() == "weighted_clusters" {
            continue;
        }
        let mut one = |kind: &Kind| match kind {
            Kind::Message(inner) if depth > 0 => Some(Value::Message(arbitrary(inner, choose, depth - 1))),
            Kind::Message(_) => None,
            Kind::String => Some(Value::String(["checkout", "cart", "other", "x"][choose(4) as usize].into())),
            Kind::Bool => Some(Value::Bool(choose(2) == 0)),
            Kind::Uint32 | Kind::Fixed32 => Some(Value::U32(choose(1_000))),
            kind => Some(Value::default_value(kind)),
        };
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { continue };
            let Some(value) = one(&entry.map_entry_value_field().kind()) else { continue };
            if !matches!(entry.map_entry_key_field().kind(), Kind::String) {
                continue;
            }
            Value::Map([(prost_reflect::MapKey::String("k".into()), value)].into())
        } else {
            let Some(value) = one(&field.kind()) else { continue };
            if field.is_list() { Value::List(vec![value]) } else { value }
        };
        message.set_field(&field, value);
    }
    message
}

/// Those that stand in `value`, not those within them.
fn messages_in(value: &mut Value) -> Vec<&mut DynamicMessage> {
    match value {
        Value::Message(inner) => vec![inner],
        Value::List(items) => items.iter_mut().filter_map(Value::as_message_mut).collect(),
        Value::Map(entries) => entries.values_mut().filter_map(Value::as_message_mut).collect(),
        _ => Vec::new(),
    }
}

/// Undoes a split: what is left must be what its writer gave.
fn unsplit(message: &mut DynamicMessage, names: &BTreeMap<String, &str>, undone: &mut usize) {
    if let Some(mut inner) = unpack(message) {
        unsplit(&mut inner, names, undone);
        message.set_field_by_name("value", Value::Bytes(canonical::encode(&inner)));
        return;
    }
    if message.descriptor().full_name() == ROUTE_ACTION && message.has_field_by_name("weighted_clusters") {
        let weighted = message.get_field_by_name("weighted_clusters").expect("the field").into_owned();
        let entries = json_of(weighted.as_message().expect("a message"))["clusters"].clone();
        let name = names.get(&entries.to_string()).unwrap_or_else(|| panic!("a split of nobody's: {entries}"));
        message.set_field_by_name("cluster", Value::String((*name).into()));
        *undone += 1;
    }
    for (_, value) in message.fields_mut() {
        for message in messages_in(value) {
            unsplit(message, names, undone);
        }
    }
}

fn entries(weights: &[(Arc<str>, u32)]) -> String {
    weights.iter().map(|(name, weight)| json!({"name": **name, "weight": weight})).collect::<Json>().to_string()
}

fn generated(ty: ResourceType, choices: &[u32]) -> DynamicMessage {
    let mut next = choices.iter().copied().cycle();
    let mut state = 0_u32;
    let mut choose = |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223).wrapping_add(next.next().unwrap_or_default());
        (state >> 16) % n
    };
    arbitrary(&descriptor::message(ty.message_name()).expect("type"), &mut choose, 7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_field_but_the_cluster_specifier_changes(
        ty in prop::sample::select(vec![ResourceType::Route, ResourceType::VirtualHost, ResourceType::Listener]),
        choices in prop::collection::vec(any::<u32>(), 8..64),
        weight in 0..=TOTAL_WEIGHT,
    ) {
        let original = generated(ty, &choices);
        let all = in_place(&[
            ("checkout", &[("checkout/blue", TOTAL_WEIGHT - weight), ("checkout/green", weight)]),
            ("cart", &[("cart/a", weight), ("cart/b", 0), ("cart/c", TOTAL_WEIGHT - weight)]),
        ]);
        let mut message = original.clone();
        let replaced = routes::replace(&mut message, &all);
        let bytes = canonical::encode(&message);
        let expected = References::of(&original).actions.iter().any(|name| all.contains_key(name));
        prop_assert_eq!(replaced > 0, expected);
        prop_assert!(!References::of(&message).actions.iter().any(|name| all.contains_key(name)), "one is left");

        let mut undone = 0;
        let mut back = DynamicMessage::decode(message.descriptor(), bytes).expect("decode");
        let back_to = all.iter().map(|(name, weights)| (entries(&weights.weights), &**name)).collect();
        unsplit(&mut back, &back_to, &mut undone);
        prop_assert_eq!(undone, replaced);
        prop_assert_eq!(canonical::encode(&back), canonical::encode(&original));
    }

    #[test]
    fn a_message_without_an_action_of_a_rollout_keeps_its_bytes(choices in prop::collection::vec(any::<u32>(), 8..64)) {
        let original = generated(ResourceType::Route, &choices);
        let mut message = original.clone();
        prop_assert_eq!(routes::replace(&mut message, &in_place(&[("nobody", &[("x", TOTAL_WEIGHT)])])), 0);
        prop_assert_eq!(canonical::encode(&message), canonical::encode(&original));
    }

    #[test]
    fn weights_add_up_and_keep_the_order_of_the_file(cuts in prop::collection::vec(0..=TOTAL_WEIGHT, 1..5), rotate in 0..5_usize) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([TOTAL_WEIGHT]);
        let parts: Vec<u32> = ends.scan(0, |start, end| Some(end - std::mem::replace(start, end))).collect();
        let names: Vec<String> = (0..parts.len()).map(|i| format!("v{}", parts.len() - i)).collect();
        let versions: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &["10.0.0.1:80"][..])).collect();
        let mut weights: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(parts.iter().copied()).collect();
        weights.rotate_left(rotate % parts.len());
        let route = document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "svc"));
        let spec = spec_set(&[("a", &[rollout("svc", &everyone(), &versions)], &[route])]);
        let snapshot = snapshot(&World::new(&spec, &splits(&[("svc", &weights)])), "edge");

        let route = &seen(&snapshot, ResourceType::Route, "r")["virtual_hosts"][0]["routes"][0]["route"];
        let expected = names.iter().zip(&parts).map(|(name, part)| json!({"name": format!("svc/{name}"), "weight": part}));
        prop_assert_eq!(&route["weighted_clusters"]["clusters"], &expected.collect::<Json>());
        let used: BTreeSet<_> = names.iter().zip(&parts).filter(|(_, part)| **part > 0).map(|(n, _)| format!("svc/{n}")).collect();
        let named = get(&snapshot, ResourceType::Route, "r");
        prop_assert!(named.clusters.iter().map(|name| &**name).eq(used.iter().map(String::as_str)));
    }

    #[test]
    fn the_same_documents_have_the_same_versions_and_none_dangles(order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle()) {
        let file = |(place, i): (usize, &usize)| {
            let name = format!("svc{i}");
            let rollout = rollout(&name, &everyone(), &[("a", &["10.0.0.1:80"]), ("b", &[])]);
            let nodes = if i.is_multiple_of(2) { everyone() } else { in_cluster("edge") };
            let route = document(ResourceKind::RouteConfiguration, &nodes, &route_to(&format!("r{i}"), &name));
            let eds = eds_cluster(&format!("c{i}"), &json!({"eds_config": {"ads": {}}, "service_name": format!("s{}", i / 2)}));
            (format!("f{place}"), [rollout], [route, document(ResourceKind::Cluster, &nodes, &eds)])
        };
        let make = |order: &[usize]| {
            let files: Vec<_> = order.iter().enumerate().map(file).collect();
            let files: Vec<_> = files.iter().map(|(path, rollouts, documents)| (path.as_str(), &rollouts[..], &documents[..])).collect();
            let all = order.iter().map(|i| (format!("svc{i}").into(), Traffic::of(Split(vec![("a".into(), 9_999), ("b".into(), 1)])).into())).collect();
            World::new(&spec_set(&files), &all)
        };
        let (sorted, shuffled) = (make(&[0, 1, 2, 3, 4, 5]), make(&order));
        for cluster in ["edge", "core"] {
            let (a, b) = (sorted.assign(&node(cluster)), shuffled.assign(&node(cluster)));
            prop_assert_eq!(&a.group, &b.group);
            prop_assert_eq!(a.snapshot.version(), b.snapshot.version());
            prop_assert_eq!(&a.snapshot, &b.snapshot);
            for asked in a.snapshot.set(ResourceType::Cluster).iter().filter_map(|cluster| cluster.endpoints.as_ref()) {
                prop_assert!(a.snapshot.set(ResourceType::Endpoint).get(asked).is_some(), "{}", asked);
            }
        }
    }
}

#[test]
fn many_generated_messages_hold_an_action_of_a_rollout() {
    let choices = |seed: u32| (0..16).map(|i| seed.wrapping_mul(2_654_435_761).rotate_left(i)).collect::<Vec<_>>();
    let all = in_place(&[("checkout", &[("b", TOTAL_WEIGHT)]), ("cart", &[("c", TOTAL_WEIGHT)])]);
    let hits =
        (0..50).filter(|seed| routes::replace(&mut generated(ResourceType::Route, &choices(*seed)), &all) > 0).count();
    assert!(hits > 15, "the properties above would prove nothing: {hits} of 50");
}

#[test]
fn endpoints_are_asked_for_by_eds_clusters_only() {
    let cluster =
        message(ResourceType::Cluster, &json!({"name": "c", "eds_cluster_config": {"eds_config": {"ads": {}}}}));
    assert_eq!(references::endpoints(&cluster), None);
}
