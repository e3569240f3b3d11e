//! What an Envoy resource names elsewhere, with the place of each name.
//!
//! Walks the YAML tree beside the descriptors, through `Any` too. Messages have lost their places; the tree has not.
//! Keys that are no fields are skipped: reading the message reports them.

use std::sync::Arc;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::descriptor;
use super::model::{Reference, Role};
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

/// Adds what the items of a `resources:` list name, in the order of the text.
pub(super) fn collect(resources: &Node, references: &mut Vec<Reference>) {
    if let Data::Sequence(items) = &resources.data {
        for item in items {
            any(item, references);
        }
    }
}

/// A message that says its own type.
fn any(node: &Node, references: &mut Vec<Reference>) {
    let Some(Data::String(url)) = node.get("@type").map(|node| &node.data) else { return };
    let name = url.rsplit('/').next().unwrap_or(url);
    if let Some(desc) = descriptor::message(name) {
        message(node, &desc, references);
    }
}

fn message(node: &Node, desc: &MessageDescriptor, references: &mut Vec<Reference>) {
    let Data::Mapping(entries) = &node.data else { return };
    if desc.full_name() == "google.protobuf.Any" {
        return any(node, references);
    }
    for entry in entries {
        let field = desc.get_field_by_name(&entry.key).or_else(|| desc.get_field_by_json_name(&entry.key));
        let Some(field) = field else { continue };
        match &entry.value.data {
            Data::String(text) => {
                if let Some(role) = role(desc, &field).filter(|_| desc.full_name() != RDS || is_ads(node)) {
                    references.push(Reference { position: entry.value.position, name: Arc::from(&**text), role });
                }
            }
            _ => value(&entry.value, &field, references),
        }
    }
}

fn value(node: &Node, field: &FieldDescriptor, references: &mut Vec<Reference>) {
    let Kind::Message(desc) = field.kind() else { return };
    match &node.data {
        Data::Mapping(entries) if field.is_map() => {
            let Kind::Message(desc) = desc.map_entry_value_field().kind() else { return };
            for entry in entries {
                message(&entry.value, &desc, references);
            }
        }
        Data::Sequence(items) if field.is_list() => {
            for item in items {
                message(item, &desc, references);
            }
        }
        _ => message(node, &desc, references),
    }
}

fn role(desc: &MessageDescriptor, field: &FieldDescriptor) -> Option<Role> {
    let (_, _, role) = NAMES.iter().find(|(message, name, _)| desc.full_name() == *message && field.name() == *name)?;
    Some(*role)
}

/// Whether an Rds asks this server.
fn is_ads(rds: &Node) -> bool {
    let source = rds.get("config_source").or_else(|| rds.get("configSource"));
    source.is_some_and(|source| source.get("ads").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::yaml;

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
        let mut references = Vec::new();
        collect(&documents[0], &mut references);
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
