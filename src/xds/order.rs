//! Which types wait for which: make before break.
//!
//! Additions go down the table (what is named before what names it), removals come back up. "Eventual consistency
//! considerations" of <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol>.

use std::time::Duration;

use super::ResourceType::{
    self, Cluster, Endpoint, ExtensionConfig, Listener, Route, ScopedRoute, Secret, VirtualHost,
};

/// Removals wait until the stream is this old: a client that comes back asks for one type after the other, and what
/// it still uses is known only when it has asked for all of them.
pub(super) const REMOVAL_GRACE: Duration = Duration::from_secs(2);

/// Whether resources of this type send traffic to clusters, and so wait until those are warm.
pub(super) fn names_clusters(ty: ResourceType) -> bool {
    matches!(ty, ExtensionConfig | Listener | ScopedRoute | Route | VirtualHost)
}

/// The types that may still use a resource of `ty` that is gone: it is removed once they are acknowledged without it.
pub(super) fn users(ty: ResourceType) -> &'static [ResourceType] {
    match ty {
        Cluster => &[ExtensionConfig, Listener, ScopedRoute, Route, VirtualHost],
        Endpoint | Secret => &[Cluster, ExtensionConfig, Listener, ScopedRoute, Route, VirtualHost],
        ExtensionConfig => &[Listener, Route],
        ScopedRoute => &[Listener],
        Route => &[Listener, ScopedRoute],
        VirtualHost => &[Route],
        Listener | ResourceType::Runtime => &[],
    }
}

/// Whether a state-of-the-world response of this type carries everything, so that what it omits is deleted.
pub(super) fn is_full_state(ty: ResourceType) -> bool {
    matches!(ty, Cluster | Listener | ScopedRoute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_pushed_before_what_names_it() {
        for ty in ResourceType::ALL {
            for user in users(ty) {
                let exception = (ty, *user) == (Endpoint, Cluster) || (ty, *user) == (VirtualHost, Route);
                let exception =
                    exception || matches!((ty, *user), (ScopedRoute | Route, Listener) | (Route, ScopedRoute));
                assert!(exception || ty < *user, "{ty} before {user}");
            }
        }
    }
}
