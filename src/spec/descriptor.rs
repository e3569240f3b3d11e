//! The descriptors of the whole Envoy API: which messages and fields exist.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(&include_bytes!(concat!(env!("OUT_DIR"), "/envoy.bin"))[..]).ok());

/// Every message of the Envoy API that this build knows.
#[must_use]
pub fn pool() -> &'static DescriptorPool {
    static EMPTY: LazyLock<DescriptorPool> = LazyLock::new(DescriptorPool::new);
    POOL.as_ref().unwrap_or(&EMPTY)
}

/// The message of that full name, e.g. `envoy.config.cluster.v3.Cluster`.
#[must_use]
pub fn message(name: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_envoy_api_and_the_well_known_types() {
        for name in [
            "envoy.config.cluster.v3.Cluster",
            "envoy.config.listener.v3.Listener",
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "envoy.extensions.filters.http.router.v3.Router",
            "xds.type.v3.TypedStruct",
            "udpa.type.v1.TypedStruct",
            "xds.type.matcher.v3.IPMatcher",
            "google.protobuf.Any",
            "google.protobuf.Duration",
        ] {
            assert!(message(name).is_some(), "{name}");
        }
        assert!(pool().all_messages().len() > 1_500);
    }
}
