//! Puts the traffic of a rollout in place of each route that names it.
//!
//! A route may stand anywhere: in a route configuration, a virtual host, a listener's inline routes, a matcher's route
//! list, an extension's configuration. So the whole message is walked, through every `Any`. In place of one whose action
//! names a rollout come, in this order:
//!
//! 1. a copy for each header route, with its conditions beside the user's own and with the one cluster it leads to.
//!    Where the user's route has a name, the copy's is `NAME/HEADERROUTE`, so that access logs tell them apart. It has no
//!    mirror but the user's own: what a header route leads to the new version must not reach it twice;
//! 2. with affinity by cookie, a copy for requests that carry the cookie, which splits by it;
//! 3. the user's route, which splits: by affinity where that is by header, else at random.
//!
//! Both that split have the rollout's mirrors after the user's own. Every other field is as its writer gave it, and an
//! `Any` that holds no such route keeps its bytes. One that holds a single route (a matcher's action) becomes a
//! `RouteList` where several come in its place; Envoy takes either there.

use std::mem;

use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, Route, RouteAction, RouteMatch};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::replacement::{Replacement, Replacements, header_matcher};
use super::{affinity, unpack};
use crate::spec::{Affinity, HeaderRoute, canonical};

/// Full name of the message whose `cluster` may be a rollout.
pub(super) const ROUTE_ACTION: &str = "envoy.config.route.v3.RouteAction";

const ROUTE: &str = "envoy.config.route.v3.Route";
const ROUTE_LIST: &str = "envoy.config.route.v3.RouteList";

/// Replaces every route of `message` that names one of `all`; tells how many there were.
pub(super) fn replace(message: &mut DynamicMessage, all: &Replacements) -> usize {
    match unpack(message) {
        Some(carried) => replace_carried(message, carried, all),
        None => message.fields_mut().map(|(_, value)| replace_in(value, all)).sum(),
    }
}

fn replace_in(value: &mut Value, all: &Replacements) -> usize {
    match value {
        Value::Message(message) => replace(message, all),
        Value::List(items) => {
            let mut replaced = 0;
            for mut item in mem::replace(items, Vec::with_capacity(items.len())) {
                replaced += replace_in(&mut item, all);
                match item.as_message().and_then(|route| in_place_of(route, all)) {
                    Some(routes) => {
                        replaced += 1;
                        items.extend(routes.into_iter().map(Value::Message));
                    }
                    None => items.push(item),
                }
            }
            replaced
        }
        Value::Map(entries) => entries.values_mut().map(|value| replace_in(value, all)).sum(),
        _ => 0,
    }
}

fn replace_carried(any: &mut DynamicMessage, mut carried: DynamicMessage, all: &Replacements) -> usize {
    let mut replaced = replace(&mut carried, all);
    if let Some(routes) = in_place_of(&carried, all) {
        replaced += 1;
        carried = match <[_; 1]>::try_from(routes) {
            Ok([route]) => route,
            Err(routes) => {
                let Some(list) = carried.descriptor().parent_pool().get_message_by_name(ROUTE_LIST) else { return 0 };
                any.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{ROUTE_LIST}")));
                let mut carried = DynamicMessage::new(list);
                let routes = routes.into_iter().map(Value::Message).collect();
                carried.set_field_by_name("routes", Value::List(routes));
                carried
            }
        };
    }
    if replaced > 0 {
        any.set_field_by_name("value", Value::Bytes(canonical::encode(&carried)));
    }
    replaced
}

/// What stands in place of `route`, if that is a route whose action names a rollout.
fn in_place_of(route: &DynamicMessage, all: &Replacements) -> Option<Vec<DynamicMessage>> {
    if route.descriptor().full_name() != ROUTE {
        return None;
    }
    let action = route.get_field_by_name("route")?;
    let cluster = action.as_message()?.get_field_by_name("cluster")?;
    let replacement = all.get(cluster.as_str()?)?;
    let to_headers = replacement.header_routes.iter().map(|(to, cluster)| header_route(route, to, cluster));
    to_headers.chain(splits(route, replacement)).collect()
}

fn header_route(route: &DynamicMessage, to: &HeaderRoute, cluster: &str) -> Option<DynamicMessage> {
    let specifier = ClusterSpecifier::Cluster(cluster.to_owned());
    let action = RouteAction { cluster_specifier: Some(specifier), ..RouteAction::default() };
    let name = route.get_field_by_name("name")?;
    let name = name.as_str().filter(|name| !name.is_empty()).map(|name| format!("{name}/{}", to.name));
    let ours =
        Route { name: name.unwrap_or_default(), ..ours(action, to.matches.iter().map(header_matcher).collect()) };
    merged(route, &ours)
}

fn splits(route: &DynamicMessage, replacement: &Replacement) -> Vec<Option<DynamicMessage>> {
    let at_random = || merged(route, &ours(replacement.at_random(), Vec::new()));
    let by_user = |affinity, conditions| {
        let mut route = merged(route, &ours(replacement.by_user(affinity), conditions))?;
        // Merged lists are appended to. Ours must be the first.
        let action = route.get_field_by_name_mut("route")?.as_message_mut()?;
        action.get_field_by_name_mut("hash_policy")?.as_list_mut()?.rotate_right(1);
        Some(route)
    };
    match &replacement.affinity {
        None => vec![at_random()],
        Some(header @ Affinity::Header(_)) => vec![by_user(header, Vec::new())],
        Some(cookie @ Affinity::Cookie(name)) => vec![by_user(cookie, vec![affinity::carries(name)]), at_random()],
    }
}

fn ours(action: RouteAction, headers: Vec<HeaderMatcher>) -> Route {
    let conditions = (!headers.is_empty()).then(|| RouteMatch { headers, ..RouteMatch::default() });
    Route { r#match: conditions, action: Some(Action::Route(action)), ..Route::default() }
}

/// The user's route with our fields. The cluster specifiers are members of one oneof, so the user's goes.
fn merged(route: &DynamicMessage, ours: &Route) -> Option<DynamicMessage> {
    let mut route = route.clone();
    route.transcode_from(ours).ok()?;
    Some(route)
}
