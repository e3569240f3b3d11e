//! Spec and traffic to snapshots: what each group of nodes should have, encoded.
//!
//! A rollout is a virtual cluster. Its versions become clusters named `ROLLOUT/VERSION` with their endpoints, and each
//! route that names it becomes what its [`Traffic`](crate::spec::Traffic) asks for: `weighted_clusters` over them, with
//! header routes before it, mirrors, and users that keep their version. Everything else passes through as its writer
//! gave it. Pure: equal documents and traffic give equal bytes on every replica and after every restart. It decides no
//! weight and knows no session; [`crate::reconcile`] drives it.

mod affinity;
mod clusters;
mod part;
mod parts;
mod references;
mod replacement;
mod routes;
mod state;
mod touched;
mod world;

pub use affinity::version_of_user;
pub use world::{Rendered, Seat, World};

use prost_reflect::{DynamicMessage, ReflectMessage};

use crate::spec::ResourceKind;
use crate::xds::ResourceType;

/// The type as which documents of `kind` are served.
#[must_use]
pub const fn resource_type(kind: ResourceKind) -> ResourceType {
    match kind {
        ResourceKind::Cluster => ResourceType::Cluster,
        ResourceKind::ClusterLoadAssignment => ResourceType::Endpoint,
        ResourceKind::Listener => ResourceType::Listener,
        ResourceKind::RouteConfiguration => ResourceType::Route,
        ResourceKind::ScopedRouteConfiguration => ResourceType::ScopedRoute,
        ResourceKind::VirtualHost => ResourceType::VirtualHost,
        ResourceKind::Secret => ResourceType::Secret,
        ResourceKind::Runtime => ResourceType::Runtime,
        ResourceKind::TypedExtensionConfig => ResourceType::ExtensionConfig,
    }
}

/// What `message` carries, if it is an `Any` of a type that the Envoy API knows.
fn unpack(message: &DynamicMessage) -> Option<DynamicMessage> {
    let descriptor = message.descriptor();
    if descriptor.full_name() != "google.protobuf.Any" {
        return None;
    }
    let url = message.get_field_by_name("type_url")?;
    let (_, name) = url.as_str()?.rsplit_once('/')?;
    let carried = descriptor.parent_pool().get_message_by_name(name)?;
    DynamicMessage::decode(carried, message.get_field_by_name("value")?.as_bytes()?.clone()).ok()
}

#[cfg(test)]
mod tests;
