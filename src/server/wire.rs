//! Between the messages of the wire and the values of [`crate::xds`]; no rule of the protocol lives here. Requests are
//! read in [`super::requests`].

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use prost_types::value::Kind;

use super::proto::envoy::service::discovery::v3 as discovery;
use super::proto::google::protobuf::Any;
use crate::xds::{ClientKind, Node, Resource, ResourceType, Response, Variant};

/// Integers up to here are exact in the doubles that protobuf's `Struct` holds: 2^53.
const EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Encodes a response, less its nonce: this is the same for every stream in the same state. `identifier` becomes
/// `control_plane.identifier`.
pub(super) fn encode(variant: Variant, response: &Response, identifier: &str) -> Bytes {
    match variant {
        Variant::Sotw => sotw(response, identifier).encode_to_vec().into(),
        Variant::Delta => delta(response, identifier).encode_to_vec().into(),
    }
}

/// `removed` has no place in this variant: a deletion is an omission.
fn sotw(response: &Response, identifier: &str) -> discovery::DiscoveryResponse {
    let type_url = response.ty.type_url();
    discovery::DiscoveryResponse {
        version_info: response.version.to_string(),
        resources: response.resources.iter().map(|resource| any(&type_url, resource)).collect(),
        type_url,
        nonce: String::new(),
        control_plane: Some(discovery::ControlPlane { identifier: identifier.to_owned() }),
    }
}

fn delta(response: &Response, identifier: &str) -> discovery::DeltaDiscoveryResponse {
    let type_url = response.ty.type_url();
    let resource = |resource: &Resource| discovery::Resource {
        version: resource.version.to_string(),
        resource: Some(any(&type_url, resource)),
        name: resource.name.to_string(),
        // A virtual host has to repeat the name it was asked for by, or the waiting request is never resumed:
        // https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds
        aliases: match response.ty {
            ResourceType::VirtualHost => vec![resource.name.to_string()],
            _ => Vec::new(),
        },
    };
    discovery::DeltaDiscoveryResponse {
        system_version_info: response.version.to_string(),
        resources: response.resources.iter().map(|shared| resource(shared)).collect(),
        nonce: String::new(),
        removed_resources: response.removed.iter().map(ToString::to_string).collect(),
        control_plane: Some(discovery::ControlPlane { identifier: identifier.to_owned() }),
        type_url,
    }
}

fn any(type_url: &str, resource: &Resource) -> Any {
    Any { type_url: type_url.to_owned(), value: resource.body.clone() }
}

/// The node as this server looks at it.
pub(super) fn node(node: discovery::Node) -> Node {
    let version = node.user_agent_build_version.and_then(|build| build.version);
    let locality = node.locality.unwrap_or_default();
    Node {
        id: node.id,
        cluster: node.cluster,
        metadata: node.metadata.map(object).unwrap_or_default(),
        region: locality.region,
        zone: locality.zone,
        sub_zone: locality.sub_zone,
        user_agent_name: node.user_agent_name,
        user_agent_version: match version {
            Some(v) => format!("{}.{}.{}", v.major_number, v.minor_number, v.patch),
            None => node.user_agent_version,
        },
    }
}

/// Whose implementation of the protocol speaks.
pub(super) fn client_kind(node: &Node) -> ClientKind {
    if node.user_agent_name == "envoy" { ClientKind::Envoy } else { ClientKind::Other }
}

fn object(fields: prost_types::Struct) -> BTreeMap<String, serde_json::Value> {
    fields.fields.into_iter().map(|(key, value)| (key, json(value))).collect()
}

/// Depth is bounded by the decoder, which refuses messages nested deeper than 100.
fn json(value: prost_types::Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => object(fields).into_iter().collect(),
    }
}

/// As protobuf's JSON mapping prints it: 3, not 3.0, because selectors compare text.
fn number(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() <= EXACT_INTEGER {
        #[expect(clippy::cast_possible_truncation, reason = "an integer within 2^53")]
        let integer = value as i64;
        integer.into()
    } else {
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::xds::Version;

    fn response(ty: ResourceType) -> Response {
        Response {
            ty,
            nonce: 7,
            version: Version::of(b"set"),
            resources: vec![Arc::new(Resource::new("blue", Bytes::from_static(b"body")))],
            removed: vec!["green".into()],
        }
    }

    #[test]
    fn what_is_encoded_has_everything_but_the_nonce() {
        let source = response(ResourceType::Cluster);
        let sotw = encode(Variant::Sotw, &source, "serin-1");
        let sotw = discovery::DiscoveryResponse::decode(sotw).unwrap();
        assert_eq!((&*sotw.nonce, &*sotw.version_info), ("", &*Version::of(b"set").to_string()));
        assert_eq!(sotw.resources[0].type_url, sotw.type_url);
        assert_eq!(&*sotw.resources[0].value, b"body");
        assert_eq!(sotw.control_plane.map(|c| c.identifier), Some("serin-1".into()));

        let delta = encode(Variant::Delta, &source, "serin-1");
        let delta = discovery::DeltaDiscoveryResponse::decode(delta).unwrap();
        assert_eq!(delta.removed_resources, ["green"]);
        assert_eq!((&*delta.resources[0].name, &*delta.nonce), ("blue", ""));
        assert_eq!(delta.resources[0].version, Version::of(b"body").to_string());
        assert!(delta.resources[0].aliases.is_empty());
        assert_eq!(delta.resources[0].resource.as_ref().map(|any| &*any.value), Some(&b"body"[..]));
        assert_eq!(delta.control_plane.map(|c| c.identifier), Some("serin-1".into()));
    }

    #[test]
    fn a_virtual_host_repeats_its_name_as_alias() {
        let delta = encode(Variant::Delta, &response(ResourceType::VirtualHost), "");
        assert_eq!(discovery::DeltaDiscoveryResponse::decode(delta).unwrap().resources[0].aliases, ["blue"]);
    }

    #[test]
    fn node_metadata_becomes_json_with_whole_numbers_whole() {
        let value = |kind| prost_types::Value { kind: Some(kind) };
        let list = prost_types::ListValue { values: vec![value(Kind::NullValue(0)), value(Kind::BoolValue(true))] };
        let wire = discovery::Node {
            id: "edge-1".into(),
            metadata: Some(prost_types::Struct {
                fields: [
                    ("whole".to_owned(), value(Kind::NumberValue(-3.0))),
                    ("part".to_owned(), value(Kind::NumberValue(0.5))),
                    ("none".to_owned(), value(Kind::NumberValue(f64::NAN))),
                    ("list".to_owned(), value(Kind::ListValue(list))),
                ]
                .into(),
            }),
            locality: Some(discovery::Locality { zone: "z".into(), ..Default::default() }),
            user_agent_name: "envoy".into(),
            user_agent_build_version: Some(discovery::BuildVersion {
                version: Some(discovery::SemanticVersion { major_number: 1, minor_number: 40, patch: 0 }),
            }),
            ..Default::default()
        };
        let node = node(wire);
        assert_eq!(
            serde_json::to_value(&node.metadata).unwrap(),
            json!({"list": [null, true], "none": null, "part": 0.5, "whole": -3})
        );
        assert_eq!((&*node.zone, &*node.user_agent_version), ("z", "1.40.0"));
        assert_eq!(client_kind(&node), ClientKind::Envoy);
        assert_eq!(client_kind(&Node::default()), ClientKind::Other);
    }
}
