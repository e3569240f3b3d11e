//! Header routes, mirrors and affinity, around the plain split.

use super::*;
use crate::spec::{Affinity, HeaderMatch, HeaderRoute, MirrorRoute, StringMatch};

fn when(name: &str, matches: &[(&str, StringMatch)]) -> HeaderRoute {
    let condition =
        |(header, value): &(&str, StringMatch)| HeaderMatch { header: (*header).into(), value: value.clone() };
    HeaderRoute { name: name.into(), matches: matches.iter().map(condition).collect() }
}

fn exactly(text: &str) -> StringMatch {
    StringMatch::Exact(text.into())
}

fn checkout() -> Arc<Rollout> {
    rollout("checkout", &everyone(), &[("blue", &["10.0.0.1:80"]), ("green", &["10.0.0.2:80"]), ("old", &["=legacy"])])
}

fn plain() -> Traffic {
    Traffic::of(Split(vec![("blue".into(), 9_000), ("green".into(), 1_000), ("old".into(), 0)]))
}

fn everything(affinity: Affinity) -> Traffic {
    Traffic {
        header_routes: vec![
            (when("qa", &[("x-qa", exactly("1")), ("x-env", StringMatch::Prefix("st".into()))]), "green".into()),
            (when("beta", &[("x-user", StringMatch::Regex("b.*".into()))]), "old".into()),
        ],
        mirrors: vec![
            (MirrorRoute { name: "m".into(), percentage: 35 }, "green".into()),
            (MirrorRoute { name: "n".into(), percentage: 100 }, "old".into()),
        ],
        affinity: Some(affinity),
        ..plain()
    }
}

fn world(document: &Arc<spec::Resource>, traffic: &Traffic) -> World {
    let spec = spec_set(&[("a", &[checkout()], &[Arc::clone(document)])]);
    World::new(&spec, &Map::from([("checkout".into(), traffic.clone().into())]))
}

/// The routes that `route` of the user's becomes.
fn routes_of(route: &Json, traffic: &Traffic) -> Vec<Json> {
    let config = json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]});
    let document = document(ResourceKind::RouteConfiguration, &everyone(), &config);
    let seen = seen(&snapshot(&world(&document, traffic), "edge"), ResourceType::Route, "r");
    seen["virtual_hosts"][0]["routes"].as_array().expect("routes").clone()
}

fn user_route() -> Json {
    json!({"name": "pay", "match": {"prefix": "/pay", "headers": [{"name": "x-own", "present_match": true}]},
        "route": {"cluster": "checkout", "timeout": "7s", "request_mirror_policies": [{"cluster": "own-mirror"}],
            "hash_policy": [{"connection_properties": {"source_ip": true}}]},
        "metadata": {"filter_metadata": {"m": {"k": "v"}}}, "stat_prefix": "pay"})
}

fn weighted() -> Json {
    json!({"clusters": [{"name": "checkout/blue", "weight": 9_000}, {"name": "checkout/green", "weight": 1_000},
        {"name": "legacy", "weight": 0}]})
}

/// The user's route with another action: these fields instead of `cluster`.
fn with_action(fields: &Json) -> Json {
    let mut route = user_route();
    let action = route["route"].as_object_mut().expect("an action");
    action.remove("cluster");
    action.extend(fields.as_object().expect("fields").clone());
    route
}

fn mirrors() -> Json {
    let share = |numerator| json!({"default_value": {"numerator": numerator}});
    json!([{"cluster": "own-mirror"}, {"cluster": "checkout/green", "runtime_fraction": share(35)},
        {"cluster": "legacy", "runtime_fraction": share(100)}])
}

fn header(name: &str, regex: &str) -> Json {
    let rewrite = json!({"pattern": {"regex": regex}, "substitution": "checkout:\\1"});
    json!({"terminal": true, "header": {"header_name": name, "regex_rewrite": rewrite}})
}

