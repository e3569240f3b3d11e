//! What a client asked for, of one type on one stream.
//!
//! Rules: "How the client specifies what resources to return" and "Subscribing to Resources" of
//! <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol>.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ClientKind, Names, ResourceType};

const WILDCARD: &str = "*";

/// The names a client wants, or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    wildcard: bool,
    names: Names,
}

impl Wanted {
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}

/// What a client wants, and how it came to say so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    wanted: Wanted,
    /// Whether the client has ever named something: from then on an empty list means nothing, not everything.
    explicit: bool,
}

/// What a request changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Names that must be answered, whatever was sent before.
    pub(super) asked: BTreeSet<Arc<str>>,
    /// Names the client no longer wants.
    pub(super) dropped: BTreeSet<Arc<str>>,
    /// Names the client had both by wildcard and by name and now only has by wildcard: they must be answered.
    pub(super) kept_by_wildcard: BTreeSet<Arc<str>>,
    /// Whether the client now wants everything, and did not before: it must be answered.
    pub(super) widened: bool,
    /// Whether it no longer wants what it had by wildcard only.
    pub(super) narrowed: bool,
}

impl Subscription {
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wanted.covers(name)
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.wanted.wildcard
    }

    /// Whether everything is wanted and nothing by name.
    pub(super) fn is_only_wildcard(&self) -> bool {
        self.wanted.wildcard && self.wanted.names.is_empty()
    }

    pub(super) fn names(&self) -> &Names {
        &self.wanted.names
    }

    /// Puts an equal copy of the names, one that others have too, in the place of this stream's own.
    pub(super) fn share(&mut self, share: impl FnOnce(Names) -> Names) {
        self.wanted.names = share(std::mem::take(&mut self.wanted.names));
    }

    /// Everything, as a client that never asked is given it.
    pub(super) fn all() -> Self {
        Self { wanted: Wanted { wildcard: true, ..Wanted::default() }, explicit: false }
    }

    /// A state-of-the-world request carries the whole subscription.
    pub(super) fn replace(&mut self, ty: ResourceType, client: ClientKind, names: &[String]) -> Change {
        let star = names.iter().any(|name| name == WILDCARD);
        let names: Names = names.iter().filter(|name| *name != WILDCARD).map(|name| Arc::from(name.as_str())).collect();
        let legacy = !self.explicit && names.is_empty() && !star && has_legacy_wildcard(ty);
        let was_wildcard = self.wanted.wildcard;
        // Envoy with on-demand clusters goes from the legacy wildcard to a list without `*` and still means both.
        let envoy_keeps = was_wildcard && !self.explicit && client == ClientKind::Envoy;
        let wildcard = star || legacy || (envoy_keeps && !names.is_empty());
        self.explicit |= star || (!names.is_empty() && !envoy_keeps);
        let mut change =
            Change { widened: wildcard && !was_wildcard, narrowed: was_wildcard && !wildcard, ..Change::default() };
        for (name, is_new) in names.changes_from(&self.wanted.names) {
            if is_new {
                change.asked.insert(Arc::clone(name));
            } else if !wildcard {
                change.dropped.insert(Arc::clone(name));
            }
        }
        self.wanted = Wanted { wildcard, names };
        change
    }

    /// A delta request carries changes. `first`: it is the first of its type on the stream.
    pub(super) fn update(
        &mut self,
        ty: ResourceType,
        first: bool,
        subscribe: &[String],
        unsubscribe: &[String],
    ) -> Change {
        let was_wildcard = self.wanted.wildcard;
        if first && subscribe.is_empty() && has_legacy_wildcard(ty) {
            self.wanted.wildcard = true;
        }
        let mut change = Change::default();
        for name in subscribe {
            if name == WILDCARD {
                self.wanted.wildcard = true;
            } else {
                let name: Arc<str> = name.as_str().into();
                self.wanted.names.insert(Arc::clone(&name));
                change.asked.insert(name);
            }
        }
        if unsubscribe.iter().any(|name| name == WILDCARD) {
            self.wanted.wildcard = false;
        }
        change.widened = self.wanted.wildcard && !was_wildcard;
        change.narrowed = was_wildcard && !self.wanted.wildcard;
        for name in unsubscribe.iter().filter(|name| *name != WILDCARD) {
            change.asked.remove(name.as_str());
            if let Some(name) = self.wanted.names.take(name) {
                if self.wanted.wildcard { &mut change.kept_by_wildcard } else { &mut change.dropped }.insert(name);
            }
        }
        change
    }
}

