//! Which clusters and endpoints a resource names.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::routes::ROUTE_ACTION;
use super::unpack;
use crate::spec::eds;

/// The clusters that a message names.
#[derive(Debug, Default)]
pub(super) struct References {
    /// In the `cluster` of route actions: the places where a rollout may stand.
    pub(super) actions: BTreeSet<Arc<str>>,
    /// Wherever traffic goes, entries of weight 0 left out: routes, mirrors, TCP and UDP proxies, and the services that
    /// filters call (authorization, rate limits, logs).
    pub(super) clusters: BTreeSet<Arc<str>>,
}

impl References {
    /// Walks `message`, through every `Any`.
    pub(super) fn of(message: &DynamicMessage) -> Self {
        let mut references = Self::default();
        references.walk(message);
        references
    }

    fn walk(&mut self, message: &DynamicMessage) {
        if let Some(carried) = unpack(message) {
            return self.walk(&carried);
        }
        let descriptor = message.descriptor();
        let weighted = descriptor.name() == "ClusterWeight" && has_weight(message);
        for (field, value) in message.fields() {
            // The Envoy API is strict about these names: no listener, route or filter uses them for anything else.
            let names_cluster = matches!(field.name(), "cluster" | "cluster_name" | "cluster_names");
            if names_cluster || (weighted && field.name() == "name") {
                self.name(value, descriptor.full_name() == ROUTE_ACTION);
            }
            self.walk_value(value);
        }
    }

    fn walk_value(&mut self, value: &Value) {
        match value {
            Value::Message(message) => self.walk(message),
            Value::List(items) => items.iter().for_each(|item| self.walk_value(item)),
            Value::Map(entries) => entries.values().for_each(|value| self.walk_value(value)),
            _ => {}
        }
    }

    fn name(&mut self, value: &Value, action: bool) {
        match value {
            Value::String(name) if !name.is_empty() => {
                let name: Arc<str> = name.as_str().into();
                if action {
                    self.actions.insert(Arc::clone(&name));
                }
                self.clusters.insert(name);
            }
            Value::List(names) => names.iter().for_each(|name| self.name(name, action)),
            _ => {}
        }
    }
}

/// Weights are plain numbers in some filters and wrapped ones in routes.
fn has_weight(entry: &DynamicMessage) -> bool {
    entry.get_field_by_name("weight").is_some_and(|weight| match weight.as_message() {
        Some(wrapped) => wrapped.get_field_by_name("value").is_some_and(|value| value.as_u32() > Some(0)),
        None => weight.as_u32() > Some(0),
    })
}

/// The ClusterLoadAssignment that `cluster` asks for over ADS, if it asks for one.
pub(super) fn endpoints(cluster: &DynamicMessage) -> Option<Arc<str>> {
    eds::asked(cluster).filter(|asked| asked.over_ads).map(|asked| asked.name)
}