fn header_routes() -> [Json; 2] {
    let mut qa = with_action(&json!({"cluster": "checkout/green"}));
    qa["name"] = json!("pay/qa");
    qa["match"]["headers"] = json!([{"name": "x-own", "present_match": true},
        {"name": "x-qa", "string_match": {"exact": "1"}}, {"name": "x-env", "string_match": {"prefix": "st"}}]);
    let mut beta = with_action(&json!({"cluster": "legacy"}));
    beta["name"] = json!("pay/beta");
    beta["match"]["headers"] = json!([{"name": "x-own", "present_match": true},
        {"name": "x-user", "string_match": {"safe_regex": {"regex": "b.*"}}}]);
    [qa, beta]
}

#[test]
fn header_routes_come_first_and_the_split_follows_the_header() {
    let routes = routes_of(&user_route(), &everything(Affinity::Header("x-user-id".into())));
    let mut weighted = weighted();
    weighted["use_hash_policy"] = json!(true);
    let [qa, beta] = header_routes();
    let split = with_action(&json!({"weighted_clusters": weighted, "request_mirror_policies": mirrors(),
        "hash_policy": [header("x-user-id", "^(.*)$"), {"connection_properties": {"source_ip": true}}]}));
    assert_eq!(routes, [qa, beta, split]);
}

#[test]
fn only_who_carries_the_cookie_is_split_by_it() {
    let routes = routes_of(&user_route(), &everything(Affinity::Cookie("uid".into())));
    let [qa, beta] = header_routes();
    let at_random = with_action(&json!({"weighted_clusters": weighted(), "request_mirror_policies": mirrors()}));
    let mut by_cookie = with_action(&json!({"weighted_clusters": weighted(), "request_mirror_policies": mirrors(),
        "hash_policy": [header("cookie", "^(?:.*?; *)??uid=([^;]+).*$"), {"connection_properties": {"source_ip": true}}]}));
    by_cookie["route"]["weighted_clusters"]["use_hash_policy"] = json!(true);
    by_cookie["match"]["headers"] = json!([{"name": "x-own", "present_match": true},
        {"name": "cookie", "string_match": {"safe_regex": {"regex": "(?:.*?; *)??uid=[^;]+.*"}}}]);
    assert_eq!(routes, [qa, beta, by_cookie, at_random]);
}

#[test]
fn a_route_without_a_name_gets_none() {
    let mut route = user_route();
    route.as_object_mut().expect("a route").remove("name");
    let routes = routes_of(&route, &everything(Affinity::Header("x-user-id".into())));
    assert_eq!(routes.len(), 3);
    assert!(routes.iter().all(|route| route.get("name").is_none()), "{routes:?}");
}

#[test]
fn a_header_route_without_conditions_or_to_an_unknown_version_is_left_out() {
    let traffic = Traffic {
        header_routes: vec![(when("all", &[]), "green".into()), (when("qa", &[("x", exactly("1"))]), "gone".into())],
        mirrors: vec![(MirrorRoute { name: "m".into(), percentage: 35 }, "gone".into())],
        ..plain()
    };
    assert_eq!(routes_of(&user_route(), &traffic), routes_of(&user_route(), &plain()));
}

#[test]
fn clusters_of_header_routes_and_mirrors_are_waited_for() {
    let document = document(ResourceKind::RouteConfiguration, &everyone(), &route_to("r", "checkout"));
    let clusters = |traffic: &Traffic| {
        get(&snapshot(&world(&document, traffic), "edge"), ResourceType::Route, "r").clusters.clone()
    };
    let stable = Traffic::of(Split(vec![("blue".into(), TOTAL_WEIGHT)]));
    assert_eq!(names(&clusters(&stable)), ["checkout/blue"]);
    let everything = Traffic { split: stable.split, ..everything(Affinity::Cookie("uid".into())) };
    assert_eq!(names(&clusters(&everything)), ["checkout/blue", "checkout/green", "legacy"]);
}

