//! What to send next of one type: the difference between what a client holds and what it should have *now*.
//!
//! "Now" differs from the snapshot while a change is under way: a route that sends traffic to a cluster that is not
//! warm yet stays as it is, a cluster that an unacknowledged route may still use stays there, and content the client
//! rejected is replaced by the last it accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::channel::Channel;
use super::held::Having;
use super::order::{self, REMOVAL_GRACE};
use super::resource::Sum;
use super::session::Session;
use super::{Resource, ResourceType, Variant, Version};

/// The next step of one type.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Resources that differ from what the client holds, or that it asked for.
    pub(super) changed: Vec<Arc<Resource>>,
    /// State of the world of a type that is sent whole: everything. Otherwise empty.
    pub(super) whole: Vec<Arc<Resource>>,
    /// Names the client should no longer have.
    pub(super) removed: Vec<Arc<str>>,
    /// Whether a response is due.
    pub(super) send: bool,
    /// Whether the client has all of the snapshot once it has this: nothing is held back, kept or rejected.
    pub(super) complete: bool,
    /// The version of what the client has once it has this.
    pub(super) version: Option<Version>,
}

/// What a client should have of one name now.
enum Desire {
    /// This.
    Have(Arc<Resource>),
    /// What it has, which is this (or nothing).
    Leave(Option<Arc<Resource>>),
    /// What it has, and this side does not know what that is.
    LeaveUnknown,
    /// Nothing.
    Without,
}

impl Session {
    /// What to send next of `ty`. Looks only at what may be due: that is O(change), and every stream does it.
    pub(super) fn plan(&self, ty: ResourceType, now: Duration) -> Plan {
        let channel = self.channel(ty);
        if channel.asked.is_empty() {
            self.plan_over(ty, now, &channel.loose)
        } else {
            self.plan_over(ty, now, &channel.loose.union(&channel.asked).cloned().collect())
        }
    }

    /// What to send next of `ty` if under all but `names` the client has what it should.
    pub(super) fn plan_over(&self, ty: ResourceType, now: Duration, names: &BTreeSet<Arc<str>>) -> Plan {
        let channel = self.channel(ty);
        let target = self.target().set(ty);
        let full = self.settings().variant == Variant::Sotw && order::is_full_state(ty);
        // After a rejection nothing changes until the content does; what is asked for by name is still answered.
        let blocked = channel.blocked_on == Some(target.version());
        if blocked && channel.asked.is_empty() {
            return Plan::default();
        }
        let mut plan = Plan { complete: !blocked && channel.rejections.is_empty(), ..Plan::default() };

        let mut instead: BTreeMap<&Arc<str>, Option<Arc<Resource>>> = BTreeMap::new();
        let wanted = |name: &Arc<str>| target.get(name).filter(|_| channel.subscription.covers(name));
        for resource in names.iter().filter_map(wanted) {
            let name = &resource.name;
            let held = channel.held.get(name);
            match self.desire(ty, resource, held, now) {
                Desire::Have(resource) => {
                    let differs = held.and_then(|held| held.version) != Some(resource.version);
                    if channel.asked.contains(name) || (differs && (full || !blocked)) {
                        plan.changed.push(Arc::clone(&resource));
                    }
                    instead.insert(name, Some(resource));
                }
                Desire::Leave(body) => {
                    plan.complete = false;
                    instead.insert(name, body);
                }
                // A whole state cannot be written down while a part of it is unknown.
                Desire::LeaveUnknown if full => return Plan::default(),
                Desire::LeaveUnknown => plan.complete = false,
                Desire::Without => {
                    plan.complete = false;
                    instead.insert(name, None);
                    if held.is_some() && !blocked {
                        plan.removed.push(Arc::clone(name));
                    }
                }
            }
        }

        let mut kept_back: Vec<Arc<Resource>> = Vec::new();
        for (name, held) in names.iter().filter_map(|name| Some((name, channel.held.get(name)?))) {
            let Some(vanished) = held.vanished else { continue };
            // A whole state would send it again; what was never acknowledged is not in use, and may be what is rejected.
            let unused = full && held.good.is_none() && !held.older && !held.acked;
            if blocked || !(unused || self.may_remove(ty, vanished, now)) {
                plan.complete = false;
                let newest = held.body.filter(|_| held.acked);
                let kept = newest.or(held.good).or(held.body);
                // What is not acknowledged is taken back.
                plan.changed.extend(kept.filter(|kept| full && held.version != Some(kept.version)).cloned());
                kept_back.extend(kept.cloned());
            } else {
                plan.removed.push(Arc::clone(name));
            }
        }
        for name in channel.asked.iter().filter(|name| target.get(name).is_none()) {
            self.answer_unknown(ty, name, &mut plan);
        }

        let removals = !plan.removed.is_empty() && (full || self.settings().variant == Variant::Delta);
        plan.send = !plan.changed.is_empty() || removals || channel.answer_due;
        plan.version = Some(target.version());
        if full && plan.send {
            let all = target.iter().filter(|resource| channel.subscription.covers(&resource.name));
            let now = all.filter_map(|resource| match instead.get(&resource.name) {
                Some(instead) => instead.clone(),
                None => Some(Arc::clone(resource)),
            });
            plan.whole = now.chain(kept_back).collect();
            if !plan.complete {
                plan.version = Some(Sum::of(plan.whole.iter().map(|r| (&*r.name, r.version))).version());
            }
        }
        plan
    }

