//! The weights of a route's `weighted_clusters`: Envoy refuses the whole RouteConfiguration if they add up to nothing.
//!
//! A rule of Envoy's own that stands in no single field
//! (<https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>, `WeightedCluster`).

use prost_reflect::MessageDescriptor;

use super::yaml::{Data, Node};
use super::{Reporter, walk};

const ROUTE_ACTION: &str = "envoy.config.route.v3.RouteAction";

/// Reports every `weighted_clusters` of a route, in the items of a `resources:` list, whose sum Envoy refuses.
pub(super) fn check(resources: &Node, reporter: &mut Reporter) {
    walk::messages(resources, &mut |node, desc| {
        if let Some((clusters, total)) = split(node, desc) {
            let position = clusters.position;
            if total < 1.0 {
                let message = "the weights of weighted_clusters add up to 0: Envoy refuses such a route";
                reporter.error(position, message, "", Some("give at least one entry a weight".to_owned()));
            } else if total > f64::from(u32::MAX) {
                let message = format!("the weights of weighted_clusters add up to {total}, {} is the most", u32::MAX);
                reporter.error(position, message, "", None);
            }
        }
    });
}

/// The `weighted_clusters` of a route's action and their sum. `None` too where a weight is no number: reading the
/// message reports that.
fn split<'n>(node: &'n Node, desc: &MessageDescriptor) -> Option<(&'n Node, f64)> {
    if desc.full_name() != ROUTE_ACTION {
        return None;
    }
    let split = node.get("weighted_clusters").or_else(|| node.get("weightedClusters"))?;
    let Data::Mapping(_) = &split.data else { return None };
    let entries = match split.get("clusters").map(|clusters| &clusters.data) {
        Some(Data::Sequence(entries)) => entries.as_slice(),
        None | Some(Data::Null) => &[],
        Some(_) => return None,
    };
    let total = entries.iter().map(weight).sum::<Option<f64>>()?;
    Some((split, total))
}

/// Text is a form of a number in the JSON of protobuf; `f64` holds any sum of those that fit an entry.
fn weight(entry: &Node) -> Option<f64> {
    match entry.get("weight").map(|weight| &weight.data) {
        Some(Data::Number(text) | Data::String(text)) => text.parse().ok().filter(|weight| *weight >= 0.0),
        None | Some(Data::Null) => Some(0.0),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::spec::parse_file;

    #[test]
    fn weights_add_up_to_something_that_envoy_takes() {
        let said = |action: &str| {
            let text = format!(
                "resources:\n- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n  name: r\n  \
                 virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}},\n    route: {action}}}]}}]\n"
            );
            let (_, diagnostics) = parse_file(&Arc::from("f"), &text);
            diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let nothing = "add up to 0: Envoy refuses such a route (give at least one entry a weight)";
        let nothing = format!("f:5:32: error: the weights of weighted_clusters {nothing}");
        let much = "f:5:32: error: the weights of weighted_clusters add up to 4294967296, 4294967295 is the most";
        for (clusters, expected) in [
            ("[{name: a, weight: 0}, {name: b, weight: 1}]", None),
            ("[{name: a, weight: 4294967295}, {name: b, weight: 0}]", None),
            ("[{name: a, weight: '7'}]", None),
            ("[{name: a, weight: 0}, {name: b, weight: 0}]", Some(nothing.as_str())),
            ("[{name: a}]", Some(nothing.as_str())),
            ("[]", Some(nothing.as_str())),
            ("[{name: a, weight: 4294967295}, {name: b, weight: 1}]", Some(much)),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(said(&format!("{{weighted_clusters: {{clusters: {clusters}}}}}")), expected, "{clusters}");
        }
        let mistyped = said("{weighted_clusters: {clusters: [{name: a, weight: x}]}}");
        assert_eq!(mistyped.len(), 1, "{mistyped:?}");
    }
}