/// Types whose first request without names means everything.
fn has_legacy_wildcard(ty: ResourceType) -> bool {
    matches!(ty, ResourceType::Cluster | ResourceType::Listener | ResourceType::ScopedRoute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn the_protocol_page_example_for_sotw() {
        let mut s = Subscription::default();
        s.replace(ResourceType::Cluster, ClientKind::Other, &[]);
        assert!(s.is_only_wildcard(), "nothing named yet: everything");
        let change = s.replace(ResourceType::Cluster, ClientKind::Other, &list(&["*", "A"]));
        assert!(s.is_wildcard() && change.asked == set(&["A"]));
        s.replace(ResourceType::Cluster, ClientKind::Other, &list(&["A"]));
        assert!(!s.is_wildcard() && s.covers("A") && !s.covers("B"));
        let change = s.replace(ResourceType::Cluster, ClientKind::Other, &[]);
        assert!(!s.covers("A") && !s.is_wildcard(), "an empty list after a named one means nothing");
        assert_eq!(change.dropped, set(&["A"]));
    }

    #[test]
    fn the_protocol_page_example_for_delta() {
        let mut s = Subscription::default();
        s.update(ResourceType::Cluster, true, &[], &[]);
        assert!(s.is_only_wildcard());
        assert_eq!(s.update(ResourceType::Cluster, false, &list(&["A"]), &[]).asked, set(&["A"]));
        let change = s.update(ResourceType::Cluster, false, &[], &list(&["A"]));
        assert_eq!(change.kept_by_wildcard, set(&["A"]), "still covered by the wildcard: it must be answered");
        s.update(ResourceType::Cluster, false, &[], &list(&["*"]));
        assert!(!s.covers("A"));
    }

    #[test]
    fn only_some_types_have_the_legacy_wildcard() {
        let mut s = Subscription::default();
        s.replace(ResourceType::Endpoint, ClientKind::Envoy, &[]);
        assert!(!s.covers("x"));
        s.update(ResourceType::Route, true, &[], &[]);
        assert!(!s.covers("x"));
    }

    #[test]
    fn envoy_with_on_demand_clusters_keeps_the_wildcard() {
        let mut s = Subscription::default();
        s.replace(ResourceType::Cluster, ClientKind::Envoy, &[]);
        let change = s.replace(ResourceType::Cluster, ClientKind::Envoy, &list(&["on-demand"]));
        assert!(s.covers("anything"));
        assert_eq!(change, Change { asked: set(&["on-demand"]), ..Change::default() });
        s.replace(ResourceType::Cluster, ClientKind::Envoy, &[]);
        assert!(s.covers("anything"));
    }

    #[test]
    fn an_empty_name_is_a_name() {
        let mut s = Subscription::default();
        s.replace(ResourceType::Cluster, ClientKind::Other, &list(&[""]));
        assert!(!s.is_wildcard() && s.covers(""));
    }

    #[test]
    fn subscribed_and_unsubscribed_in_one_request_is_unsubscribed() {
        let mut s = Subscription::default();
        let change = s.update(ResourceType::Endpoint, true, &list(&["a", "b"]), &list(&["a", "unknown"]));
        assert_eq!(change.asked, set(&["b"]));
        assert!(!s.covers("a"));
    }
}