    /// What to say of a name the client asked for and nobody defines.
    fn answer_unknown(&self, ty: ResourceType, name: &Arc<str>, plan: &mut Plan) {
        let removed = plan.removed.iter().position(|removed| removed == name);
        match (self.channel(ty).held.get(name), removed) {
            (Some(held), None) => plan.changed.extend(held.body.cloned()),
            // A cluster warms until its endpoints come; an empty assignment ends that, silence would not.
            (_, removed) if ty == ResourceType::Endpoint => {
                removed.map(|index| plan.removed.remove(index));
                plan.changed.push(self.former(ty, name).cloned().unwrap_or_else(|| no_endpoints(name)));
            }
            (None, None) if self.settings().variant == Variant::Delta => plan.removed.push(Arc::clone(name)),
            _ => {}
        }
    }

    fn desire(&self, ty: ResourceType, resource: &Arc<Resource>, held: Option<Having<'_>>, now: Duration) -> Desire {
        let channel = self.channel(ty);
        if channel.rejected(&resource.name, resource.version) {
            return match held {
                Some(Having { good: Some(good), .. }) => Desire::Have(Arc::clone(good)),
                Some(Having { older: true, .. }) => Desire::LeaveUnknown,
                _ if channel.unknown_state => Desire::LeaveUnknown,
                _ => Desire::Without,
            };
        }
        let has_it = held.is_some_and(|held| held.version == Some(resource.version));
        if has_it || !order::names_clusters(ty) {
            return Desire::Have(Arc::clone(resource));
        }
        let has_older = channel.unknown_state || held.is_some_and(|held| held.older || held.good.is_some());
        if resource.clusters.iter().all(|cluster| self.is_warm(cluster, has_older, now)) {
            return Desire::Have(Arc::clone(resource));
        }
        match held {
            Some(Having { body: Some(body), .. } | Having { good: Some(body), .. }) => {
                Desire::Leave(Some(Arc::clone(body)))
            }
            _ if has_older => Desire::LeaveUnknown,
            _ => Desire::Leave(None),
        }
    }

    /// Whether traffic may be sent to `cluster`: the client has acknowledged it, and its endpoints, as they should be.
    ///
    /// Envoy acknowledges clusters when they are warm, so its CDS ACK is the proof; others acknowledge at once, and
    /// their EDS ACK is. A rejected cluster holds back a client that has something older to go on with (`has_older`);
    /// one that has nothing is better off with routes of which a part fails than with none.
    fn is_warm(&self, cluster: &str, has_older: bool, now: Duration) -> bool {
        if !self.settings().ordered {
            return true;
        }
        let clusters = self.channel(ResourceType::Cluster);
        if !clusters.is_open() {
            return !self.expects_clusters(now);
        }
        let Some(resource) = self.target().set(ResourceType::Cluster).get(cluster) else { return true };
        if !self.is_acknowledged(ResourceType::Cluster, resource, has_older, now) {
            return false;
        }
        let Some(name) = &resource.endpoints else { return true };
        let Some(endpoints) = self.target().set(ResourceType::Endpoint).get(name) else { return true };
        self.is_acknowledged(ResourceType::Endpoint, endpoints, has_older, now)
    }

    fn is_acknowledged(&self, ty: ResourceType, resource: &Resource, has_older: bool, now: Duration) -> bool {
        let channel = self.channel(ty);
        if !channel.is_open() || !channel.subscription.covers(&resource.name) {
            return true;
        }
        let held = channel.held.get(&resource.name);
        let answered = |held: Having<'_>| held.acked || channel.in_flight.is_empty();
        if held.is_some_and(|held| held.version == Some(resource.version) && answered(held)) {
            return true;
        }
        let rejected = channel.rejected(&resource.name, resource.version)
            || channel.blocked_on == Some(self.target().set(ty).version());
        if rejected {
            return !has_older;
        }
        self.is_overdue(channel, now)
    }

    /// Whether the client has not answered for so long that waiting further helps nobody.
    pub(super) fn is_overdue(&self, channel: &Channel, now: Duration) -> bool {
        channel.waiting_since().is_some_and(|sent_at| now >= sent_at + self.settings().ack_timeout)
    }

    fn may_remove(&self, ty: ResourceType, vanished: u64, now: Duration) -> bool {
        let users = order::users(ty);
        if !self.settings().ordered || users.is_empty() {
            return true;
        }
        now >= self.last_opened() + REMOVAL_GRACE
            && users.iter().map(|user| self.channel(*user)).all(|user| !user.is_open() || user.caught_up >= vanished)
    }
}

/// A ClusterLoadAssignment with a name and no endpoints.
fn no_endpoints(name: &Arc<str>) -> Arc<Resource> {
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, its first field.
    #[derive(Clone, PartialEq, Message)]
    struct Named {
        #[prost(string, tag = "1")]
        cluster_name: String,
    }
    let body = Named { cluster_name: name.to_string() }.encode_to_vec();
    Arc::new(Resource::new(Arc::clone(name), Bytes::from(body)))
}
