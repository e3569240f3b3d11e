//! The clusters and endpoints of a rollout's versions.

use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, Locality, SocketAddress,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as EndpointMessage, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::google::protobuf::UInt32Value;
use prost::Message;
use prost_reflect::DynamicMessage;

use crate::spec::{Backend, Endpoint, Rollout, canonical};
use crate::xds::{Resource, ResourceType};

/// What serves the versions of `rollout`: a cluster for each that is not defined elsewhere, with its endpoints. A
/// version without endpoints has a cluster only; the world gives it an empty assignment if no document has one.
pub(super) fn of_rollout(rollout: &Rollout) -> Vec<(ResourceType, Arc<Resource>)> {
    let mut resources = Vec::new();
    for version in &rollout.versions {
        let Backend::Endpoints { cluster, endpoints } = &version.backend else { continue };
        let name = &version.cluster_name;
        if endpoints.iter().any(|endpoint| matches!(endpoint, Endpoint::Host(..))) {
            resources.push((ResourceType::Cluster, Arc::new(strict_dns(name, cluster, endpoints))));
            continue;
        }
        resources.push((ResourceType::Cluster, Arc::new(eds(name, cluster))));
        if !endpoints.is_empty() {
            resources.push((ResourceType::Endpoint, Arc::new(assignment(name, endpoints))));
        }
    }
    resources
}

/// The ClusterLoadAssignment of that name.
pub(super) fn assignment(name: &Arc<str>, endpoints: &[Endpoint]) -> Resource {
    Resource::new(Arc::clone(name), load_assignment(name, endpoints).encode_to_vec().into())
}

fn eds(name: &Arc<str>, native: &DynamicMessage) -> Resource {
    let ads = ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
        resource_api_version: ApiVersion::V3.into(),
        ..ConfigSource::default()
    };
    let ours = Cluster {
        name: name.to_string(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(ads), ..EdsClusterConfig::default() }),
        ..Cluster::default()
    };
    Resource { endpoints: Some(Arc::clone(name)), ..Resource::new(Arc::clone(name), merged(native, &ours)) }
}

fn strict_dns(name: &Arc<str>, native: &DynamicMessage, endpoints: &[Endpoint]) -> Resource {
    // Envoy's default takes IPv6 answers first and fails where a host name has one that nobody listens on
    // (`localhost`). `AUTO` is that default and cannot be told from silence.
    let family = if native.has_field_by_name("dns_lookup_family") {
        DnsLookupFamily::Auto
    } else {
        DnsLookupFamily::V4Preferred
    };
    let ours = Cluster {
        name: name.to_string(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into())),
        dns_lookup_family: family.into(),
        load_assignment: Some(load_assignment(name, endpoints)),
        ..Cluster::default()
    };
    Resource::new(Arc::clone(name), merged(native, &ours))
}

/// The user's fields, then ours: two encodings in a row are the encoding of the merged message, and what is set twice
/// is what comes last. What is left at its default in `ours` has no bytes.
fn merged(native: &DynamicMessage, ours: &Cluster) -> Bytes {
    [canonical::encode(native), ours.encode_to_vec().into()].concat().into()
}

/// All endpoints in one locality. gRPC clients refuse endpoints without a locality, even an empty one, and skip a
/// locality without a weight.
fn load_assignment(name: &Arc<str>, endpoints: &[Endpoint]) -> ClusterLoadAssignment {
    let locality = LocalityLbEndpoints {
        locality: Some(Locality::default()),
        load_balancing_weight: Some(UInt32Value { value: 1 }),
        lb_endpoints: endpoints.iter().map(lb_endpoint).collect(),
        ..LocalityLbEndpoints::default()
    };
    let endpoints = if endpoints.is_empty() { Vec::new() } else { vec![locality] };
    ClusterLoadAssignment { cluster_name: name.to_string(), endpoints, ..ClusterLoadAssignment::default() }
}

fn lb_endpoint(endpoint: &Endpoint) -> LbEndpoint {
    let (address, port) = match endpoint {
        Endpoint::Ip(address) => (address.ip().to_string(), address.port()),
        Endpoint::Host(host, port) => (host.clone(), *port),
    };
    let socket = SocketAddress {
        address,
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
        ..SocketAddress::default()
    };
    let endpoint = EndpointMessage {
        address: Some(Address { address: Some(AddressKind::SocketAddress(socket)) }),
        ..EndpointMessage::default()
    };
    LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
}