#[test]
fn a_single_route_of_a_matcher_becomes_a_list() {
    let matcher = json!({"on_no_match": {"action": {"name": "route", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.route.v3.Route", "match": {"prefix": "/"}, "route": {"cluster": "checkout"}}}}});
    let host = json!({"name": "m", "domains": ["*"], "matcher": matcher});
    let document = document(ResourceKind::VirtualHost, &everyone(), &host);
    let action = |traffic: &Traffic| {
        let seen = seen(&snapshot(&world(&document, traffic), "edge"), ResourceType::VirtualHost, "m");
        seen["matcher"]["on_no_match"]["action"]["typed_config"].clone()
    };
    let alone = action(&plain());
    assert_eq!(alone["@type"], "type.googleapis.com/envoy.config.route.v3.Route");
    assert_eq!(alone["route"]["weighted_clusters"], weighted());
    let list = action(&everything(Affinity::Cookie("uid".into())));
    assert_eq!(list["@type"], "type.googleapis.com/envoy.config.route.v3.RouteList");
    assert_eq!(list["routes"].as_array().map(Vec::len), Some(4));
    assert_eq!(list["routes"][3]["route"]["weighted_clusters"], weighted());
}

#[test]
fn header_routes_are_added_wherever_a_route_stands() {
    for (kind, json) in places("checkout") {
        let document = document(kind, &everyone(), &json);
        let text = |traffic: &Traffic| {
            let world = world(&document, traffic);
            seen(&snapshot(&world, "edge"), resource_type(kind), &document.name).to_string()
        };
        let with = text(&everything(Affinity::Header("x-user-id".into())));
        assert_eq!(with.matches(r#""x-qa""#).count(), 1, "{kind:?} {with}");
        assert_eq!(with.matches(r#""use_hash_policy":true"#).count(), 1, "{kind:?} {with}");
    }
}

fn some_traffic() -> impl Strategy<Value = Traffic> {
    let affinity = prop::option::of(prop::sample::select(vec![
        Affinity::Header("x-user-id".into()),
        Affinity::Cookie("uid".into()),
    ]));
    let version = || prop::sample::select(vec!["blue", "green", "old"]).prop_map(Arc::<str>::from);
    let route =
        (0..3_usize, version()).prop_map(|(i, version)| (when(&format!("h{i}"), &[("x", exactly("1"))]), version));
    let mirror = (0..=100_u32, version())
        .prop_map(|(percentage, version)| (MirrorRoute { name: "m".into(), percentage }, version));
    (prop::collection::vec(route, 0..4), prop::collection::vec(mirror, 0..3), affinity, 0..=TOTAL_WEIGHT).prop_map(
        |(header_routes, mirrors, affinity, weight)| {
            let split = Split(vec![("blue".into(), TOTAL_WEIGHT - weight), ("green".into(), weight)]);
            Traffic { split, header_routes, mirrors, affinity }
        },
    )
}

fn list<'a>(message: &'a mut DynamicMessage, field: &str) -> &'a mut Vec<Value> {
    message.get_field_by_name_mut(field).and_then(Value::as_list_mut).expect("a list")
}

fn part<'a>(message: &'a mut DynamicMessage, field: &str) -> &'a mut DynamicMessage {
    message.get_field_by_name_mut(field).and_then(Value::as_message_mut).expect("a message")
}

/// Undoes what was done to one route, which has `conditions` more than the user's.
fn undo(route: &mut DynamicMessage, conditions: usize, mirrors: usize, suffix: &str) {
    if conditions > 0 {
        let headers = list(part(route, "match"), "headers");
        headers.truncate(headers.len() - conditions);
    }
    let name = route.get_field_by_name("name").expect("a name").as_str().expect("text").to_owned();
    route.set_field_by_name("name", Value::String(name.strip_suffix(suffix).unwrap_or(&name).to_owned()));
    let action = part(route, "route");
    if action.has_field_by_name("weighted_clusters") {
        if part(action, "weighted_clusters").has_field_by_name("use_hash_policy") {
            list(action, "hash_policy").remove(0);
        }
        let policies = list(action, "request_mirror_policies");
        policies.truncate(policies.len() - mirrors);
    }
    action.set_field_by_name("cluster", Value::String("checkout".into()));
}

/// Undoes everything. Generated lists have one item, so one with several stands in place of one route, and its last is
/// the user's.
fn undo_all(message: &mut DynamicMessage, done: &Replacement, count: &mut usize) {
    if let Some(mut inner) = unpack(message) {
        undo_all(&mut inner, done, count);
        return message.set_field_by_name("value", Value::Bytes(canonical::encode(&inner)));
    }
    let cookie = usize::from(matches!(done.affinity, Some(Affinity::Cookie(_))));
    for (field, value) in message.fields_mut() {
        if let Value::List(items) = value {
            // No message is generated with weighted clusters.
            let splits = |route: &DynamicMessage| {
                let action = route.get_field_by_name("route")?;
                Some(action.as_message()?.has_field_by_name("weighted_clusters"))
            };
            let touched = items.last().and_then(Value::as_message).and_then(splits).unwrap_or_default();
            if touched {
                *count += 1;
                assert_eq!(items.len(), done.header_routes.len() + cookie + 1, "{}", field.name());
                let mut routes = items.iter_mut().filter_map(Value::as_message_mut);
                for ((to, _), route) in done.header_routes.iter().zip(routes.by_ref()) {
                    undo(route, to.matches.len(), 0, &format!("/{}", to.name));
                }
                for (i, route) in routes.enumerate() {
                    undo(route, usize::from(i < cookie), done.mirrors.len(), "");
                }
                let own = items.pop().expect("the user's");
                // A copy has a match where the user's route has none.
                let bytes = |route: &Value| {
                    let mut route = route.as_message().expect("a route").clone();
                    if part(&mut route, "match").fields().count() == 0 {
                        route.clear_field_by_name("match");
                    }
                    canonical::encode(&route)
                };
                for copy in &*items {
                    assert_eq!(bytes(copy), bytes(&own));
                }
                *items = vec![own];
            }
        }
        for message in messages_in(value) {
            undo_all(message, done, count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_other_field_is_as_its_writer_gave_it(choices in prop::collection::vec(any::<u32>(), 8..64), traffic in some_traffic()) {
        let original = generated(ResourceType::Route, &choices);
        let replacement = Replacement::new(&checkout(), &traffic);
        let (rollouts, mut message) = (BTreeMap::from([("checkout".into(), Arc::new(replacement))]), original.clone());
        let replaced = routes::replace(&mut message, &rollouts);

        let mut again = message.clone();
        prop_assert_eq!(routes::replace(&mut again, &rollouts), 0);
        prop_assert_eq!(canonical::encode(&again), canonical::encode(&message), "once is enough");

        let mut undone = 0;
        let mut back = DynamicMessage::decode(message.descriptor(), canonical::encode(&message)).expect("decode");
        undo_all(&mut back, &rollouts["checkout"], &mut undone);
        prop_assert_eq!(undone, replaced);
        prop_assert_eq!(canonical::encode(&back), canonical::encode(&original));
    }

    /// A rollout that ends leaves no trace: what follows any traffic is what a plain split alone gives.
    #[test]
    fn without_extras_the_bytes_are_those_of_the_plain_split(between in some_traffic(), place in 0..7_usize) {
        let (kind, json) = places("checkout").swap_remove(place);
        let document = document(kind, &everyone(), &json);
        let spec = spec_set(&[("a", &[checkout()], &[Arc::clone(&document)])]);
        let of = |traffic: &Traffic| Map::from([("checkout".into(), traffic.clone().into())]);
        let before = World::new(&spec, &of(&plain()));
        let body = |world: &World| get(&snapshot(world, "edge"), resource_type(kind), &document.name).body.clone();
        let first = body(&before);
        let during = before.next(&spec, &of(&between));
        prop_assert_eq!(&body(&during), &body(&World::new(&spec, &of(&between))));
        prop_assert_eq!(body(&during.next(&spec, &of(&plain()))), first);
    }
}
