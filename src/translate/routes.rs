//! Puts the split of a rollout in place of each route action that names it.
//!
//! A route action may stand anywhere: in a route configuration, a virtual host, a listener's inline routes, a matcher's
//! route list, an extension's configuration. So the whole message is walked, through every `Any`. Nothing but the
//! cluster specifier of such an action changes, and an `Any` that holds none keeps its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::config::route::v3::{RouteAction, WeightedCluster};
use envoy_types::pb::google::protobuf::UInt32Value;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::unpack;
use crate::spec::canonical;

/// Full name of the message whose `cluster` may be a rollout.
pub(super) const ROUTE_ACTION: &str = "envoy.config.route.v3.RouteAction";

/// Clusters and their weights in the order of the file. An entry of weight 0 stays, because sticky users hold their
/// place only while list and total stay the same.
pub(super) type Weights = Arc<[(Arc<str>, u32)]>;

/// What stands in place of each rollout, by its name.
pub(super) type Splits = BTreeMap<Arc<str>, Weights>;

/// Replaces every route action of `message` that names one of `splits`; tells how many there were.
pub(super) fn split(message: &mut DynamicMessage, splits: &Splits) -> usize {
    if let Some(mut carried) = unpack(message) {
        let replaced = split(&mut carried, splits);
        if replaced > 0 {
            message.set_field_by_name("value", Value::Bytes(canonical::encode(&carried)));
        }
        return replaced;
    }
    let here = message.descriptor().full_name() == ROUTE_ACTION && split_action(message, splits);
    usize::from(here) + message.fields_mut().map(|(_, value)| split_value(value, splits)).sum::<usize>()
}

fn split_value(value: &mut Value, splits: &Splits) -> usize {
    match value {
        Value::Message(message) => split(message, splits),
        Value::List(items) => items.iter_mut().map(|item| split_value(item, splits)).sum(),
        Value::Map(entries) => entries.values_mut().map(|value| split_value(value, splits)).sum(),
        _ => 0,
    }
}

fn split_action(action: &mut DynamicMessage, splits: &Splits) -> bool {
    let weights = action.get_field_by_name("cluster").and_then(|name| splits.get(name.as_str()?));
    let Some(weights) = weights else { return false };
    let clusters = weights.iter().map(|(name, weight)| ClusterWeight {
        name: name.to_string(),
        weight: Some(UInt32Value { value: *weight }),
        ..ClusterWeight::default()
    });
    let weighted = WeightedCluster { clusters: clusters.collect(), ..WeightedCluster::default() };
    // Merged into the action: both are members of one oneof, so `cluster` goes.
    let specifier =
        RouteAction { cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weighted)), ..RouteAction::default() };
    action.transcode_from(&specifier).is_ok()
}
