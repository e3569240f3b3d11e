//! What a document names elsewhere, with the place of each name.

use std::sync::Arc;

use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::model::{NodeSelector, Reference, Role};
use super::walk;
use super::yaml::{Data, Node};

/// The fields whose text names something: message, field, what it names.
const NAMES: [(&str, &str, Role); 6] = [
    ("envoy.config.route.v3.RouteAction", "cluster", Role::RouteAction),
    ("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", "cluster", Role::Mirror),
    ("envoy.config.route.v3.WeightedCluster.ClusterWeight", "name", Role::WeightedCluster),
    ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster", Role::TcpProxy),
    ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight", "name", Role::TcpProxy),
    (RDS, "route_config_name", Role::RouteConfiguration),
];

const RDS: &str = "envoy.extensions.filters.network.http_connection_manager.v3.Rds";

/// What the items of a `resources:` list name. `nodes` as in [`Reference`].
pub(super) fn of_resources(list: &Node, nodes: Option<&Arc<NodeSelector>>) -> Vec<Reference> {
    let mut references = Vec::new();
    walk::messages(list, &mut |node, desc| {
        let Data::Mapping(entries) = &node.data else { return };
        for entry in entries {
            let Some(role) = walk::field(desc, &entry.key).and_then(|field| role(desc, &field)) else { continue };
            if role != Role::RouteConfiguration || is_ads(node) {
                references.extend(reference(&entry.value, role, nodes));
            }
        }
    });
    references
}

/// What the `versions:` of a rollout name.
pub(super) fn of_versions(versions: &Node, nodes: Option<&Arc<NodeSelector>>) -> Vec<Reference> {
    let Data::Mapping(entries) = &versions.data else { return Vec::new() };
    let existing = entries.iter().filter_map(|entry| entry.value.get("existingCluster"));
    existing.filter_map(|node| reference(node, Role::ExistingCluster, nodes)).collect()
}

/// The templates that a `strategy:` names.
pub(super) fn of_strategy(strategy: &Node) -> Vec<Reference> {
    let canary = strategy.get("canary");
    let steps = canary.and_then(|canary| canary.get("steps")).map_or(&[][..], items).iter();
    let inline = steps.filter_map(|step| step.get("analysis"));
    let background = canary.and_then(|canary| canary.get("analysis"));
    let blue_green = strategy.get("blueGreen").into_iter();
    let around = blue_green
        .flat_map(|options| ["prePromotionAnalysis", "postPromotionAnalysis"].into_iter().map(|key| options.get(key)));
    let templates = inline
        .chain(background)
        .chain(around.flatten())
        .filter_map(|analysis| analysis.get("templates"))
        .flat_map(items);
    let names = templates.filter_map(|template| template.get("templateName"));
    names.filter_map(|node| reference(node, Role::AnalysisTemplate, None)).collect()
}

fn items(node: &Node) -> &[Node] {
    if let Data::Sequence(items) = &node.data { items } else { &[] }
}

/// Numbers can be names where the format is our own; in a message they are mistakes, which its reading reports.
fn reference(node: &Node, role: Role, nodes: Option<&Arc<NodeSelector>>) -> Option<Reference> {
    let (Data::String(text) | Data::Number(text)) = &node.data else { return None };
    Some(Reference { position: node.position, name: Arc::from(&**text), role, nodes: nodes.cloned() })
}

fn role(desc: &MessageDescriptor, field: &FieldDescriptor) -> Option<Role> {
    let (_, _, role) = NAMES.iter().find(|(message, name, _)| desc.full_name() == *message && field.name() == *name)?;
    Some(*role)
}

/// Whether an Rds asks this server.
fn is_ads(rds: &Node) -> bool {
    let source = rds.get("config_source").or_else(|| rds.get("configSource"));
    source.is_some_and(|source| source.get("ads").or_else(|| source.get("self")).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{descriptor, yaml};

    #[test]
    fn finds_every_kind_of_name_at_any_depth() {
        let text = r#"
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  filter_chains:
  - filters:
    - name: http
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        rds: {config_source: {ads: {}}, route_config_name: main}
    - name: other
      typedConfig:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        rds: {config_source: {path_config_source: {path: /x}}, route_config_name: file}
    - name: tcp
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        cluster: db
    - name: tcp
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        weighted_clusters: {clusters: [{name: db-1, weight: 1}]}
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  virtual_hosts:
  - name: all
    request_mirror_policies: [{cluster: shadow}]
    routes:
    - route: {cluster: shop, requestMirrorPolicies: [{cluster: dark}]}
    - route: {weighted_clusters: {clusters: [{name: one}, {cluster_header: x}]}}
    - redirect: {cluster: none}
"#;
        let (documents, mistakes) = yaml::parse(text);
        assert_eq!(mistakes, []);
        let references = of_resources(&documents[0], None);
        let found: Vec<_> = references.iter().map(|r| (&*r.name, r.role, r.position.line, r.position.column)).collect();
        assert_eq!(
            found,
            [
                ("main", Role::RouteConfiguration, 8, 60),
                ("db", Role::TcpProxy, 16, 18),
                ("db-1", Role::TcpProxy, 20, 47),
                ("shadow", Role::Mirror, 24, 41),
                ("shop", Role::RouteAction, 26, 24),
                ("dark", Role::Mirror, 26, 64),
                ("one", Role::WeightedCluster, 27, 53),
            ]
        );
    }

    #[test]
    fn the_table_names_real_fields() {
        for (message, field, _) in NAMES {
            let desc = descriptor::message(message).expect(message);
            assert!(desc.get_field_by_name(field).is_some(), "{message}.{field}");
        }
    }
}
