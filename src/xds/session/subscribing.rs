//! What a request says of the subscription, and of what the client already has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::subscription::Change;
use super::{ResourceType, Session, Version, order};

impl Session {
    pub(super) fn subscribe_sotw(&mut self, ty: ResourceType, first: bool, version: &str, names: &[String]) {
        let held = Version::parse(version).filter(|_| first && order::is_full_state(ty));
        let held = held.and_then(|version| self.recall(ty, version));
        let target = self.target.set(ty);
        let channel = &mut self.channels[ty.index()];
        let change = channel.subscription.replace(ty, self.settings.client, names);
        if first {
            match held {
                Some(set) if channel.subscription.is_only_wildcard() => {
                    set.iter().for_each(|resource| channel.adopt_named(resource, target, self.generation));
                }
                _ => channel.unknown_state = !version.is_empty(),
            }
            if channel.unknown_state {
                // It has something under the names it asks for; an empty answer must not take that away.
                for name in channel.subscription.names().clone().iter() {
                    channel.adopt(Arc::clone(name), None, target, self.generation);
                }
            }
        }
        let anew = first || change != Change::default();
        channel.apply(change);
        if anew {
            channel.loose = channel.all(target);
        }
    }

    pub(super) fn subscribe_delta(
        &mut self,
        ty: ResourceType,
        first: bool,
        subscribe: &[String],
        unsubscribe: &[String],
        initial: BTreeMap<String, String>,
    ) {
        let clusters_asked = self.channel(ResourceType::Cluster).is_open();
        let target = self.target.set(ty);
        let channel = &mut self.channels[ty.index()];
        let mut change = channel.subscription.update(ty, first, subscribe, unsubscribe);
        if first {
            // One that comes back has its answer.
            change.widened &= initial.is_empty();
            for (name, version) in initial {
                let version = Version::parse(&version);
                let name: Arc<str> = name.into();
                // An Envoy that asks for endpoints before clusters is warming and needs them again.
                let sure = ty != ResourceType::Endpoint || clusters_asked;
                if sure && target.get(&name).is_some_and(|resource| Some(resource.version) == version) {
                    change.asked.remove(&name);
                }
                channel.adopt(name, version, target, self.generation);
            }
            for (name, held) in channel.held.own_mut() {
                if target.get(name).is_none() {
                    held.vanished.get_or_insert(self.generation);
                }
            }
        }
        let anew = first || change.widened || change.narrowed;
        channel.loose.extend([&change.asked, &change.dropped, &change.kept_by_wildcard].into_iter().flatten().cloned());
        channel.apply(change);
        if anew {
            channel.loose = channel.all(target);
        }
    }
}
